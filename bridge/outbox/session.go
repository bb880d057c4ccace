package outbox

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/sasl"
	"github.com/popbridge/popbridge/internal/supervise"
)

// How long the end of a transaction may take once the context has ended: the answer
// to the final dot, and writing it down; and QUIT at any time.
const (
	stopNet   = 3 * time.Second
	stopStore = 6 * time.Second
	quitFor   = 3 * time.Second
)

// client is a session with an SMTP server; *smtp.Client is one.
type client interface {
	Login(context.Context, sasl.Credentials) error
	Send(context.Context, smtp.Envelope, io.Reader, func(context.Context, []smtp.Reply) error) (smtp.Outcome, error)
	Quit(context.Context) error
	Extensions() smtp.Extensions
	Close() error
}

// connect opens a session. What goes wrong is trouble of the account.
func (r *Runner) connect(ctx context.Context) bool {
	trouble, err := r.open(ctx)
	if err != nil && ctx.Err() == nil {
		r.byMessage = false
		reply, _ := errors.AsType[*smtp.ReplyError](err)
		wait := time.Duration(0)
		if reply != nil {
			wait = plan.Wait(reply.Reply)
		}
		r.met(trouble, err, wait)
	}
	if err != nil {
		return false
	}
	r.used = false
	r.loggedIn()
	return true
}

func (r *Runner) open(ctx context.Context) (plan.Trouble, error) {
	credentials, err := r.account.Credentials(ctx)
	if err != nil {
		return plan.Offline, err
	}
	trouble, err := r.login(ctx, credentials)
	if renew := r.account.Renew; renew != nil && fault.Is(err, fault.Auth) { // a provider may end a token early
		if credentials, err = renew(ctx, credentials); err != nil {
			return plan.Offline, err
		}
		return r.login(ctx, credentials)
	}
	return trouble, err
}

// login opens a session that is logged in.
func (r *Runner) login(ctx context.Context, credentials sasl.Credentials) (plan.Trouble, error) {
	r.tried, r.checked = digest(credentials), r.o.Now()
	session, err := r.dial(ctx)
	if err != nil {
		return troubleOf(err, false), err
	}
	if err := session.Login(ctx, credentials); err != nil {
		_ = session.Close() // nothing is lost with it
		return troubleOf(err, true), err
	}
	r.session, r.lastUsed = session, r.o.Now()
	extensions := session.Extensions()
	r.mu.Lock()
	r.extensions, r.stale = &extensions, ctx.Err() != nil
	r.mu.Unlock()
	return plan.None, nil
}

// hangUp ends the session, if there is one.
func (r *Runner) hangUp(ctx context.Context) {
	if r.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quitFor)
	defer cancel()
	_ = r.session.Quit(ctx) // every message has had its answer
	r.drop()
}

// drop closes the connection without a word.
func (r *Runner) drop() {
	_ = r.session.Close() // nothing is lost with it
	r.session = nil
}

// send tries one message.
func (r *Runner) send(ctx context.Context, m *mailstore.Outgoing) {
	body, err := r.queue.OpenOutgoing(ctx, m.ID)
	if err != nil {
		r.stick(ctx, m, err)
		return
	}
	defer func() { _ = body.Close() }() // it was only read
	to := plan.Recipients(m, r.limits(r.o.Now()).Recipients)
	if len(to) == 0 {
		r.stick(ctx, m, errors.New("no recipient is left to try"))
		return
	}
	r.unstick(m.ID)
	net, done := r.untilResumed(ctx)
	defer done()
	if r.session == nil && !r.connect(net) {
		return
	}
	try := plan.Try{Message: m, To: to, Alone: r.troubled[m.ID]}
	if !r.transact(net, &try, body) {
		return
	}
	try.Now, try.Rand = r.o.Now(), r.o.Rand()
	d := plan.Decide(try)
	if n := acceptedBy(d); n > 0 && r.account.Limits.String() != "" { // else nobody counts a day
		r.pace.Sent(try.Now, n)
	}
	r.conclude(ctx, m, body, d)
	r.learn(m, d)
}

// untilResumed returns the context of what a session does up to a final dot. A session that
// Resume has told to be of no use is closed.
func (r *Runner) untilResumed(ctx context.Context) (context.Context, context.CancelFunc) {
	net, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	stale := r.stale
	r.dropping, r.stale = cancel, false
	if r.ending { // it came since the round began
		cancel()
	}
	r.mu.Unlock()
	if stale && r.session != nil {
		r.drop()
	}
	return net, func() { r.committed(); cancel() }
}

// committed keeps Resume from ending what the session does.
func (r *Runner) committed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropping = nil
}

// transact goes through one transaction, and reports whether there is anything to
// conclude from it.
func (r *Runner) transact(ctx context.Context, try *plan.Try, body io.Reader) bool {
	m := try.Message
	r.pace.Began(r.o.Now())
	file := &source{in: body}
	begun, aborted := false, error(nil)
	net, cancel := supervise.Outlive(ctx, stopNet)
	defer cancel()
	envelope := smtp.Envelope{From: m.From, To: try.To, Size: m.Size, DSN: m.DSN, EightBit: m.EightBit, UTF8: m.UTF8}
	outcome, err := r.session.Send(net, envelope, withoutBcc(file), func(net context.Context, replies []smtp.Reply) error {
		r.committed()
		if aborted = ctx.Err(); aborted == nil {
			begun = true
			failpoint.Hit(failpoint.Offered)
			r.hands(m.ID)
			aborted = r.queue.BeginHandover(net, m.ID, taken(try.To, replies))
		}
		return aborted
	})
	try.Outcome, try.Err, try.Never = outcome, err, unfit(err)
	idle := r.used && outcome.Phase <= smtp.Mail && lost(outcome, err)
	r.used, r.lastUsed = true, r.o.Now()
	if lost(outcome, err) {
		r.drop()
	}
	switch {
	case outcome.Phase >= smtp.AfterDot:
		return true
	case aborted != nil && gone(aborted): // a person was faster
		r.hands(0)
		return false
	case aborted != nil, file.err != nil:
		switch why := errors.Join(aborted, file.err); {
		case ctx.Err() == nil:
			r.stick(ctx, m, why)
		case begun: // the agent stops
			r.putOff(ctx, m, why)
		}
		return false
	case ctx.Err() != nil, idle: // the server ended a session that it found idle, not one that a message broke
		if begun {
			r.putOff(ctx, m, err)
		}
		return false
	}
	return true
}

// taken returns the recipients that a server took.
func taken(to []string, replies []smtp.Reply) (list []string) {
	for i, r := range replies {
		if r.Positive() {
			list = append(list, to[i])
		}
	}
	return list
}

// source remembers that a message could not be read.
type source struct {
	in  io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// lost reports whether the session is over. It goes on after a reply other than "service
// closing" (RFC 5321 section 3.8), and after a message that was not offered at all.
// Where it is over after all, the next transaction has the error of this one before
// anything is said.
func lost(o smtp.Outcome, err error) bool {
	if o.Final.Code == 421 || slices.ContainsFunc(o.Recipients, func(r smtp.Reply) bool { return r.Code == 421 }) {
		return true
	}
	reply, isReply := errors.AsType[*smtp.ReplyError](err)
	switch {
	case err == nil:
		return false
	case o.Phase == smtp.Connected:
		return !unfit(err)
	}
	return !isReply || reply.Code == 421
}

// unfit reports whether the server does not take the message in this form, at any
// time.
func unfit(err error) bool {
	return slices.ContainsFunc([]error{smtp.ErrTooLarge, smtp.ErrEightBit, smtp.ErrUTF8, smtp.ErrAddress, smtp.ErrLineEnd}, func(e error) bool { return errors.Is(err, e) })
}

// learn draws from a decision what the account does next.
func (r *Runner) learn(m *mailstore.Outgoing, d plan.Decision) {
	r.learned.Learn(d, r.account.Limits, r.o.Now())
	r.byMessage = d.Wait == 0 && (d.Account != plan.None || d.Stalled)
	others, known := r.troubled[m.ID]
	if r.byMessage && !known {
		r.troubled[m.ID] = false
	}
	r.mu.Lock()
	stalled := r.pause.Tried(d, known && !others)
	r.mu.Unlock()
	switch {
	case d.Account != plan.None:
		r.met(d.Account, fault.New(fault.Temporary, "the server answered "+d.Why, hints[d.Account]), d.Wait)
	case stalled == plan.Silent:
		r.byMessage = false
		r.met(stalled, fault.New(fault.Temporary, "the last messages were handed over, and no answer came: they may have been sent, or not", hints[stalled]), 0)
	case stalled != plan.None:
		r.met(stalled, fault.Wrap(errors.New(d.Attempt.Error), fault.Temporary, "the server takes no message", hints[stalled]), 0)
	case d.Stalled: // once says nothing yet
	default:
		for id := range r.troubled {
			r.troubled[id] = true
		}
		r.worked()
	}
}

var hints = map[plan.Trouble]string{
	plan.Barred: "check the user name and the password, and that the provider lets the account send",
	plan.Busy:   "it is tried again by itself",
	plan.Silent: "a virus scanner or a proxy that looks through outgoing mail may keep the answer back: switch that off for it; `popbridge outbox list` shows the messages, `popbridge outbox retry --all` tries the next one at once",
	plan.Quota:  "the provider limits how much an account sends; `popbridge outbox list` says when it is tried again, `popbridge outbox retry --all` does it at once",
}
