package installer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
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
	output   func(argv []string) (string, error)
	homeOf   func(user string) string // "" where it is not known
	entries  func() (user, system bool)
	account  string // Windows only: the SID of the user
}

func thisHost() host {
	home, _ := os.UserHomeDir() // without one, nothing is installed for a user: see check
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	return host{runtime.GOOS, service.Platform(), os.Getuid(), os.Getenv("USER"), home, os.Getenv, exists, run, output, homeOf, entries, account()}
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
	_, err := output(argv)
	return err
}

func output(argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "TZ=UTC") // for the times that systemctl prints
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w, saying %s", argv[0], err, fault.Quote(strings.TrimSpace(string(out))))
	}
	return string(out), nil
}

// check reports why no service can be installed here, if that is so.
func (h host) check(system bool) error {
	switch {
	case h.goos == "windows":
		return nil // which asks for an administrator by itself
	case h.goos == "linux" && h.platform != "linux-systemd":
		return h.withoutSystemd()
	case system && h.uid != 0:
		return fault.New(fault.Denied, "a service of the whole system can only be managed by root", h.asRoot())
	case system:
		return nil
	case h.home == "":
		return fault.New(fault.Config, "this user has no home folder", "set HOME, or install with --system")
	case h.uid == 0 && h.caller().By != "":
		by := h.caller().By
		return fault.New(fault.Config, "with "+by+" this would be a service of the user root", "omit "+by+", or install with --system")
	}
	return h.checkUserManager()
}

// withoutSystemd is the error that there is no systemd, with what to do instead.
func (h host) withoutSystemd() error {
	const text = "there is no systemd on this machine, so popbridge installs no service"
	does := func(sign ...string) bool { return slices.ContainsFunc(sign, h.exists) }
	switch {
	case h.getenv("container") != "", does("/.dockerenv", "/run/.containerenv", "/run/host/container-manager"):
		return fault.New(fault.NotFound, "this is a container without systemd, so popbridge installs no service", "make `popbridge run --config FILE` the command of the container: "+servicePage)
	case does("/run/openrc", "/sbin/openrc-run"):
		return fault.New(fault.NotFound, text, "OpenRC runs it by a file /etc/init.d/popbridge: "+servicePage)
	case does("/run/runit", "/etc/runit"):
		return fault.New(fault.NotFound, text, "runit runs it by a file /etc/sv/popbridge/run: "+servicePage)
	}
	return fault.New(fault.NotFound, text, "let your init system run `popbridge run --config FILE` as the user whose mail it is, and end it with SIGTERM: "+servicePage)
}

// servicePage says what to do on every system.
const servicePage = Homepage + "/blob/main/docs/service.md"

// RunsAs is the user that a service will run as which is installed now: "" for the
// one that installs it, or for an account of its own.
func RunsAs(system bool) string {
	if h := thisHost(); system && h.uid == 0 {
		return h.caller().Name
	}
	return ""
}

// find reports whether a service of the system is installed, and refuses to guess
// where there is one of the user as well.
func (h host) find() (system bool, err error) {
	var user bool
	if h.goos == "windows" {
		user, system = h.entries()
	} else {
		user = h.home != "" && (h.exists(definition{}.path(h)) || h.packaged(false))
		system = h.exists(definition{system: true}.path(h)) || h.packaged(true)
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

var systemdVersion = regexp.MustCompile(`^systemd (\d+)`)

// systemdVersion is 0 where it is not known.
func (h host) systemdVersion() int {
	said, _ := h.output([]string{"systemctl", "--version"})
	version := 0
	if m := systemdVersion.FindStringSubmatch(said); m != nil {
		version, _ = strconv.Atoi(m[1])
	}
	return version
}

// logFile is where a service of launchd logs, "" on other systems.
func (h host) logFile(system bool) string {
	const file = "/Library/Logs/popbridge/popbridge.log"
	switch {
	case h.goos != "darwin":
		return ""
	case system:
		return file
	}
	return h.home + file
}

func (h host) asRoot() string {
	if h.goos == "windows" {
		return "run it in a terminal that was opened as administrator"
	}
	return "run it with sudo"
}

// caller is who called sudo and the like, if that was not root.
func (h host) caller() ownership.Caller {
	if c := ownership.CalledBy(h.getenv); c.Name != root {
		return c
	}
	return ownership.Caller{}
}

// lingers reports whether the user's services run without a login.
func (h host) lingers() bool { return h.user != "" && h.exists("/var/lib/systemd/linger/"+h.user) }
