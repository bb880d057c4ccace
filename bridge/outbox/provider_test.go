package outbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/sasl"
)

// provider is an SMTP server as its client sees it, and remembers what it has
// taken.
type provider struct {
	mu       sync.Mutex
	dials    []time.Time
	logins   int
	open     int // sessions
	most     int // of them at a time
	taken    []delivery
	password string

	// The script; nil or zero: all goes well. The functions are called without the lock.
	down    func() error
	login   func() error
	ext     smtp.Extensions
	discard bool // the content
	mail    func(smtp.Envelope) smtp.Reply
	rcpt    func(address string) smtp.Reply
	data    func(smtp.Envelope) smtp.Reply // the answer to DATA, or a cut before it
	body    func(smtp.Envelope) error      // in the middle of the message
	dot     func(smtp.Envelope) dot
	step    func(name string)
	stall   func(name string) bool // the connection is dead from here
}

// dot is what a server does with the final dot.
type dot struct {
	reply smtp.Reply    // that of a server that takes it, where zero
	after time.Duration // before the answer
	cut   bool          // instead of the answer
	lost  bool          // nothing arrives at the server
}

type delivery struct {
	from string
	to   []string
	body []byte
	at   time.Time
}

var (
	errCut = fault.New(fault.Temporary, "the connection was lost", "")
	ok     = smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "ok"}
)

// cut is a reply that does not come, because the connection is lost.
var cut = smtp.Reply{Code: -1}

func (p *provider) dial(ctx context.Context) (client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials = append(p.dials, time.Now())
	if p.down != nil {
		if err := p.down(); err != nil {
			return nil, err
		}
	}
	p.open++
	p.most = max(p.most, p.open)
	return &fakeClient{p: p}, ctx.Err()
}

// change changes the script while a runner serves.
func (p *provider) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// count returns how often each recipient's mail was taken.
func (p *provider) count() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := make(map[string]int)
	for _, d := range p.taken {
		for _, a := range d.to {
			n[a]++
		}
	}
	return n
}

func (p *provider) times() (out []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.taken {
		out = append(out, d.at)
	}
	return out
}

// sessions is how often somebody has connected, tried how often somebody has logged in.
func (p *provider) sessions() (n int) {
	p.change(func() { n = len(p.dials) })
	return n
}

func (p *provider) tried() (n int) {
	p.change(func() { n = p.logins })
	return n
}

type fakeClient struct {
	p      *provider
	dead   bool
	closed bool
}

func (c *fakeClient) Login(_ context.Context, cred sasl.Credentials) error {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.logins++
	if c.p.password != "" && cred.Secret != c.p.password {
		return fault.Wrap(&smtp.ReplyError{Command: "AUTH", Reply: smtp.Reply{Code: 535, Enhanced: "5.7.8", Text: "no"}}, fault.Auth, "user name or password refused", "")
	}
	if c.p.login != nil {
		return c.p.login()
	}
	return nil
}

func (c *fakeClient) Quit(context.Context) error { return nil }

const announcedSize = 1 << 20

func (c *fakeClient) Extensions() smtp.Extensions { return smtp.Extensions{Size: announcedSize} }

func (c *fakeClient) Close() error {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if !c.closed {
		c.p.open--
	}
	c.closed = true
	return nil
}

// Send does as bridge/smtp promises.
func (c *fakeClient) Send(ctx context.Context, e smtp.Envelope, body io.Reader, beforeDot func(context.Context, []smtp.Reply) error) (o smtp.Outcome, err error) {
	p := c.p
	if c.dead || c.closed {
		panic("send on a dead session")
	}
	defer func() { c.dead = c.dead || lost(o, err) }()
	switch {
	case p.ext.Size > 0 && e.Size > p.ext.Size:
		return o, fault.Wrap(smtp.ErrTooLarge, fault.Denied, "too large", "")
	case e.EightBit && !p.ext.EightBit:
		return o, fault.Wrap(smtp.ErrEightBit, fault.Denied, "8-bit", "")
	}
	step := func(name string) {
		if p.step != nil {
			p.step(name)
		}
	}
	dead := func(name string) error {
		if p.stall != nil && p.stall(name) {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	step("mail")
	o.Phase = smtp.Mail
	if err := dead("mail"); err != nil {
		return o, err
	}
	if p.mail != nil {
		if r := p.mail(e); r == cut {
			return o, errCut
		} else if r.Code != 0 && r.Code/100 != 2 {
			return o, &smtp.ReplyError{Command: "MAIL FROM:<a@example.org>", Reply: r}
		}
	}
	o.Phase = smtp.Rcpt
	step("rcpt")
	if err := dead("rcpt"); err != nil {
		return o, err
	}
	o.Recipients = make([]smtp.Reply, len(e.To))
	var to []string
	for i, address := range e.To {
		r := ok
		if p.rcpt != nil {
			if s := p.rcpt(address); s == cut {
				return o, errCut
			} else if s.Code != 0 {
				r = s
			}
		}
		if o.Recipients[i] = r; r.Code/100 == 2 {
			to = append(to, address)
		} else if r.Code == 421 {
			return o, &smtp.ReplyError{Command: "RCPT TO:<" + address + ">", Reply: r}
		}
	}
	if len(to) == 0 {
		return o, nil
	}
	step("data")
	o.Phase = smtp.Data
	if err := dead("data"); err != nil {
		return o, err
	}
	if p.data != nil {
		if r := p.data(e); r == cut {
			return o, errCut
		} else if r.Code != 0 {
			return o, &smtp.ReplyError{Command: "DATA", Reply: r}
		}
	}
	var content bytes.Buffer
	into := io.Writer(&content)
	if p.discard {
		into = io.Discard
	}
	if _, err := io.Copy(into, body); err != nil {
		return o, fmt.Errorf("read the message: %w", err)
	}
	if err := dead("body"); err != nil {
		return o, err
	}
	if p.body != nil {
		if err := p.body(e); err != nil {
			return o, err
		}
	}
	if err := ctx.Err(); err != nil {
		return o, err
	}
	if err := beforeDot(ctx, o.Recipients); err != nil {
		return o, err
	}
	step("dot")
	o.Phase = smtp.AfterDot
	var d dot
	if p.dot != nil {
		d = p.dot(e)
	}
	if d.reply.Code == 0 && !d.lost {
		d.reply = ok
	}
	if d.reply.Code/100 == 2 && !d.lost {
		p.mu.Lock()
		p.taken = append(p.taken, delivery{e.From, to, content.Bytes(), time.Now()})
		p.mu.Unlock()
	}
	step("taken")
	timer := time.NewTimer(d.after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return o, ctx.Err()
	}
	if d.cut || d.lost {
		return o, errCut
	}
	o.Phase, o.Final = smtp.Answered, d.reply
	c.dead = d.reply.Code == 421
	return o, nil
}
