package operations

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/sending"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/logging"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Clients are the connections of mail clients.
type Clients interface {
	// Listening returns the addresses that accept mail clients now.
	Listening() []string
	// Submission returns the addresses that take what they send now.
	Submission() []string
	// Count returns how many connections there are, and what their programs call
	// themselves.
	Count() (n int, programs []string)
	// Connected returns the connections of a device, and since when there are any.
	Connected(user, device string) (n int, since time.Time, programs []string)
	// Disconnect ends the connections of a device, of all for "".
	Disconnect(user, device string)
}

// Network is the local network, and who of it may connect.
type Network interface {
	// State returns what is served, and who has logged in.
	State() LAN
	// Pair serves a page that sets a phone up.
	Pair(ctx context.Context, ask Pair) (Pairing, error)
	// Permitted is told of a device that may come from the local network from now on.
	Permitted(user, device string)
	// Removed is told of a device that was revoked, or may not come any more.
	Removed(user, device string)
}

// Pages is the web page, and who is signed in there.
type Pages interface {
	// Address returns where it is served, "" for nowhere.
	Address() string
	// Open returns an address that signs a browser of a user in.
	Open(uid string) (string, error)
	Sessions() []WebSession
	End(id string) (int, error)
}

// Local implements Operations for an agent in this process.
type Local struct {
	users    *users.Stores
	accounts *accounts.Set
	sending  *sending.Set
	signIns  *signin.Sessions
	clients  Clients
	network  Network
	pages    Pages
	running  func() bool
	reload   func()
	history  *state.History
	noting   sync.Mutex    // held while the history is written: what was read later is noted later
	edits    sync.Mutex    // of the config and of passwords, one at a time
	log      *logging.Ring // nil: none is kept

	backups sync.Mutex   // held by a backup
	rounds  sync.RWMutex // held for reading by what goes over the stores for long, for writing by a rename
}

// New returns the operations of an agent. running is false where nothing is served and
// the data folder was opened for one command; reload takes up the config file as it is.
func New(u *users.Stores, a *accounts.Set, s *sending.Set, signIns *signin.Sessions, c Clients, n Network, p Pages, running func() bool, reload func()) *Local {
	l := &Local{users: u, accounts: a, sending: s, signIns: signIns, clients: c, network: n, pages: p, running: running, reload: reload,
		history: state.NewHistory(filepath.Join(u.DataDir, HistoryFile))}
	a.BeforePoll = l.beginHistory
	return l
}

var _ Operations = (*Local)(nil)

// each asks the accounts of these names, all of them for none, side by side.
func each[T any](ctx context.Context, l *Local, names []string, ask func(*accounts.Account) T) ([]T, error) {
	chosen, err := l.accounts.Choose(names)
	if err != nil {
		return nil, err
	}
	answers := make([]T, len(chosen))
	var wg sync.WaitGroup
	for i, ac := range chosen {
		wg.Go(func() { answers[i] = ask(ac) })
	}
	wg.Wait()
	return answers, ctx.Err()
}

// withRunner runs work with the runner of an account. A panic is an error of it.
func withRunner(ctx context.Context, ac *accounts.Account, work func(*bridge.Runner) error) error {
	return supervise.Protect(func() error {
		r, err := ac.Runner(ctx)
		if err != nil {
			return err
		}
		return work(r)
	})
}

// kindOf is the kind of an error as a result has it, "" for none.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.KindOf(err).String()
}

// said is an error as a result has it, "" for none.
func said(err error) (text, hint string) {
	if err == nil {
		return "", ""
	}
	return err.Error(), fault.Hint(err)
}
