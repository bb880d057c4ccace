package submission

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// admit counts a new session before login. Where there is no room it takes it
// from another one without a login, which the caller has to drop; when there is
// none, the new one is refused.
func (s *Server) admit(c *session) (victim *session, refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns > maxConnections || len(s.anon) >= maxUnauthenticated {
		s.crowd.log(s.opt.Log.Warn(), "SMTP connections were dropped, because there were too many without a login or in all")
		if victim = s.victimLocked(); victim == nil {
			return nil, fmt.Sprintf("Too many connections, at most %d", maxConnections)
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
		return reply{code: 454, enhanced: "4.7.0", text: fmt.Sprintf("Too many connections of this device, at most %d", maxPerDevice)}
	}
	if !s.forgetLocked(c) {
		return reply{code: 454, enhanced: "4.7.0", text: "The connection is closing"} // it was dropped meanwhile
	}
	s.logins[c] = who
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

// rareEvery is how often the log says what happens again and again.
const rareEvery = time.Minute

// rare logs what may happen often, at most one line in rareEvery.
type rare struct {
	mu sync.Mutex
	at time.Time // of the last line
	n  int       // what was not told of since
}

func (f *rare) log(line *zerolog.Event, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; time.Since(f.at) < rareEvery {
		return
	}
	line.Int("count", f.n).Msg(what)
	f.at, f.n = time.Now(), 0
}
