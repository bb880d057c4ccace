package cli

import (
	"context"
	"errors"

	"golang.org/x/sys/windows"
)

// browserUser is the user whose browser is to open the page; users have no numbers here.
func browserUser() string { return "" }

func othersRefused(string) bool { return false }

// mayStartBrowser says why no browser can be started, if that is so.
func mayStartBrowser() error { return nil }

// startBrowser has the desktop open an address, and does not wait for the browser.
func startBrowser(_ context.Context, address string) error {
	verb, err := windows.UTF16PtrFromString("open")
	target, targetErr := windows.UTF16PtrFromString(address)
	if err = errors.Join(err, targetErr); err == nil {
		err = windows.ShellExecute(0, verb, target, nil, nil, windows.SW_SHOWNORMAL)
	}
	if err != nil {
		return errors.New("the browser cannot be started: " + err.Error())
	}
	return nil
}
