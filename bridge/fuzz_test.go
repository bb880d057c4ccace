package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// FuzzRunner answers a whole runner with arbitrary bytes, over several polls
// and restarts. Whatever they are, it does not panic or hang, stores nothing
// that was cut short, deletes nothing that is not stored, asks for a
// bounded amount, and needs a bounded amount of memory, whatever the server
// announces.
//
// The bytes are cut at ends, one piece for each connection; a piece is what the
// server says from the greeting on, whether asked or not.
func FuzzRunner(f *testing.F) {
	const (
		hello  = "+OK\r\n+OK\r\nUIDL\r\n.\r\n+OK\r\n+OK\r\n+OK\r\nUIDL\r\n.\r\n"
		two    = "+OK 2 20\r\n+OK\r\n1 10\r\n2 10\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n"
		bodies = "+OK\r\nA: 1\r\n\r\nx\r\n.\r\n+OK\r\nA: 2\r\n\r\ny\r\n.\r\n"
	)
	f.Add([]byte(hello+two+bodies+"+OK\r\n+OK\r\n+OK\r\n"), true)
	f.Add([]byte(hello+two+bodies+"+OK\r\n+OK\r\n"+ends+hello+two+"+OK\r\n+OK\r\n+OK\r\n"), true)
	f.Add([]byte(hello+two+"+OK\r\nA: 1\r\n\r\nx\r\n"+ends+hello+two+"-ERR\r\n+OK\r\nA: 2\r\n.\r\n+OK\r\n"), false)
	f.Add([]byte(strings.ReplaceAll(hello, "UIDL", "PIPELINING")+two+bodies+"+OK\r\n"), true)
	f.Add([]byte(hello+"+OK 2 20\r\n+OK\r\n1 10\r\n2 10\r\n.\r\n-ERR\r\n"+bodies+"+OK\r\n"), true)
	f.Add([]byte(hello+"+OK 9 9\r\n+OK\r\n1 1\r\n.\r\n+OK\r\n1   same\r\n2 same\r\n3\r\n.\r\n"+bodies+bodies), true)
	f.Add([]byte("-ERR [IN-USE]\r\n"+ends+"+OK\r\n+OK\r\n.\r\n+OK\r\n-ERR [LOGIN-DELAY] no\r\n"+ends+"* OK IMAP\r\n"), true)
	f.Add([]byte(hello+two+"-ERR Download exceed. msg=0\r\n-ERR\r\n+OK\r\n"), false)
	for _, check := range []string{"+OK 1 a\r\n", "+OK 1 b\r\n", "+OK\r\n1 a\r\n2 b\r\n.\r\n", "-ERR\r\n+OK 1 10\r\n", "-ERR\r\n+OK\r\n1 10\r\n2 10\r\n.\r\n", ""} {
		again := hello + two + check + bodies + check + "+OK\r\n+OK\r\n+OK\r\n"
		f.Add([]byte(hello+two+bodies+check+ends+again+ends+again), true)
		f.Add([]byte(strings.ReplaceAll(hello+two+bodies+check+ends+again+ends+again, "\r\n", "\n")), true)
	}
	spool := openSpool(f)
	f.Fuzz(func(t *testing.T, data []byte, never bool) {
		keep := plan.KeepForever()
		if never {
			keep = plan.KeepNever()
		}
		newFuzzed(t, spool, bytes.Split(data, []byte(ends)), keep).run()
	})
}

// ends separates the connections in the input of FuzzRunner.
const ends = "\x00END\x00"

// fuzzed is a runner, and a server without manners.
type fuzzed struct {
	t       *testing.T
	store   *memStore
	account Account

	mu     sync.Mutex
	pieces [][]byte
	conns  int

	commands int
}

// mostAllocated is for all polls together, far more than what an input of the
// fuzzer should need.
const mostAllocated = 256 << 20

// pastEnd is how often a runner may connect to a server that says nothing.
const pastEnd = 60

func newFuzzed(t *testing.T, spool *mailstore.Store, pieces [][]byte, keep plan.Keep) *fuzzed {
	z := &fuzzed{t: t, store: newMemStore(spool, time.Now), pieces: pieces}
	z.account = Account{
		Name: "home", PollEvery: time.Minute, Keep: keep, Folder: "INBOX",
		Server: pop3.Config{Host: "pop.test", Security: pop3.Plain, Dialer: z.dial, MaxMessage: 1 << 20},
		Credentials: func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: "home", Secret: "s3cret"}, nil
		},
	}
	return z
}

// run polls until the server has nothing more to say, with a restart before
// each second poll.
func (z *fuzzed) run() {
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	defer func() {
		runtime.ReadMemStats(&end)
		if took := end.TotalAlloc - start.TotalAlloc; took > mostAllocated {
			z.t.Errorf("%d bytes were allocated", took)
		}
	}()
	var runner *Runner
	for n := 0; n < 6; n++ {
		if n%2 == 0 {
			runner = NewRunner(z.account, z.store, Options{Now: time.Now})
			runner.settle = 0
		}
		before := z.stored()
		// LOGIN-DELAY would be waited for between the sessions of a poll.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		var fails bool
		result, err := runner.Poll(ctx, func(p Progress) {
			fails = fails || p.Messages > p.TotalMessages || p.Bytes > p.TotalBytes || p.Bytes < 0
		})
		waits := runner.Status().MinInterval > 0
		if ctx.Err() != nil && !waits {
			buf := make([]byte, 1<<16)
			z.t.Fatalf("the poll hangs\n%s", buf[:runtime.Stack(buf, true)])
		}
		cancel()
		if got := z.stored() - before; got != result.Stored && err == nil {
			z.t.Errorf("%d stored, the result says %d", got, result.Stored)
		}
		if s := runner.Status(); fails || len(s.Problems) > maxShownProblems+3 || strings.Contains(s.LastError, "s3cret") {
			z.t.Errorf("status %+v", s)
		}
		if z.conns >= len(z.pieces) {
			break
		}
	}
	z.check()
}

func (z *fuzzed) stored() (n int) {
	z.store.mu.Lock()
	defer z.store.mu.Unlock()
	for _, times := range z.store.mail["home"] {
		n += times
	}
	return n
}

func (z *fuzzed) check() {
	z.store.check(z.t)
	z.store.mu.Lock()
	defer z.store.mu.Unlock()
	if z.conns > len(z.pieces)+pastEnd {
		z.t.Errorf("%d connections", z.conns)
	}
	// What is stored stood between +OK and a final dot, in full.
	for hash := range z.store.mail["home"] {
		if !z.wasSent(hash) {
			z.t.Errorf("message %x was not sent so", hash[:4])
		}
	}
	for o, e := range z.store.ledger["home"] {
		if z.store.mail["home"][e.Hash] == 0 {
			z.t.Errorf("row %v stands for no message", o)
		}
	}
}

// wasSent looks for the message among all that a terminated answer can be: from
// the end of a line to a line that is a dot. Where its first line ends with a bare
// LF, so may the line that is the dot, and those that were stuffed.
func (z *fuzzed) wasSent(hash mailstore.Hash) bool {
	for _, piece := range z.pieces {
		for from := 0; from <= len(piece); {
			first := bytes.IndexByte(piece[from:], '\n')
			bare := first == 0 || first > 0 && piece[from+first-1] != '\r'
			if terminated(piece[from:], "\r\n", hash) || bare && terminated(piece[from:], "\n", hash) {
				return true
			}
			if first < 0 {
				break
			}
			from += first + 1
		}
	}
	return false
}

// terminated reports whether answer begins with the message and a line that is a
// dot. None goes on behind that. The line of the dot itself may end in CRLF also
// where the others end in LF.
func terminated(answer []byte, lineEnd string, hash mailstore.Hash) bool {
	for end, b := range answer {
		rest := answer[end+1:]
		switch {
		case b != '.', end != 0 && !bytes.HasSuffix(answer[:end], []byte(lineEnd)):
			continue
		case !bytes.HasPrefix(rest, []byte(lineEnd)) && !bytes.HasPrefix(rest, []byte("\r\n")):
			continue
		}
		body := unstuff(answer[:end], lineEnd)
		return sha256.Sum256(body) == hash || len(body) == 0 && sha256.Sum256([]byte("\r\n")) == hash
	}
	return false
}

// unstuff takes a dot off each line that begins with two. A single one is of a
// server that does not stuff, and belongs to the message.
func unstuff(body []byte, lineEnd string) []byte {
	out := bytes.ReplaceAll(body, []byte(lineEnd+".."), []byte(lineEnd+"."))
	if bytes.HasPrefix(out, []byte("..")) {
		out = out[1:]
	}
	return out
}

func (z *fuzzed) dial(context.Context, string, string) (net.Conn, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.conns++
	if z.conns > len(z.pieces) {
		return nil, errors.New("no route to host")
	}
	return &fuzzedConn{z: z, rest: z.pieces[z.conns-1]}, nil
}

// fuzzedConn says its piece, line by line, and then closes.
type fuzzedConn struct {
	z    *fuzzed
	rest []byte
}

func (c *fuzzedConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	// In small pieces, so that what is sent ahead is not taken for one packet.
	n := bytes.IndexByte(c.rest, '\n') + 1
	if n == 0 {
		n = len(c.rest)
	}
	n = copy(p, c.rest[:n])
	c.rest = c.rest[n:]
	return n, nil
}

// Write looks at what the runner sends: DELE only while there is a stored
// message for it, and no more commands than a bounded number.
func (c *fuzzedConn) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.z.command(verb)
	}
	return len(p), nil
}

func (z *fuzzed) command(verb string) {
	z.mu.Lock()
	z.commands++
	z.mu.Unlock()
	switch verb {
	case "TOP":
		z.t.Error("TOP")
	case "DELE":
		z.store.mu.Lock()
		defer z.store.mu.Unlock()
		intended := false
		for _, e := range z.store.ledger["home"] {
			intended = intended || e.State == mailstore.DeleteIntended
		}
		if !intended || z.account.Keep == plan.KeepForever() {
			z.t.Error("DELE for nothing")
		}
	}
}

func (c *fuzzedConn) Close() error                     { return nil }
func (c *fuzzedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *fuzzedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *fuzzedConn) SetDeadline(time.Time) error      { return nil }
func (c *fuzzedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fuzzedConn) SetWriteDeadline(time.Time) error { return nil }
