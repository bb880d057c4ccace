package scripted

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe returns the two ends of a connection in memory. Unlike with net.Pipe a
// write never waits for the reader, each read returns bytes of one write only,
// and what is written can be read after latency has passed, so that in a
// testing/synctest bubble it is a link with a round trip of twice that.
func Pipe(latency time.Duration) (client, server net.Conn) {
	up, down := newHalf(latency), newHalf(latency)
	return &pipeConn{in: down, out: up}, &pipeConn{in: up, out: down}
}

// half is one direction.
type half struct {
	latency time.Duration
	wake    chan struct{} // capacity 1: something changed for the reader

	mu       sync.Mutex
	packets  []packet
	err      error // what the reader gets after the last packet
	gone     bool  // the reader closed
	deadline time.Time
}

type packet struct {
	at    time.Time // when it arrives
	bytes []byte
}

func newHalf(latency time.Duration) *half {
	return &half{latency: latency, wake: make(chan struct{}, 1)}
}

func (h *half) change(f func()) {
	h.mu.Lock()
	f()
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *half) read(p []byte) (int, error) {
	for {
		n, at, err := h.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		var timer <-chan time.Time
		if !at.IsZero() {
			t := time.NewTimer(time.Until(at))
			defer t.Stop()
			timer = t.C
		}
		select {
		case <-h.wake:
		case <-timer:
		}
	}
}

// take returns what can be read now, or the time at which to look again.
func (h *half) take(p []byte) (n int, at time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case h.gone:
		return 0, at, net.ErrClosed
	case !h.deadline.IsZero() && !h.deadline.After(now):
		return 0, at, os.ErrDeadlineExceeded
	case len(h.packets) == 0 && h.err != nil:
		return 0, at, h.err
	}
	at = h.deadline
	if len(h.packets) == 0 {
		return 0, at, nil
	}
	first := &h.packets[0]
	if first.at.After(now) {
		if at.IsZero() || first.at.Before(at) {
			at = first.at
		}
		return 0, at, nil
	}
	n = copy(p, first.bytes)
	if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
		h.packets = h.packets[1:]
	}
	return n, at, nil
}

func (h *half) write(p []byte) (n int, err error) {
	h.change(func() {
		if h.gone || h.err != nil {
			err = io.ErrClosedPipe
			return
		}
		h.packets = append(h.packets, packet{time.Now().Add(h.latency), append([]byte(nil), p...)})
	})
	return len(p), err
}

// end makes err what the reader gets after what was written; the first counts.
func (h *half) end(err error) {
	h.change(func() {
		if h.err == nil {
			h.err = err
		}
	})
}

type pipeConn struct{ in, out *half }

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *pipeConn) Close() error {
	c.out.end(io.EOF)
	c.in.change(func() { c.in.gone = true })
	return nil
}

// reset is Close for a connection that breaks: the peer gets an error even
// before what it has not read yet.
func (c *pipeConn) reset() {
	c.out.change(func() { c.out.packets = nil })
	c.out.end(io.ErrUnexpectedEOF)
	_ = c.Close()
}

func (c *pipeConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }
func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.change(func() { c.in.deadline = t })
	return nil
}
func (c *pipeConn) SetWriteDeadline(time.Time) error { return nil } // a write never waits
func (c *pipeConn) LocalAddr() net.Addr              { return pipeAddr{} }
func (c *pipeConn) RemoteAddr() net.Addr             { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
