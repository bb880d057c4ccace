package localimap

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/popbridge/popbridge/internal/serving"
)

const (
	// watchAfter is how long a command runs before the receiver starts. A switch
	// between two goroutines takes as long as most commands.
	watchAfter = 50 * time.Millisecond
	// watchEvery is how many calls of alive go by before the next looks at the clock.
	watchEvery = 4
)

// Read reads what the client sends, what was received meanwhile first. Before it
// waits for the client, what was written is sent.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, receiving, err := c.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		if err := c.flush(); err != nil {
			return 0, err
		}
		if c.between {
			c.release(smallBuffer)
		}
		if !receiving {
			return c.readStream(p)
		}
		c.timer.Reset(c.Quiet())
		select {
		case <-c.more:
		case <-c.timer.C:
			return 0, serving.ErrTimeout
		case <-c.Context.Done():
			return 0, context.Cause(c.Context)
		}
	}
}

// take takes what was received. Where that is nothing, the session is waiting: the
// receiver ends with what it receives next, and does not start.
func (c *conn) take(p []byte) (n int, receiving bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) == 0 {
		c.waiting = c.inErr == nil
		return 0, c.receiving, c.inErr
	}
	c.waiting = false
	n = copy(p, c.in)
	if c.in = c.in[n:]; len(c.in) == 0 {
		c.in = c.buf[:0]
	}
	signal(c.room)
	return n, c.receiving, nil
}

// readStream reads where no receiver does.
func (c *conn) readStream(p []byte) (n int, err error) {
	n, err = c.Receive(p)
	c.mu.Lock()
	c.waiting, c.readAt = false, time.Now()
	c.mu.Unlock()
	return n, err
}

// start starts the receiver, unless the session waits for the client itself.
func (c *conn) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startLocked()
}

func (c *conn) startLocked() {
	if c.receiving || c.waiting || c.inErr != nil {
		return
	}
	_ = c.SetReadDeadline(time.Time{}) // an error shows at the read
	if c.Context.Err() != nil {
		return
	}
	c.receiving, c.receiverEnded = true, make(chan struct{})
	go c.receive(c.receiverEnded)
}

// receive takes what the client sends, at most maxAhead more than was asked for.
func (c *conn) receive(ended chan struct{}) {
	defer close(ended)
	small := make([]byte, idleBuffer)
	buf, large := small, (*[]byte)(nil)
	defer func() {
		if large != nil {
			copyBuffers.Put(large)
		}
	}()
	for {
		n, err := c.Stream.Read(buf)
		goesOn, full := c.received(buf[:n], err)
		signal(c.more)
		switch {
		case errors.Is(err, io.EOF): // it may have closed its half only, and wait for the answer
			time.AfterFunc(goneAfter, func() { c.Cancel(serving.ErrClientGone) })
			return
		case !goesOn:
			return
		case err != nil:
			c.Cancel(serving.ErrClientGone)
			return
		case n == len(buf) && large == nil:
			large = copyBuffers.Get().(*[]byte)
			buf = *large
		case n < idleBuffer && large != nil: // an idle connection holds little memory
			copyBuffers.Put(large)
			buf, large = small, nil
		}
		for full {
			select {
			case <-c.room:
			case <-c.Context.Done():
				return
			}
			c.mu.Lock()
			full = len(c.in) >= maxAhead
			c.mu.Unlock()
		}
	}
}

// received notes what was received. goesOn tells whether more is to be.
func (c *conn) received(p []byte, err error) (goesOn, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if need := len(c.in) + len(p); need > cap(c.in) {
		if need > cap(c.buf) {
			c.buf = make([]byte, 0, 2*need)
		}
		c.in = append(c.buf[:0], c.in...) // to the front, where it may lie already
	}
	c.in = append(c.in, p...)
	if err != nil {
		c.inErr = err
	}
	goesOn = !c.waiting
	c.receiving = goesOn && err == nil
	return goesOn || c.inErr != nil, len(c.in) >= maxAhead
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// release gives up buffers of more than most: an idle connection holds little.
func (c *conn) release(most int) {
	if cap(c.out) > most {
		c.out = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) == 0 && cap(c.buf) > most {
		c.buf, c.in = nil, nil
	}
}

// arrived reports whether there is something to be read, and makes more signal what
// comes later.
func (c *conn) arrived() bool {
	c.start()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.in) > 0 || c.inErr != nil
}

// alive reports the end of the connection, for commands that may take long and call
// it now and then. A client that has sent maxAhead behind such a command is disconnected:
// behind all that its end cannot be noticed.
func (c *conn) alive() error {
	c.mu.Lock()
	if c.asked++; c.asked%watchEvery == 0 && !c.receiving && time.Since(c.readAt) > watchAfter {
		c.startLocked()
	}
	over := len(c.in) >= maxAhead
	c.mu.Unlock()
	if over {
		c.Cancel(serving.ErrClientGone)
	}
	return context.Cause(c.Context)
}
