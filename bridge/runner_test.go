package bridge

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// serve runs Serve and returns what stops it and waits for its end.
func serve(t *testing.T, r *Runner) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// logins records when the server was connected to.
func (s *popServer) logins() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times...)
}

func TestServePollsOnSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		stop := serve(t, g.runner)
		synctest.Wait()
		if s := g.runner.Status(); s.Stored != 3 || s.State != Idle || s.NextPoll.IsZero() {
			t.Errorf("after the start: %+v", s)
		}
		if err := g.runner.Serve(t.Context()); !fault.Is(err, fault.Conflict) {
			t.Errorf("served twice: %v", err)
		}
		time.Sleep(24 * time.Hour)
		stop()
		times := g.pop.logins()
		for i, at := range times[1:] {
			if d := at.Sub(times[i]); d < 4*time.Minute+30*time.Second || d > 5*time.Minute+30*time.Second {
				t.Fatalf("polled after %v", d)
			}
		}
		if len(times) < 270 {
			t.Errorf("%d polls in a day", len(times))
		}
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.pop.change(func() { g.pop.down = errors.New("no route to host") })
		stop := serve(t, g.runner)
		time.Sleep(6 * time.Hour)
		if s := g.runner.Status(); s.State != Backoff || s.Kind != fault.Temporary || !strings.Contains(s.LastError, "no route") || s.NextPoll.Before(time.Now()) {
			t.Errorf("status %+v", s)
		}
		times := g.pop.logins()
		if n := len(times); n < 14 || n > 24 {
			t.Errorf("%d tries in six hours", n)
		}
		if d := times[1].Sub(times[0]); d > time.Minute {
			t.Errorf("second try after %v", d)
		}
		g.pop.change(func() { g.pop.down = nil })
		time.Sleep(40 * time.Minute)
		if s := g.runner.Status(); s.State != Idle || s.Stored != 3 || s.LastError != "" || s.Err != nil {
			t.Errorf("status %+v", s)
		}
		stop()
	})
}

func TestSlowAccountDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		slow := newPopServer(t)
		slow.add("a", testkit.Message(9))
		slow.trouble.retr = func(int) { time.Sleep(50 * time.Second) }
		stopSlow := serve(t, newTestRunner(slow, g.store, g.clock, "slow", "INBOX", plan.KeepForever()))
		stop := serve(t, g.runner)
		time.Sleep(time.Second)
		if s := g.runner.Status(); s.Stored != 3 || s.State != Idle {
			t.Errorf("status %+v", s)
		}
		time.Sleep(time.Minute)
		if got := mail(t, g.store, "INBOX"); len(got) != 4 {
			t.Errorf("%d messages", len(got))
		}
		stop()
		stopSlow()
	})
}

func TestPollJoins(t *testing.T) {
	for _, served := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, plan.KeepForever())
			stop := func() {}
			if served {
				stop = serve(t, g.runner)
				synctest.Wait()
			}
			g.fill(0, 3)
			g.pop.change(func() { g.pop.trouble.retr = func(int) { time.Sleep(time.Second) } })
			var wg sync.WaitGroup
			before := len(g.pop.logins())
			for range 5 {
				wg.Go(func() {
					if result, err := g.runner.Poll(t.Context(), nil); err != nil || result.Stored != 3 {
						t.Errorf("result %+v, error %v", result, err)
					}
				})
				time.Sleep(100 * time.Millisecond)
			}
			if s := g.runner.Status(); s.State != Polling {
				t.Errorf("status %+v", s)
			}
			impatient, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := g.runner.Poll(impatient, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			cancel()
			wg.Wait()
			if n := len(g.pop.logins()) - before; n != 1 || g.pop.most != 1 {
				t.Errorf("%d sessions, %d at a time", n, g.pop.most)
			}
			stop()
		})
	}
}

// A poll that Serve runs does not end with who asked for it, and who joins
// learns at once how far it is.
func TestServedPollOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		stop := serve(t, g.runner)
		synctest.Wait()
		g.fill(0, 3)
		g.pop.change(func() { g.pop.trouble.retr = func(int) { time.Sleep(time.Second) } })
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		if _, err := g.runner.Poll(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		cancel()
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		var seen []Progress
		_, _ = g.runner.Poll(canceled, func(p Progress) { seen = append(seen, p) })
		if len(seen) != 1 || seen[0].Phase != PhaseFetch {
			t.Errorf("progress %+v", seen)
		}
		time.Sleep(5 * time.Second)
		g.wantMail(0, 3)
		stop()
	})
}

// Serve that starts while someone polls waits for that poll.
func TestServeJoinsPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.pop.trouble.retr = func(int) { time.Sleep(time.Second) }
		var wg sync.WaitGroup
		wg.Go(func() { g.poll() })
		synctest.Wait()
		stop := serve(t, g.runner)
		time.Sleep(time.Minute)
		if n := len(g.pop.logins()); n != 1 || g.runner.Status().State != Idle {
			t.Errorf("%d sessions, status %+v", n, g.runner.Status())
		}
		wg.Wait()
		stop()
	})
}

// A server that lists only the oldest few hundred is asked again.
func TestPagedListing(t *testing.T) {
	t.Parallel()
	for _, delay := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, plan.KeepNever())
			g.fill(0, 420)
			g.pop.page = 210
			if delay {
				g.pop.caps = append(g.pop.caps, "LOGIN-DELAY 600")
			}
			stop := serve(t, g.runner)
			time.Sleep(45 * time.Minute)
			stop()
			times := g.pop.logins()
			if d := times[1].Sub(times[0]); delay && d < 10*time.Minute || !delay && d > time.Minute {
				t.Errorf("second login after %v", d)
			}
			g.wantMail(0, 420)
		})
	}
}

// Serve stops in the middle of a fetch: what was received is committed, the
// server is taken leave of, and the rest comes next time.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepNever())
		g.fill(0, 50)
		g.pop.trouble.retr = func(n int) { time.Sleep(10 * time.Millisecond) }
		stop := serve(t, g.runner)
		time.Sleep(205 * time.Millisecond)
		at := time.Now()
		stop()
		if took := time.Since(at); took > stopNet+time.Second {
			t.Errorf("stopping took %v", took)
		}
		if n := len(mail(t, g.store, "INBOX")); n < 15 || n > 25 {
			t.Errorf("%d messages committed", n)
		}
		if s := g.runner.Status(); s.LastError != "" || s.State != Idle {
			t.Errorf("status %+v", s)
		}
		g.pop.change(func() { g.pop.trouble = trouble{} })
		g.restart(plan.KeepNever())
		g.poll()
		g.wantMail(0, 50)
		if left := g.pop.count(); left != 0 {
			t.Errorf("%d left", left)
		}
	})
}

// A server that stalls in the middle of a message cannot hold up the end.
func TestStopWhileStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 20)
		g.pop.trouble.retr = func(n int) {
			if n == 10 {
				time.Sleep(30 * time.Second)
			}
		}
		stop := serve(t, g.runner)
		time.Sleep(time.Second)
		at := time.Now()
		stop()
		if took := time.Since(at); took > stopNet+time.Second {
			t.Errorf("stopping took %v", took)
		}
		g.wantMail(0, 9)
	})
}

func TestStopWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.runner.account.Server.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		stop := serve(t, g.runner)
		time.Sleep(time.Second)
		at := time.Now()
		stop()
		if took := time.Since(at); took > 0 {
			t.Errorf("stopping took %v", took)
		}
	})
}
