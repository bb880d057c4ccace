//go:build unix

package trust

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// distribution is a system with the n-th layout below a folder of its own, and a
// program that makes the bundle as the real ones do.
func distribution(t *testing.T, n int) (h host, bundle string, refreshed *[]string) {
	t.Helper()
	root, l := t.TempDir(), layouts[n]
	anchors := filepath.Join(root, l.anchors)
	bundle = filepath.Join(root, l.bundles[0])
	foreign := loopback()
	foreign.Subject.Organization = []string{"Example"}
	key := newKey(t)
	public := encode(sign(t, foreign, foreign, key, key))
	put(t, bundle, string(public))
	if err := os.MkdirAll(anchors, 0o755); err != nil {
		t.Fatal(err)
	}
	refreshed = new([]string)
	return host{goos: "linux", root: root, getenv: os.Getenv,
		look: func(program string) (string, error) {
			if program == l.refresh {
				return "/usr/sbin/" + program, nil
			}
			return "", exec.ErrNotFound
		},
		run: func(_ context.Context, _ []byte, argv ...string) ([]byte, error) {
			*refreshed = append(*refreshed, strings.Join(argv[3:], " "))
			all := slices.Clone(public)
			files, err := filepath.Glob(filepath.Join(anchors, "*.crt"))
			for _, f := range files {
				data, readErr := os.ReadFile(f)
				all, err = append(all, data...), errors.Join(err, readErr)
			}
			return nil, errors.Join(err, os.WriteFile(bundle, all, 0o644))
		}}, bundle, refreshed
}

func TestTheStoreOfEachDistribution(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	for n, l := range layouts {
		h, _, refreshed := distribution(t, n)
		stores := h.system()
		if len(stores) != 1 || !stores[0].System || stores[0].Path != filepath.Join(h.root, l.anchors) {
			t.Fatalf("%s: %v", l.anchors, stores)
		}
		keepsTheContract(t, stores[0])
		before := len(*refreshed)
		ca := authority(t, newKey(t))
		install(t, stores[0], ca, true)
		install(t, stores[0], ca, false)
		if got := (*refreshed)[before:]; len(got) != 1 || got[0] != "/usr/sbin/"+l.refresh {
			t.Errorf("%s: %q", l.anchors, got)
		}
		files, err := os.ReadDir(stores[0].Path)
		if err != nil || len(files) != 1 || !strings.HasSuffix(files[0].Name(), ".crt") {
			t.Fatalf("%s: %v, %v", l.anchors, files, err)
		}
		if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: mode %v, %v: other users cannot read it", l.anchors, info.Mode(), err)
		}
		remove(t, stores[0], ca, 1)
		if got, want := (*refreshed)[before+1], strings.TrimSpace("/usr/sbin/"+l.refresh+" "+strings.Join(l.fresh, " ")); got != want {
			t.Errorf("%s: removed with %q, want %q", l.anchors, got, want)
		}
	}
}

// A file that people have copied there by hand is ours, what is beside it is not. An
// authority in the folder that did not get into the bundle is not trusted.
func TestFilesThatPeopleHavePutThere(t *testing.T) {
	h, bundle, _ := distribution(t, len(layouts)-1)
	s := h.system()[0]
	ca := authority(t, newKey(t))
	foreign := loopback()
	foreign.Subject.Organization = []string{"Example"}
	key := newKey(t)
	put(t, filepath.Join(s.Path, "by hand.crt"), string(encode(ca)))
	company := encode(sign(t, foreign, foreign, key, key))
	put(t, filepath.Join(s.Path, "company.crt"), string(company))
	state(t, s, ca, NotTrusted, 0) // update-ca-certificates was not run
	install(t, s, ca, true)
	state(t, s, ca, Trusted, 0)
	remove(t, s, ca, 1)
	for name, want := range map[string]bool{"by hand.crt": false, "company.crt": true} {
		if exists(filepath.Join(s.Path, name)) != want {
			t.Errorf("%s: there is %v, want %v", name, !want, want)
		}
	}
	if err := os.Remove(bundle); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(s.Path, "by hand.crt"), string(encode(ca)))
	state(t, s, ca, Trusted, 0) // for all that can be known

	// A file that holds others as well is not removed.
	put(t, filepath.Join(s.Path, "two.crt"), string(append(encode(ca), company...)))
	if _, err := s.Remove(t.Context(), ca); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "another file") || !exists(filepath.Join(s.Path, "two.crt")) {
		t.Errorf("removed from a file with others: %v", err)
	}
}

func TestTheSystemsStoreThatCannotBeChanged(t *testing.T) {
	h, _, _ := distribution(t, 0)
	h.run = func(context.Context, []byte, ...string) ([]byte, error) { return nil, nil }
	if _, err := h.system()[0].Install(t.Context(), authority(t, newKey(t))); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "did not take") {
		t.Errorf("an authority that is not taken up: %v", err)
	}
	h.run = func(context.Context, []byte, ...string) ([]byte, error) {
		return nil, &failed{"update-ca-trust", "no space", errors.New("exit status 1")}
	}
	s := h.system()[0]
	_, err := s.Install(t.Context(), authority(t, newKey(t)))
	if !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), "no space") || !strings.Contains(fault.Hint(err), "update-ca-trust") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	if err := os.RemoveAll(s.Path); err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.State(t.Context(), nil); got != Unknown || !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
		t.Errorf("%s, %v", got, err)
	}
	if got := (host{goos: "linux", root: t.TempDir(), look: h.look}).system(); got != nil {
		t.Errorf("a system without the folder has %v", got)
	}
}

// What the program of the distribution writes, and its hooks, other users can read.
func TestTheBundleIsForAllUsers(t *testing.T) {
	h, bundle, _ := distribution(t, 0)
	s := h.system()[0]
	a := s.place.(anchorDir)
	made := filepath.Join(t.TempDir(), "made")
	script := filepath.Join(t.TempDir(), "refresh")
	put(t, script, "#!/bin/sh\nset -e\ncat "+s.Path+"/*.crt >"+bundle+"\n: >"+made+"\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0o077))
	a.host.run, a.refresh = run, []string{script}
	s.place = a
	install(t, s, authority(t, newKey(t)), true)
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Whoever can write the data folder of an agent may be less than all users of the
// machine: its store takes names of this computer only.
func TestTheStoreOfTheSystemTakesNamesOfThisComputerOnly(t *testing.T) {
	h, bundle, _ := distribution(t, len(layouts)-1)
	h.names = []string{"localhost", "attic", "attic.local"}
	s := h.system()[0]
	key := newKey(t)
	install(t, s, authority(t, key), true)
	before, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bank.example", "example.com", "printer.local", ".attic"} {
		template := loopback()
		template.PermittedDNSDomains = []string{"localhost", name}
		ca := sign(t, template, template, key, key)
		if _, err := s.Install(t.Context(), ca); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), name) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(bundle); err != nil || string(now) != string(before) {
			t.Errorf("%s: the bundle was changed, %v", name, err)
		}
		if err := (Store{}).Check(ca); name == "example.com" && err != nil { // a host of that name; the store of the user who has it
			t.Errorf("%s: %v", name, err)
		}
	}
	if names := thisHost("").names; len(names) == 0 || names[0] != "localhost" {
		t.Errorf("names %q", names)
	}
}
