package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
)

// manager is a service manager that runs real agents.
type manager struct {
	t       *testing.T
	run     installer.Run
	program []string // what is run; nil: the agent
	failing error    // of Start

	process *exec.Cmd
}

func (m *manager) Runs() installer.Run { return m.run }
func (m *manager) LogHint() string     { return "look into the log" }

func (m *manager) State() (installer.State, error) {
	if m.process == nil {
		return installer.State{Status: installer.Stopped}, nil
	}
	return installer.State{Status: installer.Running}, nil
}

func (m *manager) Start() error {
	if m.failing != nil || m.process != nil {
		return m.failing
	}
	m.process = exec.Command(os.Args[0], "run", "--config", m.run.Config)
	m.process.Args[0] = "popbridge" // see TestMain
	if m.program != nil {
		m.process = exec.Command(m.program[0], m.program[1:]...)
	}
	m.process.Env = append(os.Environ(), "SYSTEMD_EXEC_PID=") // of another one
	return m.process.Start()
}

func (m *manager) Restart() error {
	m.end()
	return m.Start()
}

func (m *manager) end() {
	if m.process != nil {
		_ = m.process.Process.Signal(syscall.SIGTERM)
		_ = m.process.Wait() // the agent says itself how it has ended
		m.process = nil
	}
}

// TestStartWaitsForTheAgent: what start and restart say is true of the agent, and
// not of the service manager alone.
func TestStartWaitsForTheAgent(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM")
	}
	dir, err := os.MkdirTemp("", "pb") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "config.toml")
	configure := func(data string) {
		t.Helper()
		text := "version = 1\ndata_dir = \"" + data + "\"\n[web]\nlisten = \"off\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\ntls = \"off\"\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := &manager{t: t, run: installer.Run{Config: path}}
	defer m.end()
	start := func(again bool) (string, error) {
		var out bytes.Buffer
		a := newApp(strings.NewReader(""), &out, &out)
		a.configPath = path
		err := a.start(t.Context(), m, again)
		return out.String(), err
	}
	says := func(what string, again bool, begin string) (process string) {
		t.Helper()
		out, err := start(again)
		rest, ok := strings.CutPrefix(out, begin+" as process ")
		process, rest, _ = strings.Cut(rest, ",")
		if err != nil || !ok || !strings.HasPrefix(rest, " with IMAP on 127.0.0.1:") {
			t.Errorf("%s: %q, %v", what, out, err)
		}
		return process
	}
	configure("data")
	first := says("at first", false, "the service runs")
	if same := says("while it runs", false, "the service runs already,"); same != first {
		t.Errorf("process %s instead of %s", same, first)
	}
	if other := says("again", true, "the service runs"); other == first {
		t.Errorf("restart has left process %s", first)
	}
	m.end()

	configure("config.toml/no-folder")
	if out, err := start(false); err == nil || !strings.Contains(err.Error(), "the service has ended: ") || fault.Hint(err) != "look into the log" {
		t.Errorf("an agent that cannot run: %q, %v", out, err)
	}
	m.end()
	m.program = []string{"sleep", "60"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newApp(nil, io.Discard, io.Discard).start(ctx, m, false); !errors.Is(err, context.Canceled) {
		t.Errorf("Ctrl-C: %v", err)
	}
	m.end()
	m.failing = fault.New(fault.Internal, "the service could not be started", "")
	if _, err := start(false); !errors.Is(err, m.failing) {
		t.Errorf("a service manager that fails: %v", err)
	}
}

// A service that the manager has given up is not waited for.
func TestAServiceThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := installer.State{Status: installer.Running}
		alive := stillThere(func() (installer.State, error) { return now, nil })
		begin := time.Now()
		for _, step := range []struct {
			status  installer.Status
			lastEnd string
			after   time.Duration
			ok      bool
		}{{installer.Running, "", 0, true}, {installer.Stopped, "", time.Second, true}, {installer.Running, "", time.Minute, true},
			{installer.Stopped, "", stoppedFor, true}, {installer.Stopped, "", time.Second, false}, {installer.Running, "", 0, true}, {installer.Failed, "", 0, false},
			{installer.Running, "", 0, true}, {installer.Restarting, "exit code 203", 0, false}} {
			time.Sleep(step.after)
			now = installer.State{Status: step.status, LastEnd: step.lastEnd}
			err := alive()
			if (err == nil) != step.ok || err != nil && !strings.Contains(err.Error(), step.lastEnd) {
				t.Errorf("%s after %v: %v", step.status, time.Since(begin), err)
			}
		}
	})
}

// Who stops an agent that runs in a terminal is told how.
func TestAnAgentThatIsNoServiceIsStoppedOtherwise(t *testing.T) {
	none := fault.New(fault.NotFound, "there is no systemd on this machine", "make it your init system's")
	if got := withoutService(none, 0); got != none {
		t.Errorf("no agent runs: %v", got)
	}
	denied := fault.New(fault.Denied, "only root may", "sudo")
	if got := withoutService(denied, 12); got != denied {
		t.Errorf("a service that may not be stopped: %v", got)
	}
	got := withoutService(none, 12)
	if !strings.Contains(got.Error(), "no systemd on this machine; an agent runs as process 12") || !strings.Contains(fault.Hint(got), "Ctrl-C") || !strings.Contains(fault.Hint(got), "kill 12") {
		t.Errorf("%v; %s", got, fault.Hint(got))
	}
}

// A line of status for each state of a service.
func TestServiceText(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	at := now.Add(-3 * time.Minute)
	for want, s := range map[string]installer.State{
		"running, one of this user": {Status: installer.Running},
		"running, one of the whole system, started again after a failure 2 times":              {Status: installer.Running, System: true, Restarts: 2},
		"failed, one of this user; it ended 3 min ago: exit code 1; its log: `popbridge logs`": {Status: installer.Failed, LastEnd: "exit code 1", EndedAt: &at},
		"restarting, one of this user; it ended: exit code 203; its log: `popbridge logs`":     {Status: installer.Restarting, LastEnd: "exit code 203"},
	} {
		if got := serviceText(s, now); got != want {
			t.Errorf("%s", got)
		}
	}
}
