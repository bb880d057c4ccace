package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// talker is a session whose client says nothing, until it is ended.
type talker struct {
	conn    *Conn
	refused *Refused
	served  chan struct{} // closed when Serve or Refuse has been called
	gone    chan struct{} // closed when the connection is
	hangs   bool          // it does not go at Bye
}

func (s *talker) Serve() {
	close(s.served)
	if s.hangs {
		<-s.gone
	}
	<-s.conn.Context.Done()
	s.conn.Abort()
}
func (s *talker) Refuse(why *Refused) { s.refused = why; close(s.served) }
func (s *talker) Connection() *Conn   { return s.conn }

// passing is an error of Accept as when there is no file descriptor left.
type passing struct{}

func (passing) Error() string   { return "too many open files" }
func (passing) Temporary() bool { return true }

type dead struct{ net.Listener }

func (dead) Accept() (net.Conn, error) { return nil, io.ErrClosedPipe }
func (dead) Close() error              { return nil }

// house is a server whose clients come when they are asked to.
type house struct {
	*Server[*talker]
	t     *testing.T
	calls chan net.Conn
	end   context.CancelFunc
	ended chan error
	hangs bool
	fails int // of Accept, before it does

	once sync.Once
	come []*talker
}

func (h *house) Accept() (net.Conn, error) {
	if h.fails--; h.fails >= 0 {
		return nil, passing{}
	}
	c, ok := <-h.calls
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (h *house) Close() error {
	h.once.Do(func() { close(h.calls) })
	return nil
}
func (h *house) Addr() net.Addr { return &net.TCPAddr{} }

// enter connects a client and returns its session; nil where it is not even spoken to.
func (h *house) enter() *talker {
	h.t.Helper()
	ours, theirs := net.Pipe()
	h.t.Cleanup(func() { _ = ours.Close() })
	n := len(h.come)
	h.calls <- theirs
	synctest.Wait()
	if len(h.come) == n {
		if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			h.t.Errorf("nobody serves it, and it is not closed: %v", err)
		}
		return nil
	}
	return h.come[n]
}

func served(t *testing.T, do func(h *house)) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{Server: New[*talker](Options{Protocol: "TEST", PerDevice: 3}), t: t, calls: make(chan net.Conn), ended: make(chan error, 1), fails: 3}
		ctx, cancel := context.WithCancel(t.Context())
		h.end = cancel
		go func() {
			h.ended <- h.Serve(ctx, h, func(ctx context.Context, c net.Conn, closed func()) *talker {
				s := &talker{served: make(chan struct{}), gone: make(chan struct{}), hangs: h.hangs}
				s.conn = NewConn(ctx, c, func() { close(s.gone); closed() })
				h.come = append(h.come, s)
				return s
			})
		}()
		synctest.Wait()
		do(h)
		cancel()
		if err := <-h.ended; err != nil {
			t.Error(err)
		}
		if h.conns != 0 || len(h.anon) != 0 || len(h.logins) != 0 {
			t.Errorf("%d connections, %d before and %d after login are left", h.conns, len(h.anon), len(h.logins))
		}
	})
}

// TestWhoMakesRoom: the oldest that says nothing goes first, then the oldest whose password
// is not being checked; who has logged in stays.
func TestWhoMakesRoom(t *testing.T) {
	t.Parallel()
	served(t, func(h *house) {
		for range MaxUnauthenticated {
			h.enter()
		}
		h.come[0].conn.Checking.Store(true)
		h.come[1].conn.Heard.Store(true)
		h.enter()
		if h.come[1].conn.ByeText() == "" { // none had the time to say something yet, and the first is being checked
			t.Error("the second did not make room")
		}
		for _, s := range h.come[:5] {
			s.conn.Heard.Store(true)
		}
		time.Sleep(2 * SpeakWithin)
		h.enter()
		if h.come[5].conn.ByeText() == "" {
			t.Error("who said nothing did not make room")
		}
		if err := h.Enter(h.come[2], Login{"joe", "laptop"}); err != nil {
			t.Error(err)
		}
		if err := h.Enter(h.come[5], Login{"joe", "laptop"}); err == nil {
			t.Error("a session that was dropped logged in")
		}
		for range 3 * MaxUnauthenticated {
			h.enter()
		}
		if h.come[2].conn.ByeText() != "" {
			t.Error("a session with a login made room")
		}
		h.Exit(h.come[2])
		for range MaxUnauthenticated {
			h.enter()
		}
		if h.come[2].conn.ByeText() == "" {
			t.Error("a session that lost its login did not make room")
		}
	})
}

// TestLimits of a device and of all.
func TestLimits(t *testing.T) {
	t.Parallel()
	served(t, func(h *house) {
		for i := range MaxConnections {
			s := h.enter()
			if err := h.Enter(s, Login{"joe", fmt.Sprint(i / 3)}); err != nil {
				t.Fatal(err)
			}
		}
		refused := h.enter()
		if refused.refused == nil || !refused.refused.Limit {
			t.Error("one too many was not refused")
		}
		h.come[0].conn.Abort()
		synctest.Wait()
		s := h.enter()
		if err := h.Enter(s, Login{"joe", "1"}); err == nil || !strings.Contains(err.Error(), "at most 3") {
			t.Errorf("a fourth connection of a device: %v", err)
		}
		n := 0
		h.Each(func(*talker, Login, time.Time) { n++ })
		if n != MaxConnections-1 {
			t.Errorf("%d have logged in", n)
		}
		h.Disconnect("joe", "1", "revoked")
		h.Disconnect("ann", "", "revoked")
		synctest.Wait()
		for i, s := range h.come[:9] {
			if gone := s.conn.ByeText() == "revoked"; gone != (i/3 == 1) {
				t.Errorf("session %d: %q", i, s.conn.ByeText())
			}
		}
	})
}

// TestFlood: of more than twice the limit nobody is told why.
func TestFlood(t *testing.T) {
	t.Parallel()
	served(t, func(h *house) {
		h.Server.mu.Lock()
		h.conns = 2 * MaxConnections
		h.Server.mu.Unlock()
		if h.enter() != nil {
			t.Error("a client was served in a flood")
		}
		h.Server.mu.Lock()
		h.conns = 0
		h.Server.mu.Unlock()
	})
}

// TestTheEndIsBounded also where a session does not want to go.
func TestTheEndIsBounded(t *testing.T) {
	t.Parallel()
	served(t, func(h *house) {
		h.hangs = true
		for range 10 {
			h.enter()
		}
		start := time.Now()
		h.end()
		for _, s := range h.come {
			<-s.gone
		}
		if took := time.Since(start); took > ByeTimeout {
			t.Errorf("the end took %v", took)
		}
	})
}

// TestAccept: trouble that does not pass ends the server; other trouble does not, see house.
func TestAccept(t *testing.T) {
	if err := New[*talker](Options{}).Serve(t.Context(), dead{}, nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}
