package rig

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// An SMTPServer is a provider that deals with each message as it is told to, and
// remembers what came of it. It is in the process of the test, and so outlives the
// programs that send by it. Whoever logs in may.
type SMTPServer struct {
	Port int

	ln     net.Listener
	wg     sync.WaitGroup
	closed chan struct{}

	mu      sync.Mutex
	conduct func() Conduct
	conns   map[net.Conn]struct{}
	all     []Transaction
	cuts    int
}

// Conduct is how a server deals with a transaction. The zero value takes the message.
type Conduct struct {
	At    Moment
	Keeps bool          // at the dot: the message will be delivered
	After time.Duration // of silence
	Reply string        // instead of the usual one; "": the connection is cut
}

// Moment is where a server departs from the usual.
type Moment uint8

// The moments of a transaction. AtRcpt is that of every recipient but the first.
const (
	Nowhere Moment = iota
	AtRcpt
	AtData
	InText // after the first lines of the message
	AtDot
)

// Moods returns conducts at random, the same ones for a seed: a server that takes the
// message at once or late, cuts, stalls for up to longest, or asks to come again.
func Moods(seed uint64, longest time.Duration) func() Conduct {
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	return func() Conduct {
		mu.Lock()
		defer mu.Unlock()
		late := time.Duration(random.Int64N(int64(longest)))
		all := []Conduct{
			{}, {}, {}, {},
			{At: AtDot, Keeps: true, After: late / 8, Reply: "250 2.0.0 taken"},
			{At: AtDot, Keeps: true, After: late, Reply: "250 2.0.0 taken"},
			{At: AtDot, Keeps: true},              // the answer is lost
			{At: AtDot},                           // and the message with it
			{At: AtDot, Keeps: true, After: late}, // a stall, and then no answer
			{At: AtDot, Reply: "451 4.3.0 not now"},
			{At: AtRcpt, Reply: "451 4.7.1 greylisted"},
			{At: AtData, After: late},
			{At: InText},
			{At: InText, After: late},
		}
		return all[random.IntN(len(all))]
	}
}

// Transaction is a message that a server has received up to its final dot.
type Transaction struct {
	To   []string
	Raw  []byte // with CRLF, its dots unstuffed
	Kept bool   // it will be delivered
}

// StartSMTPServer starts a server that asks conduct about each transaction.
func StartSMTPServer(conduct func() Conduct) (*SMTPServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &SMTPServer{Port: ln.Addr().(*net.TCPAddr).Port, ln: ln, closed: make(chan struct{}), conduct: conduct, conns: map[net.Conn]struct{}{}}
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = struct{}{}
			s.mu.Unlock()
			s.wg.Go(func() {
				c := &smtpConn{s: s, conn: conn, r: bufio.NewReader(conn)}
				_ = c.serve() // the client has gone, or was told to
				_ = conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			})
		}
	})
	return s, nil
}

// Behave replaces how the server deals with transactions that begin from now on.
func (s *SMTPServer) Behave(conduct func() Conduct) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conduct = conduct
}

// Received returns what was received so far, in the order of the final dots.
func (s *SMTPServer) Received() []Transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// Cuts is how many connections the server has cut so far.
func (s *SMTPServer) Cuts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cuts
}

// Close ends the server and all its connections.
func (s *SMTPServer) Close() error {
	close(s.closed)
	err := s.ln.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close() // nothing is expected of it any more
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

type smtpConn struct {
	s    *SMTPServer
	conn net.Conn
	r    *bufio.Reader

	c  Conduct
	to []string
}

func (c *smtpConn) serve() error {
	c.say("220 provider.example.org ESMTP")
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		verb, arg, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "EHLO":
			c.say("250-provider.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 100000000")
		case "AUTH":
			err = c.auth(arg)
		case "MAIL":
			c.s.mu.Lock()
			conduct := c.s.conduct
			c.s.mu.Unlock()
			c.c, c.to = conduct(), nil
			c.say("250 2.1.0 ok")
		case "RCPT":
			err = c.rcpt(arg)
		case "DATA":
			err = c.data()
		case "QUIT":
			c.say("221 2.0.0 bye")
			return nil
		default: // RSET, NOOP, HELO
			c.say("250 2.0.0 ok")
		}
		if err != nil {
			return err
		}
	}
}

func (c *smtpConn) line() (string, error) {
	line, err := c.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// say sends a reply. Whether it has left the next read tells.
func (c *smtpConn) say(reply string) { _, _ = io.WriteString(c.conn, reply+"\r\n") }

// auth takes PLAIN and LOGIN, with or without an initial response.
func (c *smtpConn) auth(arg string) error {
	mechanism, initial, _ := strings.Cut(arg, " ")
	lines := 1
	if strings.EqualFold(mechanism, "LOGIN") {
		lines = 2
	}
	if initial != "" {
		lines--
	}
	for range lines {
		c.say("334 ")
		if _, err := c.line(); err != nil {
			return err
		}
	}
	c.say("235 2.7.0 ok")
	return nil
}

var forwardPath = regexp.MustCompile(`<([^>]*)>`)

func (c *smtpConn) rcpt(arg string) error {
	to := forwardPath.FindStringSubmatch(arg)
	switch {
	case to == nil:
		c.say("501 5.5.4 no address")
	case c.c.At == AtRcpt && len(c.to) > 0:
		return c.depart()
	default:
		c.to = append(c.to, to[1])
		c.say("250 2.1.5 ok")
	}
	return nil
}

func (c *smtpConn) data() error {
	if len(c.to) == 0 {
		c.say("554 5.5.1 no recipients")
		return nil
	}
	if c.c.At == AtData {
		return c.depart()
	}
	c.say("354 go ahead")
	var raw strings.Builder
	for n := 0; ; n++ {
		line, err := c.r.ReadString('\n')
		switch {
		case err != nil:
			return err
		case c.c.At == InText && n == 3:
			return c.depart()
		case line == ".\r\n":
			return c.dot(raw.String())
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
}

// dot deals with a message that is complete.
func (c *smtpConn) dot(raw string) error {
	t := Transaction{To: c.to, Raw: []byte(raw), Kept: c.c.At != AtDot || c.c.Keeps}
	c.s.mu.Lock()
	at := len(c.s.all)
	c.s.all = append(c.s.all, t)
	c.s.mu.Unlock()
	c.to = nil
	if c.c.At == AtDot {
		return c.depart()
	}
	c.say(fmt.Sprintf("250 2.0.0 taken as %d", at))
	return nil
}

// depart does what is not the usual, and returns an error where that is the end of the
// connection.
func (c *smtpConn) depart() error {
	if c.c.After > 0 {
		timer := time.NewTimer(c.c.After)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.s.closed:
		}
	}
	if c.c.Reply != "" {
		c.say(c.c.Reply)
		return nil
	}
	c.s.mu.Lock()
	c.s.cuts++
	c.s.mu.Unlock()
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the client gets a reset
	}
	return io.ErrClosedPipe
}

// Letter is message n that Ann writes, with a number at its start and its end, which stay
// whatever a program does to the header and to line ends.
func Letter(n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "X-Number: %d\r\nFrom: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: number %d\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@letters.example.org>\r\n\r\n", n, n, n)
	for line := range 3 + n%50*n%7 {
		fmt.Fprintf(&b, ".line %d of letter %d\r\n", line, n)
	}
	fmt.Fprintf(&b, "end of %d\r\n", n)
	return []byte(b.String())
}

var (
	numberAtStart = regexp.MustCompile(`(?m)^X-Number: (\d+)\r?$`)
	numberAtEnd   = regexp.MustCompile(`end of (\d+)\s*$`)
)

// NumberOf returns the number of a message that is whole.
func NumberOf(raw []byte) (string, bool) {
	start, end := numberAtStart.FindSubmatch(raw), numberAtEnd.FindSubmatch(raw)
	if start == nil || end == nil || string(start[1]) != string(end[1]) {
		return "", false
	}
	return string(start[1]), true
}
