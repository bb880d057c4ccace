package operations

import (
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/users"
)

// Clients are the connections of mail clients.
type Clients interface {
	// Listening returns the addresses that accept mail clients now.
	Listening() []string
	// Count returns how many connections there are, and what their programs call
	// themselves.
	Count() (n int, programs []string)
	// Connected returns the connections of a device, and since when there are any.
	Connected(user, device string) (n int, since time.Time, programs []string)
	// Disconnect ends the connections of a device, of all for "".
	Disconnect(user, device string)
}

// Local implements Operations for an agent in this process.
type Local struct {
	users    *users.Stores
	accounts *accounts.Set
	clients  Clients
	running  func() bool
	reload   func()

	rounds sync.RWMutex // held for reading by what goes over the stores for long, for writing by a rename
}

// New returns the operations of an agent. running is false where nothing is served and
// the data folder was opened for one command; reload takes up the config file as it is.
func New(u *users.Stores, a *accounts.Set, c Clients, running func() bool, reload func()) *Local {
	return &Local{users: u, accounts: a, clients: c, running: running, reload: reload}
}

var _ Operations = (*Local)(nil)
