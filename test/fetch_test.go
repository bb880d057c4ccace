package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// generated is how many synthetic messages a first fetch gets.
func generated() int {
	if testing.Short() {
		return 200
	}
	return 5000
}

// mailboxful is the synthetic messages and, where it is here, the corpus.
func mailboxful(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for n := range generated() {
		all = append(all, testkit.Message(n))
	}
	if _, err := os.Stat(testkit.ModuleRoot(t) + "/../shared/corpus"); err != nil {
		t.Log("without the shared corpus")
		return all
	}
	corpus := testkit.Corpus(t)
	names := make([]string, 0, len(corpus))
	for name := range corpus {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		all = append(all, corpus[name])
	}
	return all
}

// Invariant 4: what IMAP serves is byte for byte what RETR returned, in the order in
// which the server listed it.
func TestEveryMessageByteForByte(t *testing.T) {
	tests := []struct {
		name, tls, keep string
		port            func(*rig.Dovecot) int
	}{
		{"plain", "none", "forever", func(d *rig.Dovecot) int { return d.POP3 }},
		{"STLS", "starttls", "forever", func(d *rig.Dovecot) int { return d.POP3 }},
		{"TLS, then deleted", "implicit", "never", func(d *rig.Dovecot) int { return d.POP3S }},
	}
	ca := testkit.CA(t)
	d := dovecot(t, ca)
	messages := mailboxful(t)
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	want, err := rig.Retrieve(rig.Addr(d.POP3), "home")
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != len(messages) {
		t.Fatalf("the server has %d messages, want %d", len(want), len(messages))
	}
	// One after the other on the same mailbox; the last one empties it.
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := account(d, "home")
			a.TLS, a.Port, a.KeepOnServer = tt.tls, tt.port(d), tt.keep
			if tt.tls != "none" {
				a.CAFile = ca.CAFile
			}
			p := prepare(t, a)
			start(t, p)
			begin := time.Now()
			command(t, p, 0, "sync")
			t.Logf("%d messages in %v", len(want), time.Since(begin).Round(time.Millisecond))

			served := fetchAll(t, p, "INBOX")
			compare(t, served, want)
			checkServer(t, d, tt.keep, len(want))

			// Nothing twice, and the status says what is true.
			command(t, p, 0, "sync")
			status, err := p.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := status.Accounts[0]; got.Stored != len(want) || got.LastError != "" || got.State != "idle" {
				t.Errorf("status: %+v, want %d stored", got, len(want))
			}
			stop(t, p)
			command(t, p, 0, "check")
		})
	}
}

// checkServer: after keep_on_server = "never" the server is empty, otherwise it
// has everything it had.
func checkServer(t *testing.T, d *rig.Dovecot, keep string, n int) {
	t.Helper()
	left, err := d.Count("home")
	if err != nil {
		t.Fatal(err)
	}
	if keep == "never" {
		n = 0
	}
	if left != n {
		t.Errorf("%d messages are left on the server, want %d", left, n)
	}
}

// served is one message as IMAP shows it.
type served struct {
	uid  imap.UID
	size int64
	sum  [32]byte
	body []byte // only where kept
}

// fetchAll reads a mailbox whole, as a client without a cache does.
func fetchAll(t *testing.T, p *rig.Popbridge, mailbox string) []served {
	t.Helper()
	c := login(t, p, nil)
	data := selectMailbox(t, c, mailbox)
	if data.NumMessages == 0 {
		_ = c.Close()
		return nil
	}
	section := &imap.FetchItemBodySection{Peek: true}
	cmd := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{
		UID: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section},
	})
	var all []served
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		all = append(all, readServed(t, msg))
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

func readServed(t *testing.T, msg *imapclient.FetchMessageData) served {
	t.Helper()
	var s served
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			s.uid = item.UID
		case imapclient.FetchItemDataRFC822Size:
			s.size = item.Size
		case imapclient.FetchItemDataBodySection:
			body, err := io.ReadAll(item.Literal)
			if err != nil {
				t.Fatal(err)
			}
			s.body, s.sum = body, sha256.Sum256(body)
		}
	}
	return s
}

func compare(t *testing.T, got []served, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("IMAP has %d messages, POP has %d", len(got), len(want))
	}
	wrong := 0
	for i, raw := range want {
		if len(raw) == 0 {
			raw = []byte("\r\n") // an empty message is stored as an empty line: no size is ever 0
		}
		switch {
		case i > 0 && got[i].uid <= got[i-1].uid:
			t.Errorf("message %d: UID %d after UID %d", i+1, got[i].uid, got[i-1].uid)
		case got[i].size != int64(len(raw)):
			t.Errorf("message %d: RFC822.SIZE %d, RETR gave %d bytes", i+1, got[i].size, len(raw))
		case !bytes.Equal(got[i].body, raw):
			t.Errorf("message %d: %s", i+1, firstDifference(got[i].body, raw))
		default:
			continue
		}
		if wrong++; wrong == 5 {
			t.Fatal("and perhaps more")
		}
	}
}

func firstDifference(got, want []byte) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	from := max(0, i-20)
	return fmt.Sprintf("differs at byte %d: got %q, want %q", i, clip(got[from:]), clip(want[from:]))
}

func clip(b []byte) []byte { return b[:min(len(b), 60)] }
