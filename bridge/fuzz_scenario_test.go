package bridge

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// FuzzScenario lets the input say what a server does between and during polls:
// mail arrives, ids change, answers go wrong, the line is cut or falls silent at
// any byte, the program restarts. Once the server is good again every message
// is here, once.
func FuzzScenario(f *testing.F) {
	f.Add([]byte{0, 9, 0, 9, 9, 2, 9, 3, 1, 3, 9})
	f.Add([]byte{5, 1, 0, 9, 0, 9, 0, 9, 6, 200, 0, 9, 7, 250, 0, 9, 9})
	f.Add([]byte{5, 1, 0, 0, 0, 1, 0, 2, 0, 3, 0, 5, 0, 5, 9, 4, 9})
	f.Add([]byte{5, 2, 0, 9, 0, 9, 3, 4, 4, 9, 2, 9, 3, 5, 1, 9, 6, 20, 1, 9})
	f.Add([]byte{0, 9, 0, 9, 9, 3, 3, 1, 9, 3, 2, 2, 9, 0, 9, 3, 6, 0, 9})
	f.Add([]byte{5, 1, 3, 6, 0, 0, 1, 1, 0, 16, 0, 9, 9, 9, 4, 9, 0, 26, 0, 8, 9})
	spool := openSpool(f)
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 200 {
			return // each poll costs, and a longer life shows nothing else
		}
		c := &scenario{t: t, clock: new(clock), pop: newPopServer(t), program: program}
		c.store = newMemStore(spool, c.clock.now)
		c.run()
	})
}

type scenario struct {
	t       *testing.T
	clock   *clock
	pop     *popServer
	store   *memStore
	runner  *Runner
	program []byte
	keep    plan.Keep

	ids     int
	arrived [][]byte
	cutAt   int  // of the next connection, in bytes of what the server says; 0: not
	stall   bool // falls silent there instead
}

func (c *scenario) next() int {
	if len(c.program) == 0 {
		return 0
	}
	b := c.program[0]
	c.program = c.program[1:]
	return int(b)
}

func (c *scenario) run() {
	c.restart()
	for len(c.program) > 0 {
		switch c.next() % 10 {
		case 0, 1:
			c.arrive(c.next())
		case 2:
			c.pop.change(func() {
				for _, m := range c.pop.messages {
					m.uidl = c.id()
				}
			})
		case 3:
			c.trouble(c.next(), c.next())
		case 4:
			c.clock.advance(25 * time.Hour)
		case 5:
			c.keep = []plan.Keep{plan.KeepForever(), plan.KeepNever(), plan.KeepFor(24 * time.Hour), plan.KeepNewest(2)}[c.next()%4]
			c.restart()
		case 6, 7:
			c.stall = c.next()%8 == 7
			c.cutAt = 1 + c.next()*5
		default:
			c.poll()
		}
	}
	c.settle()
}

func (c *scenario) id() string {
	c.ids++
	return fmt.Sprint("id", c.ids)
}

func (c *scenario) arrive(kind int) {
	n := len(c.arrived)
	width := 1 + kind
	if kind%10 == 5 {
		// An id that passes to another message between two polls shows by the
		// size alone (docs/decisions/0002).
		width = 300 + n
	}
	data := fmt.Appendf(nil, "Subject: %d\r\n\r\n%0*d\r\n.%d\r\n", n, width, n, n)
	if kind%10 == 6 { // what its sender wants to be taken for the next message
		data = fmt.Appendf(data, ".\r\n+OK\r\nSubject: forged\r\n\r\n%d\r\n", n)
	}
	c.arrived = append(c.arrived, data)
	m := c.pop.add(c.id(), data)
	switch kind % 10 {
	case 0:
		m.err = "-ERR not now"
	case 1:
		m.cut = true
	case 2:
		m.void = true
	case 3:
		m.size = 7
	case 4:
		m.uidl = ""
	case 5:
		m.uidl = "same"
	}
}

func (c *scenario) trouble(kind, n int) {
	tr := trouble{limitText: "-ERR Download exceed."}
	switch kind % 7 {
	case 0:
		tr.limit = 1 + n%4
	case 1:
		tr.cutRetr, tr.cutAfter = 1+n%4, n%64
	case 2:
		tr.hide = 1 + n%4
	case 3:
		tr.short = n % (1 + c.pop.count())
	case 4:
		tr.quit = quitTrouble(n % 5)
	case 5:
		tr.noUIDL = true
	case 6:
		tr.unstuffed = true
	}
	c.pop.change(func() { c.pop.trouble = tr })
}

func (c *scenario) restart() {
	account := Account{
		Name: "home", Server: c.pop.config(), PollEvery: 5 * time.Minute, Keep: c.keep, Folder: "INBOX",
		Credentials: func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: "home", Secret: "secret"}, nil
		},
	}
	dial := account.Server.Dialer
	account.Server.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil || c.cutAt == 0 {
			return conn, err
		}
		short := &shortConn{Conn: conn, left: c.cutAt, stall: c.stall}
		c.cutAt = 0
		return short, nil
	}
	c.runner = NewRunner(account, c.store, Options{Now: c.clock.now})
	c.runner.settle = 0
}

// shortConn ends, or times out, after so many bytes were read.
type shortConn struct {
	net.Conn
	left  int
	stall bool
}

func (c *shortConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.stall {
			return 0, os.ErrDeadlineExceeded
		}
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *scenario) poll() (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	result, err := c.runner.Poll(ctx, nil)
	if ctx.Err() != nil {
		c.t.Fatal("the poll hangs")
	}
	c.store.check(c.t)
	c.check(false)
	return result, err
}

// check: nothing is here twice, and what has left the server is here.
func (c *scenario) check(all bool) {
	left := make(map[string]bool)
	c.pop.change(func() {
		for _, m := range c.pop.messages {
			left[string(m.data)] = true
		}
	})
	sent := make(map[mailstore.Hash]bool)
	for n, data := range c.arrived {
		hash := mailstore.Hash(sha256.Sum256(data))
		sent[hash] = true
		times := c.store.count("home", hash)
		if times > 1 || times == 0 && (all || !left[string(data)]) {
			c.t.Fatalf("message %d is here %d times, on the server: %v", n, times, left[string(data)])
		}
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	for hash := range c.store.mail["home"] {
		if !sent[hash] {
			c.t.Fatalf("%x was never sent", hash[:4])
		}
	}
}

// settle lets the server be good until all is fetched.
func (c *scenario) settle() {
	c.cutAt = 0
	c.pop.change(func() {
		c.pop.trouble = trouble{}
		for _, m := range c.pop.messages {
			m.err, m.cut, m.void = "", false, false
		}
	})
	for range 3 {
		c.clock.advance(25 * time.Hour)
		if _, err := c.poll(); err != nil {
			c.t.Fatalf("a good server: %v", err)
		}
	}
	c.check(true)
	for _, p := range c.runner.Status().Problems {
		if p.Num != 0 {
			c.t.Fatalf("problem %+v", p)
		}
	}
}
