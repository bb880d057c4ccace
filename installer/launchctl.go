package installer

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
)

// launchctl manages a job of launchd by the commands that launchctl(1) does not call
// legacy. kardianos/service uses load and unload, which report success for what went
// wrong, and starts the next process before the former one has gone.
type launchctl struct {
	def  definition
	host host
}

// domain is the one that the job lives in, see launchctl(1).
func (l *launchctl) domain() string {
	if l.def.system {
		return "system"
	}
	return "gui/" + strconv.Itoa(l.host.uid)
}

func (l *launchctl) target() string { return l.domain() + "/" + LaunchLabel }

// Install writes the property list, which launchd reads at the next log-in or start of
// the machine.
func (l *launchctl) Install() error {
	path := l.def.path(l.host)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(launchdPlist(l.def))
	return errors.Join(err, file.Close())
}

func (l *launchctl) Uninstall() error {
	if err := l.Stop(); err != nil {
		return err
	}
	return os.Remove(l.def.path(l.host))
}

// pid is in what `launchctl print` says of a job that runs.
var pid = regexp.MustCompile(`(?m)^\s*pid = [0-9]+$`)

// print asks for the job; loaded is whether launchd has it, running or not.
func (l *launchctl) print() (text string, loaded bool) {
	text, err := l.host.output([]string{"launchctl", "print", l.target()})
	return text, err == nil
}

func (l *launchctl) Status() (service.Status, error) {
	switch text, loaded := l.print(); {
	case loaded && pid.MatchString(text):
		return service.StatusRunning, nil
	case l.host.exists(l.def.path(l.host)):
		return service.StatusStopped, nil
	}
	return service.StatusUnknown, service.ErrNotInstalled
}

// Start loads the job, which runs at once. launchd keeps one that has ended by itself,
// and does not load it twice.
func (l *launchctl) Start() error {
	if err := l.Stop(); err != nil {
		return err
	}
	_ = l.host.run([]string{"launchctl", "enable", l.target()}) // one that was switched off; bootstrap says what is wrong
	err := l.host.run([]string{"launchctl", "bootstrap", l.domain(), l.def.path(l.host)})
	if err != nil && !l.def.system {
		return fault.Wrap(err, fault.Temporary, "launchd does not take the service of this user",
			"log in at the screen as this user (ssh is not enough), or install with --system; System Settings, General, Login Items shows whether popbridge may run in the background")
	}
	return err
}

// Stop unloads the job, and returns when its process has gone.
func (l *launchctl) Stop() error {
	if _, loaded := l.print(); !loaded {
		return nil
	}
	err := l.host.run([]string{"launchctl", "bootout", l.target()}) // an error also while it is on its way
	for end := time.Now().Add(2 * stopSeconds * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, loaded := l.print(); !loaded {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(err, errors.New("launchd still has it"))
		}
	}
}

// Restart lets the process end in order: `kickstart -k` kills it.
func (l *launchctl) Restart() error { return l.Start() }
