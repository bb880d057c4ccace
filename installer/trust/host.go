package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
)

// host is the machine and the user, so that tests can be any.
type host struct {
	goos   string
	root   string // "/"; the files of the system are looked for below it
	home   string
	file   string // of the authority, for hints
	names  []string
	getenv func(string) string
	look   func(program string) (string, error)
	run    func(ctx context.Context, input []byte, argv ...string) ([]byte, error)
}

func thisHost(file string) host {
	home, _ := os.UserHomeDir() // without one there are no stores of the user
	return host{runtime.GOOS, "/", home, file, localtls.OwnNames(), os.Getenv, look, run}
}

// look finds a program, also where the paths of users do not lead.
func look(program string) (string, error) {
	path, err := exec.LookPath(program)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil || runtime.GOOS == "windows" {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, program))
	}
	return path, err
}

const runTimeout = 2 * time.Minute // update-ca-certificates runs what other packages hooked into it

// failed is a program that ended with an error.
type failed struct {
	program, said string
	err           error
}

// Error implements error.
func (f *failed) Error() string {
	return fmt.Sprintf("%s: %v, saying %s", f.program, f.err, fault.Quote(f.said))
}

// run runs a program that may not ask: it gets no terminal.
func run(ctx context.Context, input []byte, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second // what it started may hold the pipes open
	withoutTerminal(cmd)
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it ended well
		return stdout.Bytes(), nil
	case errors.Is(err, exec.ErrNotFound):
		return nil, err
	}
	return stdout.Bytes(), &failed{filepath.Base(argv[0]), strings.TrimSpace(stderr.String()), err}
}

// Find returns the stores of this machine and user. There may be none. file is the
// authority's, which hints name.
func Find(file string) []Store { return thisHost(file).find() }

// System returns the stores of the whole machine.
func System() []Store { return thisHost("").system() }

func (h host) find() []Store {
	stores := h.native()
	if h.home == "" {
		return stores
	}
	_, missing := h.certutil()
	if missing != nil && h.goos != "linux" {
		return stores // there Thunderbird and Firefox read the store of the system
	}
	return append(stores, h.databases()...)
}

// native is the store of the operating system that users have to themselves, or the
// system's where they have none.
func (h host) native() []Store {
	switch h.goos {
	case "darwin":
		return h.keychain()
	case "windows":
		return rootStore(h.file)
	}
	return h.system()
}
