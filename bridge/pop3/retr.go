package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// ErrPipelining says that the answers to pipelined commands made no sense.
// Connect again with Config.NoPipelining.
var ErrPipelining = errors.New("the server announces PIPELINING but got it wrong")

// drainLimit is how much of an unwanted message is read in order to keep the
// connection. Beyond it a new connection costs less.
const drainLimit = 16 << 20

// unknownSize is what a message without a listed size counts in the window.
const unknownSize = 32 << 10

// Request asks for one message.
type Request struct {
	Num  int
	Size int64 // as listed, a hint that bounds the window; 0: unknown
	// Alone has nothing else under way with it, and a check behind it: for a
	// message at which something went wrong before.
	Alone bool
}

// Retr retrieves messages. recv gets them one after the other, in the order of
// reqs, as the raw stream, and is to read it to io.EOF: after any other error
// the message is not complete and must not be kept. The stream may be used
// only until recv returns; what it left unread is skipped. The next messages
// wait in the connection meanwhile, so recv should not wait for slow things.
//
// A message that can't be had goes to failed, and the others go on: one that
// the server refuses (*ReplyError), or one over Config.MaxMessage
// (ErrTooLarge), for which the octets that came count and not the listed size.
// If recv was reading it by then, what recv returned does not count.
//
// What recv got is whole, and is what was asked for, once check has passed. A
// message at which the answers got out of step (ErrOutOfStep) goes to failed
// after recv had it.
//
// Retr ends early with
//
//   - an error of recv, after skipping what was already under way,
//   - ErrSessionLimit, after delivering what was already under way: the server
//     wants no more requests in this session. Quit works after both;
//   - an error that ended the connection. The message it happened at, if any,
//     has been handed to failed with the same error. ErrPipelining is one. It is
//     a *CheckError where the answer to a check was the cause.
//
// Where PIPELINING was announced, requests are sent ahead within
// Config.Window.
func (c *Client) Retr(ctx context.Context, reqs []Request, check Check, recv func(num int, r io.Reader) error, failed func(num int, err error)) error {
	c.check = check.next(c.stat)
	f := &retrieval{c: c, ctx: ctx, todo: reqs, recv: recv, failed: failed, passedTo: check.Passed, window: Window{Count: 1}, checkedAt: time.Now()}
	return c.run(ctx, func() error {
		if check.First && c.check.command() != "" {
			if err := c.try(); err != nil {
				return err
			}
		}
		if c.pipelining() {
			f.window = c.cfg.Window
		}
		return f.run()
	})
}

// request is one answer that is due.
type request struct {
	Request
	check *Check // whose answer it is; nil: that to RETR
}

// retrieval is the state of one Retr.
type retrieval struct {
	c        *Client
	ctx      context.Context
	window   Window
	recv     func(int, io.Reader) error
	failed   func(int, error)
	passedTo func()

	todo    []Request
	sent    []request // asked for and not answered, in order
	bytes   int64     // of sent, by their listed sizes
	first   int       // requests in the first packet of several, 0 before it
	steady  bool      // and all of them were answered
	stop    error     // why nothing more is asked for
	discard bool      // what was asked for is not wanted any more

	open      []int     // what recv got since the last check that passed
	alone     bool      // the last request was one to be alone
	unchecked int       // requests since the last check was sent
	octets    int64     // of these, by their listed sizes
	checkedAt time.Time // when the last check was sent
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
	f.steady = f.steady || f.first > 0 && len(f.sent) == 0
	if len(f.sent) > 0 && (!f.steady || len(f.sent) > w.Count-max(w.Count/4, 1) || f.bytes > w.Bytes-w.Bytes/4) {
		return nil
	}
	queued := false
	for f.hasRoom() {
		if f.checkDue() {
			// One request is not pipelined for the sake of the check.
			if len(f.sent) > 0 && (f.alone || f.first == 0 && len(f.sent) == 1) {
				break
			}
			f.queueCheck()
			queued = true
			continue
		}
		if f.stop != nil || len(f.todo) == 0 || len(f.sent) > 0 && (f.alone || f.todo[0].Alone) {
			break
		}
		f.queueRetr()
		queued = true
	}
	if !queued {
		return nil
	}
	if f.first == 0 && len(f.sent) > 1 {
		f.first = len(f.sent)
	}
	return f.c.flush()
}

func (f *retrieval) hasRoom() bool {
	return len(f.sent) == 0 || len(f.sent) < f.window.Count && f.bytes < f.window.Bytes
}

func (f *retrieval) queueRetr() {
	req := f.todo[0]
	f.todo = f.todo[1:]
	if req.Size <= 0 {
		req.Size = unknownSize
	}
	f.sent = append(f.sent, request{Request: req})
	f.bytes += req.Size
	f.unchecked++
	f.octets += req.Size
	f.alone = req.Alone
	line := retrLine(req.Num)
	f.c.queue(line, line)
	f.c.retrieved, f.c.unproven = true, true
}

// next takes the answer to the oldest request.
func (f *retrieval) next() error {
	req := f.sent[0]
	f.sent = f.sent[1:]
	if req.check != nil {
		err := f.passed(*req.check)
		if err != nil {
			return f.outOfStep(err, f.dropped(err))
		}
		return nil
	}
	f.bytes -= req.Size
	_, err := f.c.reply(retrLine(req.Num))
	switch {
	case err == nil:
		return f.body(req)
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
	err = f.outOfStep(err, f.dropped(err))
	if errors.Is(err, ErrOutOfStep) && len(f.open) > 0 {
		return err // it is what came before
	}
	return f.lost(req.Num, err)
}

// dropped reports whether the server has dropped what came along with the first
// command, which leaves us waiting for the next answer.
func (f *retrieval) dropped(err error) bool {
	return !f.steady && len(f.sent)+1 < f.first && errors.Is(err, os.ErrDeadlineExceeded)
}

// body hands one message to recv and reads on to its end.
func (f *retrieval) body(req request) error {
	num := req.Num
	f.c.wire.Stream(f.c.cfg.Timeouts.Read, math.MaxInt64) // the message has limits of its own
	b := &body{c: f.c, d: newDotReader(f.c.wire.R, f.c.cfg.MaxMessage)}
	b.d.wire, b.d.bareLF, b.d.alone = f.c.wire, f.c.bareLF && f.window.Count == 1, req.Alone
	b.d.plain = f.c.unstuffed
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
	if num == f.c.check.Num {
		f.c.check.came = int64(b.n)
	}
	if b.d.plain && !f.c.unstuffed {
		f.c.unstuffed = true
		f.c.warn("the server does not byte-stuff its messages")
	}
	switch {
	case f.discard:
	case errors.Is(met, ErrTooLarge):
		f.failed(num, f.tooLarge(num))
	case met != nil && !errors.Is(met, io.EOF):
		return f.lost(num, f.c.dead)
	case refused != nil:
		f.stop, f.discard = refused, true
	default:
		f.open = append(f.open, num)
	}
	if f.c.dead == nil && len(f.sent) == 0 {
		if err := f.c.quiet(); err != nil {
			return f.outOfStep(err, false)
		}
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
		fmt.Sprintf("message %d is larger than %s", num, octets(f.c.cfg.MaxMessage)),
		"raise max_message_size for this account, or delete the message at the provider")
}

// octets is a size in the unit in which it was configured.
func octets(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e9, "GB"}, {1 << 30, "GiB"}, {1e6, "MB"}, {1 << 20, "MiB"}, {1e3, "KB"}, {1 << 10, "KiB"}} {
		if n >= unit.size && n%unit.size == 0 {
			return strconv.FormatInt(n/unit.size, 10) + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
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

// Dots returns how many lines lost a dot at their start, which a server that
// byte-stuffs had put there (RFC 1939 section 3), and how many kept two, as the server
// is known not to do that. r is the stream that recv of Retr got.
func Dots(r io.Reader) (taken, kept int) {
	if b, ok := r.(*body); ok {
		return b.d.taken, b.d.kept
	}
	return 0, 0
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
