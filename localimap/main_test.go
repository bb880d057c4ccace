package localimap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Quick()
	testkit.Overlap()
	goleak.VerifyTestMain(m)
}

// rig is a server over a real store, on a real port.
type rig struct {
	t      testing.TB
	store  *mailstore.Store
	server *Server
	addr   string
	opened chan string
	stop   func()
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	return newRigIn(t, t.TempDir(), change...)
}

func newRigIn(t testing.TB, dir string, change ...func(*Options)) *rig {
	t.Helper()
	r := openRig(t, dir, change...)
	t.Cleanup(func() {
		if err := r.close(); err != nil && !t.Failed() && t.Name() != "TestDamagedMessages" {
			t.Error(err)
		}
	})
	return r
}

// openRig returns a rig that the caller closes.
func openRig(t testing.TB, dir string, change ...func(*Options)) *rig {
	t.Helper()
	return openRigWith(t, dir, mailstore.Options{Log: zerolog.Nop()}, change...)
}

func openRigWith(t testing.TB, dir string, so mailstore.Options, change ...func(*Options)) *rig {
	t.Helper()
	store, err := mailstore.Open(t.Context(), dir, so)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	r := &rig{t: t, store: store, opened: make(chan string, 1000)}
	o := Options{
		Login:    r.login,
		Security: serving.Off,
		Zone:     func() *time.Location { return time.UTC },
		Log:      zerolog.Nop(),
		Opened: func(user, mailbox string) {
			select {
			case r.opened <- user + " " + mailbox:
			default:
			}
		},
	}
	if testing.Verbose() && os.Getenv("IMAP_LOG") != "" {
		o.Log = zerolog.New(zerolog.NewTestWriter(t))
	}
	for _, f := range change {
		f(&o)
	}
	r.server = New(o)
	r.serve()
	return r
}

// close ends the server and the store, which must be without a fault.
func (r *rig) close() error {
	r.stop()
	problems, err := r.store.Check(context.Background(), nil)
	if len(problems) > 0 {
		err = errors.Join(err, fmt.Errorf("store after the test: %v", problems))
	}
	return errors.Join(err, r.store.Close())
}

// serve starts the server; stop ends it and checks that it ends well.
func (r *rig) serve() {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatalf("listen: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, ln) }()
	r.addr = ln.Addr().String()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	}
}

// login knows joe, whose password is pw, and pw-read for a device that may only
// read.
func (r *rig) login(_ context.Context, _ net.Addr, user, password string) (Account, error) {
	switch {
	case user == "joe" && password == "pw":
		return Account{user, r.store, mailstore.Device{Name: "laptop"}}, nil
	case user == "joe" && password == "pw-read":
		return Account{user, r.store, mailstore.Device{Name: "tablet", ReadOnly: true}}, nil
	case user == "busy":
		return Account{}, fault.New(fault.Temporary, "the mail store is being opened", "try again")
	}
	return Account{}, fault.New(fault.Auth, "user name or password refused", "")
}

// deliver stores messages into a mailbox as the POP side does.
func (r *rig) deliver(mailbox string, flags []string, raw ...string) {
	r.t.Helper()
	ctx := context.Background()
	box, err := r.store.Mailbox(ctx, mailbox)
	if err != nil {
		r.t.Fatalf("mailbox %s: %v", mailbox, err)
	}
	var batch []mailstore.Delivery
	for i, text := range raw {
		sp, err := r.store.Spool(ctx, strings.NewReader(text))
		if err != nil {
			r.t.Fatalf("spool: %v", err)
		}
		batch = append(batch, mailstore.Delivery{
			Mailbox: box.ID, Message: sp, Flags: flags, ReceivedAt: epoch.Add(time.Duration(i) * 24 * time.Hour),
		})
	}
	if _, err := r.store.Deliver(ctx, batch); err != nil {
		r.t.Fatalf("deliver: %v", err)
	}
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatalf("dial: %v", err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func clientTLS(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.ServerName = "localhost"
	return config
}
