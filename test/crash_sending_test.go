package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/test/rig"
)

// outcome is what a kill at a step of sending leaves.
type outcome struct {
	doubt bool // it may have been sent, for all that popbridge knows
	taken bool // the provider has it
}

// outcomes are those of the steps behind the 250. Before that the message waits, or is not
// there; at some the runner may be anywhere.
var outcomes = map[string]outcome{
	failpoint.Offered:   {},
	failpoint.Handing:   {},
	failpoint.Handed:    {doubt: true},
	failpoint.Dot:       {doubt: true},
	failpoint.Dotted:    {doubt: true, taken: true},
	failpoint.Answered:  {doubt: true, taken: true},
	failpoint.Copied:    {doubt: true, taken: true},
	failpoint.Left:      {doubt: true, taken: true},
	failpoint.Concluded: {taken: true},
}

// A kill at each step between DATA and the copy in Sent loses nothing and sends nothing
// twice: where the program cannot know, a person decides.
func TestKilledAtEachStepOfSending(t *testing.T) {
	for _, at := range stepsOfSending() {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			newSending(t, "").life(at, func() {})
		})
	}
}

// step is a failpoint, and the time that the program comes to it.
type step struct {
	point string
	hit   int
}

func (s step) String() string { return fmt.Sprint(s.point, "=", s.hit) }

func stepsOfSending() (list []step) {
	for _, point := range failpoint.Sending() {
		list = append(list, step{point, 1})
		if point == failpoint.Commit || point == failpoint.Publish { // which every transaction passes
			list = append(list, step{point, 2}, step{point, 3})
		}
	}
	return list
}

// life hands a letter over and dies on the way; the mail program tries again where it was
// not told 250, and a person decides what nobody knows. died is called after the death.
func (s *sending) life(at step, died func()) {
	t := s.t
	t.Helper()
	s.launch(at.String())
	n := s.write("bob@example.org")
	told := rig.WaitPort(t.Context(), s.p.SMTP, s.p.Done()) == nil && s.hand(n)
	s.dies()
	died()
	taken := func() int { return s.taken()[n]["bob@example.org"] }
	s.start()
	if !told && !s.hand(n) {
		t.Error("the mail program was not told 250 the second time")
	}
	doubts := s.settle()
	s.verify(doubts)
	if want, ok := outcomes[at.point]; ok && (want.doubt != (len(doubts) == 1) || want.doubt && want.taken != (taken() == 1)) {
		t.Errorf("sent %d times, in doubt: %+v, want %+v", taken(), doubts, want)
	}
	s.decide(doubts, func() bool { return taken() == 0 })
	s.verify(s.settle())
	if n := taken(); n != 1 {
		t.Errorf("sent %d times", n)
	}
	must(t, s.p.Stop())
	command(t, s.p, 0, "check")
}

// The same at moments no one chose, while mail programs hand letters over all the time, and
// the provider stalls, cuts, answers late and defers.
func TestKilledAtRandomMomentsOfSending(t *testing.T) {
	t.Parallel()
	newSending(t, "").randomKills(kills(t, 20), func() {})
}

// randomKills kills the program n times, and looks at the result after some of them. died
// is called after each.
func (s *sending) randomKills(n int, died func()) {
	s.t.Helper()
	seed := uint64(time.Now().UnixNano())
	s.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	lifetime := s.lifetime()
	doubts, deaths := 0, 0
	for done := 1; done <= n; done++ {
		s.provider.Behave(rig.Moods(random.Uint64(), lifetime/5))
		s.launch("")
		stop := s.handOver(random.Uint64(), 2)
		if random.IntN(5) > 0 { // or it may die before it is ready
			must(s.t, rig.WaitPort(s.t.Context(), s.p.SMTP, s.p.Done()))
		}
		timer := time.NewTimer(time.Duration(random.Int64N(int64(lifetime))))
		select {
		case <-timer.C:
		case <-s.p.Done():
			s.t.Fatal("it has ended by itself")
		}
		must(s.t, s.p.Kill())
		stop()
		died()
		deaths++
		switch {
		case done%7 == 0 || done == n:
			doubts += s.calm(random, deaths)
			deaths = 0
		default:
			s.due()
		}
	}
	s.t.Logf("%d kills, %d letters, %d received, %d in doubt", n, len(s.letters), len(s.provider.Received()), doubts)
}

// lifetime is how long the program lives at most: as long as some letters take.
func (s *sending) lifetime() time.Duration {
	s.t.Helper()
	begin := time.Now()
	s.start()
	if !s.hand(s.write("bob@example.org")) {
		s.t.Fatal("the mail program was not told 250")
	}
	s.settle()
	must(s.t, s.p.Stop())
	if long() {
		return 5 * time.Since(begin)
	}
	return min(3*time.Since(begin), 800*time.Millisecond)
}

// calm lets all leave that waits, and looks at the result; then a person decides about what
// is in doubt, and all has to be sent. It returns how many were in doubt: at most one for
// each death, and for each connection that the provider has cut.
func (s *sending) calm(random *rand.Rand, deaths int) int {
	s.t.Helper()
	s.provider.Behave(func() rig.Conduct { return rig.Conduct{} })
	s.due()
	command(s.t, s.p, 0, "check")
	s.start()
	doubts := s.settle()
	s.verify(doubts)
	if reasons := deaths + s.provider.Cuts() - s.cuts; len(doubts) > reasons {
		s.t.Errorf("%d in doubt, for %d reasons: %+v", len(doubts), reasons, doubts)
	}
	must(s.t, s.p.Stop())
	s.start() // which may send 30 messages in the next minute
	s.decide(doubts, func() bool { return random.IntN(2) == 0 })
	left := s.settle()
	s.verify(left)
	if len(left) > 0 {
		s.t.Errorf("in doubt without need: %+v", left)
	}
	must(s.t, s.p.Stop())
	s.cuts = s.provider.Cuts()
	return len(doubts)
}

// handOver has some mail programs hand letters over until it is stopped. One that was not
// told 250 tries again, or does not.
func (s *sending) handOver(seed uint64, programs uint64) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	died := s.p.Done()
	var wg sync.WaitGroup
	for i := range programs {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, i))
			if rig.WaitPort(ctx, s.p.SMTP, died) != nil {
				return
			}
			for ctx.Err() == nil && s.waits() < backlog {
				if n := s.next(random); !s.hand(n) {
					s.refused(n)
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}
