package sending

import (
	"context"
	"reflect"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/supervise"
)

func (o *sender) serve(group *supervise.Group) {
	o.task = group.Start(func(ctx context.Context) {
		if o.former != nil {
			<-o.former.task.Done() // at the end of the group, too
			o.former = nil
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		supervise.Run(ctx, func(ctx context.Context) error {
			defer o.endIfRetired(cancel) // after a panic, too
			r, err := o.make(ctx)
			if err != nil || o.isRetired() {
				return err
			}
			return r.Serve(ctx)
		}, o.failed, o.retryNow)
		if o.isRetired() {
			o.set.users.Health.Report(o.source())
		}
	})
}

// retireFor is how long Take waits for a sender to end: longer only where a server has to
// answer, and then the sender goes on alone.
const retireFor = 3 * time.Second

func (o *sender) retire() {
	o.mu.Lock()
	o.retired = true
	o.mu.Unlock()
	o.wake((*outbox.Runner).Finish)
	timer := time.NewTimer(retireFor)
	defer timer.Stop()
	select {
	case <-o.task.Done():
	case <-timer.C:
	}
}

func (o *sender) isRetired() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.retired
}

func (o *sender) endIfRetired(end func()) {
	if o.isRetired() {
		end()
	}
}

// sendsAs reports whether an account and its way out are those of the sender, in all that
// sending makes use of.
func (o *sender) sendsAs(a config.Account, way config.Send) bool {
	used := func(a config.Account) config.Account {
		return config.Account{Name: a.Name, User: a.User, Host: a.Host, Username: a.Username, Password: a.Password, // of the secret
			Auth: a.Auth, OAuth: a.OAuth, CAFile: a.CAFile, TLSMinimum: a.TLSMinimum}
	}
	return used(o.account).Equal(used(a)) && reflect.DeepEqual(o.way, way)
}
