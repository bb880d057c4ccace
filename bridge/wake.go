package bridge

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// resumeSchedule goes on where an earlier run ended. After a poll that runs
// already there is a schedule.
func (r *Runner) resumeSchedule(ctx context.Context) {
	r.mu.Lock()
	running := r.flight != nil && r.flight.started
	r.mu.Unlock()
	if running || r.takeTurn(ctx) != nil {
		return
	}
	defer r.endTurn()
	if r.load(ctx) != nil {
		return // the first poll reports it
	}
	r.update(func(s *Status) {
		if s.State != Paused {
			// One try for an account that an earlier run has paused: its password
			// may have been mended since.
			r.notes.Refusals = min(r.notes.Refusals, refusalsPause-1)
		}
		s.NextPoll = r.earliestLocked()
	})
}

// pauseLocked stops polling until somebody asks for it.
func (r *Runner) pauseLocked(s *Status) {
	s.State, s.NextPoll = Paused, time.Time{}
	s.Hint = "the password was refused " + strconv.Itoa(r.notes.Refusals) + " times, so it is not tried again by itself: set the right one, then restart popbridge or run `popbridge sync " + r.account.Name + "`"
}

// earliestLocked is when the server will have the next login.
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
		if earliest := r.earliestLocked(); s.State != Paused && !s.NextPoll.IsZero() && s.NextPoll.Before(earliest) {
			s.NextPoll = earliest
		}
		if r.notes.Refusals >= refusalsPause && s.State != Polling {
			r.pauseLocked(s)
		}
	})
	r.nudge()
}

// wakeAfter is the least time between two polls that Wake brings about.
const wakeAfter = time.Minute

// Wake makes Serve poll soon, unless it polled within the last minute, the
// server wants logins further apart, or the account is in trouble. It returns
// at once.
func (r *Runner) Wake() {
	r.mu.Lock()
	least := max(wakeAfter, r.status.MinInterval)
	ready := r.status.State == Idle && r.flight == nil && r.serving && r.now().Sub(r.lastEnd) >= least
	if ready {
		r.flight = newFlight()
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
// polls as soon as the server allows, after failures too. A pause goes on. It
// returns at once.
func (r *Runner) Resume(reason string) {
	r.mu.Lock()
	drop := r.drop
	if r.serving && r.flight == nil && r.status.State != Paused {
		r.status.NextPoll = r.earliestLocked()
	}
	r.mu.Unlock()
	r.log.Debug().Str("reason", reason).Bool("polling", drop != nil).Msg("resumed")
	if drop != nil {
		drop(errResumed)
	}
	r.nudge()
}

func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // a wake-up is on its way
	}
}
