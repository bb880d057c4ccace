package localimap

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"
)

// admit counts a new session before login. Where there is no room it takes it
// from another one without a login, which the caller has to drop; when there is
// none, the new one is refused.
func (s *Server) admit(c *session) (victim *session, refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns > maxConnections || len(s.anon) >= maxUnauthenticated {
		s.crowd.add()
		if victim = s.victimLocked(); victim == nil {
			return nil, fmt.Sprintf("[LIMIT] Too many connections, at most %d", maxConnections)
		}
		s.forgetLocked(victim)
	}
	s.anon = append(s.anon, c)
	return victim, ""
}

// victimLocked returns the session without a login that is dropped first: the
// oldest that has had the time to say something and has not, else the oldest
// whose password is not being checked, else the oldest; nil when there is none.
func (s *Server) victimLocked() *session {
	for _, dispensable := range []func(*session) bool{
		func(c *session) bool { return !c.conn.heard.Load() && time.Since(c.conn.began) > speakWithin },
		func(c *session) bool { return !c.checking.Load() },
		func(*session) bool { return true },
	} {
		if i := slices.IndexFunc(s.anon, dispensable); i >= 0 {
			return s.anon[i]
		}
	}
	return nil
}

// forgetLocked takes a session off those before login.
func (s *Server) forgetLocked(c *session) bool {
	i := slices.Index(s.anon, c)
	if i >= 0 {
		s.anon = slices.Delete(s.anon, i, i+1)
	}
	return i >= 0
}

// enter moves a session from those before login to those of the device.
func (s *Server) enter(c *session, who login) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.logins {
		if l == who {
			n++
		}
	}
	if n >= maxPerDevice {
		return no(imap.ResponseCodeLimit, fmt.Sprintf("Too many connections of this device, at most %d", maxPerDevice))
	}
	if !s.forgetLocked(c) {
		return no(imap.ResponseCodeUnavailable, "The connection is closing") // it was dropped meanwhile
	}
	s.logins[c], c.enteredAt = who, time.Now()
	return nil
}

// exit undoes enter.
func (s *Server) exit(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.anon = append(s.anon, c)
	delete(s.logins, c)
}

// release takes a session out of the counts.
func (s *Server) release(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(c)
	delete(s.logins, c)
}

// sumEvery is how often the log says what happens again and again.
const sumEvery = time.Minute

// crowding tells that connections are dropped or refused because there are too
// many: at once by tell, and summed up in the log.
type crowding struct {
	log  zerolog.Logger
	tell func(crowded bool)

	mu    sync.Mutex
	n     int         // since the last line of the log
	timer *time.Timer // nil when it is not crowded
}

func (c *crowding) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.timer == nil {
		c.timer = time.AfterFunc(sumEvery, c.sum)
		c.tell(true)
	}
}

func (c *crowding) sum() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timer == nil: // ended meanwhile
	case c.n > 0:
		c.logLocked()
		c.timer.Reset(sumEvery)
	default:
		c.timer = nil
		c.tell(false)
	}
}

func (c *crowding) logLocked() {
	c.log.Warn().Int("count", c.n).Msg("IMAP connections were dropped, because there were too many without a login or in all")
	c.n = 0
}

// end is the end of serving.
func (c *crowding) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		return
	}
	c.timer.Stop()
	c.timer = nil
	if c.n > 0 {
		c.logLocked()
	}
	c.tell(false)
}
