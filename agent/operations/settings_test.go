package operations_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

func TestSettings(t *testing.T) {
	r := newRig(t)
	r.Configure(agenttest.Plain + "[log]\nlevel = \"info\" # for now\n")
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	ops, ctx := r.Ops(), t.Context()
	text := func() string {
		t.Helper()
		data, err := os.ReadFile(r.Path())
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before := text()
	s, err := ops.Settings(ctx)
	if err != nil || s.File != r.Path() || len(s.Problems) > 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	level := s.Keys[slices.IndexFunc(s.Keys, func(k operations.Setting) bool { return k.Key == "log.level" })]
	if level.Value != "info" || !strings.Contains(strings.Split(before, "\n")[level.Line-1], "for now") || level.Fixed != "" || len(level.Choices) != 5 {
		t.Errorf("%+v", level)
	}

	// What no browser may set is refused, together with all else that was asked.
	for _, k := range config.Keys {
		_, err := ops.SetSettings(ctx, operations.SetSettings{Values: map[string]string{k.Path: "debug", "log.level": "debug"}})
		if k.Fixed != "" && (!fault.Is(err, fault.Denied) || fault.Hint(err) == "") {
			t.Errorf("%s: %v", k.Path, err)
		}
		if k.Fixed != "" && text() != before {
			t.Fatalf("%s:\n%s", k.Path, text())
		}
		if err := os.WriteFile(r.Path(), []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"version", "account", "account[1].password_command", "log", "imap.listen.x", ""} {
		if _, err := ops.SetSettings(ctx, operations.SetSettings{Values: map[string]string{key: "x"}}); err == nil || text() != before {
			t.Errorf("%q: %v\n%s", key, err, text())
		}
	}

	// Wrong values are told by key, and nothing is written.
	saved, err := ops.SetSettings(ctx, operations.SetSettings{Values: map[string]string{"log.level": "loud", "keep_expunged": "1h", "notices": "yes", "timezone": "UTC"}})
	var wrong []string
	for _, p := range saved.Problems {
		if p.Text == "" || p.Line != 0 {
			t.Errorf("%+v", p)
		}
		wrong = append(wrong, p.Key)
	}
	slices.Sort(wrong)
	if err != nil || strings.Join(wrong, " ") != "keep_expunged log.level notices" || text() != before {
		t.Errorf("%q, %v\n%s", wrong, err, text())
	}

	saved, err = ops.SetSettings(ctx, operations.SetSettings{Values: map[string]string{"log.level": "debug", "timezone": "UTC"}})
	if err != nil || len(saved.Problems) > 0 || !strings.Contains(text(), `level = "debug" # for now`) || !strings.Contains(text(), `timezone = "UTC"`) {
		t.Errorf("%+v, %v\n%s", saved, err, text())
	}

	// A file with a mistake can be looked at, and is not written.
	if err := os.WriteFile(r.Path(), []byte("timezone = \"x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := ops.Settings(ctx); err != nil || len(s.Problems) != 1 || s.Problems[0].Line != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := ops.SetSettings(ctx, operations.SetSettings{Values: map[string]string{"timezone": "UTC"}}); err == nil || text() != "timezone = \"x\n" {
		t.Errorf("%v\n%s", err, text())
	}
}

// What was deleted and can be brought back is not given up but by who was told how much.
func TestSettingsThatForget(t *testing.T) {
	r := newRig(t)
	_, port := agenttest.POP(t, "a", 3)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "a", User: "ann", Folder: "INBOX", Port: port})
	r.Start()
	r.Sync()
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(users.Folder(cfg.DataDir), "ann")
	expunge(t, dir, cfg.KeepExpunged, time.Now().AddDate(0, 0, -20), 1)
	expunge(t, dir, cfg.KeepExpunged, time.Now().AddDate(0, 0, -10), 2)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	for _, tc := range []struct {
		keep            string
		forget, forgets int
		saved           bool
	}{
		{"60d", 0, 0, true},
		{"25d", 0, 0, true},
		{"15d", 0, 1, false},
		{"15d", 1, 1, true},
		{"5d", 1, 2, false}, // more than was shown
		{"1h", 0, 0, false}, // is no such length
		{"", 0, 0, true},    // the default
	} {
		before, err := os.ReadFile(r.Path())
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Ops().SetSettings(t.Context(), operations.SetSettings{Values: map[string]string{"keep_expunged": tc.keep}, Forget: tc.forget})
		after, readErr := os.ReadFile(r.Path())
		if err = errors.Join(err, readErr); err != nil || got.Forgets != tc.forgets || tc.saved == bytes.Equal(before, after) {
			t.Errorf("%+v: %d, %v, %v\n%s", tc, got.Forgets, got.Problems, err, after)
		}
	}
}

func TestAbout(t *testing.T) {
	r := newRig(t)
	r.Configure(agenttest.Plain)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	a, err := r.Ops().About(t.Context())
	if err != nil || a.Go == "" || a.SQLite == "" || a.Config != r.Path() || a.DataDir == "" || a.System == "" {
		t.Errorf("%+v, %v", a, err)
	}
}
