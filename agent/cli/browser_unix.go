//go:build unix

package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// browserUser is the user whose browser is to open the page: this one, whose browser is
// started, or with sudo, for an address that is printed, the one who called it.
func browserUser(started bool) string {
	if uid := os.Getenv("SUDO_UID"); uid != "" && !started {
		return uid
	}
	return strconv.Itoa(os.Getuid())
}

// startWithin is how long a program that starts a browser may take until it says that it
// could not.
const startWithin = 2 * time.Second

var openers = map[string][]string{"darwin": {"open"}, "linux": {"wslview", "xdg-open"}}

// mayStartBrowser says why no browser can be started, if that is so.
func mayStartBrowser() error {
	switch {
	case os.Geteuid() == 0 && os.Getenv("SUDO_UID") != "":
		return errors.New("a browser is not started as root")
	case runtime.GOOS != "darwin" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" && os.Getenv("WSL_DISTRO_NAME") == "":
		return errors.New("there is no desktop here to start a browser on")
	}
	return nil
}

// startBrowser has the desktop open an address, and does not wait for the browser.
func startBrowser(ctx context.Context, address string) error {
	names := openers[runtime.GOOS]
	if names == nil {
		names = []string{"xdg-open"}
	}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(context.WithoutCancel(ctx), path, address)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C here is not meant for it
		if err := cmd.Start(); err != nil {
			return errors.New("the browser cannot be started: " + err.Error())
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }() // with the browser, or this process
		select {
		case err := <-ended:
			if err != nil {
				return errors.New("the browser was not started (" + name + ": " + err.Error() + ")")
			}
		case <-time.After(startWithin):
		}
		return nil
	}
	return errors.New("no program that starts a browser was found (xdg-open)")
}
