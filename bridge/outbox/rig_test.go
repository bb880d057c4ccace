package outbox

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/sasl"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Quick()
	goleak.VerifyTestMain(m)
}

// rig is a queue, a provider and a runner between them.
type rig struct {
	t      testing.TB
	queue  *memQueue // the queue, unless the rig is one with a store
	store  testQueue
	server *provider
	runner *Runner
	secret atomic.Value

	mu      sync.Mutex
	reports [][]byte
	notices [][]byte
	doubts  [][]byte
	states  []Status

	reportErr error
}

func newRig(t testing.TB) *rig {
	queue := newMemQueue(time.Now)
	g := newRigWith(t, queue)
	g.queue = queue
	return g
}

func newRigWith(t testing.TB, queue testQueue) *rig {
	g := &rig{t: t, server: new(provider), store: queue}
	g.secret.Store("secret")
	g.restart(Account{})
	return g
}

// restart makes a new runner, as a restart of the program does.
func (g *rig) restart(a Account) {
	a.Name = "home"
	a.Credentials = func(context.Context) (sasl.Credentials, error) {
		return sasl.Credentials{Username: "home", Secret: g.secret.Load().(string)}, nil
	}
	take := func(list *[][]byte) func(context.Context, mailstore.Outgoing, []byte) error {
		return func(_ context.Context, _ mailstore.Outgoing, raw []byte) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.reportErr == nil {
				*list = append(*list, raw)
			}
			return g.reportErr
		}
	}
	g.runner = NewRunner(a, g.store, Options{
		Rand:   func() float64 { return 0.5 },
		Report: take(&g.reports), Delayed: take(&g.notices), Doubted: take(&g.doubts),
		Changed: func(s Status) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.states = append(g.states, s)
		},
	})
	g.runner.dial = g.server.dial
}

func sample(n int) []byte {
	return fmt.Appendf(nil, "From: a@example.org\r\nBcc: hidden@example.org\r\nSubject: test\r\nMessage-ID: <%d@example.org>\r\n\r\ntext\r\n", n)
}

func (g *rig) submit(to ...string) mailstore.OutgoingID {
	return g.store.submit("home", "a@example.org", sample(1), to...)
}

// serve runs Serve and returns what stops it and waits for its end.
func (g *rig) serve() (stop func()) {
	ctx, cancel := context.WithCancel(g.t.Context())
	done := make(chan error, 1)
	r := g.runner
	go func() { done <- r.Serve(ctx) }()
	return func() {
		g.t.Helper()
		cancel()
		if err := <-done; err != nil {
			g.t.Error(err)
		}
		g.server.change(func() {
			if g.server.open != 0 || g.server.most > 1 {
				g.t.Errorf("%d sessions are open, there were %d at a time", g.server.open, g.server.most)
			}
		})
	}
}

// wantTaken checks how often the provider has taken mail for each recipient.
func (g *rig) wantTaken(want map[string]int) {
	g.t.Helper()
	got := g.server.count()
	for a, n := range want {
		if got[a] != n {
			g.t.Errorf("%s: taken %d times, want %d", a, got[a], n)
		}
		delete(got, a)
	}
	for a, n := range got {
		g.t.Errorf("%s: taken %d times, want none", a, n)
	}
}

func (g *rig) told() (reports, notices int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.reports), len(g.notices)
}

// reportsOn is how many reports are about a recipient.
func (g *rig) reportsOn(address string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, raw := range g.reports {
		n += bytes.Count(raw, []byte("Final-Recipient: rfc822; "+address+"\r\n"))
	}
	return n
}

// pass lets time go by, and all that follows from that.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
