package bridge

import (
	"cmp"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
)

const (
	maxProblems      = 1000 // remembered; beyond that a message is tried at each poll
	maxShownProblems = 100
)

// problems remembers the messages of one account that could not be fetched and
// when to try them again. It belongs to the running poll; what it shows is
// remembered over a restart (pollState.Issues).
type problems struct {
	byID map[problemID]Problem
}

// problemID names a message across sessions as well as its listing can.
type problemID struct {
	uidl string
	num  int // only without a UIDL
	size int64
}

func idOf(l plan.Listed) problemID {
	if l.UIDL == "" {
		return problemID{num: l.Num, size: l.Size}
	}
	return problemID{uidl: l.UIDL, size: l.Size}
}

// failed records that the server answered and the message did not come.
// It reports whether that is remembered.
func (p *problems) failed(f plan.Fetch, reason string, now time.Time) bool {
	return p.record(f, reason, now, 0)
}

// tooLarge records that more came of this message than limit. It is asked for
// again now and then, as the size that LIST tells is no proof.
func (p *problems) tooLarge(f plan.Fetch, reason string, now time.Time, limit int64) bool {
	known := p.record(f, reason, now, 0)
	if known {
		q := p.byID[idOf(f.Listed)]
		q.NextTry, q.Limit = now.Add(retryTooLarge), limit
		p.byID[idOf(f.Listed)] = q
	}
	return known
}

// cut records that the connection was lost at this message. The first time
// proves nothing: the message is only tried last in the next session.
func (p *problems) cut(f plan.Fetch, reason string, now time.Time) {
	p.record(f, reason, now, 1)
}

func (p *problems) record(f plan.Fetch, reason string, now time.Time, free int) bool {
	id := idOf(f.Listed)
	old, known := p.byID[id]
	if !known && len(p.byID) >= maxProblems {
		return false
	}
	if p.byID == nil {
		p.byID = make(map[problemID]Problem)
	}
	next := Problem{Num: f.Num, UIDL: f.UIDL, Size: f.Size, Reason: reason, Attempts: old.Attempts + 1, NextTry: now}
	if n := next.Attempts - free; n > 0 {
		next.NextTry = now.Add(backoff(retryMessageFirst, retryMessageCap, n))
	}
	p.byID[id] = next
	return true
}

// order puts the messages to fetch into the order to fetch them in: those that
// failed last, those whose time has not come left out.
func (p *problems) order(fetch []plan.Fetch, now time.Time) (ready []plan.Fetch, waiting int) {
	if len(p.byID) == 0 {
		return fetch, 0
	}
	var last []plan.Fetch
	for _, f := range fetch {
		switch problem, known := p.byID[idOf(f.Listed)]; {
		case !known:
			ready = append(ready, f)
		case now.Before(problem.NextTry) && problem.NextTry.Sub(now) <= retryTooLarge:
			waiting++ // a time further away is that of another clock
		default:
			last = append(last, f)
		}
	}
	return append(ready, last...), waiting
}

// retry makes the next session try all of them.
func (p *problems) retry(now time.Time) {
	for id, problem := range p.byID {
		problem.NextTry = now
		p.byID[id] = problem
	}
}

// solved forgets the problem of a message that has come.
func (p *problems) solved(f plan.Fetch) { delete(p.byID, idOf(f.Listed)) }

// keepOnly forgets the problems of messages that are no longer listed.
func (p *problems) keepOnly(fetch []plan.Fetch) {
	if len(p.byID) == 0 {
		return
	}
	listed := make(map[problemID]bool, len(p.byID))
	for _, f := range fetch {
		if id := idOf(f.Listed); p.byID[id].Attempts > 0 {
			listed[id] = true
		}
	}
	for id := range p.byID {
		if !listed[id] {
			delete(p.byID, id)
		}
	}
}

// list returns the problems to show, those tried next first.
func (p *problems) list() []Problem {
	all := make([]Problem, 0, len(p.byID))
	for _, problem := range p.byID {
		all = append(all, problem)
	}
	slices.SortFunc(all, func(a, b Problem) int {
		return cmp.Or(a.NextTry.Compare(b.NextTry), cmp.Compare(a.Num, b.Num))
	})
	return all[:min(len(all), maxShownProblems)]
}
