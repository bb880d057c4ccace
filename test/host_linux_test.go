package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/test/rig"
)

// host is rig.Host for the tests of this package.
type host struct{ *rig.Host }

// newHost returns a host that ends with the test.
func newHost(t *testing.T, more int) *host {
	t.Helper()
	h, err := rig.NewHost(more)
	if err != nil {
		rig.Skip(t, "needs root: ", err)
	}
	t.Cleanup(h.Close)
	return &host{h}
}

func (h *host) ip(t *testing.T, args string) {
	t.Helper()
	h.run(t, append([]string{"ip"}, strings.Fields(args)...)...)
}

// run runs a program there.
func (h *host) run(t *testing.T, args ...string) {
	t.Helper()
	must(t, h.Do(func() error {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %v: %s", args, err, out)
		}
		return nil
	}))
}

// script is a program that runs another one there.
func (h *host) script(t *testing.T, program string) string {
	t.Helper()
	of := h.Namespaces()
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
