package agent

import (
	"testing"

	"github.com/popbridge/popbridge/config"
)

// TestAChangedTimeZoneIsTakenUp: at a reload, and no account notices.
func TestAChangedTimeZoneIsTakenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := pop(t, "a", 1)
	home := testAccount{name: "a", user: "ann", folder: "INBOX", port: port}
	r.configure("timezone = \"Pacific/Auckland\"\n"+plain, home)
	r.start()
	if got := r.agent.zone.Load().String(); got != "Pacific/Auckland" {
		t.Errorf("zone at the start: %s", got)
	}
	r.sync()
	runner := r.runnerOf("a")
	r.configure("timezone = \"America/New_York\"\n"+plain, home)
	r.agent.Reload()
	if got := r.agent.zone.Load().String(); got != "America/New_York" {
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
