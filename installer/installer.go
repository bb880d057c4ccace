// Package installer registers popbridge with the service manager of the
// operating system: systemd on Linux, launchd on macOS, the service control
// manager on Windows.
//
// What is registered is this package's own text (unit, property list, service
// entry), a pure function of a definition, the same on whatever system it is
// rendered; kardianos/service puts it in place and talks to the manager, but for
// launchd, to which launchctl.go talks. The
// service runs `popbridge run --config FILE`; the package never runs it itself.
//
// Installed for one user (the default) the service starts when that user logs
// in and runs as that user. Installed for the system it starts with the
// machine, as the user who called sudo or the like, or as root where there is none. On
// Windows an entry of the registry starts that of a user, and that of the system
// runs under an account of its own, which may run the program, read the folder of the
// config, and change the folders of data and state; none of these folders is the root
// of a drive or a profile. It trusts the user who installed it.
package installer

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// ServiceName is how systemd and Windows call the service.
const ServiceName = ownership.ServiceName

// Options say what is to run. Both paths are absolute.
type Options struct {
	Executable string // the program; empty: the one that is running
	ConfigPath string
	DataDir    string // where the service writes; Windows has to be told
	StateDir   string // the same for what is kept outside of it
	HasDataDir bool   // the config names it
	System     bool   // for the machine instead of the user
}

// Service is the service of popbridge on this machine, installed or not. Its
// errors are faults.
type Service struct {
	def     definition
	host    host
	manager manager
}

// manager is what is used of service.Service.
type manager interface {
	Install() error
	Uninstall() error
	Start() error
	Stop() error
	Restart() error
	Status() (service.Status, error)
}

// Find reports whether the service that is installed here is one of the system.
// There may be one of the user as well: then only the user can say which is meant.
func Find() (system bool, err error) { return thisHost().find() }

// Check reports why no service can be installed here, for the user or for the
// system, if that is so.
func Check(system bool) error { return thisHost().check(system) }

// New returns the service; nothing is changed yet. It fails where there is no
// service manager that could run it.
func New(o Options) (*Service, error) {
	h := thisHost()
	if err := h.check(o.System); err != nil {
		return nil, err
	}
	def, err := define(o, h)
	if err != nil {
		return nil, err
	}
	def.takeInstalled()
	m, err := newManager(def, h)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "there is no service manager on this system", runItself)
	}
	return &Service{def, h, m}, nil
}

const runItself = "start `popbridge run` by other means; it stays in the foreground and ends on SIGTERM"

// Path returns the file that Install writes, or "" on Windows, which has none.
func (s *Service) Path() string { return s.def.path(s.host) }

// Install registers the service, which then starts with the next login or
// start of the machine; Start does so at once. The note says what the user
// should know; it may be empty.
func (s *Service) Install() (note string, err error) {
	status, err := s.Status()
	if err != nil {
		return "", err
	}
	if status != NotInstalled {
		return "", fault.New(fault.Conflict, "the service is installed already", "to change it run popbridge uninstall first")
	}
	for _, check := range []func() error{s.notTwice, s.hasHome, s.safeForRoot, s.ownFolders, s.fitsRun, s.prepare} {
		if err := check(); err != nil {
			return "", err
		}
	}
	if err = s.manager.Install(); err == nil {
		err = s.grant()
	}
	if err != nil {
		s.undo()
		return "", s.explain(err, "the service could not be installed")
	}
	return s.note(), nil
}

// notTwice refuses a service with the config of one of the other kind.
func (s *Service) notTwice() error {
	other := &Service{def: definition{system: !s.def.system}, host: s.host}
	if s.def.user != "" {
		other.host.home = s.host.homeOf(s.def.user)
	}
	if s.Path() == "" || !s.host.exists(other.unit()) || other.Runs().Config != s.def.config {
		return nil
	}
	if s.def.system {
		return fault.New(fault.Conflict, "a service of the user runs with this config already: "+other.unit(), "remove it first, as that user: popbridge uninstall --system=false")
	}
	return fault.New(fault.Conflict, "a service of the whole system runs with this config already: "+other.unit(), "nothing is to be done; or remove it first: sudo popbridge uninstall --system")
}

// hasHome refuses a service without a home folder, in which its data folder would
// be: no service manager gives one to a service of root.
func (s *Service) hasHome() error {
	if s.host.goos == "windows" || !s.def.system || s.def.hasDataDir {
		return nil
	}
	if s.def.user != "" && s.host.homeOf(s.def.user) != "" {
		return nil
	}
	if s.def.user != "" {
		return fault.New(fault.Config, "the home folder of user "+s.def.user+" is not known, so that it is not known where the mail is to be kept", "set data_dir in the config")
	}
	return fault.New(fault.Config, "the service would run as root, without a home folder, so that it is not known where its mail is to be kept",
		"set data_dir in the config; or install it with sudo from the account of the user whose mail it is, and it runs as that user")
}

// asRoot reports whether the service runs as root.
func (s *Service) asRoot() bool { return s.def.system && (s.def.user == "" || s.def.user == root) }

// safeForRoot refuses a service of root whose program or config others than root
// can change: at once, or at a start of the machine, when /tmp is empty.
func (s *Service) safeForRoot() error {
	if s.host.goos == "windows" || !s.asRoot() {
		return nil
	}
	for _, p := range []struct{ what, path string }{{"program", s.def.executable}, {"config file", s.def.config}} {
		if f := ownership.Check(p.path, ownership.Options{Durable: true}); f != nil {
			return fault.New(fault.Denied, "the service would run as root, and others than root can change its "+p.what+": "+f.Why,
				"install it with sudo from the account of the user whose mail it is, and it runs as that user; or put program and config where only root can write, such as /usr/local/bin and /etc/popbridge")
		}
	}
	return nil
}

// prepare makes the folders that the manager expects to be there.
func (s *Service) prepare() error {
	var dirs []string
	for _, g := range s.def.grants(s.host.goos) {
		dirs = append(dirs, g.dir)
	}
	if s.def.log != "" {
		dirs = append(dirs, filepath.Dir(s.def.log))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return s.explain(err, "the service could not be installed")
		}
	}
	if s.def.log != "" && s.def.user != "" {
		// launchd opens the log as that user; where it cannot, it ends with 78.
		return s.explain(s.host.run([]string{"chown", s.def.user, filepath.Dir(s.def.log)}), "the service could not be installed")
	}
	return nil
}

// grant gives the account of a Windows service access to its folders, and lets
// every user see how a service of the system runs.
func (s *Service) grant() error {
	if s.def.system && s.Path() != "" {
		return os.Chmod(s.Path(), 0o644) // whatever the umask
	}
	grants := s.def.grants(s.host.goos)
	if len(grants) == 0 {
		return nil
	}
	if err := s.host.run(icaclsRun(s.def.executable)); err != nil {
		return err
	}
	for _, g := range grants {
		if err := s.host.run(icacls(g)); err != nil {
			return err
		}
	}
	return nil
}

// undo removes what a failed Install left, so that it can be tried again. The
// error of the installation is the one that matters.
func (s *Service) undo() {
	_ = s.manager.Uninstall()
	if path := s.Path(); path != "" {
		_ = os.Remove(path)
	}
}

// Uninstall stops the service and removes its registration. Mail and
// configuration stay, and so does the unit of a package.
func (s *Service) Uninstall() error {
	status, err := s.installed()
	if err != nil {
		return err
	}
	packaged := s.packaged() // while it runs
	if status == Running || status == Restarting {
		if err := s.manager.Stop(); err != nil {
			return s.explain(err, "the service could not be stopped")
		}
	}
	if status == Failed && s.host.goos == "linux" {
		_ = s.host.run(s.systemctl("reset-failed", ServiceName+".service")) // or it is listed for ever
	}
	if packaged {
		return s.explain(s.host.run(s.systemctl("disable", ServiceName+".service")), "the service could not be disabled")
	}
	return s.explain(s.manager.Uninstall(), "the service could not be removed")
}

// Start starts the service. One that runs already is left alone.
func (s *Service) Start() error {
	status, err := s.installed()
	if err != nil || status == Running {
		return err
	}
	return s.explainStart(s.manager.Start(), "the service could not be started")
}

// Stop stops the service until the next login or start of the machine.
func (s *Service) Stop() error {
	status, err := s.installed()
	if err != nil || status == Stopped {
		return err
	}
	return s.explain(s.manager.Stop(), "the service could not be stopped")
}

// Restart stops the service, if it runs, and starts it.
func (s *Service) Restart() error {
	status, err := s.installed()
	switch {
	case err != nil:
		return err
	case status == Running:
		return s.explainStart(s.manager.Restart(), "the service could not be restarted")
	}
	return s.Start()
}

// installed is Status where NotInstalled is an error.
func (s *Service) installed() (Status, error) {
	status, err := s.Status()
	if err == nil && status == NotInstalled {
		return status, fault.New(fault.NotFound, "the service is not installed", s.host.howToInstall())
	}
	return status, err
}

// explainStart is explain with why the service does not run, where the manager
// knows that.
func (s *Service) explainStart(err error, text string) error {
	if err == nil {
		return nil
	}
	if state, _ := s.State(); state.LastEnd != "" {
		return fault.New(fault.Temporary, text+": "+state.LastEnd, s.LogHint())
	}
	return s.explain(err, text)
}

// explain makes a fault of what the service manager said.
func (s *Service) explain(err error, text string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrPermission) {
		return fault.Wrap(err, fault.Denied, text, s.host.asRoot())
	}
	return fault.Wrap(err, fault.Internal, text, cmp.Or(fault.Hint(err), s.LogHint()))
}

// note is what to know after an installation.
func (s *Service) note() string {
	switch {
	case s.host.goos == "windows" && !s.def.system:
		return "it runs while you are logged on, and starts at each log-on; --system installs a service of the machine"
	case s.host.goos == "windows":
		return "the service runs under the account " + windowsAccount + ", which cannot read your Windows credentials: use password_file, in the folder of the config file"
	case s.host.goos == "linux" && !s.def.system && !s.host.lingers():
		return "the service runs while you are logged in; to keep it running run: loginctl enable-linger"
	case s.asRoot():
		return "the service runs as root, its mail belongs to root, and password_command is run as root; installed with sudo by a user, it runs as that user"
	}
	return ""
}

// MadeByGoRun reports whether a program is a temporary one of `go run`.
func MadeByGoRun(path string) bool {
	return strings.Contains(path, string(filepath.Separator)+"go-build")
}

func thisExecutable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the path of this program is not known", "")
	}
	if MadeByGoRun(path) {
		return "", fault.New(fault.Config, "this program is a temporary one, made by go run", "build it first: go build -o popbridge ./cmd/popbridge")
	}
	return path, nil
}
