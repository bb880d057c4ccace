package supervise

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// Whatever way the work ends, it is started again, ever more slowly; only the
// end of the context ends it.
func TestSuperviseRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		var errs []error
		serve := func(ctx context.Context) error {
			at = append(at, time.Since(began))
			switch len(at) {
			case 1:
				panic("boom")
			case 2:
				return errors.New("broken")
			case 3:
				return nil
			case 4:
				return errors.New("broken again")
			}
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		Run(ctx, serve, func(err error) { errs = append(errs, err) }, nil)

		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}
		for i, w := range want {
			if i >= len(at) || at[i] != w {
				t.Fatalf("started at %v, want %v", at, want)
			}
		}
		if len(errs) != 4 {
			t.Fatalf("failures: %v", errs)
		}
		if !fault.Is(errs[0], fault.Internal) || !strings.Contains(errs[0].Error(), "boom") {
			t.Errorf("a panic became %v", errs[0])
		}
		if !errors.Is(errs[2], errEnded) {
			t.Errorf("an early end became %v", errs[2])
		}
	})
}

func TestSuperviseForgetsOldFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var pauses []time.Duration
		var ended time.Time
		runs := 0
		Run(ctx, func(ctx context.Context) error {
			if runs > 0 {
				pauses = append(pauses, time.Since(ended))
			}
			if runs++; runs == 8 {
				Sleep(ctx, stableRuntime+time.Second)
			}
			if runs == 10 {
				cancel()
			}
			return errors.New("broken")
		}, func(error) { ended = time.Now() }, nil)
		if pauses[6] != longestPause {
			t.Errorf("the pause after seven failures is %v, want %v", pauses[6], longestPause)
		}
		if pauses[7] != firstRestart {
			t.Errorf("the pause after a stable run is %v, want %v", pauses[7], firstRestart)
		}
	})
}

// A pause ends when what failed may be over.
func TestSuperviseDoesNotWaitWhereThereIsHope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		retryNow := make(chan struct{}, 1)
		var runs, last atomic.Int64
		go Run(ctx, func(context.Context) error {
			runs.Add(1)
			last.Store(time.Now().Unix())
			return errors.New("broken")
		}, func(error) {}, retryNow)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		before := runs.Load()
		retryNow <- struct{}{}
		synctest.Wait()
		if runs.Load() != before+1 || last.Load() != time.Now().Unix() {
			t.Errorf("%d runs after it, the last at %v", runs.Load()-before, time.Unix(last.Load(), 0))
		}
		time.Sleep(firstRestart)
		synctest.Wait()
		if runs.Load() != before+2 {
			t.Errorf("%d runs a second later", runs.Load()-before)
		}
	})
}
