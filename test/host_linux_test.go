package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/test/rig"
)

// A host is a thread in a network of its own.
type host struct {
	tid  int
	work chan func()
}

// newHost returns a host, with no interface but lo; it ends with the test. more are
// flags of unshare(2) for what else it has of its own.
func newHost(t *testing.T, more int) *host {
	t.Helper()
	h := &host{work: make(chan func())}
	ready := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET | more)
		h.tid = unix.Gettid()
		ready <- err
		if err == nil {
			for f := range h.work {
				f()
			}
		}
	}()
	if err := <-ready; err != nil {
		<-done
		rig.Skip(t, "needs root: ", err)
	}
	t.Cleanup(func() { close(h.work); <-done })
	h.ip(t, "link set lo up")
	return h
}

// do runs f in the network of the host.
func (h *host) do(f func() error) error {
	done := make(chan error)
	h.work <- func() { done <- f() }
	return <-done
}

func (h *host) ip(t *testing.T, args string) {
	t.Helper()
	h.run(t, append([]string{"ip"}, strings.Fields(args)...)...)
}

// run runs a program there.
func (h *host) run(t *testing.T, args ...string) {
	t.Helper()
	must(t, h.do(func() error {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %v: %s", args, err, out)
		}
		return nil
	}))
}

// script is a program that runs another one there.
func (h *host) script(t *testing.T, program string) string {
	t.Helper()
	of := fmt.Sprintf("/proc/%d/task/%d/ns", os.Getpid(), h.tid)
	path := write(t, filepath.Join(t.TempDir(), program), fmt.Sprintf("#!/bin/sh\nexec nsenter --net=%s/net --mount=%s/mnt %s \"$@\"\n", of, of, program))
	must(t, os.Chmod(path, 0o700))
	return path
}

// namedHost returns a host that has these names, and for which no DNS answers.
func namedHost(t *testing.T, names ...string) *host {
	t.Helper()
	h := newHost(t, unix.CLONE_NEWNS|unix.CLONE_FS)
	dir := t.TempDir()
	hosts := write(t, filepath.Join(dir, "hosts"), "127.0.0.1 localhost "+strings.Join(names, " ")+"\n")
	dns := write(t, filepath.Join(dir, "resolv.conf"), "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
	h.run(t, "mount", "--make-rprivate", "/")
	h.run(t, "mount", "--bind", hosts, "/etc/hosts")
	h.run(t, "mount", "--bind", dns, "/etc/resolv.conf")
	return h
}
