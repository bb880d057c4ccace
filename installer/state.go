package installer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kardianos/service"
)

// Status is what the service manager says.
type Status string

// The states of a service.
const (
	NotInstalled Status = "not installed"
	Stopped      Status = "stopped"
	Running      Status = "running"
	Restarting   Status = "restarting" // it has failed, and the manager will start it again
	Failed       Status = "failed"     // it has failed, and stays so
)

// State is what the service manager knows of the service. Only systemd says more
// than the status.
type State struct {
	Status   Status     `json:"status"`
	System   bool       `json:"system"`
	Restarts int        `json:"restarts"`           // by the manager, after failures
	LastEnd  string     `json:"last_end,omitempty"` // why it does not run, "" where it does or was told to stop
	EndedAt  *time.Time `json:"ended_at,omitempty"`
	Log      string     `json:"log"` // the command that shows the log, or the file
}

// Installed returns the services that are installed, to look at and not to change:
// usually one or none, and two where one is of the user and one of the system. The
// paths of o are needed on Windows.
func Installed(o Options) []*Service {
	h := thisHost()
	var found []*Service
	for _, system := range h.kinds() {
		s := &Service{def: definition{system: system, config: o.ConfigPath, dataDir: o.DataDir, stateDir: o.StateDir, log: h.logFile(system)}, host: h}
		if h.goos != "linux" {
			s.def.takeInstalled()
			m, err := newManager(s.def, h)
			if err != nil {
				continue
			}
			s.manager = m
		}
		if state, err := s.State(); err != nil || state.Status != NotInstalled {
			found = append(found, s)
		}
	}
	return found
}

// kinds are the kinds of services that there may be, false for one of the user.
func (h host) kinds() []bool {
	switch {
	case h.goos == "windows":
		return []bool{false, true}
	case h.goos == "linux" && h.platform != "linux-systemd":
		return nil
	case h.home == "":
		return []bool{true}
	}
	return []bool{false, true}
}

// Status is the status of State.
func (s *Service) Status() (Status, error) {
	state, err := s.State()
	return state.Status, err
}

// State asks the service manager.
func (s *Service) State() (State, error) {
	state := State{System: s.def.system && s.host.goos != "windows", Log: s.logPlace()}
	if path := s.Path(); path != "" {
		// The manager knows nothing of a unit it has not loaded yet.
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && !s.packaged() {
			state.Status = NotInstalled
			return state, nil
		}
	}
	var err error
	if s.host.goos == "linux" {
		err = s.show(&state)
	} else {
		state.Status, err = s.simpleStatus()
	}
	return state, s.explain(err, "the service manager does not answer")
}

// simpleStatus is the status on Windows and macOS.
func (s *Service) simpleStatus() (Status, error) {
	status, err := s.manager.Status()
	switch {
	case err == nil && status == service.StatusRunning:
		return Running, nil
	case err == nil && status == service.StatusStopped:
		return Stopped, nil
	case errors.Is(err, service.ErrNotInstalled) && s.Path() == "":
		return NotInstalled, nil
	case errors.Is(err, service.ErrNotInstalled), err == nil:
		return Stopped, nil // on its way from one state to another
	}
	return "", err
}

// show asks systemd, see org.freedesktop.systemd1(5).
func (s *Service) show(state *State) error {
	text, err := s.host.output(s.systemctl("show", "--property=ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus,ExecMainExitTimestamp", ServiceName+".service"))
	if err != nil {
		return err
	}
	said := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		said[name] = value
	}
	state.Restarts, _ = strconv.Atoi(said["NRestarts"])
	switch said["ActiveState"] {
	case "active", "reloading":
		state.Status = Running
		return nil
	case "activating":
		state.Status = Running
		if said["SubState"] == "auto-restart" {
			state.Status = Restarting
		}
	case "failed":
		state.Status = Failed
	default:
		state.Status = Stopped
	}
	state.LastEnd = whyEnded(said["Result"], said["ExecMainCode"], said["ExecMainStatus"])
	if at, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", said["ExecMainExitTimestamp"]); err == nil {
		state.EndedAt = &at
	}
	return nil
}

// whyEnded says why the process of a service has ended, "" where it was told to.
// code is that of waitid(2), status the exit code or the signal.
func whyEnded(result, code, status string) string {
	n, _ := strconv.Atoi(status)
	switch {
	case result == "success" || result == "":
		return ""
	case result == "oom-kill":
		return "it was killed because the machine ran out of memory"
	case result == "timeout":
		return "it did not start or stop in time, and was killed"
	case code != "1" && n > 0:
		return fmt.Sprintf("it was killed by signal %d (%v)", n, syscall.Signal(n))
	}
	// systemd.exec(5), "process exit codes"
	switch n {
	case 0:
		return "systemd gave it up (" + result + ")"
	case 2:
		return "exit code 2: the config has errors"
	case 203:
		return "exit code 203: the program cannot be executed; it was moved, or its user may not"
	case 216, 217:
		return fmt.Sprintf("exit code %d: the user that it runs as does not exist", n)
	case 226:
		return "exit code 226: systemd cannot set up its view of the file system"
	}
	return fmt.Sprintf("exit code %d", n)
}

// systemctl is a command of systemctl for the service's systemd.
func (s *Service) systemctl(args ...string) []string {
	if s.def.system {
		return append([]string{"systemctl"}, args...)
	}
	return append([]string{"systemctl", "--user"}, args...)
}

// LogCommand returns the command that prints the last lines of the service's log,
// and goes on as they come where that is asked for; nil where the log is a file.
func (s *Service) LogCommand(lines int, follow bool) []string {
	if s.host.goos != "linux" {
		return nil
	}
	argv := []string{"journalctl", "--no-pager", "--lines", strconv.Itoa(lines)}
	if follow {
		argv = append(argv, "--follow")
	}
	if s.def.system {
		return append(argv, "--unit", ServiceName)
	}
	// What a process printed that has ended at once is not known to be of the unit:
	// the journal looks that up by the process, unless its systemd is root's.
	const unit = ServiceName + ".service"
	return append(argv, "--user", "USER_UNIT="+unit, "+", "_SYSTEMD_USER_UNIT="+unit, "+", "SYSLOG_IDENTIFIER="+ServiceName)
}

// LogFile is the file of the log, "" where the system keeps it. On Windows it is in the
// data folder, or in the state folder where that was missing; on macOS what was printed
// before there was a log, while there is none.
func (s *Service) LogFile() string {
	switch s.host.goos {
	case "windows":
		const name = `\popbridge.log`
		if other := s.def.stateDir + name; s.def.stateDir != "" && !s.host.exists(s.def.dataDir+name) && s.host.exists(other) {
			return other
		}
		return s.def.dataDir + name
	case "darwin":
		if other := printed(s.def.log); !s.host.exists(s.def.log) && s.host.exists(other) {
			return other
		}
		return s.def.log
	}
	return ""
}

// logPlace is what shows the log without popbridge.
func (s *Service) logPlace() string {
	if file := s.LogFile(); file != "" {
		return file
	}
	if s.def.system {
		return "journalctl -u " + ServiceName
	}
	return "journalctl --user -u " + ServiceName
}

// LogHint says where the log of the service is.
func (s *Service) LogHint() string {
	return "`popbridge logs` shows its log, which is in: " + s.logPlace()
}
