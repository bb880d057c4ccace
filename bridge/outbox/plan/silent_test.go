package plan

import (
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// From the second final dot in a row that is not answered the account rests, more and more
// rarely interrupted, also over restarts and logins, until one is answered.
func TestPauseSilent(t *testing.T) {
	const h = time.Hour
	lost := Decision{Stalled: true, Attempt: mailstore.Attempt{Unknown: true}}
	var p Pause
	at := now
	for n, want := range []time.Duration{0, h, 2 * h, 4 * h, 8 * h, 16 * h, 24 * h, 24 * h} {
		trouble := p.Tried(lost, false)
		if trouble != None {
			p.Met(trouble, at, 0.5)
		}
		p.Wake()
		p = p.Lasting().Pause()
		p.LoggedIn()
		if rest := max(p.Until.Sub(at), 0); trouble != map[bool]Trouble{true: Silent}[n > 0] || rest != want {
			t.Errorf("%d in a row: trouble %d, rests %v, want %v", n+1, trouble, rest, want)
		}
		at = at.Add(want)
		switch n {
		case 2:
			p.Worked() // another was refused before its dot
		case 4:
			p.Tried(stalled, false)
		}
	}
	for _, answer := range []Decision{{Answered: true}, {Answered: true, Stalled: true}, {Answered: true, Account: Quota}} {
		p.Tried(answer, false)
		if got := p.Tried(lost, false); got == Silent {
			t.Errorf("one dot without an answer after %+v: trouble %d", answer, got)
		}
		if p.Tried(lost, true) == Silent {
			t.Errorf("one message twice after %+v", answer)
		}
	}
}
