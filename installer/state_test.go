package installer

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kardianos/service"
)

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		goos   string
		status service.Status
		err    error
		want   Status
	}{
		{"linux", service.StatusRunning, nil, Running},
		{"linux", service.StatusStopped, nil, Stopped},
		{"linux", service.StatusUnknown, errors.New("exit status 1"), ""},
		{"darwin", service.StatusRunning, nil, Running},
		{"darwin", service.StatusStopped, nil, Stopped},
		{"windows", service.StatusUnknown, service.ErrNotInstalled, NotInstalled},
		{"windows", service.StatusRunning, nil, Running},
	} {
		s, f := newService(t, c.goos)
		if c.goos != "windows" {
			install(t, s)
		}
		f.status, f.errs["status"] = c.status, c.err
		got, err := s.Status()
		if got != c.want || (c.want == "") != (err != nil) {
			t.Errorf("%s %v %v: got %q, %v; want %q", c.goos, c.status, c.err, got, err, c.want)
		}
	}
}

// What systemd says of a service, as systemd 252 says it.
func TestState(t *testing.T) {
	at := time.Date(2026, 11, 26, 20, 0, 0, 0, time.UTC)
	const ended = "\nExecMainExitTimestamp=Thu 2026-11-26 20:00:00 UTC\n"
	for _, c := range []struct {
		shows string
		want  State
	}{
		{"ActiveState=active\nSubState=running\nResult=success\nNRestarts=2\nExecMainCode=0\nExecMainStatus=0\nExecMainExitTimestamp=\n", State{Status: Running, Restarts: 2}},
		{"ActiveState=activating\nSubState=start\nResult=success\n", State{Status: Running}},
		{"ActiveState=deactivating\nSubState=stop-sigterm\nResult=success\n", State{Status: Stopped}},
		{"ActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainCode=1\nExecMainStatus=1" + ended, State{Status: Restarting, LastEnd: "exit code 1", EndedAt: &at}},
		{"ActiveState=failed\nResult=exit-code\nExecMainCode=1\nExecMainStatus=2" + ended, State{Status: Failed, LastEnd: "exit code 2: the config has errors", EndedAt: &at}},
		{"ActiveState=failed\nResult=exit-code\nExecMainCode=1\nExecMainStatus=203" + ended, State{Status: Failed, LastEnd: "exit code 203: the program cannot be executed; it was moved, or its user may not", EndedAt: &at}},
		{"ActiveState=failed\nResult=exit-code\nExecMainCode=1\nExecMainStatus=217" + ended, State{Status: Failed, LastEnd: "exit code 217: the user that it runs as does not exist", EndedAt: &at}},
		{"ActiveState=failed\nResult=exit-code\nExecMainCode=1\nExecMainStatus=226" + ended, State{Status: Failed, LastEnd: "exit code 226: systemd cannot set up its view of the file system", EndedAt: &at}},
		{"ActiveState=failed\nResult=signal\nExecMainCode=2\nExecMainStatus=9" + ended, State{Status: Failed, LastEnd: "it was killed by signal 9 (killed)", EndedAt: &at}},
		{"ActiveState=failed\nResult=oom-kill\nExecMainCode=2\nExecMainStatus=9" + ended, State{Status: Failed, LastEnd: "it was killed because the machine ran out of memory", EndedAt: &at}},
		{"ActiveState=failed\nResult=timeout\nExecMainCode=2\nExecMainStatus=9" + ended, State{Status: Failed, LastEnd: "it did not start or stop in time, and was killed", EndedAt: &at}},
		{"ActiveState=failed\nResult=start-limit-hit\nExecMainCode=1\nExecMainStatus=0" + ended, State{Status: Failed, LastEnd: "systemd gave it up (start-limit-hit)", EndedAt: &at}},
	} {
		s, f := newService(t, "linux")
		install(t, s)
		f.shows = c.shows
		c.want.Log = "journalctl --user -u popbridge"
		got, err := s.State()
		must(t, err)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s(-want +got)\n%s", c.shows, diff)
		}
	}
}

// On macOS what is printed is looked at while the agent has not logged anything.
func TestWhereTheLogOfMacOSIs(t *testing.T) {
	const log, printed = "/Users/ann/Library/Logs/popbridge/popbridge.log", "/Users/ann/Library/Logs/popbridge/popbridge.stderr.log"
	for _, c := range []struct {
		there []string
		want  string
	}{{nil, log}, {[]string{log, printed}, log}, {[]string{printed}, printed}} {
		h := with(anns("darwin"), func(h *host) { h.exists = func(path string) bool { return slices.Contains(c.there, path) } })
		if got := (&Service{def: definition{log: h.logFile(false)}, host: h}).LogFile(); got != c.want {
			t.Errorf("%q: %s", c.there, got)
		}
	}
}

// On Windows the log is in the state folder while the data folder is missing.
func TestWhereTheLogOfWindowsIs(t *testing.T) {
	const data, state = `D:\mail\popbridge.log`, `C:\state\popbridge.log`
	for _, c := range []struct {
		there []string
		want  string
	}{{nil, data}, {[]string{data}, data}, {[]string{data, state}, data}, {[]string{state}, state}} {
		h := with(anns("windows"), func(h *host) { h.exists = func(path string) bool { return slices.Contains(c.there, path) } })
		s := &Service{def: definition{dataDir: `D:\mail`, stateDir: `C:\state`}, host: h}
		if got := s.LogFile(); got != c.want {
			t.Errorf("%q: %s", c.there, got)
		}
	}
}
