package agent

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// An account is a POP3 mailbox of the config and its runner. The runner is
// made at the first need: what it needs (the user's store, a CA file) may be
// failing now and well a minute later.
type account struct {
	agent *Agent
	cfg   config.Account
	task  *supervise.Task // nil unless it is served; guarded by Agent.reload

	mu     sync.Mutex
	runner *bridge.Runner
	err    error // why there is no runner; nil before the first attempt
	// Of the runner: the mailbox it polls, the store it polls into, and whether that is noted.
	mailbox, storeID string
	noted            bool
	retired          bool   // the config has another account in its place
	former           string // the folder that its mail went to in an earlier run, where that was another one

	confirmed atomic.Bool // a person said that it is of this user, see checkUser

	retryNow chan struct{} // capacity 1: it may be made now, see supervise
}

// storeTrouble is an error of the user's store. It is a condition of the user,
// and not of each of his accounts as well.
type storeTrouble struct{ error }

func (e *storeTrouble) Unwrap() error { return e.error }

func (a *Agent) newAccount(c config.Account) *account {
	return &account{agent: a, cfg: c, retryNow: make(chan struct{}, 1)}
}

func (ac *account) source() string { return "account " + ac.cfg.Name }

// get returns the runner, making it if need be.
func (ac *account) get(ctx context.Context) (*bridge.Runner, error) {
	store, err := ac.agent.users.Store(ctx, ac.cfg.User)
	if err != nil {
		return nil, &storeTrouble{err}
	}
	if r := ac.current(); r != nil {
		return r, nil // which refuses to do anything once it has ended
	}
	if err := ac.agent.nameAccounts(ctx, ac.cfg.User, store); err != nil {
		return nil, err
	}
	if err := ac.checkUser(ctx, store); err != nil {
		return nil, err
	}
	mailbox := bridge.MailboxName(ac.cfg.Username, ac.cfg.Host, ac.cfg.Port)
	known := ac.agent.users.Known()
	was := known.Accounts[mailbox] // the store it polled into last
	ac.mu.Lock()
	defer ac.mu.Unlock()
	switch {
	case ac.retired:
		return nil, fault.New(fault.Temporary, "account "+ac.cfg.Name+" was stopped or changed", "try it again")
	case ac.runner != nil:
		return ac.runner, nil
	}
	b, err := ac.agent.bridgeAccount(ac.cfg)
	if err != nil {
		return nil, err
	}
	ac.err, ac.storeID, ac.mailbox = nil, store.ID(), mailbox
	b.Moved = was != "" && was != ac.storeID
	if f := known.Folders[mailbox]; f != ac.cfg.Folder {
		ac.former = f
	}
	ac.runner = bridge.NewRunner(b, store, bridge.Options{Log: ac.agent.opts.Log, Changed: ac.report})
	return ac.runner, nil
}

func (ac *account) current() *bridge.Runner {
	ac.mu.Lock()
	defer ac.mu.Unlock()
	return ac.runner
}

func (ac *account) formerFolder() string {
	ac.mu.Lock()
	defer ac.mu.Unlock()
	return ac.former
}

// status is the runner's, or that of one that did nothing yet.
func (ac *account) status() bridge.Status {
	ac.mu.Lock()
	defer ac.mu.Unlock()
	switch {
	case ac.runner != nil:
		return ac.runner.Status()
	case ac.err != nil:
		state := bridge.Backoff
		if isHeld(ac.err) {
			state = bridge.Paused
		}
		return bridge.Status{Account: ac.cfg.Name, State: state, LastError: ac.err.Error()}
	default:
		return bridge.Status{Account: ac.cfg.Name, State: bridge.Idle}
	}
}

// report makes conditions of a runner's status.
func (ac *account) report(s bridge.Status) {
	ac.agent.health.Report(ac.source(), ac.conditions(s)...)
	if s.LastSuccess.IsZero() {
		return
	}
	ac.mu.Lock()
	first, mailbox, id := !ac.noted && ac.storeID != "", ac.mailbox, ac.storeID
	ac.noted = ac.noted || first
	ac.mu.Unlock()
	if first {
		ac.agent.users.Note(func(f *state.File) { f.Accounts[mailbox], f.Folders[mailbox] = id, ac.cfg.Folder })
	}
}

// Retry tries the accounts whose last poll failed, as soon as their servers
// allow.
func (a *Agent) Retry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ac := range a.accounts {
		ac.mu.Lock()
		if ac.runner != nil {
			ac.runner.Retry()
		}
		ac.mu.Unlock()
	}
}

func (ac *account) conditions(s bridge.Status) []health.Condition {
	messages := 0
	for _, p := range s.Problems {
		if p.Num != 0 {
			messages++
		}
	}
	list := health.Account(ac.cfg.Name, s.Err, messages)
	if s.Err != nil {
		list[0].Hint = s.Hint // how it goes on
	}
	if _, ok := errors.AsType[*mailstore.Failure](s.Err); ok { // not the account's
		list = append(health.Store(ac.cfg.User, ac.agent.users.Explain(ac.cfg.User, s.Err)), health.Account(ac.cfg.Name, nil, messages)...)
	}
	if least := ac.cfg.TLSMinimum; least == config.TLS10 || least == config.TLS11 {
		list = append(list, health.OldTLS(ac.cfg.Name, string(least)))
	}
	if text, hint := secretOf(ac.cfg).Warning(); text != "" {
		list = append(list, health.PasswordExposed(ac.cfg.Name, text, hint))
	}
	confirm := ac.agent.command("account confirm " + ac.cfg.Name)
	switch {
	case s.Held:
		list = append(list, health.StoreNew(ac.cfg.Name, s.Awaiting, confirm))
	case s.Awaiting > 0:
		list = append(list, health.DeletesUnconfirmed(ac.cfg.Name, s.Awaiting,
			ac.agent.command("sync --dry-run "+ac.cfg.Name), confirm))
	}
	if s.Undeleted > 0 {
		list = append(list, health.DeletesRefused(ac.cfg.Name, s.Undeleted, s.UndeletedSaid))
	}
	if s.Doubtful > 0 {
		list = append(list, health.MessagesIncomplete(ac.cfg.Name, s.Doubtful, confirm))
	}
	return ac.concern(list)
}

// concern says whose conditions those of the account are.
func (ac *account) concern(list []health.Condition) []health.Condition {
	for i := range list {
		list[i].User = ac.cfg.User
	}
	return list
}

// recall lets the runner of an account that is not served say what it
// remembers of earlier runs.
func (ac *account) recall(ctx context.Context) {
	r, err := ac.get(ctx)
	if err == nil {
		err = r.Load(ctx)
	}
	if err != nil && ctx.Err() == nil {
		ac.failed(err)
	}
}

// serve starts the account.
func (ac *account) serve(s *supervise.Group) {
	ac.task = s.Start(func(ctx context.Context) {
		supervise.Run(ctx, func(ctx context.Context) error {
			r, err := ac.get(ctx)
			if err != nil {
				return err
			}
			return r.Serve(ctx)
		}, ac.failed, ac.retryNow)
	})
}

// failed records that the runner could not be made or broke down. It is made
// again for the next attempt: after a panic no one knows what state it is in.
func (ac *account) failed(err error) {
	if _, ok := errors.AsType[*storeTrouble](err); ok {
		ac.agent.health.Report(ac.source())
	} else {
		ac.agent.health.Report(ac.source(), ac.concern(health.Account(ac.cfg.Name, err, 0))...)
	}
	ac.mu.Lock()
	defer ac.mu.Unlock()
	ac.runner, ac.err = nil, err
}

// retire ends the account: what is in flight is committed, its conditions are
// over.
func (ac *account) retire() {
	ac.task.Stop()
	ac.mu.Lock()
	ac.retired = true
	r := ac.runner
	ac.mu.Unlock()
	if r != nil {
		r.End() // of what did not belong to the task
	}
	ac.agent.health.Report(ac.source())
}
