package rig

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Host is a thread in a network namespace of its own, with no interface but lo. It
// is gone with the process, also with one that is killed: no name is left behind for
// the next run to find.
type Host struct {
	tid  int
	work chan func()
	done chan struct{}
}

// NewHost needs root. more are flags of unshare(2) for what else the host has of its own.
func NewHost(more int) (*Host, error) {
	h := &Host{work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(h.done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		h.tid = unix.Gettid()
		err := unix.Unshare(unix.CLONE_NEWNET | more)
		ready <- err
		if err == nil {
			for f := range h.work {
				f()
			}
		}
	}()
	err := <-ready
	if err == nil {
		err = h.Do(func() error { return exec.Command("ip", "link", "set", "lo", "up").Run() })
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Do runs f in the network of the host, with what f starts.
func (h *Host) Do(f func() error) error {
	done := make(chan error)
	h.work <- func() { done <- f() }
	return <-done
}

// Namespaces is the folder of the host's namespaces in /proc.
func (h *Host) Namespaces() string { return fmt.Sprintf("/proc/%d/task/%d/ns", os.Getpid(), h.tid) }

// Close gives the network up.
func (h *Host) Close() {
	close(h.work)
	<-h.done
}
