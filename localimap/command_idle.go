package localimap

import (
	"strings"
	"time"
)

const (
	// askTwice is how soon after a NOOP another one means that somebody waits for
	// mail.
	askTwice = 10 * time.Second
	// mergeWithin is how long IDLE waits after it has told something, so that a
	// burst of changes is not told one by one.
	mergeWithin = 50 * time.Millisecond
	// stillHereEvery is how often IDLE says something where nothing changes. It
	// finds clients that are gone and keeps routers from forgetting the others;
	// telephones pay for it with their battery. Clients begin a new IDLE before
	// 29 minutes are over (RFC 9051 section 6.3.13).
	stillHereEvery = 25 * time.Minute
)

// idle tells what has changed and goes on telling until the client sends DONE (RFC
// 9051 section 6.3.13).
func (s *session) idle() (string, error) {
	if err := s.in.End(); err != nil {
		return "", err
	}
	s.acted = true
	s.conn.line("+ idling")
	var changed <-chan struct{} // without a mailbox there is nothing to tell
	if s.view != nil {
		changed = s.view.feed.Changed()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !s.in.Waiting() && !s.conn.arrived() {
		if s.view != nil {
			if !s.inSight() {
				return "", errAnswered
			}
			s.view.sync(s.ctx, s.conn, true)
		}
		if err := s.conn.flush(); err != nil {
			return "", errAnswered
		}
		s.rest(timer, mergeWithin, nil) // what comes soon after is told as one
		if !s.conn.arrived() && s.rest(timer, stillHereEvery, changed) {
			s.conn.line("* OK Still here")
		}
		if s.ctx.Err() != nil {
			return "", errAnswered
		}
	}
	line, err := s.in.Line()
	if err == nil && !strings.EqualFold(strings.TrimSpace(line), "DONE") {
		err = bad("Expected DONE")
	}
	return "", err
}

// rest waits for the mailbox to change, for the client to send something, or for
// the end of the connection. It reports whether nothing has come within d.
func (s *session) rest(timer *time.Timer, d time.Duration, changed <-chan struct{}) (quiet bool) {
	timer.Reset(d)
	select {
	case <-changed:
	case <-timer.C:
		return true
	case <-s.conn.more:
	case <-s.ctx.Done():
	}
	return false
}
