package bridge

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/plan"
)

// sized is a message of n bytes.
func sized(n, size int) []byte {
	head := fmt.Sprintf("Subject: %d\r\n\r\n", n)
	return []byte(head + strings.Repeat("x", size-len(head)-2) + "\r\n")
}

// 400 kept messages get new ids: none is fetched again, none delivered again,
// UIDs and flags stay, and none is deleted before it was compared.
func TestRenumberedWithoutFetching(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepForever())
	for n := range 400 {
		g.pop.add(uidl(n), sized(n, 200+7*n))
	}
	g.want(g.poll(), 400, 0, 0, 400)
	before := snapshot(t, g)
	fetched := func() (n int) {
		g.pop.mu.Lock()
		defer g.pop.mu.Unlock()
		for _, c := range g.pop.retrs {
			n += c
		}
		return n - 400
	}
	renumber := func(name string) {
		for n, m := range g.pop.messages {
			m.uidl = fmt.Sprintf("%s-%d", name, n)
		}
	}
	renumber("second")
	p, err := g.runner.Preview(t.Context())
	if err != nil || p.Fetch != 0 || p.Kept != 400 {
		t.Errorf("preview fetches %d, keeps %d, error %v", p.Fetch, p.Kept, err)
	}
	var phases []string
	var log bytes.Buffer
	g.runner.log = zerolog.New(&log)
	result, err := g.runner.Poll(t.Context(), func(p Progress) { phases = append(phases, p.Phase) })
	if err != nil || !strings.Contains(strings.Join(phases, " "), PhaseCompare) {
		t.Errorf("phases %v, error %v", phases, err)
	}
	if !strings.Contains(log.String(), `"messages":400,"fetched":0,"message":"server renumbered its messages`) {
		t.Errorf("the log does not tell: %s", &log)
	}
	g.want(result, 0, 400, 0, 400)
	g.want(g.poll(), 0, 0, 0, 400)
	if n := fetched(); n != 0 {
		t.Errorf("%d messages fetched again", n)
	}

	// Once more, with two arrivals, of which one has the size of another.
	renumber("third")
	g.pop.add("x", sized(1000, 200+7*13))
	g.pop.add("y", sized(1001, 5000))
	g.want(g.poll(), 2, 400, 0, 402)
	if n := fetched(); n != 3 {
		t.Errorf("%d messages fetched", n)
	}
	if after := snapshot(t, g); after[:len(before)] != before {
		t.Error("UIDs or flags have changed")
	}

	// Now they may go: each is compared first.
	g.restart(plan.KeepNewest(2))
	if p, err := g.runner.Preview(t.Context()); err != nil || p.Fetch != 399 || len(p.Delete) != 400 {
		t.Errorf("preview fetches %d, deletes %d, error %v", p.Fetch, len(p.Delete), err)
	}
	g.want(g.poll(), 0, 0, 400, 2)
	if n := fetched(); n != 3+399 {
		t.Errorf("%d messages fetched", n)
	}
}

// snapshot is what a mail client sees of INBOX.
func snapshot(t *testing.T, g *rig) string {
	t.Helper()
	inbox, err := g.store.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	view, err := g.store.OpenView(t.Context(), inbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var out strings.Builder
	s := view.Snapshot()
	for i := range s.UIDs {
		fmt.Fprintln(&out, s.UIDs[i], s.Flags[i], s.Sizes[i], s.Contents[i])
	}
	return out.String()
}

// What was taken for a stored message and proves to be another is delivered,
// not deleted.
func TestPresumedWrongly(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	for n := range 30 {
		g.pop.add(uidl(n), sized(n, 200+n))
	}
	g.poll()
	for n, m := range g.pop.messages {
		m.uidl = fmt.Sprint("new", n)
	}
	g.pop.messages[4].data = sized(99, 204) // in the moment of the renumbering
	g.want(g.poll(), 0, 30, 0, 30)
	g.restart(plan.KeepNever())
	if p, err := g.runner.Preview(t.Context()); err != nil || len(p.Delete) != 30 || p.Delete[0].UIDL != "new0" {
		t.Errorf("preview %+v, error %v", p, err)
	}
	g.pop.messages[6].err = "-ERR not now"
	if got := g.poll(); got.Stored != 1 || got.Deleted != 29 || g.pop.count() != 1 {
		t.Errorf("%+v, %d left", got, g.pop.count())
	}
	want := []string{string(sized(99, 204))}
	for n := range 30 {
		want = append(want, string(sized(n, 200+n)))
	}
	g.wantExactly(want)
}
