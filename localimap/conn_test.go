package localimap

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is the network side of a conn: it notes every write, and its reads wait
// for reply.
type wire struct {
	net.Conn
	mu      sync.Mutex
	writes  [][]byte
	failing error
	reading chan struct{} // a read has begun
	reply   chan []byte
}

func newWire() *wire {
	return &wire{reading: make(chan struct{}, 10), reply: make(chan []byte, 10)}
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing != nil {
		return 0, w.failing
	}
	w.writes = append(w.writes, bytes.Clone(p))
	return len(p), nil
}

func (w *wire) Read(p []byte) (int, error) {
	w.reading <- struct{}{}
	b, ok := <-w.reply
	if !ok {
		return 0, io.EOF
	}
	return copy(p, b), nil
}

func (w *wire) Close() error                     { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

func (w *wire) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, b := range w.writes {
		out = append(out, string(b))
	}
	return out
}

func write(t *testing.T, c *conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", text, n, err)
		}
	}
}

func wantSent(t *testing.T, w *wire, want ...string) {
	t.Helper()
	got := w.sent()
	if len(got) != len(want) {
		t.Fatalf("%d writes %q, want %d %q", len(got), got, len(want), want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("write %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestLinesGoOutWhenTheServerReads(t *testing.T) {
	w := newWire()
	c := newConn(w, func() {})
	write(t, c, "* 1 EXISTS\r\n", "* 0 RECENT\r\n", "a OK\r\n")
	wantSent(t, w)
	w.reply <- []byte("b NOOP\r\n")
	buf := make([]byte, 100)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "b NOOP\r\n" {
		t.Fatalf("Read = %q, %v", buf[:n], err)
	}
	wantSent(t, w, "* 1 EXISTS\r\n* 0 RECENT\r\na OK\r\n")
}

func TestLinesGoOutAtOnceWhileAReadIsPending(t *testing.T) {
	w := newWire()
	c := newConn(w, func() {})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.Read(make([]byte, 10))
	}()
	<-w.reading
	write(t, c, "* 1 EXISTS\r\n")
	wantSent(t, w, "* 1 EXISTS\r\n")
	c.cork()
	write(t, c, "* 2 EXPUNGE\r\n", "* 1 EXPUNGE\r\n")
	wantSent(t, w, "* 1 EXISTS\r\n")
	c.uncork()
	wantSent(t, w, "* 1 EXISTS\r\n", "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n")
	write(t, c, "x")
	wantSent(t, w, "* 1 EXISTS\r\n", "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n", "x")
	close(w.reply)
	<-done
}

func TestLongResponsesLeaveInLargeWritesAndInOrder(t *testing.T) {
	for _, size := range []int{1, 100, 4096, writeBuffer - 1, writeBuffer, writeBuffer + 1, 3 * writeBuffer} {
		w := newWire()
		c := newConn(w, func() {})
		var want bytes.Buffer
		for i := range 400000/size + 3 {
			piece := bytes.Repeat([]byte{byte('a' + i%26)}, size)
			want.Write(piece)
			write(t, c, string(piece))
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for _, b := range w.sent() {
			got.WriteString(b)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("size %d: %d bytes arrived, %d were written, or in another order", size, got.Len(), want.Len())
		}
		if n, most := len(w.writes), 2*want.Len()/writeBuffer+2; n > most {
			t.Errorf("size %d: %d writes to the network, want at most %d", size, n, most)
		}
	}
}

func TestCloseSendsWhatIsGatheredAndTellsOnce(t *testing.T) {
	w := newWire()
	closed := 0
	c := newConn(w, func() { closed++ })
	write(t, c, "* BYE\r\n")
	_ = c.Close()
	_ = c.Close()
	c.abort()
	wantSent(t, w, "* BYE\r\n")
	if closed != 1 {
		t.Errorf("closed was told %d times", closed)
	}
}

func TestAWriteErrorStays(t *testing.T) {
	w := newWire()
	c := newConn(w, func() {})
	write(t, c, "lost")
	w.failing = errors.New("reset")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, w.failing) {
		t.Errorf("Read after a failed flush: %v", err)
	}
	w.failing = nil
	if _, err := c.Write([]byte("more")); err == nil {
		t.Error("a write after a lost one succeeded: the stream has a hole")
	}
	wantSent(t, w)
	if !c.broken.Load() {
		t.Error("not known as broken")
	}
}

// TestAClientThatStopsReading: whatever deadline the library has set, it is not
// waited for; one that is only slow gets everything.
func TestAClientThatStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, set := range map[string]func(c *conn){
			"no deadline": func(*conn) {},
			"a long one":  func(c *conn) { _ = c.SetDeadline(time.Now().Add(time.Hour)) },
			"a short one": func(c *conn) { _ = c.SetWriteDeadline(time.Now().Add(time.Second)) },
		} {
			ours, theirs := net.Pipe()
			c := newConn(ours, func() {})
			set(c)
			start := time.Now()
			_, err := c.Write(make([]byte, 3*writeBuffer))
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != flushTimeout {
				t.Errorf("%s: %v after %v, want a timeout after %v", name, err, time.Since(start), flushTimeout)
			}
			_ = c.Close()
			_ = theirs.Close()
		}

		ours, theirs := net.Pipe()
		c := newConn(ours, func() {})
		read := make(chan int)
		go func() {
			n := 0
			for p := make([]byte, writeBuffer/2); ; <-time.After(flushTimeout / 3) {
				m, err := theirs.Read(p)
				if n += m; err != nil {
					read <- n
					return
				}
			}
		}()
		if n, err := c.Write(make([]byte, 100*writeBuffer)); n != 100*writeBuffer || err != nil {
			t.Errorf("%d octets reached a slow client, %v", n, err)
		}
		_ = c.Close()
		if n := <-read; n != 100*writeBuffer {
			t.Errorf("a slow client has read %d octets", n)
		}
		_ = theirs.Close()
	})
}

// TestDropWaitsForAWriteThatIsUnderWay: the client is told, whatever the server
// is doing with the connection.
func TestDropWaitsForAWriteThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(ours, func() {})
		c.mu.Lock()
		go c.drop("Room")
		synctest.Wait()
		c.mu.Unlock()
		if got, err := io.ReadAll(theirs); string(got) != "* BYE Room\r\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestCloseDoesNotWaitForABlockedWrite is how a client that does not read is
// thrown out at shutdown.
func TestCloseDoesNotWaitForABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer func() { _ = theirs.Close() }()
		c := newConn(ours, func() {})
		done := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, writeBuffer))
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		_ = c.Close()
		if err := <-done; err == nil || time.Since(start) > 2*lockTimeout {
			t.Errorf("the blocked write ended with %v after %v", err, time.Since(start))
		}
	})
}

func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(ours, func() {})
		if !c.alive() {
			t.Error("a silent client is taken for gone")
		}
		go func() {
			_, _ = theirs.Write([]byte("b NOOP\r\n"))
		}()
		synctest.Wait()
		if first, second := c.alive(), c.alive(); !first || !second {
			t.Error("a client that pipelines is taken for gone")
		}
		_ = theirs.Close()
		if c.alive() {
			t.Error("a client that has pipelined and left is taken for alive")
		}
		_ = c.SetReadDeadline(time.Time{})
		got, err := io.ReadAll(c)
		if string(got) != "b NOOP\r\n" || err != nil {
			t.Errorf("read %q, %v after looking", got, err)
		}
		if c.alive() {
			t.Error("a client that has left is taken for alive")
		}
	})
}

// TestAClientThatIsSlow: it is told why it has to go.
func TestAClientThatIsSlow(t *testing.T) {
	for _, tt := range []struct {
		name string
		ours func(c *conn)
		send time.Duration // between two octets
		want time.Duration
	}{
		{"says nothing", func(*conn) {}, 0, silentTimeout},
		{"octet by octet", func(*conn) {}, 20 * time.Second, silentTimeout},
		{"has said something", func(c *conn) { c.hearLocked() }, 0, loginTimeout},
		{"whatever the library wants before login", func(c *conn) { _ = c.SetReadDeadline(time.Now().Add(time.Second)) }, 0, silentTimeout},
		{"logged in", func(c *conn) {
			c.loggedIn()
			_ = c.SetReadDeadline(time.Now().Add(35 * time.Minute))
		}, 0, 35 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			c := newConn(ours, func() {})
			tt.ours(c)
			start := time.Now()
			slow := make(chan struct{})
			go func() {
				defer close(slow)
				for tt.send > 0 {
					<-time.After(tt.send)
					if _, err := theirs.Write([]byte("x")); err != nil {
						return
					}
				}
			}()
			told := make(chan string)
			go func() {
				b, _ := io.ReadAll(theirs)
				told <- string(b)
			}()
			n, err := c.Read(make([]byte, 100))
			if n != 0 || err != io.EOF || time.Since(start) != tt.want {
				t.Errorf("%s: read %d, %v after %v, want the end after %v", tt.name, n, err, time.Since(start), tt.want)
			}
			write := func() error { _, err := c.Write([]byte("a OK late\r\n")); return err }
			if write() == nil {
				t.Errorf("%s: something is written after BYE", tt.name)
			}
			_ = c.Close()
			if got := <-told; got != "* BYE Autologout, nothing was heard for too long\r\n" {
				t.Errorf("%s: the client was told %q", tt.name, got)
			}
			_ = theirs.Close()
			<-slow
		})
	}
}

// TestATLSHandshakeThatStalls: it takes a connection no longer than it must.
func TestATLSHandshakeThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(ours, func() {})
		start := time.Now()
		if err := c.secure(&tls.Config{}); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != handshakeTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		_ = c.Close()
		_ = theirs.Close()
	})
}
