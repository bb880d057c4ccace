package bridge

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Quick()
	goleak.VerifyTestMain(m)
}

const day = 24 * time.Hour

// clock is a wall clock that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// rig is a POP3 server, a store and a runner between them.
type rig struct {
	t      testing.TB
	dir    string // of the store
	pop    *popServer
	store  *mailstore.Store
	clock  *clock
	runner *Runner
}

func openStore(t testing.TB, c *clock) *mailstore.Store { return openStoreIn(t, t.TempDir(), c) }

func openStoreIn(t testing.TB, dir string, c *clock) *mailstore.Store {
	t.Helper()
	store, err := mailstore.Open(context.Background(), dir, mailstore.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		problems, err := store.Check(context.Background(), nil)
		if err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			t.Errorf("store: %s: %s", p.Code, p.Text)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func newRig(t testing.TB, keep plan.Keep) *rig {
	t.Helper()
	g := &rig{t: t, dir: t.TempDir(), clock: new(clock)}
	g.store = openStoreIn(t, g.dir, g.clock)
	g.pop = newPopServer(t)
	g.restart(keep)
	return g
}

// restart makes a new runner, as a restart of the program does.
func (g *rig) restart(keep plan.Keep) {
	g.runner = newTestRunner(g.pop, g.store, g.clock, "home", "INBOX", keep)
}

func newTestRunner(pop *popServer, store Store, c *clock, account, folder string, keep plan.Keep) *Runner {
	r := NewRunner(Account{
		Name: account, Server: pop.config(), PollEvery: 5 * time.Minute, Keep: keep, Folder: folder,
		Credentials: func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: account, Secret: "secret"}, nil
		},
	}, store, Options{Now: c.now})
	r.settle = 0
	return r
}

// fill adds messages from up to before to, with the UIDLs "u<n>".
func (g *rig) fill(from, to int) {
	for n := from; n < to; n++ {
		g.pop.add(uidl(n), testkit.Message(n))
	}
}

func uidl(n int) string {
	return "u" + string(rune('A'+n/26%26)) + string(rune('a'+n%26)) + string(rune('0'+n/676))
}

func (g *rig) poll() Result {
	g.t.Helper()
	result, err := g.runner.Poll(context.Background(), nil)
	if err != nil {
		g.t.Fatalf("poll: %v", err)
	}
	return result
}

// scheduled polls as the schedule does, which leaves out what waits.
func (r *Runner) scheduled(ctx context.Context) (Result, error) {
	f := newPollRun()
	r.runPoll(ctx, f)
	return f.result, f.err
}

func (g *rig) scheduled() Result {
	g.t.Helper()
	result, err := g.runner.scheduled(context.Background())
	if err != nil {
		g.t.Fatalf("poll: %v", err)
	}
	return result
}

func (g *rig) pollError() error {
	g.t.Helper()
	_, err := g.runner.Poll(context.Background(), nil)
	if err == nil {
		g.t.Fatal("the poll went through")
	}
	return err
}

// mail returns the messages of a folder in UID order.
func mail(t testing.TB, store *mailstore.Store, folder string) []string {
	t.Helper()
	ctx := context.Background()
	mailbox, err := store.Mailbox(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.OpenView(ctx, mailbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var out []string
	for ids := range slices.Chunk(view.Snapshot().Contents, 512) {
		contents, err := store.Contents(ctx, ids, mailstore.WantFile)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range contents {
			file, err := store.OpenContent(c.Hash)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			out = append(out, string(data))
		}
	}
	return out
}

// dates returns the INTERNALDATE of each message of INBOX.
func dates(t testing.TB, store *mailstore.Store) (out []time.Time) {
	t.Helper()
	mailbox, err := store.Mailbox(context.Background(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.OpenView(context.Background(), mailbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	for _, s := range view.Snapshot().Received {
		out = append(out, time.Unix(s, 0))
	}
	return out
}

// wantMail checks that INBOX has exactly the messages from up to before to, in
// any order.
func (g *rig) wantMail(from, to int) {
	g.t.Helper()
	var want []string
	for n := from; n < to; n++ {
		want = append(want, string(testkit.Message(n)))
	}
	g.wantExactly(want)
}

func (g *rig) wantExactly(want []string) {
	g.t.Helper()
	got := mail(g.t, g.store, "INBOX")
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return
	}
	missing, surplus := diff(want, got), diff(got, want)
	g.t.Fatalf("%d messages, want %d: %d missing, %d surplus or changed", len(got), len(want), len(missing), len(surplus))
}

// diff returns what is in a and not in b, both sorted, with multiplicity.
func diff(a, b []string) (out []string) {
	for _, s := range a {
		for len(b) > 0 && b[0] < s {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == s {
			b = b[1:]
			continue
		}
		out = append(out, s)
	}
	return out
}

func (g *rig) want(got Result, stored, adopted, deleted, onServer int) {
	g.t.Helper()
	if got.Stored != stored || got.Adopted != adopted || got.Deleted != deleted || got.OnServer != onServer {
		g.t.Fatalf("got %+v, want stored %d, adopted %d, deleted %d, on the server %d", got, stored, adopted, deleted, onServer)
	}
	if n := g.pop.count(); n != onServer {
		g.t.Fatalf("%d messages on the server, want %d", n, onServer)
	}
}
