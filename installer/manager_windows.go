package installer

import (
	"errors"
	"time"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

func newManager(d definition, h host) (manager, error) {
	if !d.system {
		return &logonEntry{d}, nil
	}
	m, err := service.New(nil, d.kardianos(h.goos))
	return bounded{m}, err
}

// entries reports what is installed: for this user, for the machine.
func entries() (user, system bool) {
	_, err := (&logonEntry{}).Status()
	user = !errors.Is(err, service.ErrNotInstalled)
	m, err := service.New(nil, windowsEntry(definition{}))
	if err == nil {
		_, err = m.Status()
	}
	return user, err == nil
}

func account() string { return ownership.Account() }

// bounded is a service manager that stops waiting: kardianos/service waits for ever
// for a service that does not stop.
type bounded struct{ service.Service }

// Stop implements manager.
func (b bounded) Stop() error { return within(2*stopSeconds*time.Second, b.Service.Stop) }

// Restart implements manager.
func (b bounded) Restart() error { return within(3*stopSeconds*time.Second, b.Service.Restart) }

func within(limit time.Duration, act func() error) error {
	done := make(chan error, 1)
	go func() { done <- act() }() // which ends with the process where it does not by itself
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fault.New(fault.Temporary, "the service does not stop", "end popbridge.exe in the task manager")
	}
}
