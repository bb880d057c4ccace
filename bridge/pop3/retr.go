package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/popbridge/popbridge/internal/fault"
)

// ErrPipelining says that the answers to pipelined commands made no sense.
// Connect again with Config.NoPipelining.
var ErrPipelining = errors.New("the server announces PIPELINING but got it wrong")

// outOfStep marks the error of a connection that ended because pipelined
// commands and their answers don't fit together.
func (c *Client) outOfStep(err error, silent bool) error {
	if c.pipelining() && (silent || fault.Is(err, fault.Protocol)) {
		c.dead = fmt.Errorf("%w: %w", ErrPipelining, err)
		return c.dead
	}
	return err
}

// drainLimit is how much of an unwanted message is read in order to keep the
// connection. Beyond it a new connection costs less.
const drainLimit = 16 << 20

// unknownSize is what a message without a listed size counts in the window.
const unknownSize = 32 << 10

// Request asks for one message.
type Request struct {
	Num  int
	Size int64 // as listed, a hint that bounds the window; 0: unknown
}

// Retr retrieves messages. recv gets them one after the other, in the order of
// reqs, as the raw stream, and is to read it to io.EOF: after any other error
// the message is not complete and must not be kept. The stream may be used
// only until recv returns; what it left unread is skipped. The next messages
// wait in the connection meanwhile, so recv should not wait for slow things.
//
// A message that can't be had goes to failed, and the others go on: one that
// the server refuses (*ReplyError), or one over Config.MaxMessage
// (ErrTooLarge), which is not even asked for when its listed size says so. If
// recv was reading it by then, what recv returned does not count.
//
// Retr ends early with
//
//   - an error of recv, after skipping what was already under way,
//   - ErrSessionLimit, after delivering what was already under way: the server
//     wants no more requests in this session. Quit works after both;
//   - an error that ended the connection. The message it happened at, if any,
//     has been handed to failed with the same error. ErrPipelining is one.
//
// Where PIPELINING was announced, requests are sent ahead within
// Config.Window.
func (c *Client) Retr(ctx context.Context, reqs []Request, recv func(num int, r io.Reader) error, failed func(num int, err error)) error {
	f := &retrieval{c: c, ctx: ctx, todo: reqs, recv: recv, failed: failed, window: Window{Count: 1}}
	return c.run(ctx, func() error {
		if c.pipelining() {
			f.window = c.cfg.Window
		}
		return f.run()
	})
}

// retrieval is the state of one Retr.
type retrieval struct {
	c      *Client
	ctx    context.Context
	window Window
	recv   func(int, io.Reader) error
	failed func(int, error)

	todo    []Request
	sent    []Request // asked for and not answered, in order
	bytes   int64     // of sent, by their listed sizes
	first   int       // requests in the first packet of several, 0 before it
	proven  bool      // and all of them were answered
	stop    error     // why nothing more is asked for
	discard bool      // what was asked for is not wanted any more
}

func (f *retrieval) run() error {
	for {
		if err := f.refill(); err != nil {
			return err
		}
		if len(f.sent) == 0 {
			return f.stop
		}
		if err := f.next(); err != nil {
			return err
		}
	}
}

// refill asks for more when a quarter of the window is free: often enough to
// keep the link busy, rarely enough to send many requests in one packet. The
// first packet of several is answered in full before anything follows it: behind
// a request that the server has dropped, the answer to a later one would be
// taken for its answer.
func (f *retrieval) refill() error {
	w := f.window
	f.proven = f.proven || f.first > 0 && len(f.sent) == 0
	if len(f.sent) > 0 && (!f.proven || len(f.sent) > w.Count-max(w.Count/4, 1) || f.bytes > w.Bytes-w.Bytes/4) {
		return nil
	}
	queued := false
	for f.stop == nil && len(f.todo) > 0 && (len(f.sent) == 0 || len(f.sent) < w.Count && f.bytes < w.Bytes) {
		req := f.todo[0]
		f.todo = f.todo[1:]
		if req.Size > f.c.cfg.MaxMessage {
			f.failed(req.Num, f.tooLarge(req.Num))
			continue
		}
		if req.Size <= 0 {
			req.Size = unknownSize
		}
		f.sent = append(f.sent, req)
		f.bytes += req.Size
		line := retrLine(req.Num)
		f.c.queue(line, line)
		f.c.retrieved, queued = true, true
	}
	if !queued {
		return nil
	}
	if f.first == 0 && len(f.sent) > 1 {
		f.first = len(f.sent)
	}
	return f.c.flush()
}

// next takes the answer to the oldest request.
func (f *retrieval) next() error {
	req := f.sent[0]
	f.sent = f.sent[1:]
	f.bytes -= req.Size
	_, err := f.c.reply(retrLine(req.Num))
	switch {
	case err == nil:
		return f.body(req.Num)
	case errors.Is(err, ErrSessionLimit):
		if f.stop == nil {
			f.stop = err
		}
		return nil
	case isReply(err):
		if !f.discard {
			f.failed(req.Num, err)
		}
		return nil
	}
	// A server that drops what came along with the first command leaves us
	// waiting for the next answer.
	silent := !f.proven && len(f.sent)+1 < f.first && errors.Is(err, os.ErrDeadlineExceeded)
	return f.lost(req.Num, f.c.outOfStep(err, silent))
}

// body hands one message to recv and reads on to its end.
func (f *retrieval) body(num int) error {
	f.c.wire.stream(f.c.cfg.Timeouts.Read, math.MaxInt64) // the message has limits of its own
	b := &body{c: f.c, d: newDotReader(f.c.wire.r, f.c.cfg.MaxMessage)}
	var refused error
	if !f.discard {
		refused = f.recv(num, b)
	}
	met := b.d.err // what recv met while reading
	if met == nil || errors.Is(met, ErrTooLarge) {
		b.drain()
	}
	b.ended = true
	f.c.traceCount(b.n)
	switch {
	case f.discard:
	case errors.Is(met, ErrTooLarge):
		f.failed(num, f.tooLarge(num))
	case met != nil && !errors.Is(met, io.EOF):
		return f.lost(num, f.c.dead)
	case refused != nil:
		f.stop, f.discard = refused, true
	}
	if f.c.dead != nil && f.stop != nil {
		return f.stop
	}
	return f.c.dead
}

// lost reports the message at which the connection ended, unless we ended it.
func (f *retrieval) lost(num int, err error) error {
	if f.ctx.Err() == nil && !f.discard {
		f.failed(num, err)
	}
	return err
}

func (f *retrieval) tooLarge(num int) error {
	return fault.Wrap(ErrTooLarge, fault.Config,
		fmt.Sprintf("message %d is larger than %d MB", num, f.c.cfg.MaxMessage>>20),
		"raise max_message_size for this account, or delete the message at the provider")
}

func retrLine(num int) string { return "RETR " + strconv.Itoa(num) }

// body is the stream that recv reads.
type body struct {
	c     *Client
	d     *dotReader
	n     int // bytes returned
	ended bool
}

var errBodyEnded = errors.New("pop3: message read after its time")

// Read reads the message. An error other than io.EOF and ErrTooLarge has ended
// the connection.
func (b *body) Read(p []byte) (int, error) {
	if b.ended {
		return 0, errBodyEnded
	}
	n, err := b.d.Read(p)
	b.n += n
	if err != nil && err != io.EOF && !errors.Is(err, ErrTooLarge) {
		err = b.c.fail(&bodyError{err})
	}
	return n, err
}

// drain reads what recv left, or drops the connection where that is too much.
func (b *body) drain() {
	b.d.err, b.d.left = nil, drainLimit
	if _, err := io.Copy(io.Discard, b); errors.Is(err, ErrTooLarge) {
		_ = b.c.fail(fault.New(fault.Temporary, "the connection was given up rather than skip the rest of a large message", ""))
	}
}

// bodyError tells classify that err happened inside a message.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }
