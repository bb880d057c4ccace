package sending

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge/outbox"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// noticeOnce is how far apart two times of arrival of one report may be.
const noticeOnce = 24 * time.Hour

// A sender is the way out of an account, and its runner. The runner is made at the first
// need: what it needs may be failing now and well a minute later.
type sender struct {
	set     *Set
	account config.Account
	way     config.Send
	task    *supervise.Task
	formers []*sender // come to their end first

	mu       sync.Mutex
	retired  bool
	runner   *outbox.Runner
	store    *mailstore.Store // of the runner
	retryNow chan struct{}    // capacity 1
	changed  bool             // by a person, since the last runner
}

func (o *sender) source() string { return "sending of account " + o.account.Name }

func (o *sender) current() *outbox.Runner {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.runner
}

func (o *sender) wake(how func(*outbox.Runner)) {
	if r := o.current(); r != nil {
		how(r)
		return
	}
	select {
	case o.retryNow <- struct{}{}:
	default: // it is on its way
	}
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
	secret := o.way.Password
	if secret.InKeychain() { // that of the account
		secret = o.account.Password
	}
	credentials, renew := o.set.credentials(o.account, o.way)
	r := outbox.NewRunner(outbox.Account{
		Name: o.account.Name, Server: server, Credentials: credentials, Renew: renew, SecretEvery: accounts.SecretEvery(o.account.SignsInToSend(), o.way.Auth, secret),
		Sends:   func(from string) bool { return o.set.Stranded(o.account.User, o.account.Name, from) == nil },
		Changed: o.takeChanged(), Limits: limitsOf(o.way),
	}, store, outbox.Options{Log: o.set.users.Log, Changed: o.report, Report: o.deliver(store), Delayed: o.deliver(store), Doubted: o.deliver(store),
		Elsewhere: func() []mailstore.OutgoingID { return o.elsewhere(store) }})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runner, o.store = r, store
	return r, nil
}

func (o *sender) takeChanged() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := o.changed
	o.changed = false
	return changed
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
	if s.Stuck > 0 {
		list = append(list, health.SendStuck(o.account.Name, o.account.User, s.Stuck, outboxCommand))
	}
	if s.Rejected > 0 {
		list = append(list, health.SentRefused(o.account.Name, o.account.User, s.Rejected, s.Reported, outboxCommand, o.set.users.Command("outbox retry ID")))
	}
	o.set.users.Health.Report(o.source(), list...)
}
