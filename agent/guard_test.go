package agent

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

var errWrong = fault.New(fault.Auth, "wrong", "")

func wrong() error { return errWrong }

// TestGuessesAreSlowedDown: for each user, whatever the number of connections, and
// for names that belong to none alike. Another user is not slowed down.
func TestGuessesAreSlowedDown(t *testing.T) {
	for _, name := range []string{"ann", "no such user"} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuard(func(refusals) {})
			began := time.Now()
			tried := 0
			var wg sync.WaitGroup
			for range maxWaiting {
				wg.Go(func() {
					for time.Since(began) < 10*time.Second {
						if err := g.try(t.Context(), name, func() error { tried++; return errWrong }); !fault.Is(err, fault.Auth) {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			most := freeGuesses + int(10*time.Second/guessEvery) + maxWaiting + 1
			if tried > most || tried < freeGuesses+10 {
				t.Errorf("%d guesses in 10 s, at most %d", tried, most)
			}
			began = time.Now()
			if err := g.try(t.Context(), "bob", wrong); !fault.Is(err, fault.Auth) || time.Since(began) > 0 {
				t.Errorf("another user: %v after %v", err, time.Since(began))
			}
			time.Sleep(guessesForgotten)
			began = time.Now()
			if err := g.try(t.Context(), name, func() error { return nil }); err != nil || time.Since(began) > 0 {
				t.Errorf("a minute later: %v after %v", err, time.Since(began))
			}
		})
	}
}

// TestARightPasswordIsLetInDuringAnAttack: no one is locked out; it waits its
// turn, and the number of those that wait is bounded.
func TestARightPasswordIsLetInDuringAnAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(func(refusals) {})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range maxWaiting - 1 {
			wg.Go(func() {
				for ctx.Err() == nil {
					_ = g.try(ctx, "ann", wrong)
				}
			})
		}
		time.Sleep(5 * time.Second)
		began := time.Now()
		if err := g.try(t.Context(), "ann", func() error { return nil }); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited > (maxWaiting+1)*guessEvery {
			t.Errorf("waited %v", waited)
		}
		wg.Go(func() { _ = g.try(ctx, "ann", wrong) })
		synctest.Wait()
		if err := g.try(t.Context(), "ann", wrong); !fault.Is(err, fault.Temporary) {
			t.Errorf("one more than may wait: %v", err)
		}
		cancel()
		wg.Wait()
		for _, e := range g.guesses {
			if e.waiting != 0 || len(e.turn) != 0 || len(g.hashing) != 0 {
				t.Errorf("left behind: %+v", e)
			}
		}
	})
}

// TestManyNamesAreBounded: a guesser who makes up names costs no memory, and one
// of them at a time is hashed.
func TestManyNamesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(func(refusals) {})
		var wg sync.WaitGroup
		busy := 0
		for i := range 10 * maxGuarded {
			wg.Go(func() {
				err := g.try(t.Context(), time.Duration(i).String(), func() error {
					if busy++; busy > 1 {
						t.Error("two at once")
					}
					time.Sleep(30 * time.Millisecond)
					busy--
					return errWrong
				})
				if !fault.Is(err, fault.Auth) && !fault.Is(err, fault.Temporary) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(g.guesses); n > maxGuarded+1 {
			t.Errorf("%d names", n)
		}
		time.Sleep(guessesForgotten)
		g.expire()
		if n := len(g.guesses); n != 0 {
			t.Errorf("%d names later", n)
		}
	})
}

// TestRefusedLoginsAreSummedUp: a log line a minute, a condition until a login is
// right or an hour is over.
func TestRefusedLoginsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []int
		shown := map[string]int{}
		g := newGuard(func(r refusals) {
			if r.log > 0 {
				lines = append(lines, r.log)
			}
			shown[r.user] = r.n
		})
		for range 200 {
			g.refuse("ann", "ann@example.com", "ann", "")
			time.Sleep(time.Second)
		}
		time.Sleep(refusalsLogged)
		g.expire()
		total := 0
		for _, n := range lines {
			total += n
		}
		if len(lines) > 5 || total != 200 || shown["ann"] != 200 {
			t.Errorf("lines %v, shown %v", lines, shown)
		}
		g.refuse("", "bob", "", "")
		g.admit("ann")
		if shown["ann"] != 0 || shown[""] != 1 {
			t.Errorf("after a login that was right: %v", shown)
		}
		g.refuse("", "an", "ann", "")
		g.admit("carl")
		if shown[""] != 2 {
			t.Errorf("after the login of someone else: %v", shown)
		}
		g.admit("ann")
		if shown[""] != 0 {
			t.Errorf("after the login of whom the name was meant for: %v", shown)
		}
		g.refuse("", "bob", "", "")
		time.Sleep(refusalsShown)
		g.expire()
		if shown[""] != 0 {
			t.Errorf("an hour later: %v", shown)
		}
		g.expire()
		if len(g.refused) != 0 {
			t.Errorf("kept: %v", g.refused)
		}
	})
}

// TestWhatIsNoGuessIsNotCounted: a store that cannot be read, say.
func TestWhatIsNoGuessIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(func(refusals) {})
		began := time.Now()
		for range 10 * freeGuesses {
			if err := g.try(t.Context(), "ann", func() error { return errors.New("disk") }); err == nil {
				t.Error("no error")
			}
		}
		if time.Since(began) > 0 {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}
