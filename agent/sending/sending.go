// Package sending runs the way out: for each account of the config whose outgoing server
// is known, a runner (package bridge/outbox) over the queue in its user's store, and what
// the submission server (package bridge/submission) asks about users and accounts.
//
// Invariants: an account has one runner at a time; a failure of one account is a
// condition of that one and holds up no mail but its own; no lock is held while a
// runner is waited for, but that of changes.
package sending

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/bridge/outbox"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/bridge/submission"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// A Set is the senders of the accounts of the config in force.
type Set struct {
	users  *users.Stores
	tokens *signin.Tokens

	changing sync.Mutex // held by Take

	mu      sync.Mutex // guards what follows
	senders map[string]*sender
	retired []*sender                  // those that come to their end, and may have
	paused  map[string]int             // how often Pause holds a user, by the name in small letters
	group   *supervise.Group           // nil unless they are served
	tried   map[string]smtp.Extensions // what servers, as host:port, announced in logins that tried them
}

// New returns the senders of the accounts of the config, not served yet.
func New(u *users.Stores, tokens *signin.Tokens) *Set {
	return &Set{users: u, tokens: tokens, senders: map[string]*sender{}, paused: map[string]int{}, tried: map[string]smtp.Extensions{}}
}

// Serve sends until the group ends.
func (s *Set) Serve(group *supervise.Group) {
	s.mu.Lock()
	s.group = group
	s.mu.Unlock()
	s.Take()
}

// Take replaces the senders of accounts of which the config in force has changed what they
// send by. One that waits for the answer of its server goes on until that has come, and the
// next one of the account, or of the same login by whatever name, begins then.
func (s *Set) Take() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	group, old := s.group, s.senders
	s.mu.Unlock()
	if group == nil || group.Context.Err() != nil {
		return
	}
	keep := map[string]*sender{}
	var begin []*sender
	for _, a := range s.users.Config().Accounts {
		way, ok := WayOf(a)
		switch o := old[a.Name]; {
		case !ok, s.isPaused(a.User):
		case o != nil && o.sendsAs(a, way):
			keep[a.Name] = o
		default:
			keep[a.Name] = &sender{set: s, account: a, way: way, changed: o != nil, retryNow: make(chan struct{}, 1)}
			begin = append(begin, keep[a.Name])
		}
	}
	var wg sync.WaitGroup
	for name, o := range old {
		if keep[name] != o {
			s.mu.Lock()
			s.retired = append(s.retired, o)
			s.mu.Unlock()
			wg.Go(o.retire)
		}
	}
	wg.Wait()
	s.mu.Lock()
	s.senders = keep
	s.retired = slices.DeleteFunc(s.retired, (*sender).hasEnded)
	for _, b := range begin {
		b.formers = slices.DeleteFunc(slices.Clone(s.retired), func(o *sender) bool { return !b.follows(o) })
	}
	s.mu.Unlock()
	for _, b := range begin {
		b.serve(group)
	}
	for _, o := range keep {
		if r := o.current(); r != nil {
			r.Look() // its addresses may be others
		}
	}
}

// Wake tries what waits of the account: a poll of the same provider went well.
func (s *Set) Wake(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.senders[account]; one != nil {
		one.wake((*outbox.Runner).Wake)
	}
}

// SignedIn tries what waits for a sign-in of the account, which a person has made.
func (s *Set) SignedIn(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.senders[account]; one != nil {
		one.wake((*outbox.Runner).SignedIn)
	}
}

// Resume tries what waits of all, and no connection is relied on: the network is back, or
// the machine woke up.
func (s *Set) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.senders {
		one.wake((*outbox.Runner).Resume)
	}
}

// Retry tries what waits of the account at once, whatever it rests for: a person asks for it.
func (s *Set) Retry(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.senders[account]; one != nil {
		one.wake((*outbox.Runner).Retry)
	}
}

// Account is what the submission server needs of a login.
func (s *Set) Account(user string, device mailstore.Device, store *mailstore.Store) submission.Account {
	a := submission.Account{User: user, Device: device.Name,
		Route: func(from string) (submission.Route, error) { return s.route(user, from) },
		Spool: func(ctx context.Context, r io.Reader) (*mailstore.Spooled, error) { return store.SpoolAnchored(ctx, r) },
		Submit: func(ctx context.Context, sub submission.Submission) error {
			m := mailstore.Submission{Message: sub.Message, Account: sub.Account, Device: sub.Device, From: sub.From, Recipients: sub.Recipients, ToSelf: s.toSelf(user, sub.Recipients),
				DSN: sub.DSN, EightBit: sub.EightBit, UTF8: sub.UTF8, MessageID: sub.MessageID, Added: sub.Added, NotBefore: sub.NotBefore}
			if s.users.Config().SMTP.MarkAnswered {
				m.InReplyTo = sub.InReplyTo
			}
			if err := s.Stranded(user, sub.Account, sub.From); err != nil { // the config is another since MAIL
				return err
			}
			_, _, err := store.Submit(ctx, m)
			return err
		}}
	if !device.MaySend() {
		why := "it is read-only or sees some folders only"
		if device.Send == mailstore.SendNo {
			why = "that is forbidden"
		}
		a.MaySend = fault.New(fault.Denied, "this login may not send: "+why, "use another login, or permit it: "+s.users.Command("device set "+fault.ShellQuote(device.Name)+" --send=yes"))
	}
	return a
}

// runner returns the runner of an account, nil where it has none at the moment.
func (s *Set) runner(account string) *outbox.Runner {
	s.mu.Lock()
	one := s.senders[account]
	s.mu.Unlock()
	if one == nil {
		return nil
	}
	return one.current()
}

// limits is what the server of an account takes, as far as it has said so.
func (s *Set) limits(account string) smtp.Extensions {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.senders[account]; one != nil {
		return s.limitsLocked(one)
	}
	return smtp.Extensions{}
}

// limitsLocked is what the server of a sender has announced when it was last sent to, else
// in a login that tried it; one that was never asked has announced nothing.
func (s *Set) limitsLocked(o *sender) smtp.Extensions {
	if r := o.current(); r != nil && r.Extensions() != nil {
		return *r.Extensions()
	}
	return s.tried[serverOf(o.way)]
}

// Next is when mail of the account is tried next, and what keeps it from leaving, "" for
// nothing. It never leaves by itself where Stranded has an error.
func (s *Set) Next(account string) (at time.Time, held string) {
	r := s.runner(account)
	if r == nil {
		return at, ""
	}
	status := r.Status()
	return status.Next, status.LastError
}

// MaxSize is the largest message that any account takes, in bytes; 0: not known.
func (s *Set) MaxSize() (most int64) {
	for _, e := range s.extensions() {
		if e.Size <= 0 {
			return 0
		}
		most = max(most, e.Size)
	}
	return most
}

// DSN reports whether the server of any account tells of deliveries (RFC 3461).
func (s *Set) DSN() bool {
	return slices.ContainsFunc(s.extensions(), func(e smtp.Extensions) bool { return e.DSN })
}

// UTF8 reports whether any account can send mail that needs SMTPUTF8 (RFC 6531).
func (s *Set) UTF8() bool {
	return slices.ContainsFunc(s.extensions(), func(e smtp.Extensions) bool { return e.UTF8 })
}

func (s *Set) extensions() (list []smtp.Extensions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.senders {
		list = append(list, s.limitsLocked(one))
	}
	return list
}
