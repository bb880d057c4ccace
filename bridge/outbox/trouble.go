package outbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/sasl"
)

// noticeAfter is how long the account has trouble before a person is told by mail.
const noticeAfter = time.Hour

// met notes trouble of the account, which rests then, as long as the server has said where
// it has.
func (r *Runner) met(t plan.Trouble, err error, wait time.Duration) {
	now := r.o.Now()
	r.mu.Lock()
	r.pause.Met(t, now, r.o.Rand())
	r.pause.Said(wait)
	until, news, online := r.pause.Until, r.status.LastError != err.Error(), r.online
	r.mu.Unlock()
	event := r.log.Debug()
	if news {
		event = r.log.Warn()
	}
	event.Err(err).Time("next", until).Msg("mail of the account waits")
	if (t != plan.Offline || online || !passing(err)) && r.ailing.IsZero() {
		r.ailing = now
	}
	r.restsFor = err
	r.update(func(s *Status) { s.setErr(err) })
}

// passing reports whether an error may be no more than a computer that is offline. On
// Windows no name is found then.
func passing(err error) bool {
	_, name := errors.AsType[*net.DNSError](err)
	return name || fault.Is(err, fault.Temporary)
}

// loggedIn notes that the server has taken the login.
func (r *Runner) loggedIn() {
	r.mu.Lock()
	ended := r.pause.LoggedIn()
	r.mu.Unlock()
	if ended {
		r.recovered()
	}
}

// worked notes that the server deals with messages.
func (r *Runner) worked() {
	r.mu.Lock()
	r.pause.Worked()
	r.mu.Unlock()
	r.recovered()
}

// recovered notes that the account has no trouble.
func (r *Runner) recovered() {
	r.healthy()
	r.restsFor = nil
	r.update(func(s *Status) { s.setErr(nil) })
}

// healthy forgets since when there is trouble.
func (r *Runner) healthy() {
	r.ailing, r.noticed = time.Time{}, false
	r.mu.Lock()
	r.online = false
	r.mu.Unlock()
}

// resting returns until when the account rests, and when to look again. A secret that
// is another than the one refused ends a rest.
func (r *Runner) resting(ctx context.Context, now time.Time) (until, look time.Time) {
	r.mu.Lock()
	pause := r.pause
	r.mu.Unlock()
	if !pause.Rests(now) {
		return now, now
	}
	look = pause.Until
	earlier := func(t time.Time) {
		if t.Before(look) {
			look = t
		}
	}
	if at := r.ailing.Add(noticeAfter); !r.ailing.IsZero() && at.After(now) {
		earlier(at)
	}
	if pause.Trouble != plan.Login && pause.Trouble != plan.Barred {
		return pause.Until, look
	}
	every := r.account.SecretEvery
	if every > 0 && now.Sub(r.checked) >= every {
		r.checked = now
		c, err := r.account.Credentials(ctx)
		if err == nil && r.tried == (digested{}) { // after a restart: it may be the one that was refused
			r.tried = digest(c)
		}
		if err == nil && digest(c) != r.tried {
			r.mu.Lock()
			r.pause.NewSecret(c.Token, now)
			ended := !r.pause.Rests(now)
			r.mu.Unlock()
			if ended {
				return now, now
			}
		}
	}
	if every > 0 {
		earlier(r.checked.Add(every))
	}
	return pause.Until, look
}

// tries reports whether a message is tried although the account rests: one that was never
// tried, where a single message met the trouble, which may be its own.
func (r *Runner) tries(m *mailstore.Outgoing) bool {
	met := 0
	for _, others := range r.troubled {
		if !others {
			met++
		}
	}
	return r.byMessage && met < 2 && plan.Fresh(m)
}

// forget forgets the messages that are no longer in the queue, and with the last one since
// when there is trouble.
func (r *Runner) forget(queue []mailstore.Outgoing) {
	left := func(id mailstore.OutgoingID) bool {
		return !slices.ContainsFunc(queue, func(m mailstore.Outgoing) bool { return m.ID == id })
	}
	maps.DeleteFunc(r.troubled, func(id mailstore.OutgoingID, _ bool) bool { return left(id) })
	r.late, r.stuck = slices.DeleteFunc(r.late, left), slices.DeleteFunc(r.stuck, left)
	if !slices.ContainsFunc(queue, func(m mailstore.Outgoing) bool { return m.State == mailstore.Waiting }) {
		r.healthy() // no one waits for the end of it
	}
}

// digested tells one secret from another.
type digested [sha256.Size]byte

func digest(c sasl.Credentials) digested {
	return sha256.Sum256([]byte(c.Username + "\x00" + c.Secret))
}

// notice tells a person by mail that the account does not send, once for each time
// that it stops to: of all that wait, the first one that a person has sent.
func (r *Runner) notice(ctx context.Context, queue []mailstore.Outgoing) {
	now := r.o.Now()
	if r.ailing.IsZero() || r.noticed || r.restsFor == nil || now.Sub(r.ailing) < noticeAfter {
		return
	}
	i := slices.IndexFunc(queue, func(m mailstore.Outgoing) bool { return m.State == mailstore.Waiting && m.From != "" })
	if i < 0 {
		return
	}
	m := &queue[i]
	r.noticed = r.tell(ctx, r.o.Delayed, report{Message: *m, Recipients: pending(m), About: delay, Reason: reasonOf(r.restsFor), Since: r.ailing, Now: now}, r.headerOf(ctx, m.ID))
}

// pending are the recipients that still wait.
func pending(m *mailstore.Outgoing) (out []mailstore.OutgoingRecipient) {
	for _, rcpt := range m.Recipients {
		if rcpt.State == mailstore.Pending {
			out = append(out, rcpt)
		}
	}
	return out
}

// troubleOf says what sort of trouble an error before any message is. Whatever may count
// towards locking the account is trouble with the login: a refusal for good, and a server
// that goes away or says nothing when it gets the password.
func troubleOf(err error, atLogin bool) plan.Trouble {
	reply, isReply := errors.AsType[*smtp.ReplyError](err)
	switch {
	case atLogin && fault.Is(err, fault.Auth), atLogin && isReply && reply.Permanent(), atLogin && !isReply && fault.Is(err, fault.Temporary):
		return plan.Login
	case isReply:
		return plan.Busy
	}
	return plan.Offline
}
