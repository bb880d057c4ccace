// Package agenttest runs an agent for tests, with POP3 servers for its accounts and
// mail clients that look at it.
package agenttest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/supervise"
)

// What logs in at the POP3 servers and at the agent.
const (
	POPPassword    = "pop-password"
	DevicePassword = "device-password"
	Patience       = 20 * time.Second // for what has to happen soon
)

// Agent is an agent as a Rig runs it.
type Agent interface {
	Operations() *operations.Local
	Run(ctx context.Context) error
	Reload()
	Close() error
}

// Open opens an agent; what it is given goes into its options. It is a parameter, so
// that tests inside package agent can use a Rig.
type Open func(ctx context.Context, cfg *config.Config, setLevel func(string), ready func([]string)) (Agent, error)

// Rig is a folder with a config, POP3 servers for its accounts and, between
// Start and Stop, an agent.
type Rig struct {
	Dir      string
	SetLevel func(string) // of the agents that Start runs; may be nil

	Agent Agent
	Addr  string // of the first IMAP server
	Stop  func() error

	t    *testing.T
	open Open
}

// New returns a Rig without config and agent.
func New(t *testing.T, open Open) *Rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &Rig{t: t, open: open, Dir: dir}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(POPPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// Account is one [[account]] of a config.
type Account struct {
	Name, User, Folder string
	Port               int
	More               string   // further lines
	Replace            []string // old, new pairs in the text
}

// Change replaces a piece of the text that Configure writes.
func (a *Account) Change(old, new string) { a.Replace = append(a.Replace, old, new) }

// Path is where the config file is.
func (r *Rig) Path() string { return filepath.Join(r.Dir, "config.toml") }

// Configure writes the config, as a whole, with these accounts. What is in
// head goes before them. Notices, which tests that count messages do not expect,
// are off unless head says otherwise.
func (r *Rig) Configure(head string, accounts ...Account) {
	r.t.Helper()
	var b strings.Builder
	if !strings.Contains(head, "notices = ") {
		head = "notices = false\n" + head
	}
	fmt.Fprintf(&b, "version = 1\n%s\n", head)
	for _, a := range accounts {
		text := fmt.Sprintf("[[account]]\nname = %q\nhost = \"127.0.0.1\"\nport = %d\ntls = \"none\"\nusername = %q\n"+
			"password_file = \"password\"\nuser = %q\nfolder = %q\npoll_every = \"1h\"\n%s\n", a.Name, a.Port, a.Name, a.User, a.Folder, a.More)
		b.WriteString(strings.NewReplacer(a.Replace...).Replace(text))
	}
	next := r.Path() + ".new"
	if err := os.WriteFile(next, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.Path()); err != nil {
		r.t.Fatal(err)
	}
}

// Home writes a config with one account, home, of ann, whose server has n messages.
func (r *Rig) Home(n int) (*Peer, Account) {
	r.t.Helper()
	srv, port := POP(r.t, "home", n)
	home := Account{Name: "home", User: "ann", Folder: "INBOX", Port: port}
	r.Configure(Plain, home)
	return srv, home
}

// Plain is the usual head of a config.
const Plain = "data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\ntls = \"off\"\n[web]\nlisten = \"off\"\n"

// Load reads the config.
func (r *Rig) Load() *config.Config {
	r.t.Helper()
	cfg, err := config.Load(r.Path())
	if err != nil {
		r.t.Fatal(err)
	}
	return cfg
}

// Open opens an agent without serving.
func (r *Rig) Open() Agent {
	r.t.Helper()
	a, err := r.open(r.t.Context(), r.Load(), nil, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// Start runs an agent and waits until it is ready. Every user gets a device.
func (r *Rig) Start() {
	r.t.Helper()
	r.StartWith(r.Load().Users()...)
}

// StartWith is Start with devices for these users only.
func (r *Rig) StartWith(users ...string) {
	r.t.Helper()
	ready := make(chan []string, 1)
	a, err := r.open(r.t.Context(), r.Load(), r.SetLevel, func(addrs []string) { ready <- addrs })
	if err != nil {
		r.t.Fatal(err)
	}
	r.Agent = a
	for _, user := range users {
		r.AddDevice(user)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.Stop = sync.OnceValue(func() error { cancel(); return <-done })
	r.t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			r.t.Errorf("the agent ended with %v", err)
		}
	})
	select {
	case addrs := <-ready:
		r.Addr = strings.Join(addrs[:min(1, len(addrs))], "")
	case err := <-done:
		r.t.Fatalf("the agent did not start: %v", err)
	}
}

// Ops are the operations of the agent.
func (r *Rig) Ops() *operations.Local { return r.Agent.Operations() }

// AddDevice lets mail clients log in as a user, with DevicePassword.
func (r *Rig) AddDevice(user string) {
	r.t.Helper()
	if _, err := r.Ops().AddDevice(r.t.Context(), operations.AddDevice{User: user, Name: "test", Password: DevicePassword}); err != nil {
		r.t.Fatal(err)
	}
}

// Sync polls and requires that every account went through.
func (r *Rig) Sync(names ...string) []operations.SyncResult {
	r.t.Helper()
	results, err := r.Ops().Sync(r.t.Context(), names, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, res := range results {
		if res.Error != "" || res.Problems > 0 {
			r.t.Fatalf("sync: %+v", res)
		}
	}
	return results
}

// Status is that of the agent.
func (r *Rig) Status() operations.Status {
	r.t.Helper()
	s, err := r.Ops().Status(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// Codes are those of all conditions that hold.
func (r *Rig) Codes() string {
	r.t.Helper()
	var codes []string
	for _, c := range r.Status().Health {
		codes = append(codes, c.Code)
	}
	return strings.Join(codes, " ")
}

// Eventually waits for what another goroutine is about to do.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %v: %s", Patience, what)
		}
		supervise.Sleep(t.Context(), 5*time.Millisecond)
	}
}

// OneUser is an agent that has fetched three messages for ann.
func OneUser(t *testing.T, open Open) (r *Rig, srv *Peer, home Account) {
	t.Helper()
	r = New(t, open)
	srv, port := POP(t, "home", 3)
	home = Account{Name: "home", User: "ann", Folder: "INBOX", Port: port}
	r.Configure(Plain, home)
	r.Start()
	r.Sync()
	return r, srv, home
}

// Reload gives the agent these accounts.
func (r *Rig) Reload(accounts ...Account) {
	r.t.Helper()
	r.Configure(Plain, accounts...)
	r.Agent.Reload()
}

// Condition returns the first condition with a code, by its text.
func (r *Rig) Condition(code string) health.Condition {
	r.t.Helper()
	for _, c := range r.Status().Health { // sorted by text among those of a code
		if c.Code == code {
			return c
		}
	}
	return health.Condition{}
}

// ExpungeFirst expunges the first message of the selected mailbox.
func ExpungeFirst(t *testing.T, c *imapclient.Client) {
	t.Helper()
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
}

// POPTLS is POP with TLS from the first byte.
func POPTLS(t *testing.T, name string, cfg *tls.Config) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ServePOP(t, name, 2, tls.NewListener(ln, cfg))
	return ln.Addr().(*net.TCPAddr).Port
}

// Text is the config as it is now.
func (r *Rig) Text() string {
	r.t.Helper()
	data, err := os.ReadFile(r.Path())
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}
