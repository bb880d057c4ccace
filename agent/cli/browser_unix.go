//go:build unix

package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/popbridge/popbridge/internal/ownership"
)

// browserUser is the user whose browser is to open the page: this one, or the one who
// called sudo and the like, for whom no browser is started.
func browserUser() string {
	return cmp.Or(ownership.CalledBy(os.Getenv).UID, strconv.Itoa(os.Getuid()))
}

// othersRefused reports whether a page that is opened for root is for no browser of
// another user: only Linux says whose a browser is.
func othersRefused(uid string) bool { return runtime.GOOS == "linux" && uid == "0" }

// startWithin is how long a program that starts a browser may take until it says that it
// could not.
const startWithin = 2 * time.Second

var openers = map[string][]string{"darwin": {"open"}, "linux": {"wslview", "xdg-open"}}

// mayStartBrowser says why no browser can be started, if that is so.
func mayStartBrowser() error {
	caller := ownership.CalledBy(os.Getenv)
	switch {
	case caller.By != "" && caller.UID != strconv.Itoa(os.Getuid()):
		return errors.New("with " + caller.By + " no browser is started")
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
