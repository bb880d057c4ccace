package cli

import "golang.org/x/sys/windows"

// hideTyping makes a console show nothing of what is typed until restore.
func hideTyping(fd int) (restore func() error, err error) {
	console, before := windows.Handle(fd), uint32(0)
	if err := windows.GetConsoleMode(console, &before); err != nil {
		return nil, err
	}
	hidden := before&^windows.ENABLE_ECHO_INPUT | windows.ENABLE_PROCESSED_INPUT | windows.ENABLE_LINE_INPUT
	return func() error { return windows.SetConsoleMode(console, before) }, windows.SetConsoleMode(console, hidden)
}
