package bridge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
)

// A refused password is tried again, so that an outage of the provider's login
// service ends by itself, and more and more rarely, so that the provider does
// not lock the account. A server that hangs up when it gets the password refuses
// it or has an outage: it is tried more often before the long pauses.
const (
	refusedFirst  = time.Minute // after the first refusal, then twice as long
	refusalsPause = 3           // refusals in a row before the long pauses
	hangUpsPause  = 6
	pauseFirst    = time.Hour
	refusedCap    = 24 * time.Hour
	hungUpCap     = 6 * time.Hour

	// askedAfter is the least time between two logins that mail clients and the
	// network bring about in a long pause.
	askedAfter = 15 * time.Minute

	// withoutFor is how long a command is avoided at which the server hangs up.
	withoutFor = 7 * 24 * time.Hour
)

// loginPause is the least time from the last refusal to the next login.
func (n *pollState) loginPause() (d time.Duration) {
	switch {
	case n.Refusals >= refusalsPause:
		d = backoff(pauseFirst, refusedCap, n.Refusals-refusalsPause+1)
	case n.Refusals > 0:
		d = backoff(refusedFirst, refusedCap, n.Refusals)
	}
	if n.HangUps >= hangUpsPause {
		d = max(d, backoff(pauseFirst, hungUpCap, n.HangUps-hangUpsPause+1))
	}
	return d
}

// longPause reports whether loginPause is one of the long ones.
func (n *pollState) longPause() bool { return n.Refusals >= refusalsPause || n.HangUps >= hangUpsPause }

// nextLogin is when the next login may be tried after a poll that failed.
func (r *Runner) nextLogin() time.Time {
	return time.Unix(r.memory.pollState.RefusedAt, 0).Add(jitter(r.memory.pollState.loginPause(), 0.1, r.rand()))
}

// pauseHint says how an account goes on whose logins fail.
func (r *Runner) pauseHint(err error, next time.Time) string {
	secret, again := "password", "at once when the password changes, after a restart and"
	switch {
	case r.account.Renew != nil:
		secret, again = "token", "at once after another sign-in, after a restart and"
	case r.token:
		secret, again = "token", "sooner with another token, at once after a restart and"
	}
	what := fmt.Sprintf("the %s was refused %d times in a row", secret, r.memory.pollState.Refusals)
	if r.memory.pollState.Refusals < refusalsPause {
		what = fmt.Sprintf("the server hung up at the %s %d times in a row", secret, r.memory.pollState.HangUps)
	}
	hint := fmt.Sprintf("%s, so it is tried less often, next at %s; %s with `popbridge sync %s`",
		what, next.Local().Format("Mon 15:04 MST"), again, r.account.Name)
	if more := fault.Hint(err); more != "" {
		hint = more + "; " + hint
	}
	return hint
}

// refused learns from a login that did not go through.
func (s *session) refused(err error, since time.Duration) {
	switch {
	case fault.Is(err, fault.Auth):
		s.memory.pollState.Refusals++
		s.memory.pollState.RefusedAt = s.now().Unix()
	case errors.Is(err, pop3.ErrHungUp):
		s.memory.pollState.HangUps++
		s.memory.pollState.RefusedAt = s.now().Unix()
	case errors.Is(err, pop3.ErrLoginDelay):
		s.memory.pollState.raise(since, s.account.PollEvery, s.now())
		s.runner.update(func(st *Status) { st.MinInterval = s.memory.pollState.floor() })
		s.log.Info().Dur("interval", s.memory.pollState.floor()).Msg("server wants logins further apart")
	}
}

// digest tells one secret from another.
func digest(c pop3.Credentials) [sha256.Size]byte {
	return sha256.Sum256([]byte(c.Username + "\x00" + c.Secret))
}

// secretChanged reports whether the secret is another one than was used last. A token is
// another one each hour, whatever the server thinks of it: it counts when a quarter of the
// pause is over.
func (r *Runner) secretChanged(ctx context.Context) bool {
	c, err := r.account.Credentials(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || digest(c) == r.tried {
		return false
	}
	return c.Method != pop3.MethodToken || r.now().Sub(r.lastEnd) >= r.status.NextPoll.Sub(r.lastEnd)/4
}

// Retry makes Serve poll as soon as the server allows, although the last poll failed or
// logins are tried rarely. It returns at once.
func (r *Runner) Retry() {
	r.mu.Lock()
	if r.serving && r.current == nil && (r.status.State == Backoff || r.longPause) {
		r.status.NextPoll = r.earliestLocked()
	}
	r.mu.Unlock()
	r.nudge()
}

// avoided returns the commands that this session avoids.
func (s *session) avoided() []string {
	if since := s.now().Sub(time.Unix(s.memory.pollState.WithoutAt, 0)); since > withoutFor || since < 0 {
		s.memory.pollState.Without = nil
	}
	if s.memory.trial != "" {
		return append(slices.Clone(s.memory.pollState.Without), s.memory.trial)
	}
	return s.memory.pollState.Without
}

// avoid looks at an error that ended a session before the listing, and reports
// whether another session should try without the command it happened at. USER
// and PASS replace AUTH at once; that a server has no CAPA or UIDL is believed
// when it hangs up there twice in a row.
func (s *session) avoid(err error) bool {
	command, tried := "", s.memory.trial
	if lost, ok := errors.AsType[*pop3.LostError](err); ok {
		command = lost.Command
	}
	again := s.memory.lostAt == command
	s.memory.lostAt, s.memory.trial = command, ""
	switch {
	case slices.Contains(s.avoided(), command), command == tried:
		return false
	case command == "AUTH", command == "CAPA" && again, command == "UIDL" && again && !s.memory.state.HadUIDL:
		s.memory.trial = command
	}
	return s.memory.trial != ""
}

// worked notes that the server does well without the command of the trial.
func (s *session) worked(commands ...string) {
	if slices.Contains(commands, s.memory.lostAt) {
		s.memory.lostAt = ""
	}
	if s.memory.trial != "" && slices.Contains(commands, s.memory.trial) {
		s.memory.pollState.Without, s.memory.pollState.WithoutAt = s.avoided(), s.now().Unix()
		s.log.Info().Str("command", s.memory.trial).Msg("server hangs up at a command and goes on without it")
		s.memory.trial = ""
	}
}
