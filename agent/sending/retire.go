package sending

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

func (o *sender) serve(group *supervise.Group) {
	o.task = group.Start(func(ctx context.Context) {
		for _, former := range o.formers {
			<-former.task.Done() // at the end of the group, too
		}
		o.formers = nil
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

func (o *sender) hasEnded() bool {
	select {
	case <-o.task.Done():
		return true
	default:
		return false
	}
}

// follows reports whether a sender begins only when a former one has ended: that is of the
// same account, or of the same login, which has another name now.
func (o *sender) follows(former *sender) bool {
	return o.account.Name == former.account.Name || serverOf(o.way) == serverOf(former.way) && o.way.Username == former.way.Username
}

// elsewhere are the messages that other senders hand over from the store of this one: one
// whose account has got another name meanwhile, say.
func (o *sender) elsewhere(store *mailstore.Store) (list []mailstore.OutgoingID) {
	s := o.set
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range slices.AppendSeq(slices.Clone(s.retired), maps.Values(s.senders)) {
		if id := other.hands(store); id != 0 && other != o {
			list = append(list, id)
		}
	}
	return list
}

// hands is the message of a store that the sender hands over, 0 for none.
func (o *sender) hands(store *mailstore.Store) mailstore.OutgoingID {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.runner == nil || o.store != store {
		return 0
	}
	return o.runner.Handing()
}

// answerFor is how long Pause waits for the answer of a server.
const answerFor = 30 * time.Second

// Pause ends the senders of some users, and keeps others from beginning until resume is
// called. fault.Conflict where one hands a message over, and the server does not answer in
// time: then nothing is paused.
func (s *Set) Pause(ctx context.Context, names ...string) (resume func(), err error) {
	count := func(n int) {
		s.mu.Lock()
		for _, name := range names {
			s.paused[strings.ToLower(name)] += n
		}
		s.mu.Unlock()
		s.Take()
	}
	count(1)
	resume = func() { count(-1) }
	s.mu.Lock()
	ending := slices.DeleteFunc(slices.Clone(s.retired), func(o *sender) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, o.account.User) })
	})
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	for _, o := range ending {
		select {
		case <-o.task.Done():
		case <-ctx.Done():
			resume()
			return nil, fault.New(fault.Conflict, "a message of user "+o.account.User+" is being handed to the mail server, which has not answered yet", "repeat the command when that is decided; `"+s.users.Command("outbox list")+"` shows it")
		}
	}
	return resume, nil
}

func (s *Set) isPaused(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused[strings.ToLower(user)] > 0
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
