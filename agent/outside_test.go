package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestVigil(t *testing.T) {
	const (
		jumped    = "the clock jumped, as it does after sleep"
		suspended = "the computer or this program was suspended"
		network   = "the network changed"
	)
	tick := clockEvery
	tests := []struct {
		name  string
		steps []time.Duration // pairs: what the wall clock and the running one went on by
		at    []string        // where each look finds the machine; the last one stays
		want  []string
	}{
		{"all is quiet", []time.Duration{tick, tick, tick, tick, tick, tick}, nil, []string{"", "", ""}},
		{"a look that comes a little late", []time.Duration{tick + 4*time.Second, tick + 4*time.Second}, nil, []string{""}},
		{"clocks drift", []time.Duration{tick + time.Second, tick}, nil, []string{""}},
		{"sleep, and the running clock stands still", []time.Duration{time.Hour, tick, tick, tick}, nil, []string{jumped, ""}},
		{"sleep, and both clocks go on", []time.Duration{time.Hour, time.Hour, tick, tick}, nil, []string{suspended, ""}},
		{"the clock is set back", []time.Duration{-time.Hour, tick, tick, tick}, nil, []string{jumped, ""}},
		{"the clock is set ahead", []time.Duration{time.Hour, tick}, nil, []string{jumped}},
		{"another network is seen at the third look", []time.Duration{tick, tick, tick, tick, tick, tick, tick, tick},
			[]string{"a", "b"}, []string{"", "", network, ""}},
		{"no network is no reason, its return is", []time.Duration{tick, tick, tick, tick, tick, tick, tick, tick, tick, tick, tick, tick},
			[]string{"a", "", "a"}, []string{"", "", "", "", "", network}},
		{"sleep and another network are one event", []time.Duration{time.Hour, tick, tick, tick, tick, tick},
			[]string{"a", "b"}, []string{jumped, "", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now, asked := reading{wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, 0
			o := outside{
				clock: func() reading { return now },
				network: func() string {
					if len(tt.at) == 0 {
						return "a"
					}
					asked++
					return tt.at[min(asked, len(tt.at))-1]
				},
			}
			v := o.watch()
			var got []string
			for i := 0; i < len(tt.steps); i += 2 {
				now.wall, now.ran = now.wall.Add(tt.steps[i]), now.ran+tt.steps[i+1]
				got = append(got, v.look())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The clocks and the network of the machine that runs the test say something.
func TestRealOutside(t *testing.T) {
	v := realOutside().watch()
	if reason := v.look(); reason != "" {
		t.Errorf("at once: %s", reason)
	}
}

// After sleep an account that waits is polled, not only at its next time.
func TestResumePollsTheAccounts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	home, _ := r.Home(3)
	r.Start()
	r.Sync()
	home.Add(testkit.Message(100))
	r.own().accounts.Resume("a test", func(c config.Account) bool { return c.User == "bob" })
	r.own().accounts.Resume("a test", func(c config.Account) bool { return c.User == "ann" })
	agenttest.Eventually(t, "the new message is here", func() bool { return r.Status().Accounts[0].Stored == 4 })
}
