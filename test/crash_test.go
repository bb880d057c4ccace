package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/test/rig"
)

// long reports whether everything is tried: `make crash` says how often.
func long() bool { return os.Getenv("POPBRIDGE_KILLS") != "" }

// moments are the hits at which a series dies: at points that every message
// passes in the middle of a batch, at those that every transaction passes in
// each of the first ones. Where policies do not differ, one of them takes all
// of these, the others the last.
func moments(p policy, point string) []int {
	all := []int{1}
	switch point {
	case failpoint.Spool, failpoint.Received, failpoint.Sync, failpoint.Rename:
		all = []int{1, 20}
	case failpoint.Commit, failpoint.Publish:
		all = []int{1, 2, 3}
	}
	if long() || p == policies[0] {
		return all
	}
	return all[len(all)-1:]
}

// deletes reports whether a point lies on the way of a deletion, where an
// account that keeps its mail on the server never comes.
func deletes(point string) bool {
	switch point {
	case failpoint.Intended, failpoint.Deleted, failpoint.Acknowledged, failpoint.Recorded:
		return true
	default:
		return false
	}
}

// A kill at each step between RETR and the day an id is forgotten, with every
// policy, loses nothing, doubles nothing, and does not change what is left on
// the server.
func TestKilledAtEachStep(t *testing.T) {
	rig.Need(t, "dovecot")
	d, link := distant(t)
	for _, keep := range policies {
		for _, point := range failpoint.Fetching() {
			if deletes(point) && !keep.deletes() {
				continue
			}
			for _, n := range moments(keep, point) {
				t.Run(fmt.Sprintf("%s/%s/%d", keep, point, n), func(t *testing.T) {
					t.Parallel()
					s := newSeries(t, d, link, keep, "")
					if !s.life(fmt.Sprintf("%s=%d", point, n), s.check) {
						t.Error("never came to this point")
					}
				})
			}
		}
	}
}

// life takes a mailbox through all a message can go through, with one kill at
// the failpoint wherever it comes first; died is called after it.
func (s *series) life(failpoint string, died func()) (fired bool) {
	s.t.Helper()
	step := func() {
		s.t.Helper()
		if !fired {
			if fired = s.sync(s.t.Context(), failpoint); fired {
				died()
			}
		}
		s.finish()
	}
	s.put(40)
	step()
	s.verifyServer()
	if s.policy.waits() {
		s.ripen()
		step()
	}
	if !s.policy.deletes() {
		s.removeElsewhere(5)
	}
	s.passAbsent()
	step()
	s.put(3) // and life goes on
	step()
	s.verify()
	s.verifyServer()
	return fired
}

// kills is how many random moments are tried with each policy: POPBRIDGE_KILLS,
// or usual, which is fewer than `make crash` tries.
func kills(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("POPBRIDGE_KILLS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// The same at moments no one chose.
func TestKilledAtRandomMoments(t *testing.T) {
	rig.Need(t, "dovecot")
	d, link := distant(t)
	for _, keep := range policies {
		t.Run(keep.String(), func(t *testing.T) {
			t.Parallel()
			newSeries(t, d, link, keep, "").randomKills(kills(t, 7), func() {})
		})
	}
}

// randomKills kills a program that always has something to do, n times, and
// looks at the result after every tenth.
func (s *series) randomKills(n int, died func()) {
	s.t.Helper()
	seed := uint64(time.Now().UnixNano())
	s.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s.put(30)
	begin := time.Now()
	s.finish()
	whole := time.Since(begin)
	for done, tries := 0, 0; done < n; tries++ {
		if tries > 10*n {
			s.t.Fatalf("only %d of %d kills came in time", done, n)
		}
		s.put(30)
		if s.policy.waits() && random.IntN(2) == 0 {
			s.ripen()
		}
		after := time.Duration(random.Int64N(int64(whole)))
		ctx, cancel := context.WithTimeout(s.t.Context(), after)
		killed := s.sync(ctx, "")
		cancel()
		if !killed {
			continue
		}
		died()
		if done++; done%10 == 0 || done == n {
			s.finish()
			s.verify()
		}
	}
	s.ripen()
	s.finish()
	s.verify()
	s.verifyServer()
	s.t.Logf("%d kills, %d messages, whole run %v", n, s.sent, whole.Round(time.Millisecond))
}
