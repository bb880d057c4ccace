package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/plan"
)

// One line for a poll that changed something, one for the first failure of a
// kind and one for the end of it; nothing for the rest.
func TestLog(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	var out bytes.Buffer
	g.runner.log = zerolog.New(&out).Level(zerolog.InfoLevel)
	lines := func() []string {
		defer out.Reset()
		var texts []string
		for line := range strings.Lines(out.String()) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, fields["level"].(string)+" "+fields["message"].(string))
		}
		return texts
	}
	check := func(want ...string) {
		t.Helper()
		if got := lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	g.poll()
	check()
	g.fill(0, 3)
	g.poll()
	check("info poll done")
	g.poll()
	check()
	g.pop.change(func() { g.pop.down = errors.New("no route") })
	g.pollError()
	check("warn poll failed")
	g.pollError()
	check()
	g.pop.change(func() { g.pop.down = nil })
	g.poll()
	check("info poll done")
	g.poll()
	check()
}

func TestStateIsRemembered(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 3)
	g.poll()
	last := g.runner.Status().LastSuccess
	g.restart(plan.KeepForever())
	g.pop.change(func() { g.pop.down = errors.New("no route") })
	g.pollError()
	s := g.runner.Status()
	if s.Stored != 3 || s.OnServer != 3 || s.LastSuccess.Unix() != last.Unix() {
		t.Errorf("status %+v", s)
	}
	state, err := g.store.AccountState(t.Context(), "home")
	if err != nil || !strings.Contains(state.LastError, "no route") || !state.HadUIDL {
		t.Errorf("state %+v, error %v", state, err)
	}
}
