package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/supervise"
	"github.com/popbridge/popbridge/internal/testkit"
)

const (
	popPassword    = "pop-password"
	devicePassword = "device-password"
	patience       = 20 * time.Second // for what has to happen soon
)

// rig is a folder with a config, POP3 servers for its accounts and, between
// start and stop, an agent.
type rig struct {
	t   *testing.T
	dir string

	setLevel func(string)

	agent *Agent
	addr  string // of the first IMAP server
	stop  func() error
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(popPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// account is one [[account]] of a config.
type testAccount struct {
	name, user, folder string
	port               int
	more               string // further lines
	replace            []string
}

// change replaces a piece of the text that configure writes.
func (a *testAccount) change(old, new string) { a.replace = append(a.replace, old, new) }

func (r *rig) path() string { return filepath.Join(r.dir, "config.toml") }

// configure writes the config, as a whole, with these accounts. What is in
// head goes before them. Notices, which tests that count messages do not expect,
// are off unless head says otherwise.
func (r *rig) configure(head string, accounts ...testAccount) {
	r.t.Helper()
	var b strings.Builder
	if !strings.Contains(head, "notices = ") {
		head = "notices = false\n" + head
	}
	fmt.Fprintf(&b, "version = 1\n%s\n", head)
	for _, a := range accounts {
		text := fmt.Sprintf("[[account]]\nname = %q\nhost = \"127.0.0.1\"\nport = %d\ntls = \"none\"\nusername = %q\n"+
			"password_file = \"password\"\nuser = %q\nfolder = %q\npoll_every = \"1h\"\n%s\n", a.name, a.port, a.name, a.user, a.folder, a.more)
		b.WriteString(strings.NewReplacer(a.replace...).Replace(text))
	}
	next := r.path() + ".new"
	if err := os.WriteFile(next, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.path()); err != nil {
		r.t.Fatal(err)
	}
}

// plain is the usual head of a config.
const plain = "data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\ntls = \"off\"\n"

func (r *rig) load() *config.Config {
	r.t.Helper()
	cfg, err := config.Load(r.path())
	if err != nil {
		r.t.Fatal(err)
	}
	return cfg
}

// open opens an agent without serving.
func (r *rig) open() *Agent {
	r.t.Helper()
	a, err := Open(r.t.Context(), r.load(), Options{Log: zerolog.Nop()})
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// start runs an agent and waits until it is ready. Every user gets a device.
func (r *rig) start() {
	r.t.Helper()
	r.startWith(r.load().Users()...)
}

// startWith is start with devices for these users only.
func (r *rig) startWith(users ...string) {
	r.t.Helper()
	ready := make(chan []string, 1)
	a, err := Open(r.t.Context(), r.load(), Options{Log: zerolog.Nop(), SetLevel: r.setLevel,
		Ready: func(addrs []string) { ready <- addrs }})
	if err != nil {
		r.t.Fatal(err)
	}
	r.agent = a
	for _, user := range users {
		r.addDevice(user)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	r.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			r.t.Errorf("the agent ended with %v", err)
		}
	})
	select {
	case addrs := <-ready:
		r.addr = strings.Join(addrs[:min(1, len(addrs))], "")
	case err := <-done:
		r.t.Fatalf("the agent did not start: %v", err)
	}
}

func (r *rig) addDevice(user string) {
	r.t.Helper()
	if _, err := r.agent.ops.AddDevice(r.t.Context(), operations.AddDevice{User: user, Name: "test", Password: devicePassword}); err != nil {
		r.t.Fatal(err)
	}
}

// sync polls and requires that every account went through.
func (r *rig) sync(names ...string) []operations.SyncResult {
	r.t.Helper()
	results, err := r.agent.ops.Sync(r.t.Context(), names, nil)
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

func (r *rig) status() operations.Status {
	r.t.Helper()
	s, err := r.agent.ops.Status(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// codes are those of all conditions that hold.
func (r *rig) codes() string {
	r.t.Helper()
	var codes []string
	for _, c := range r.status().Health {
		codes = append(codes, c.Code)
	}
	return strings.Join(codes, " ")
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
		supervise.Sleep(t.Context(), 5*time.Millisecond)
	}
}

// peer is a POP3 server that remembers what it got.
type peer struct {
	*popserver.Server
	sent [][]byte
}

func (p *peer) Add(raw []byte) {
	p.Server.Add(raw)
	p.sent = append(p.sent, raw)
}

// pop starts a POP3 server with n messages for the account of that name.
func pop(t *testing.T, name string, n int) (*peer, int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return servePOP(t, name, n, ln), ln.Addr().(*net.TCPAddr).Port
}

func servePOP(t *testing.T, name string, n int, ln net.Listener) *peer {
	t.Helper()
	srv := &peer{Server: popserver.New(popserver.Options{User: name, Password: popPassword})}
	for i := range n {
		srv.Add(testkit.Message(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("POP3 server: %v", err)
		}
	})
	return srv
}

// login connects a mail client.
func login(t *testing.T, addr, user string, o *imapclient.Options) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(user, devicePassword).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// read returns all messages of a mailbox in the order of their UIDs.
func read(t *testing.T, addr, user, mailbox string) [][]byte {
	t.Helper()
	c := login(t, addr, user, nil)
	selected, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if selected.NumMessages == 0 {
		return nil
	}
	section := &imap.FetchItemBodySection{Peek: true}
	all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	for _, m := range all {
		bodies = append(bodies, m.FindBodySection(section))
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
	return bodies
}

// sameBytes compares messages in order.
func sameBytes(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("message %d has %d bytes, which differ from the %d wanted", i+1, len(got[i]), len(want[i]))
		}
	}
}

// stalling relays to a POP3 server and stops for good after so many bytes of
// answers, with the connection open. stalled is closed when it has.
func stalling(t *testing.T, target int, after int64) (port int, stalled <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(target)))
			if err != nil {
				_ = client.Close()
				continue
			}
			both := func() { _ = client.Close(); _ = server.Close() }
			context.AfterFunc(ctx, both)
			wg.Go(func() { _, _ = io.Copy(server, client); both() })
			wg.Go(func() {
				_, _ = io.CopyN(client, server, after)
				once.Do(func() { close(reached) })
				<-ctx.Done()
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = ln.Close(); wg.Wait() })
	return ln.Addr().(*net.TCPAddr).Port, reached
}
