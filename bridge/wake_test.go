package bridge

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
)

func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.runner.Wake() // no one serves
		stop := serve(t, g.runner)
		synctest.Wait()
		g.runner.Wake()
		synctest.Wait()
		if n := len(g.pop.logins()); n != 1 {
			t.Errorf("%d polls at once", n)
		}
		time.Sleep(2 * time.Minute)
		g.runner.Wake()
		synctest.Wait()
		if n := len(g.pop.logins()); n != 2 {
			t.Errorf("%d polls after the wake-up", n)
		}
		stop()
	})
}

// What was just allowed is not left until the next poll of the schedule, but a server that
// wants logins further apart is waited for.
func TestConfirmPolls(t *testing.T) {
	for _, delay := range []time.Duration{0, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, plan.KeepForever())
			deleted := func() (n int) {
				g.pop.change(func() { n = g.pop.deles })
				return n
			}
			if delay > 0 {
				g.pop.caps = append(g.pop.caps, fmt.Sprintf("LOGIN-DELAY %d", int(delay.Seconds())))
			}
			g.fill(0, 3)
			g.poll()
			time.Sleep(time.Hour)
			g.restart(plan.KeepNever())
			g.runner.account.ConfirmDeletes, g.runner.account.PollEvery = true, 24*time.Hour
			stop := serve(t, g.runner)
			synctest.Wait()
			if s := g.runner.Status(); s.Awaiting != 3 || deleted() != 0 {
				t.Errorf("%d wait, %d were deleted", s.Awaiting, deleted())
			}
			if err := g.runner.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
			if delay > 0 {
				time.Sleep(delay - time.Minute)
				if deleted() != 0 {
					t.Errorf("%d were deleted before the server wants another login", deleted())
				}
				time.Sleep(2 * time.Minute)
			}
			synctest.Wait()
			if deleted() != 3 {
				t.Errorf("after what was allowed %d were deleted", deleted())
			}
			stop()
		})
	}
}

// After a sleep or a change of the network the socket is dropped, what has
// come is kept, and another session follows at once.
func TestResumeWhilePolling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 30)
		var stalled atomic.Bool
		g.pop.trouble.retr = func(n int) {
			if n == 10 && stalled.CompareAndSwap(false, true) {
				time.Sleep(time.Hour)
			}
		}
		stop := serve(t, g.runner)
		time.Sleep(time.Second)
		g.runner.Resume("wake-up")
		time.Sleep(stopNet + 5*time.Second)
		if s := g.runner.Status(); s.State != Idle || s.Stored != 30 || s.LastError != "" {
			t.Errorf("status %+v", s)
		}
		for n := range 9 {
			if c := g.pop.fetched(uidl(n)); c != 1 {
				t.Errorf("message %d was fetched %d times", n, c)
			}
		}
		g.wantMail(0, 30)
		stop()
	})
}

func TestResumeAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.runner.Resume("no one serves")
		g.pop.change(func() { g.pop.down = errors.New("no route") })
		stop := serve(t, g.runner)
		time.Sleep(3 * time.Hour)
		g.pop.change(func() { g.pop.down = nil })
		g.runner.Resume("network")
		synctest.Wait()
		if s := g.runner.Status(); s.State != Idle || s.Stored != 3 {
			t.Errorf("status %+v", s)
		}
		before := len(g.pop.logins())
		g.clock.advance(-100 * day) // the clock was set
		g.runner.Resume("clock")
		synctest.Wait()
		time.Sleep(time.Hour)
		if n := len(g.pop.logins()) - before; n < 11 || n > 15 {
			t.Errorf("%d polls in the hour after", n)
		}
		stop()
	})
}

// A wait for the next session is measured again, by the clock on the wall.
func TestResumeWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 20)
		g.pop.caps = append(g.pop.caps, "LOGIN-DELAY 900")
		g.pop.trouble = trouble{limit: 10, limitText: "-ERR Download exceed. msg=10"}
		stop := serve(t, g.runner)
		time.Sleep(time.Minute)
		if err := g.runner.Confirm(t.Context()); err != nil || time.Since(g.pop.logins()[0]) > 2*time.Minute {
			t.Errorf("confirmed after %v: %v", time.Since(g.pop.logins()[0]), err)
		}
		g.clock.advance(5 * time.Minute) // of sleep
		g.runner.Resume("wake-up")
		time.Sleep(8 * time.Minute)
		if n := len(g.pop.logins()); n != 1 {
			t.Errorf("%d logins", n)
		}
		time.Sleep(2 * time.Minute)
		g.wantMail(0, 20)
		stop()
	})
}

// A preview that waits for an answer of a dead connection starts again.
func TestResumeWhilePreviewing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		var stalled atomic.Bool
		g.pop.said = func(command string) {
			if command == "UIDL" && stalled.CompareAndSwap(false, true) {
				time.Sleep(time.Hour)
			}
		}
		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			g.runner.Resume("wake-up")
		}()
		p, err := g.runner.Preview(t.Context())
		if took := time.Since(began); err != nil || p.Fetch != 3 || took > stopNet+2*time.Second {
			t.Errorf("preview %+v after %v, error %v", p, took, err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// A preview and a poll never share the mailbox.
func TestPreviewWaitsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.pop.trouble.retr = func(int) { time.Sleep(time.Second) }
		stop := serve(t, g.runner)
		synctest.Wait()
		p, err := g.runner.Preview(t.Context())
		if err != nil || p.Fetch != 0 || p.Kept != 3 {
			t.Errorf("preview %+v, error %v", p, err)
		}
		if g.pop.most != 1 || len(g.pop.logins()) != 2 {
			t.Errorf("%d sessions, %d at a time", len(g.pop.logins()), g.pop.most)
		}
		stop()
		g.pop.change(func() { g.pop.password = "changed" })
		for range 3 {
			if _, err := g.runner.Preview(t.Context()); !fault.Is(err, fault.Auth) {
				t.Errorf("error %v", err)
			}
		}
		if !g.runner.longPause {
			s := g.runner.Status()
			t.Errorf("status %+v", s)
		}
	})
}
