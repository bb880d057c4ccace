// Package sending runs the way out: for each account of the config whose outgoing server
// is known, a runner (package bridge/outbox) over the queue in its user's store, and what
// the submission server (package bridge/submission) asks about users and accounts.
//
// Invariants: an account has one runner at a time; a failure of one account is a
// condition of that one and holds up no mail but its own; no lock is held while a
// runner is waited for, but that of changes.
package sending

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/bridge/outbox"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/bridge/submission"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// noticeOnce is how far apart two times of arrival of one report may be.
const noticeOnce = 24 * time.Hour

// A Set is the senders of the accounts of the config in force.
type Set struct {
	users  *users.Stores
	tokens *signin.Tokens

	changing sync.Mutex // held by Take

	mu      sync.Mutex // guards what follows
	senders map[string]*sender
	group   *supervise.Group // nil unless they are served
}

// New returns the senders of the accounts of the config, not served yet.
func New(u *users.Stores, tokens *signin.Tokens) *Set {
	return &Set{users: u, tokens: tokens, senders: map[string]*sender{}}
}

// Serve sends until the group ends.
func (s *Set) Serve(group *supervise.Group) {
	s.mu.Lock()
	s.group = group
	s.mu.Unlock()
	s.Take()
}

// Take replaces the senders of accounts that the config in force has changed.
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
		case !ok:
		case o != nil && o.account.Equal(a):
			keep[a.Name] = o
		default:
			keep[a.Name] = &sender{set: s, account: a, way: way, retryNow: make(chan struct{}, 1)}
			begin = append(begin, keep[a.Name])
		}
	}
	var wg sync.WaitGroup
	for name, o := range old {
		if keep[name] != o {
			wg.Go(o.retire)
		}
	}
	wg.Wait()
	s.mu.Lock()
	s.senders = keep
	s.mu.Unlock()
	for _, b := range begin {
		b.serve(group)
	}
}

// Wake tries what waits, of the account or with "" of all: the network is back, the
// machine woke up, a poll of the same provider went well.
func (s *Set) Wake(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, one := range s.senders {
		if account == "" || account == name {
			one.wake()
		}
	}
}

// Retry tries what waits at once, whatever its account rests for: a person asks for it.
func (s *Set) Retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.senders {
		if r := one.current(); r != nil {
			r.Retry()
		}
	}
}

// Account is what the submission server needs of a login.
func (s *Set) Account(user string, device mailstore.Device, store *mailstore.Store) submission.Account {
	a := submission.Account{User: user, Device: device.Name,
		Route: func(from string) (submission.Route, error) { return s.route(user, from) },
		Spool: func(ctx context.Context, r io.Reader) (*mailstore.Spooled, error) { return store.Spool(ctx, r) },
		Submit: func(ctx context.Context, sub submission.Submission) error {
			m := mailstore.Submission{Message: sub.Message, Account: sub.Account, Device: sub.Device, From: sub.From, Recipients: sub.Recipients, ToSelf: s.toSelf(user, sub.Recipients),
				EightBit: sub.EightBit, UTF8: sub.UTF8, MessageID: sub.MessageID, NotBefore: sub.NotBefore}
			if s.users.Config().SMTP.MarkAnswered {
				m.InReplyTo = sub.InReplyTo
			}
			_, _, err := store.Submit(ctx, m)
			return err
		}}
	if device.ReadOnly || device.Folders != nil {
		a.MaySend = fault.New(fault.Denied, "this login may not send: it is read-only or sees some folders only", "use another login for sending")
	}
	return a
}

// runner returns the runner of an account, nil where it has none at the moment. known tells
// that its outgoing server is.
func (s *Set) runner(account string) (r *outbox.Runner, known bool) {
	s.mu.Lock()
	one := s.senders[account]
	s.mu.Unlock()
	if one == nil {
		return nil, false
	}
	return one.current(), true
}

// limits is what the server of an account takes, as far as it has said so.
func (s *Set) limits(account string) smtp.Extensions {
	r, _ := s.runner(account)
	return extensions(r)
}

func extensions(r *outbox.Runner) smtp.Extensions {
	if r == nil {
		return smtp.Extensions{}
	}
	return r.Extensions()
}

// A sender is the way out of an account, and its runner. The runner is made at the first
// need: what it needs may be failing now and well a minute later.
type sender struct {
	set     *Set
	account config.Account
	way     config.Send
	task    *supervise.Task

	mu       sync.Mutex
	runner   *outbox.Runner
	retryNow chan struct{} // capacity 1
}

func (o *sender) source() string { return "sending of account " + o.account.Name }

func (o *sender) current() *outbox.Runner {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.runner
}

func (o *sender) wake() {
	if r := o.current(); r != nil {
		r.Wake()
		return
	}
	select {
	case o.retryNow <- struct{}{}:
	default: // it is on its way
	}
}

func (o *sender) serve(group *supervise.Group) {
	o.task = group.Start(func(ctx context.Context) {
		supervise.Run(ctx, func(ctx context.Context) error {
			r, err := o.make(ctx)
			if err != nil {
				return err
			}
			return r.Serve(ctx)
		}, o.failed, o.retryNow)
	})
}

func (o *sender) retire() {
	o.task.Stop()
	o.set.users.Health.Report(o.source())
}

func (o *sender) failed(err error) {
	o.mu.Lock()
	o.runner = nil
	o.mu.Unlock()
	o.set.users.Health.Report(o.source(), health.Sending(o.account.Name, o.account.User, err, "")...)
}

// make makes the runner.
func (o *sender) make(ctx context.Context) (*outbox.Runner, error) {
	store, err := o.set.users.Store(ctx, o.account.User)
	if err != nil {
		return nil, err
	}
	server, err := o.set.server(o.account, o.way)
	if err != nil {
		return nil, err
	}
	credentials, renew := o.set.credentials(o.account, o.way)
	r := outbox.NewRunner(outbox.Account{
		Name: o.account.Name, Server: server, Credentials: credentials, Renew: renew, SecretEvery: accounts.SecretEvery(o.account),
	}, store, outbox.Options{Log: o.set.users.Log, Changed: o.report, Report: o.deliver(store), Delayed: o.deliver(store)})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runner = r
	return r, nil
}

// deliver puts what a person has to know into the INBOX.
func (o *sender) deliver(store *mailstore.Store) func(ctx context.Context, m mailstore.Outgoing, message []byte) error {
	return func(ctx context.Context, _ mailstore.Outgoing, message []byte) error {
		box, err := store.EnsureMailbox(ctx, "INBOX")
		if err != nil {
			return err
		}
		spooled, err := store.Spool(ctx, bytes.NewReader(message))
		if err != nil {
			return err
		}
		defer spooled.Discard()
		_, err = store.Deliver(ctx, []mailstore.Delivery{{Mailbox: box.ID, Message: spooled, ReceivedAt: time.Now(), Once: noticeOnce}})
		return err
	}
}

// report makes conditions of a runner's status.
func (o *sender) report(s outbox.Status) {
	list := health.Sending(o.account.Name, o.account.User, s.Err, s.Hint)
	outboxCommand := o.set.users.Command("outbox list")
	if s.Unknown > 0 {
		list = append(list, health.SentUnknown(o.account.Name, o.account.User, s.Unknown, outboxCommand))
	}
	if s.Rejected > 0 {
		list = append(list, health.SentRefused(o.account.Name, o.account.User, s.Rejected, outboxCommand))
	}
	o.set.users.Health.Report(o.source(), list...)
}

// Next is when mail of the account is tried next, and what keeps it from leaving, "" for
// nothing.
func (s *Set) Next(account string) (at time.Time, held string) {
	r, known := s.runner(account)
	switch {
	case !known:
		return at, "the outgoing server of account " + account + " is not known"
	case r == nil:
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

// UTF8 reports whether any account can send mail that needs SMTPUTF8 (RFC 6531).
func (s *Set) UTF8() bool {
	return slices.ContainsFunc(s.extensions(), func(e smtp.Extensions) bool { return e.UTF8 })
}

func (s *Set) extensions() (list []smtp.Extensions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.senders {
		list = append(list, extensions(one.current()))
	}
	return list
}
