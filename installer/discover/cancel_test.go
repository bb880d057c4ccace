package discover

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What is still on its way once there is an answer is given up, and waited for.
func TestWhatIsNoLongerNeeded(t *testing.T) {
	w := newWorld(t)
	w.host("example.com", nowhere)
	w.host("live.thunderbird.net", nowhere)
	w.host("autoconfig.example.com", "192.0.2.1")
	w.web("192.0.2.1", w.certificate("autoconfig.example.com"), func(rw http.ResponseWriter, r *http.Request) {
		for w.dialing.Load() < 2 && r.Context().Err() == nil {
			runtime.Gosched()
		}
		serveDocument(annDocument)(rw, r)
	})
	_, err := Discover(t.Context(), "ann@example.com", w.options())
	if n := w.dialing.Load(); err != nil || n > 0 {
		t.Errorf("%v, and %d connections are still being made", err, n)
	}
}

// afterWrite calls then once something is sent.
type afterWrite struct {
	net.Conn
	then func()
}

func (a afterWrite) Write(b []byte) (int, error) {
	n, err := a.Conn.Write(b)
	a.then()
	return n, err
}

// What waits for the network ends at once, and TestMain finds what stays behind.
func TestCancelling(t *testing.T) {
	for _, name := range []string{"autoconfig.example.com", "pop.example.com"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.host(name, nowhere)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := w.options()
			o.Dial = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
				if strings.HasPrefix(address, nowhere) {
					cancel()
				}
				return w.dial(ctx, network, address)
			}
			o.Progress = func(s Step) {
				if ctx.Err() != nil {
					t.Errorf("said %+v after the end", s)
				}
			}
			found, err := Discover(ctx, "ann@example.com", o)
			if !errors.Is(err, context.Canceled) || found.POP.Known() {
				t.Errorf("got %+v, %v", found, err)
			}
			if n := w.dialing.Load(); n > 0 {
				t.Errorf("%d connections are still being made", n)
			}
		})
	}
	t.Run("in a conversation", func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.host("pop.example.com", "192.0.2.1")
		w.talker("192.0.2.1", 110, nil, false, []line{{"", "+OK\r\n"}, {"STLS", ""}})
		o := w.options()
		o.limits = limits{fetch: time.Hour, talk: time.Hour}
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := w.dial(ctx, network, address)
			if err == nil {
				conn = afterWrite{conn, cancel}
			}
			return conn, err
		}
		if _, err := Discover(ctx, "ann@example.com", o); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := newWorld(t)
		if _, err := Discover(ctx, "ann@example.com", w.options()); !errors.Is(err, context.Canceled) || len(w.seen()) > 0 {
			t.Errorf("%v, %q", err, w.seen())
		}
	})
}
