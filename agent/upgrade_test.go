package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/internal/testkit"
)

// TestAnUpdateKeepsEverything runs the agent on the folders that former programs have
// left. A mail program with the login it has finds what the former one served, and a
// poll fetches nothing again.
func TestAnUpdateKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testkit.ModuleRoot(t), "internal/mailstore/testdata/schemas")
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(archives) < 5 {
		t.Fatal(archives, err)
	}
	for _, archive := range archives {
		schema := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
		t.Run(schema, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, schema+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSpace(string(text)), "\n")
			first := slices.IndexFunc(want, func(l string) bool { return strings.HasPrefix(l, "server ") })
			r := newRig(t)
			data := filepath.Join(r.Dir, "data/users/ann")
			testkit.Unpack(t, archive, data)
			home, port := agenttest.POP(t, "home", 0)
			again(t, home, port, data, want[first:])
			_, work := agenttest.POP(t, "work", 0) // it has deleted all that was fetched
			r.Configure(agenttest.Plain,
				agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port},
				agenttest.Account{Name: "work", User: "ann", Folder: "INBOX", Port: work, More: `keep_on_server = "never"`})
			r.StartWith()
			for _, res := range r.Sync() {
				if res.New != 0 || res.Stored != map[string]int64{"home": 10, "work": 3}[res.Account] {
					t.Errorf("%+v", res)
				}
			}
			if diff := cmp.Diff(want[:first], servedBy(t, r.Addr)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// again fills a server with the messages that the account had, under the same ids: these
// are made of the place and the octets. The second message is deleted there.
func again(t *testing.T, srv *agenttest.Peer, port int, store string, lines []string) {
	t.Helper()
	for i, line := range lines {
		hash := strings.Fields(line)[3]
		raw, err := os.ReadFile(filepath.Join(store, "mail", hash[:2], hash+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			srv.Add([]byte("another program deletes it\r\n"))
		}
		if got := srv.Server.Add(raw); got != strings.Fields(line)[2] {
			t.Fatalf("message %d has the id %s, want %s", i, got, line)
		}
	}
	c, err := textproto.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, command := range []string{"", "USER home", "PASS " + agenttest.POPPassword, "DELE 2", "QUIT"} {
		if command != "" {
			err = c.PrintfLine("%s", command)
		}
		if said, rerr := c.ReadLine(); err != nil || rerr != nil || !strings.HasPrefix(said, "+OK") {
			t.Fatalf("%s: %s %v %v", command, said, err, rerr)
		}
	}
}

// servedBy writes what an IMAP client sees, as testdata/schemas/make.py does.
func servedBy(t *testing.T, addr string) (lines []string) {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Login("ann", "correct horse battery").Wait())
	boxes, err := c.List("", "*", &imap.ListOptions{ReturnSubscribed: true}).Collect()
	must(err)
	slices.SortFunc(boxes, func(a, b *imap.ListData) int { return strings.Compare(a.Mailbox, b.Mailbox) })
	var subscribed []string
	for _, b := range boxes {
		if slices.Contains(b.Attrs, imap.MailboxAttrSubscribed) {
			subscribed = append(subscribed, "subscribed "+b.Mailbox)
		}
		st, err := c.Status(b.Mailbox, &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true}).Wait()
		must(err)
		lines = append(lines, fmt.Sprintf("%s uidvalidity %d uidnext %d messages %d unseen %d", b.Mailbox, st.UIDValidity, st.UIDNext, *st.NumMessages, *st.NumUnseen))
		_, err = c.Select(b.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		must(err)
		if *st.NumMessages == 0 {
			continue
		}
		section := &imap.FetchItemBodySection{Peek: true}
		all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		must(err)
		for _, m := range all {
			flags := []string{}
			for _, f := range m.Flags {
				if f != `\Recent` {
					flags = append(flags, string(f))
				}
			}
			slices.Sort(flags)
			sum := sha256.Sum256(m.FindBodySection(section))
			lines = append(lines, fmt.Sprintf("  %d %v %s %s", m.UID, flags, m.InternalDate.UTC().Format("2-Jan-2006 15:04:05 -0700"), hex.EncodeToString(sum[:])))
		}
	}
	return append(lines, subscribed...)
}
