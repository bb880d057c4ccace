package localimap

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// panics watches the log for panics, from which the library recovers.
type panics struct{ seen atomic.Pointer[string] }

func (p *panics) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("panic")) {
		text := string(b)
		p.seen.Store(&text)
	}
	return len(b), nil
}

// before is what a client has said when the fuzzed bytes begin.
var before = []string{
	"",
	"a LOGIN joe pw\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\n",
	"a LOGIN joe pw\r\nb EXAMINE INBOX\r\n",
	"a LOGIN joe pw\r\nb ENABLE IMAP4rev2\r\nc SELECT INBOX\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\nc IDLE\r\n",
	"a LOGIN joe pw-read\r\nb SELECT INBOX\r\n",
}

// shrink empties an INBOX that COPY 1:* INBOX has made large.
func (r *rig) shrink(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	box, err := r.store.Mailbox(ctx, "INBOX")
	if err != nil || box.Messages < 100 {
		return
	}
	v, err := r.store.OpenView(ctx, box.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := r.store.SetFlags(ctx, box.ID, v.Snapshot().UIDs, mailstore.Add, []string{`\Deleted`}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Expunge(ctx, box.ID, nil); err != nil {
		t.Fatal(err)
	}
	r.deliver("INBOX", nil, nested, "Subject: x\r\n\r\nx\r\n")
}

// FuzzServer sends arbitrary bytes in every state: the server neither panics
// nor hangs, and it closes the connection after the client has.
func FuzzServer(f *testing.F) {
	for state := range before {
		for _, seed := range []string{
			"x CAPABILITY\r\n", "x NOOP\r\ny LOGOUT\r\n", "DONE\r\n", "\r\n", "x\r\n", "x FETCH 1:* (FLAGS BODY[1.2.HEADER.FIELDS (A B)]<0.5>)\r\n",
			"x UID FETCH $ BINARY[1]<1.2>\r\n", "x SEARCH OR NOT (1:* UID $) (TEXT {3}\r\nabc SENTON 1-Jan-2020 KEYWORD a)\r\n",
			"x SEARCH RETURN (SAVE MIN) RETURN () ALL\r\n", "x UID SEARCH HEADER X \"\" BODY a SMALLER 0\r\n", "x APPEND INBOX (\\Seen) {3+}\r\nabc\r\n",
			"x APPEND INBOX {9999999999}\r\nabc", "x STORE 1:* +FLAGS.SILENT (\\Deleted $a)\r\nx EXPUNGE\r\n", "x COPY 1:* INBOX\r\n", "x MOVE $ Trash\r\n",
			"x LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (* % \"a*\") RETURN (STATUS (MESSAGES))\r\n", "x LSUB a *\r\n", "x CREATE a/b (USE (\\Sent))\r\nx RENAME a INBOX\r\nx DELETE a/b\r\n",
			"x IDLE\r\nnonsense\r\nx CLOSE\r\nx FETCH 1 UID\r\n", "x SELECT &AAA\r\n", "x AUTHENTICATE PLAIN =\r\n", "x STATUS INBOX (SIZE)\r\n", "x FETCH 4294967295:* ALL\r\n",
			strings.Repeat("x NOOP\r\n", 50), "x SEARCH " + strings.Repeat("NOT ", 200) + "ALL\r\n", "x FETCH 1 BODY[" + strings.Repeat("1.", 500) + "MIME]\r\n",
		} {
			f.Add(uint8(state), []byte(seed))
		}
	}
	watch := &panics{}
	r := newRig(f, func(o *Options) { o.Log = zerolog.New(watch).Level(zerolog.ErrorLevel) })
	r.deliver("INBOX", nil, nested, "Subject: x\r\n\r\nx\r\n", "\x00\xff odd\r\n")
	f.Fuzz(func(t *testing.T, state uint8, data []byte) {
		r.shrink(t)
		if bytes.Contains(bytes.ToUpper(data), []byte("LOGIN ")) || bytes.Contains(bytes.ToUpper(data), []byte("AUTHENTICATE")) && len(data) > 60 {
			return // a wrong password takes its time
		}
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		go func() {
			_, _ = io.WriteString(c, before[int(state)%len(before)])
			_, _ = c.Write(data)
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("the server did not end: %v", err)
		}
		if text := watch.seen.Swap(nil); text != nil {
			t.Fatalf("panic: %s", *text)
		}
	})
}
