package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"syscall"
	"time"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/popbridge/popbridge/internal/fault"
)

const runKey = `Software\Microsoft\Windows\CurrentVersion\Run`

// logonEntry is the service of one user: an entry of the registry starts it at
// log-on, as that user, without an administrator. It is a manager.
type logonEntry struct{ def definition }

// Install implements manager.
func (l *logonEntry) Install() error {
	key, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("open the key Run: %w", err)
	}
	return errors.Join(key.SetStringValue(ServiceName, logonCommand(l.def)), key.Close())
}

// Uninstall implements manager.
func (l *logonEntry) Uninstall() error {
	key, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("open the key Run: %w", err)
	}
	return errors.Join(key.DeleteValue(ServiceName), key.Close())
}

// Start implements manager.
func (l *logonEntry) Start() error {
	cmd := exec.Command(l.def.executable, BackgroundCommand, "--config", l.def.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// Stop implements manager.
func (l *logonEntry) Stop() error {
	event, err := openStopEvent(l.def.config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(windows.SetEvent(event), windows.CloseHandle(event)); err != nil {
		return err
	}
	for end := time.Now().Add(stopSeconds * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !running(l.def.config) {
			return nil
		}
	}
	return fault.New(fault.Temporary, "the agent does not stop", "end popbridge.exe in the task manager")
}

// Restart implements manager.
func (l *logonEntry) Restart() error { return errors.Join(l.Stop(), l.Start()) }

// installedCommand is what is below the key Run.
func installedCommand() (string, error) {
	key, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if err != nil {
		return "", err
	}
	command, _, err := key.GetStringValue(ServiceName)
	return command, errors.Join(err, key.Close())
}

// logonEntryOf is the command of the entry that is installed, "" where there is none.
func logonEntryOf(d definition) string {
	if d.system {
		return ""
	}
	command, _ := installedCommand() // Status says what is wrong
	return command
}

// Status implements manager.
func (l *logonEntry) Status() (service.Status, error) {
	_, err := installedCommand()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return service.StatusUnknown, service.ErrNotInstalled
	case err != nil:
		return service.StatusUnknown, err
	case running(l.def.config):
		return service.StatusRunning, nil
	}
	return service.StatusStopped, nil
}

func openStopEvent(config string) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(stopEvent(config))
	if err != nil {
		return 0, err
	}
	return windows.OpenEvent(windows.EVENT_MODIFY_STATE|windows.SYNCHRONIZE, false, name)
}

func running(config string) bool {
	event, err := openStopEvent(config)
	if err == nil {
		_ = windows.CloseHandle(event) // it was only looked for
	}
	return err == nil
}

// UntilStopped calls run with a context that ends when Stop is called for the config,
// and lets go of the console, whose window would stay open.
func UntilStopped(ctx context.Context, config string, run func(context.Context) error) error {
	name, err := windows.UTF16PtrFromString(stopEvent(config))
	if err != nil {
		return err
	}
	event, err := windows.CreateEvent(nil, 1, 0, name)
	if event != 0 {
		defer func() { _ = windows.CloseHandle(event) }()
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "popbridge runs in the background already", "stop it first: `popbridge stop`")
	}
	if err != nil {
		return fault.Wrap(err, fault.Internal, "nothing could tell the agent to stop", "")
	}
	freeConsole()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = windows.WaitForSingleObject(event, windows.INFINITE) // whatever it is, there is nothing more to wait for
		cancel()
	}()
	err = run(ctx)
	if windows.SetEvent(event) == nil {
		<-stopped
	}
	return err
}

func freeConsole() {
	_, _, _ = windows.NewLazySystemDLL("kernel32.dll").NewProc("FreeConsole").Call() // there may be none
}
