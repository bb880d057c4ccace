package test

import (
	"fmt"
	"testing"

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
	for _, point := range failpoint.Sending() {
		hits := []int{1}
		if point == failpoint.Commit || point == failpoint.Publish { // which every transaction passes
			hits = []int{1, 2, 3}
		}
		for _, hit := range hits {
			t.Run(fmt.Sprint(point, "/", hit), func(t *testing.T) {
				t.Parallel()
				newSending(t).life(point, hit)
			})
		}
	}
}

// life hands a letter over and dies on the way; the mail program tries again where it was
// not told 250, and a person decides what nobody knows.
func (s *sending) life(point string, hit int) {
	t := s.t
	t.Helper()
	s.launch(fmt.Sprint(point, "=", hit))
	n := s.write("bob@example.org")
	told := rig.WaitPort(t.Context(), s.p.SMTP, s.p.Done()) == nil && s.hand(n)
	s.died()
	taken := func() int { return s.taken()[n]["bob@example.org"] }
	s.start()
	if !told && !s.hand(n) {
		t.Error("the mail program was not told 250 the second time")
	}
	doubts := s.settle()
	s.verify(doubts)
	if want, ok := outcomes[point]; ok && (want.doubt != (len(doubts) == 1) || want.doubt && want.taken != (taken() == 1)) {
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
