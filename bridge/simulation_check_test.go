package bridge

import (
	"slices"
	"time"
)

func (sim *simulation) check(delivered func(account string, m *popMessage) int) {
	for _, a := range sim.accounts {
		a.t.Logf("%s: %d messages, %d logins, %d outages", a.name, len(a.arrived), len(a.attempts), len(a.outages))
		bad := 0
		for n, m := range a.arrived {
			if c := delivered(a.name, m); c != 1 && bad < 5 {
				bad++
				a.t.Errorf("%s: message %d arrived %d times", a.name, n, c)
			}
		}
		a.checkPace()
		a.checkSchedule()
		if p := a.runner.Status().Problems; len(p) > 0 {
			a.t.Errorf("%s: problems %v", a.name, p)
		}
	}
}

// checkPace: a delay that is announced is kept; one that is not is learned from
// a few refusals.
func (a *simAccount) checkPace() {
	early := 0
	for _, at := range a.attempts {
		if at.early {
			early++
		}
	}
	if limit := 12; early > 0 && !a.silent || early > limit {
		a.t.Errorf("%s: %d of %d logins came too early", a.name, early, len(a.attempts))
	}
}

// checkSchedule: the schedule after each poll is within the interval, or the
// back-off after a failure, and is kept to the second. So it is however long a
// server was away, and once it is back it takes a back-off at most.
func (a *simAccount) checkSchedule() {
	floor := a.delay + a.delay/10
	if a.silent {
		floor += floor / 2 // as learned from a refusal just before the time
	}
	limits := map[State]time.Duration{
		Idle:    max(a.every+a.every/10, floor),
		Backoff: max(backoffCap+backoffCap/5, a.every+a.every/5, floor),
	}
	for i, p := range a.plans[:len(a.plans)-1] {
		next, told := p.status.NextPoll, a.plans[i+1]
		if p.ended || next.IsZero() {
			continue
		}
		if d := next.Sub(p.at); d > limits[p.status.State] && !told.ended {
			a.t.Errorf("%s: %s at %v, next poll after %v", a.name, p.status.State, p.at, d)
		}
		if !told.ended && told.at.Sub(next) > time.Second || told.at.After(next) && told.ended {
			a.t.Errorf("%s: the poll of %v came at %v", a.name, next, told.at)
		}
	}
	for _, o := range a.outages {
		n, _ := slices.BinarySearchFunc(a.attempts, o.to, func(at attempt, t time.Time) int { return at.at.Compare(t) })
		if n == len(a.attempts) || a.attempts[n].at.Sub(o.to) > limits[Backoff] {
			a.t.Errorf("%s: was not visited in time after it came back at %v", a.name, o.to)
		}
	}
}
