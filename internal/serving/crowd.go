package serving

import (
	"fmt"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Refused says why a client is not served, in words for it.
type Refused struct {
	Text  string
	Limit bool // there are too many
}

func (r *Refused) Error() string { return r.Text }

// admit counts a new session before login. Where there is no room it takes it
// from another one without a login, which the caller has to drop; when there is
// none, the new one is refused.
func (s *Server[S]) admit(c *client[S]) (victim *client[S], refused *Refused) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns > MaxConnections || len(s.anon) >= MaxUnauthenticated {
		s.crowd.add()
		if victim = s.victimLocked(); victim == nil {
			return nil, &Refused{fmt.Sprintf("Too many connections, at most %d", MaxConnections), true}
		}
		s.forgetLocked(victim.session)
	}
	s.anon = append(s.anon, c)
	return victim, nil
}

// victimLocked returns the session without a login that is dropped first: the
// oldest that has had the time to say something and has not, else the oldest
// whose password is not being checked, else the oldest; nil when there is none.
func (s *Server[S]) victimLocked() *client[S] {
	for _, dispensable := range []func(*Conn) bool{
		func(c *Conn) bool { return !c.Heard.Load() && time.Since(c.began) > SpeakWithin },
		func(c *Conn) bool { return !c.Checking.Load() },
		func(*Conn) bool { return true },
	} {
		if i := slices.IndexFunc(s.anon, func(c *client[S]) bool { return dispensable(c.session.Connection()) }); i >= 0 {
			return s.anon[i]
		}
	}
	return nil
}

// forgetLocked takes a session off those before login, and returns it; nil where it is
// none of them.
func (s *Server[S]) forgetLocked(session S) *client[S] {
	i := slices.IndexFunc(s.anon, func(c *client[S]) bool { return c.session == session })
	if i < 0 {
		return nil
	}
	c := s.anon[i]
	s.anon = slices.Delete(s.anon, i, i+1)
	return c
}

// Authorize logs a session in whose client has sent name; login says who that is, or returns
// a fault.Auth. Other errors are *Refused.
func (s *Server[S]) Authorize(session S, name string, login func() (Login, error)) error {
	c := session.Connection()
	c.Checking.Store(true)
	defer c.Checking.Store(false)
	who, err := login()
	if fault.Is(err, fault.Auth) {
		s.opt.Log.Debug().Str("user", fault.Quote(name)).Stringer("remote", c.RemoteAddr()).Msg(s.opt.Protocol + " login refused")
		supervise.Sleep(c.Context, loginDelay)
	}
	if err == nil {
		err = s.Enter(session, who)
	}
	if err != nil {
		return err
	}
	// The device may have been revoked or changed meanwhile. From here on
	// Disconnect finds this session, so that a later revocation ends it.
	again, err := login()
	if err == nil && again != who {
		err = fault.New(fault.Auth, "user name or password refused", "")
	}
	if err != nil {
		s.Exit(session)
		return err
	}
	s.opt.Log.Debug().Str("user", who.User).Str("device", who.Device).Stringer("remote", c.RemoteAddr()).Msg(s.opt.Protocol + " client logged in")
	return nil
}

// Enter moves a session from those before login to those of the device. Its errors are
// *Refused.
func (s *Server[S]) Enter(session S, who Login) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.logins {
		if c.who == who {
			n++
		}
	}
	if n >= s.opt.PerDevice {
		return &Refused{fmt.Sprintf("Too many connections of this device, at most %d", s.opt.PerDevice), true}
	}
	c := s.forgetLocked(session)
	if c == nil {
		return &Refused{"The connection is closing", false} // it was dropped meanwhile
	}
	c.who, c.since = who, time.Now()
	s.logins[session] = c
	return nil
}

// Exit undoes Enter.
func (s *Server[S]) Exit(session S) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.logins[session]; c != nil {
		s.anon = append(s.anon, c)
		delete(s.logins, session)
	}
}

// Release takes a session out of the counts, before its client sees the end.
func (s *Server[S]) Release(session S) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(session)
	delete(s.logins, session)
}
