package agent

import (
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/config"
)

// TestAChangedTimeZoneIsTakenUp: at a reload, and no account notices.
func TestAChangedTimeZoneIsTakenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := agenttest.POP(t, "a", 1)
	home := agenttest.Account{Name: "a", User: "ann", Folder: "INBOX", Port: port}
	r.Configure("timezone = \"Pacific/Auckland\"\n"+agenttest.Plain, home)
	r.Start()
	if got := r.own().zone.Load().String(); got != "Pacific/Auckland" {
		t.Errorf("zone at the start: %s", got)
	}
	r.Sync()
	runner := r.runnerOf("a")
	r.Configure("timezone = \"America/New_York\"\n"+agenttest.Plain, home)
	r.Agent.Reload()
	if got := r.own().zone.Load().String(); got != "America/New_York" {
		t.Errorf("zone after a reload: %s", got)
	}
	if r.runnerOf("a") != runner {
		t.Error("the account was restarted")
	}
}

// TestTheMachinesTimeZone: TZ holds where it is set.
func TestTheMachinesTimeZone(t *testing.T) {
	if got := location(&config.Config{TimeZone: "Asia/Tokyo"}).String(); got != "Asia/Tokyo" {
		t.Errorf("the config says Tokyo: %s", got)
	}
	if got := location(&config.Config{}); got == nil || got.String() != "Local" {
		t.Errorf("the machine's: %v", got)
	}
}
