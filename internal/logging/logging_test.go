package logging_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/logging"
)

func TestFormats(t *testing.T) {
	tests := []struct{ format, want string }{
		{"json", `"message":"mail was fetched"`},
		{"auto", `"message":"mail was fetched"`}, // a buffer is no terminal
		{"console", "INF mail was fetched account=home"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		log := logging.New(&out, "info", tt.format)
		log.Info().Str("account", "home").Msg("mail was fetched")
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: got %q, want %q in it", tt.format, out.String(), tt.want)
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: colour codes outside of a terminal: %q", tt.format, out.String())
		}
	}
}

func TestLevels(t *testing.T) {
	tests := []struct {
		level string
		lines int
	}{{"trace", 4}, {"debug", 3}, {"info", 2}, {"warn", 1}, {"", 2}, {"loud", 2}}
	for _, tt := range tests {
		var out bytes.Buffer
		writeAll(logging.New(&out, tt.level, "json"))
		if got := strings.Count(out.String(), "\n"); got != tt.lines {
			t.Errorf("level %q wrote %d lines, want %d", tt.level, got, tt.lines)
		}
	}
}

func TestDerivedLoggersFollowTheLevel(t *testing.T) {
	var out bytes.Buffer
	log, level := logging.NewAdjustable(&out, "warn", "json")
	derived := log.With().Str("component", "bridge").Logger()
	writeAll(derived)
	level.Set("trace")
	writeAll(derived)
	if got := strings.Count(out.String(), "\n"); got != 1+4 {
		t.Errorf("%d lines, want 5:\n%s", got, &out)
	}
	level.Set("error")
	if derived.Warn().Enabled() {
		t.Error("a warning is still built at level error")
	}
}

func writeAll(log zerolog.Logger) {
	log.Trace().Msg("bytes were read")
	log.Debug().Msg("a message was planned")
	log.Info().Msg("mail was fetched")
	log.Warn().Msg("a message was refused")
}

// Who looks at the terminal sees warnings, while others get all of it.
func TestWarnings(t *testing.T) {
	var all, warnings bytes.Buffer
	log, _ := logging.NewAdjustable(io.Discard, "info", "json", &all, logging.Warnings(&warnings))
	log.Info().Msg("usual")
	log.Warn().Msg("unusual")
	if got := all.String(); !strings.Contains(got, `"usual"`) || !strings.Contains(got, `"unusual"`) {
		t.Errorf("all: %s", got)
	}
	if got := warnings.String(); strings.Contains(got, " usual") || !strings.Contains(got, "WRN unusual") {
		t.Errorf("warnings: %s", got)
	}
}
