package localimap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/serving"
)

// piped returns a connection, and the client's end of it. Both are closed by the end
// of the test.
func piped(t *testing.T) (*conn, net.Conn) {
	ours, theirs := net.Pipe()
	c := newConn(t.Context(), ours, func() {})
	c.Quiet = func() time.Duration { return time.Hour }
	t.Cleanup(func() {
		_ = theirs.Close()
		c.Abort()
		if c.receiverEnded != nil {
			<-c.receiverEnded
		}
	})
	return c, theirs
}

// What is written goes out when the server waits for the client, and not before.
func TestLinesGoOutWhenTheServerReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, theirs := piped(t)
		c.line("* one")
		c.line("* two")
		read := make(chan string)
		go func() {
			p := make([]byte, 100)
			n, _ := theirs.Read(p)
			read <- string(p[:n])
		}()
		synctest.Wait()
		select {
		case got := <-read:
			t.Fatalf("too early: %q", got)
		default:
		}
		go func() { _, _ = c.Read(make([]byte, 10)) }()
		if got := <-read; got != "* one\r\n* two\r\n" {
			t.Errorf("%q", got)
		}
	})
}

// A slow client gets all of a long response; one that has stopped reading is not
// waited for.
func TestASlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, theirs := piped(t)
		read := make(chan int)
		go func() {
			n := 0
			for p := make([]byte, writeBuffer/2); ; <-time.After(serving.FlushTimeout / 3) {
				m, err := theirs.Read(p)
				if n += m; err != nil || n == 100*writeBuffer {
					read <- n
					return
				}
			}
		}()
		if n, err := c.Write(make([]byte, 100*writeBuffer)); n != 100*writeBuffer || err != nil {
			t.Errorf("%d octets, %v", n, err)
		}
		if n := <-read; n != 100*writeBuffer {
			t.Errorf("a slow client has read %d octets", n)
		}
		start := time.Now()
		if _, err := c.Write(make([]byte, writeBuffer)); err == nil || time.Since(start) != serving.FlushTimeout {
			t.Errorf("one that has stopped was given up with %v after %v", err, time.Since(start))
		}
	})
}

// Whoever ends a connection does not wait for a client that does not read.
func TestByeEndsABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t)
		done := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, writeBuffer))
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		c.Bye("Enough")
		if err := <-done; err == nil || time.Since(start) != serving.CloseTimeout {
			t.Errorf("the blocked write ended with %v after %v", err, time.Since(start))
		}
	})
}

// What a client has sent is read after it has closed its half; a command that takes
// long ends soon after that.
func TestAClientThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, theirs := piped(t)
		c.start()
		go func() {
			_, _ = io.WriteString(theirs, "a NOOP\r\n")
			_ = theirs.Close()
		}()
		<-c.Context.Done()
		p := make([]byte, 100)
		if n, err := c.Read(p); string(p[:n]) != "a NOOP\r\n" || err != nil {
			t.Errorf("%q, %v", p[:n], err)
		}
		if _, err := c.Read(p); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	})
}

// No more is received ahead than maxAhead and a piece.
func TestReceivingAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, theirs := piped(t)
		c.start()
		sent := make(chan int)
		go func() {
			n, _ := theirs.Write(bytes.Repeat([]byte("x"), 10*maxAhead))
			sent <- n
		}()
		synctest.Wait()
		c.mu.Lock()
		n := len(c.in)
		c.mu.Unlock()
		if n < maxAhead || n > maxAhead+writeBuffer {
			t.Errorf("%d octets were received ahead", n)
		}
		got := 0
		for p := make([]byte, 1000); got < 10*maxAhead; {
			n, err := c.Read(p)
			if got += n; err != nil {
				t.Fatal(err)
			}
		}
		if n := <-sent; n != 10*maxAhead {
			t.Errorf("%d octets were sent", n)
		}
	})
}

func TestSilenceEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t)
		start := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, serving.ErrTimeout) || time.Since(start) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A command that takes long ends with its client, and what the client has sent behind
// it is read after it.
func TestACommandThatTakesLongIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, theirs := piped(t)
		go func() { _, _ = io.WriteString(theirs, "a") }()
		p := make([]byte, 10)
		if n, err := c.Read(p); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		for start := time.Now(); time.Since(start) < 2*watchAfter; time.Sleep(watchAfter / 10) {
			if err := c.alive(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(theirs, "b"); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(p); n != 1 || p[0] != 'b' || err != nil {
			t.Errorf("%d %q %v", n, p, err)
		}
		for start := time.Now(); time.Since(start) < 2*watchAfter; time.Sleep(watchAfter / 10) {
			_ = c.alive() // nothing has happened
		}
		_ = theirs.Close()
		time.Sleep(goneAfter + time.Millisecond)
		if err := c.alive(); !errors.Is(err, serving.ErrClientGone) {
			t.Errorf("the client has gone: %v", err)
		}
	})
}

// The receiver that a wait has started leaves reading to the session again.
func TestTheReceiverEndsWithTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, theirs := piped(t)
		if c.arrived() {
			t.Error("nothing was sent")
		}
		p := make([]byte, 10)
		for round := range 3 {
			go func() { _, _ = io.WriteString(theirs, "x") }()
			if n, err := c.Read(p); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait()
			c.mu.Lock()
			if c.receiving {
				t.Errorf("round %d: the receiver goes on", round)
			}
			c.mu.Unlock()
		}
	})
}

// bye ends a read at once, whoever reads.
func TestByeEndsARead(t *testing.T) {
	for _, receiving := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := piped(t)
			if receiving {
				c.start()
			}
			done := make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 1))
				done <- err
			}()
			synctest.Wait()
			start := time.Now()
			c.Bye("Enough")
			if err := <-done; !errors.Is(err, context.Canceled) || time.Since(start) > 0 {
				t.Errorf("the read ended with %v after %v", err, time.Since(start))
			}
		})
	}
}

// A TLS handshake that stalls is given up.
func TestATLSHandshakeThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(t.Context(), ours, func() {})
		start := time.Now()
		if err := c.Secure(&tls.Config{}, c.flush); err == nil || time.Since(start) != serving.HandshakeTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		c.Abort()
		_ = theirs.Close()
	})
}
