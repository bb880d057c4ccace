package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
)

// manager is a service manager that runs real agents, in this process.
type manager struct {
	t       *testing.T
	run     installer.Run
	broken  error // the agent ends with it
	status  installer.Status
	failing error // of Start

	stop func() error // ends the agent
}

func (m *manager) Runs() installer.Run               { return m.run }
func (m *manager) Status() (installer.Status, error) { return m.status, nil }
func (m *manager) LogHint() string                   { return "look into the log" }

func (m *manager) Start() error {
	if m.failing != nil || m.stop != nil {
		return m.failing
	}
	m.status = installer.Running
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg, err := config.Load(m.run.Config)
	switch {
	case m.broken != nil:
		agent.NoteEnd(ctx, m.run.Config, agent.Options{}, m.broken)
		done <- nil
	case err != nil:
		m.t.Fatal(err)
	default:
		go func() {
			done <- agent.Serve(ctx, cfg, agent.Options{Log: zerolog.Nop()}, func() {}, func(*agent.Agent) {})
		}()
	}
	m.stop = func() error { cancel(); return <-done }
	return nil
}

func (m *manager) Restart() error {
	if err := m.end(); err != nil {
		return err
	}
	return m.Start()
}

func (m *manager) end() (err error) {
	if m.stop != nil {
		err, m.stop = m.stop(), nil
	}
	return err
}

// TestStartWaitsForTheAgent: what start says is true of the agent, and not of the
// service manager alone.
func TestStartWaitsForTheAgent(t *testing.T) {
	dir, err := os.MkdirTemp("", "pb") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	path := filepath.Join(dir, "config.toml")
	text := "version = 1\ndata_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\ntls = \"off\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, run: installer.Run{Config: path}, status: installer.Stopped}
	defer func() {
		if err := m.end(); err != nil {
			t.Error(err)
		}
	}()
	start := func() (string, error) {
		var out bytes.Buffer
		a := newApp(strings.NewReader(""), &out, &out)
		a.configPath = path
		err := a.start(t.Context(), m, false)
		return out.String(), err
	}
	for _, what := range []string{"at first", "while it runs"} {
		if out, err := start(); err != nil || !strings.HasPrefix(out, "the service runs as process ") || !strings.Contains(out, "with IMAP on 127.0.0.1:") {
			t.Errorf("%s: %q, %v", what, out, err)
		}
	}
	if err := m.end(); err != nil {
		t.Fatal(err)
	}

	m.broken = errors.New("the config is not readable")
	if out, err := start(); err == nil || !strings.Contains(err.Error(), "the service has ended: the config is not readable") || fault.Hint(err) != "look into the log" {
		t.Errorf("an agent that ends: %q, %v", out, err)
	}
	m.stop, m.broken = nil, nil
	m.failing = fault.New(fault.Internal, "the service could not be started", "")
	if _, err := start(); !errors.Is(err, m.failing) {
		t.Errorf("a service manager that fails: %v", err)
	}
}
