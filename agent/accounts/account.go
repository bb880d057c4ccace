package accounts

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// An Account is a POP3 mailbox of the config and its runner. The runner is
// made at the first need: what it needs (the user's store, a CA file) may be
// failing now and well a minute later.
type Account struct {
	Config config.Account
	set    *Set
	users  *users.Stores   // of set
	task   *supervise.Task // nil unless it is served; guarded by Set.changing

	mu     sync.Mutex
	runner *bridge.Runner
	err    error // why there is no runner; nil before the first attempt
	// Of the runner: the mailbox it polls, the store it polls into, and whether that is noted.
	mailbox, storeID string
	noted            bool
	retired          bool      // the config has another account in its place
	success          time.Time // of the last poll
	former           string    // the folder that its mail went to in an earlier run, where that was another one

	confirmed atomic.Bool // a person said that it is of this user, see checkUser

	retryNow chan struct{} // capacity 1: it may be made now, see supervise
}

// storeTrouble is an error of the user's store. It is a condition of the user,
// and not of each of his accounts as well.
type storeTrouble struct{ error }

func (e *storeTrouble) Unwrap() error { return e.error }

func (ac *Account) source() string { return "account " + ac.Config.Name }

// Runner returns the runner, making it if need be.
func (ac *Account) Runner(ctx context.Context) (*bridge.Runner, error) {
	store, err := ac.users.Store(ctx, ac.Config.User)
	if err != nil {
		return nil, &storeTrouble{err}
	}
	if r := ac.current(); r != nil {
		return r, nil // which refuses to do anything once it has ended
	}
	if err := ac.set.nameAccounts(ctx, ac.Config.User, store); err != nil {
		return nil, err
	}
	if err := ac.checkUser(ctx, store); err != nil {
		return nil, err
	}
	if before := ac.set.BeforePoll; before != nil {
		before(ctx, ac.Config)
	}
	mailbox := bridge.MailboxName(ac.Config.Username, ac.Config.Host, ac.Config.Port)
	known := ac.users.Known()
	was := known.Accounts[mailbox] // the store it polled into last
	ac.mu.Lock()
	defer ac.mu.Unlock()
	switch {
	case ac.retired:
		return nil, fault.New(fault.Temporary, "account "+ac.Config.Name+" was stopped or changed", "try it again")
	case ac.runner != nil:
		return ac.runner, nil
	}
	b, err := ac.set.bridgeAccount(ac.Config)
	if err != nil {
		return nil, err
	}
	ac.err, ac.storeID, ac.mailbox = nil, store.ID(), mailbox
	b.Moved = was != "" && was != ac.storeID
	if f := known.Folders[mailbox]; f != ac.Config.Folder {
		ac.former = f
	}
	ac.runner = bridge.NewRunner(b, store, bridge.Options{Log: ac.users.Log, Changed: ac.report})
	return ac.runner, nil
}

func (ac *Account) current() *bridge.Runner {
	ac.mu.Lock()
	defer ac.mu.Unlock()
	return ac.runner
}

// FormerFolder is where the mail of the account went in an earlier run, "" where that
// is known to be no other folder than now.
func (ac *Account) FormerFolder() string {
	ac.mu.Lock()
	defer ac.mu.Unlock()
	return ac.former
}

// Status is the runner's, or that of one that did nothing yet.
func (ac *Account) Status() bridge.Status {
	ac.mu.Lock()
	defer ac.mu.Unlock()
	switch {
	case ac.runner != nil:
		s := ac.runner.Status()
		if ac.Config.Paused && s.State != bridge.Polling {
			s.State, s.NextPoll = bridge.Paused, time.Time{}
		}
		return s
	case ac.err != nil:
		state := bridge.Backoff
		if IsHeld(ac.err) {
			state = bridge.Paused
		}
		return bridge.Status{Account: ac.Config.Name, State: state, LastError: ac.err.Error(), Kind: fault.KindOf(ac.err)}
	default:
		state := bridge.Idle
		if ac.Config.Paused {
			state = bridge.Paused
		}
		return bridge.Status{Account: ac.Config.Name, State: state}
	}
}

// report makes conditions of a runner's status.
func (ac *Account) report(s bridge.Status) {
	ac.users.Health.Report(ac.source(), ac.conditions(s)...)
	if s.LastSuccess.IsZero() {
		return
	}
	ac.mu.Lock()
	first, mailbox, id := !ac.noted && ac.storeID != "", ac.mailbox, ac.storeID
	ac.noted = ac.noted || first
	another := s.LastSuccess.After(ac.success)
	ac.success = s.LastSuccess
	ac.mu.Unlock()
	if another {
		ac.set.polled(ac.Config.Name)
	}
	if first {
		ac.users.Note(func(f *state.File) { f.Accounts[mailbox], f.Folders[mailbox] = id, ac.Config.Folder })
	}
}

func (ac *Account) conditions(s bridge.Status) []health.Condition {
	messages := 0
	for _, p := range s.Problems {
		if p.Num != 0 {
			messages++
		}
	}
	list := health.Account(ac.Config.Name, s.Err, messages)
	if s.Err != nil {
		list[0].Hint = s.Hint // how it goes on
	}
	if _, ok := errors.AsType[*mailstore.Failure](s.Err); ok { // not the account's
		list = append(health.Store(ac.Config.User, ac.users.Explain(ac.Config.User, s.Err)), health.Account(ac.Config.Name, nil, messages)...)
	}
	if least := ac.Config.TLSMinimum; least == config.TLS10 || least == config.TLS11 {
		list = append(list, health.OldTLS(ac.Config.Name, string(least)))
	}
	if text, hint := SecretOf(ac.Config).Warning(); text != "" {
		list = append(list, health.PasswordExposed(ac.Config.Name, text, hint))
	}
	confirm := ac.users.Command("account confirm " + ac.Config.Name)
	switch {
	case s.Held:
		list = append(list, health.StoreNew(ac.Config.Name, s.Awaiting, confirm))
	case s.Awaiting > 0:
		list = append(list, health.DeletesUnconfirmed(ac.Config.Name, s.Awaiting,
			ac.users.Command("sync --dry-run "+ac.Config.Name), confirm))
	}
	if s.Undeleted > 0 {
		list = append(list, health.DeletesRefused(ac.Config.Name, s.Undeleted, s.UndeletedSaid))
	}
	if s.Doubtful > 0 {
		list = append(list, health.MessagesIncomplete(ac.Config.Name, s.Doubtful, ac.users.Command("account confirm --incomplete "+ac.Config.Name)))
	}
	return ac.concern(list)
}

// concern says whose conditions those of the account are, and where its provider has POP
// switched on.
func (ac *Account) concern(list []health.Condition) []health.Condition {
	for i := range list {
		c := &list[i]
		c.User = ac.Config.User
		if c.Code != health.CodeAccountPOPOff {
			continue
		}
		if advice, _ := discover.AdviceFor(ac.Config.Username, ac.Config.Host); advice.EnableURL != "" {
			c.Link = advice.EnableURL
			c.Hint += "; that is at " + c.Link
		}
	}
	return list
}

// Recall lets the runner of an account that is not served say what it
// remembers of earlier runs.
func (ac *Account) Recall(ctx context.Context) {
	r, err := ac.Runner(ctx)
	if err == nil {
		err = r.Load(ctx)
	}
	if err != nil && ctx.Err() == nil {
		ac.failed(err)
	}
}

// serve starts the account.
func (ac *Account) serve(s *supervise.Group) {
	ac.task = s.Start(func(ctx context.Context) {
		supervise.Run(ctx, func(ctx context.Context) error {
			r, err := ac.Runner(ctx)
			if err != nil {
				return err
			}
			return r.Serve(ctx)
		}, ac.failed, ac.retryNow)
	})
}

// failed records that the runner could not be made or broke down. It is made
// again for the next attempt: after a panic no one knows what state it is in.
func (ac *Account) failed(err error) {
	if _, ok := errors.AsType[*storeTrouble](err); ok {
		ac.users.Health.Report(ac.source())
	} else {
		ac.users.Health.Report(ac.source(), ac.concern(health.Account(ac.Config.Name, err, 0))...)
	}
	ac.mu.Lock()
	defer ac.mu.Unlock()
	ac.runner, ac.err = nil, err
}

// retire ends the account: what is in flight is committed, its conditions are
// over.
func (ac *Account) retire() {
	ac.task.Stop()
	ac.mu.Lock()
	ac.retired = true
	r := ac.runner
	ac.mu.Unlock()
	if r != nil {
		r.End() // of what did not belong to the task
	}
	ac.users.Health.Report(ac.source())
}

// RetryNow ends the pause of an account that could not be served.
func (ac *Account) RetryNow() {
	select {
	case ac.retryNow <- struct{}{}:
	default: // it is on its way
	}
}

func (ac *Account) resume(reason string) {
	if r := ac.current(); r != nil {
		r.Resume(reason)
		return
	}
	ac.RetryNow()
}

// ReportRemembered makes a condition of the last error of an account that is not
// served.
func (ac *Account) ReportRemembered(lastError string) {
	ac.mu.Lock()
	held := IsHeld(ac.err)
	ac.mu.Unlock()
	if lastError != "" && !held && !ac.Config.Paused {
		ac.users.Health.Report(ac.source(), append(ac.conditions(ac.Status()),
			health.Remembered(ac.Config.Name, lastError, ac.users.Command("sync "+ac.Config.Name)))...)
	}
}
