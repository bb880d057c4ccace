package installer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
)

// host is the machine and the user, so that tests can be any.
type host struct {
	goos     string
	platform string // kardianos/service's name of the service manager
	uid      int    // -1 on Windows
	user     string
	home     string
	getenv   func(string) string
	exists   func(path string) bool
	run      func(argv []string) error
	homeOf   func(user string) string // "" where it is not known
	entries  func() (user, system bool)
}

func thisHost() host {
	home, _ := os.UserHomeDir() // without one, nothing is installed for a user: see check
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	return host{runtime.GOOS, service.Platform(), os.Getuid(), os.Getenv("USER"), home, os.Getenv, exists, run, homeOf, entries}
}

func homeOf(name string) string {
	u, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	return u.HomeDir
}

const runTimeout = time.Minute

func run(argv []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w, saying %s", argv[0], err, fault.Quote(strings.TrimSpace(string(out))))
	}
	return nil
}

// check reports why no service can be installed here, if that is so.
func (h host) check(system bool) error {
	switch {
	case h.goos == "windows":
		return nil // which asks for an administrator by itself
	case h.goos == "linux" && h.platform != "linux-systemd":
		return fault.New(fault.NotFound, "there is no systemd on this machine", "in a container make `popbridge run` its command; elsewhere let your init system start it")
	case system && h.uid != 0:
		return fault.New(fault.Denied, "a service of the whole system can only be managed by root", h.asRoot())
	case system:
		return nil
	case h.home == "":
		return fault.New(fault.Config, "this user has no home folder", "set HOME, or install with --system")
	case h.uid == 0 && h.sudoUser() != "":
		return fault.New(fault.Config, "with sudo this would be a service of the user root", "leave sudo away, or install with --system")
	}
	return h.checkUserManager()
}

// find reports whether a service of the system is installed, and refuses to guess
// where there is one of the user as well.
func (h host) find() (system bool, err error) {
	var user bool
	if h.goos == "windows" {
		user, system = h.entries()
	} else {
		user = h.home != "" && h.exists(definition{}.path(h))
		system = h.exists(definition{system: true}.path(h))
	}
	if user && system {
		return false, fault.New(fault.Conflict, "two services are installed, one of this user and one of the whole system",
			"say which: --system or --system=false; `popbridge uninstall` removes one")
	}
	return system, nil
}

// checkUserManager looks for the user's own systemd, which is missing in a
// session that came about by su or cron: systemctl --user would only say
// "exit status 1".
func (h host) checkUserManager() error {
	if h.goos != "linux" {
		return nil
	}
	const text = "the systemd of this user cannot be reached"
	dir := h.getenv("XDG_RUNTIME_DIR")
	if usual := "/run/user/" + strconv.Itoa(h.uid); dir == "" && h.exists(usual+"/systemd") {
		return fault.New(fault.Config, text, "run: export XDG_RUNTIME_DIR="+usual)
	}
	if dir == "" || !h.exists(path.Join(dir, "systemd")) {
		return fault.New(fault.Config, text, "log in as this user (su and sudo are not enough), or install with --system")
	}
	return nil
}

func (h host) asRoot() string {
	if h.goos == "windows" {
		return "run it in a terminal that was opened as administrator"
	}
	return "run it with sudo"
}

// sudoUser is who called sudo, if that was not root.
func (h host) sudoUser() string {
	if user := h.getenv("SUDO_USER"); user != "root" {
		return user
	}
	return ""
}

// lingers reports whether the user's services run without a login.
func (h host) lingers() bool { return h.user != "" && h.exists("/var/lib/systemd/linger/"+h.user) }
