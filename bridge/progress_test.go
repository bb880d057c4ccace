package bridge

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
)

func TestChangedTellsEachState(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 1)
	var states []State
	g.runner.changed = func(s Status) {
		if len(states) == 0 || states[len(states)-1] != s.State {
			states = append(states, s.State)
		}
	}
	g.poll()
	g.pop.change(func() { g.pop.down = errors.New("down") })
	g.pollError()
	want := []State{Polling, Idle, Polling, Backoff}
	if strings.Join(text(states), " ") != strings.Join(text(want), " ") {
		t.Errorf("states %v, want %v", states, want)
	}
}

func text(states []State) (out []string) {
	for _, s := range states {
		out = append(out, string(s))
	}
	return out
}

func TestProgress(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 40)
	g.pop.messages[3].err = "-ERR no"
	g.pop.messages[5].size = 100_000 // LIST is wrong in both directions
	g.pop.messages[6].size = 10      //
	g.pop.messages[20].cut = true    // and the connection is lost on the way
	g.pop.trouble = trouble{limit: 15, limitText: "-ERR Download exceed. msg=15"}
	var seen []Progress
	if _, err := g.runner.Poll(t.Context(), func(p Progress) { seen = append(seen, p) }); err != nil {
		t.Fatal(err)
	}
	if len(seen) < 5 {
		t.Fatalf("%d reports", len(seen))
	}
	for i, p := range seen {
		if p.Account != "home" || p.Messages > p.TotalMessages || p.Bytes > p.TotalBytes || p.Bytes < 0 {
			t.Errorf("report %d: %+v", i, p)
		}
		if p.Done != (i == len(seen)-1) {
			t.Errorf("report %d of %d: %+v", i, len(seen), p)
		}
	}
	last := seen[len(seen)-1]
	if last.Phase != PhaseDone || last.Messages != 38 || last.TotalMessages != 38 || last.Bytes != last.TotalBytes || last.Err != "" {
		t.Errorf("last report %+v", last)
	}
}

// LIST sizes are hints: a message may be larger or smaller, or break off.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last Progress
		m := &meter{emit: func(p Progress) { last = p }}
		fetch := []plan.Fetch{{Listed: plan.Listed{Num: 1, Size: 10}}, {Listed: plan.Listed{Num: 2, Size: 20}}, {Listed: plan.Listed{Num: 3, Size: 30}}}
		m.expect(fetch)
		read := func(f plan.Fetch, text string, want int64) {
			t.Helper()
			time.Sleep(time.Second)
			if _, err := io.ReadAll(m.reader(strings.NewReader(text), f.Size)); err != nil {
				t.Error(err)
			}
			if last.Bytes != want || last.TotalBytes != 60 {
				t.Errorf("%+v, want %d bytes of 60", last, want)
			}
		}
		read(fetch[0], strings.Repeat("x", 100), 10)
		m.received(fetch[0])
		read(fetch[1], strings.Repeat("x", 5), 15)
		read(fetch[2], strings.Repeat("x", 7), 17) // the second one broke off
		m.received(fetch[2])
		m.drop(fetch[1])
		m.done(nil)
		want := Progress{Phase: PhaseDone, Messages: 2, TotalMessages: 2, Bytes: 40, TotalBytes: 40, Done: true}
		if last != want {
			t.Errorf("got %+v, want %+v", last, want)
		}
	})
}

func TestProgressOfFailure(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.change(func() { g.pop.down = errors.New("no route") })
	var last Progress
	_, err := g.runner.Poll(t.Context(), func(p Progress) { last = p })
	if err == nil || !last.Done || last.Err != err.Error() {
		t.Errorf("error %v, last report %+v", err, last)
	}
}
