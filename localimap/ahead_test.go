package localimap

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestAhead(t *testing.T) {
	stop := errors.New("stop")
	for _, tt := range []struct{ n, width, failAt int }{
		{0, 3, -1}, {1, 3, -1}, {2, 3, -1}, {100, 1, -1}, {100, 3, -1}, {100, 3, 0}, {100, 3, 50}, {100, 4, 99},
	} {
		var mu sync.Mutex
		open, most := 0, 0
		var used []int
		err := ahead(tt.n, tt.width, func(k int) int {
			mu.Lock()
			defer mu.Unlock()
			open++
			most = max(most, open)
			return k
		}, func(k, loaded int) error {
			mu.Lock()
			defer mu.Unlock()
			open--
			if used = append(used, loaded); k != loaded {
				t.Errorf("%v: got %d for %d", tt, loaded, k)
			}
			if k == tt.failAt {
				return stop
			}
			return nil
		}, func(int) {
			mu.Lock()
			defer mu.Unlock()
			open--
		})
		want := tt.n
		if tt.failAt >= 0 {
			want = tt.failAt + 1
		}
		if len(used) != want || (err != nil) != (tt.failAt >= 0) || open != 0 || most > tt.width {
			t.Errorf("%v: used %d, want %d; %d left open, %d at once; %v", tt, len(used), want, open, most, err)
		}
		for i, k := range used {
			if i != k {
				t.Fatalf("%v: out of order: %v", tt, used)
			}
		}
	}
}

// TestAheadPanics where its caller can recover, and drops what was loaded in vain.
func TestAheadPanics(t *testing.T) {
	dropped := 0
	defer func() {
		if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "broken in ") || dropped != 2 {
			t.Errorf("panic %s, %d dropped", p, dropped)
		}
	}()
	_ = ahead(5, 3, func(k int) int {
		if k == 1 {
			panic("broken")
		}
		return k
	}, func(int, int) error { return nil }, func(k int) {
		if dropped++; k < 2 {
			t.Errorf("%d is dropped", k)
		}
	})
}
