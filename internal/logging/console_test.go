package logging_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/logging"
	"github.com/popbridge/popbridge/internal/terminal"
)

// A person reads what happened, how long it took in a unit, and each event once.
func TestConsoleIsForPeople(t *testing.T) {
	var out strings.Builder
	log := logging.New(&out, "info", "console").With().Str("component", "bridge").Logger()
	say := func(want string, event func()) {
		t.Helper()
		out.Reset()
		event()
		if got := out.String(); got != want && !(want != "" && strings.HasSuffix(got, " "+want+"\n")) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	poll := func(stored, deleted, failed int, took time.Duration) func() {
		return func() {
			log.Info().Str("account", "home").Int("stored", stored).Int("adopted", 0).Int("deleted", deleted).Int("failed", failed).
				Int64("size", 1).Int("sessions", 1).Dur("dur", took).Time("next", time.Now()).Msg("poll done")
		}
	}
	say("INF fetched 12 messages from home in 3.0 s", poll(12, 0, 0, 3*time.Second))
	say("INF fetched 1 message from home in 40 s", poll(1, 0, 0, 40*time.Second))
	say("INF home: deleted 2 messages on the server in 250 ms", poll(0, 2, 0, 250*time.Millisecond))
	say("INF fetched 3 messages from home, 2 messages could not be fetched in 5 min", poll(3, 0, 2, 5*time.Minute))
	say("INF home is polled again, nothing new", poll(0, 0, 0, time.Second))
	say("", func() { log.Warn().Err(errors.New("no route")).Msg("poll failed") })
	say("WRN account home: no route (account-unreachable)\n         hint: look", func() {
		log.Warn().Str("source", "account home").Str("code", "account-unreachable").Str("text", "account home: no route").Str("hint", "look").Msg("health condition raised")
	})
	say("INF account home: no longer account-unreachable", func() {
		log.Info().Str("source", "account home").Str("code", "account-unreachable").Msg("health condition cleared")
	})
	say(`INF server wants logins further apart interval="15 min"`, func() {
		log.Info().Dur("interval", 15*time.Minute).Msg("server wants logins further apart")
	})
}

// What a server says reaches the terminal in no form that it would obey, whatever
// the field and the format.
func FuzzLogIsSafe(f *testing.F) {
	f.Add("\x1b]0;owned\a", "\u202e\u009b")
	f.Add("\x9b31m\r", "\u2066\n")
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, format := range []string{"console", "json"} {
			var out strings.Builder
			log := logging.New(&out, "info", format)
			log.Warn().Str("text", one).Str("hint", two).Str("code", "c").Msg("health condition raised")
			log.Info().Str("account", one).Int("stored", 1).Msg("poll done")
			log.Info().Str("user", one).Err(errors.New(two)).Strs("list", []string{one, two}).Msg("IMAP login refused")
			for _, r := range out.String() {
				if !terminal.Safe(r) {
					t.Errorf("%s: %U in %q", format, r, out.String())
				}
			}
		}
	})
}
