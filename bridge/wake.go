package bridge

import (
	"context"
	"errors"
	"time"
)

// resumeSchedule goes on where an earlier run ended. After a poll that runs
// already there is a schedule.
func (r *Runner) resumeSchedule(ctx context.Context) {
	r.mu.Lock()
	running := r.current != nil && r.current.started
	r.mu.Unlock()
	if running || r.takeTurn(ctx) != nil {
		return
	}
	defer r.endTurn()
	if r.load(ctx) != nil {
		return // the first poll reports it
	}
	r.update(func(s *Status) { s.NextPoll = r.earliestLocked() })
}

// earliestLocked is the earliest time at which the server accepts another login.
func (r *Runner) earliestLocked() time.Time {
	now := r.now()
	floor := r.status.MinInterval
	if since := now.Sub(r.lastLogin); since >= 0 && since < floor {
		return r.lastLogin.Add(floor)
	}
	return now
}

// visited keeps the schedule at the distance the server wants from a login
// that was no poll.
func (r *Runner) visited() {
	r.update(func(s *Status) {
		earliest := r.earliestLocked()
		if r.longPause = r.memory.pollState.longPause(); r.longPause {
			earliest = r.nextLogin()
		}
		if !s.NextPoll.IsZero() && s.NextPoll.Before(earliest) {
			s.NextPoll = earliest
		}
	})
	r.nudge()
}

// wakeAfter is the least time between two polls that Wake brings about.
const wakeAfter = time.Minute

// Wake makes Serve poll soon, unless it polled within the last minute, the
// server wants logins further apart, or the last poll failed. Where logins fail
// and are tried rarely it brings one about every 15 minutes at most. It returns
// at once.
func (r *Runner) Wake() {
	r.mu.Lock()
	least := max(wakeAfter, r.status.MinInterval)
	usable := r.status.State == Idle
	if r.longPause {
		least, usable = max(askedAfter, least), r.status.State == Backoff
	}
	ready := usable && r.current == nil && r.serving && r.now().Sub(r.lastEnd) >= least
	if ready {
		r.current = newPollRun()
	}
	r.mu.Unlock()
	if ready {
		r.nudge()
	}
}

// errResumed ends a session whose connection is no longer trusted.
var errResumed = errors.New("the computer was asleep, or the network changed")

// Resume tells that the computer was asleep, the clock jumped or the network
// changed: a session that runs is ended and followed by another, and Serve
// polls as soon as the server allows, after failures too; where logins fail and
// are tried rarely, every 15 minutes at most. It returns at once.
func (r *Runner) Resume(reason string) {
	r.mu.Lock()
	drop := r.drop
	if r.serving && r.current == nil && (!r.longPause || r.now().Sub(r.lastEnd) >= askedAfter) {
		r.status.NextPoll = r.earliestLocked()
	}
	r.mu.Unlock()
	r.log.Debug().Str("reason", reason).Bool("polling", drop != nil).Msg("resumed")
	if drop != nil {
		drop(errResumed)
	}
	r.nudge()
}

// soon makes Serve poll as soon as the server allows, unless logins fail and are tried
// rarely.
func (r *Runner) soon() {
	r.mu.Lock()
	if r.serving && r.current == nil && !r.longPause {
		r.status.NextPoll = r.earliestLocked()
	}
	r.mu.Unlock()
	r.nudge()
}

func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // a wake-up is on its way
	}
}
