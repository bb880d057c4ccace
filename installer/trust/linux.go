package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// layouts are where distributions of Linux take further authorities from, by what
// program they make the bundle of all, and where that is. The first whose folder and
// program are there is the right one.
var layouts = []struct {
	anchors, refresh string
	fresh            []string // for a removal
	bundles          []string
}{
	// Fedora, RHEL; Arch; SUSE; Debian, Ubuntu, Alpine.
	{"etc/pki/ca-trust/source/anchors", "update-ca-trust", nil, []string{"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"}},
	{"etc/ca-certificates/trust-source/anchors", "update-ca-trust", nil, []string{"etc/ca-certificates/extracted/tls-ca-bundle.pem"}},
	{"etc/pki/trust/anchors", "update-ca-certificates", nil, []string{"var/lib/ca-certificates/ca-bundle.pem", "etc/ssl/ca-bundle.pem"}},
	// Without --fresh, which makes all links again, one is left that leads nowhere.
	{"usr/local/share/ca-certificates", "update-ca-certificates", []string{"--fresh"}, []string{"etc/ssl/certs/ca-certificates.crt"}},
}

// system is the store of the whole machine, of Linux.
func (h host) system() []Store {
	if h.goos != "linux" {
		return nil
	}
	for _, l := range layouts {
		anchors := filepath.Join(h.root, l.anchors)
		program, err := h.look(l.refresh)
		if err != nil || !exists(anchors) {
			continue
		}
		a := anchorDir{host: h, dir: anchors, refresh: []string{program}, fresh: append([]string{program}, l.fresh...)}
		for _, b := range l.bundles {
			a.bundles = append(a.bundles, filepath.Join(h.root, b))
		}
		return []Store{{Name: "the system (curl, neomutt, Evolution)", Path: anchors, System: true, names: h.names, place: a}}
	}
	return nil
}

// anchorDir is a folder with a file for each further authority, and the bundle of all
// that is made of it, which programs read.
type anchorDir struct {
	host           host
	dir            string
	refresh, fresh []string // commands
	bundles        []string
}

// files returns the files of the folder that hold one authority of popbridge each,
// under whatever name people have put it there.
func (a anchorDir) files() (map[string]*x509.Certificate, error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, a.unreadable(err)
	}
	found := map[string]*x509.Certificate{}
	for _, e := range entries {
		path := filepath.Join(a.dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<16 {
			continue
		}
		if c, err := Read(path); err == nil && Made(c) {
			found[path] = c
		}
	}
	return found, nil
}

func (a anchorDir) read(context.Context) ([]Entry, error) {
	files, err := a.files()
	if err != nil {
		return nil, err
	}
	var bundle []*x509.Certificate
	known := false
	for _, path := range a.bundles {
		data, err := os.ReadFile(path)
		if err == nil {
			bundle, known = append(bundle, made(data)...), true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, a.unreadable(err)
		}
	}
	var entries []Entry
	add := func(c *x509.Certificate, trusted bool) {
		if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Cert.Equal(c) }) {
			entries = append(entries, Entry{c, trusted})
		}
	}
	for _, c := range bundle {
		add(c, true)
	}
	for _, c := range files {
		add(c, !known)
	}
	return entries, nil
}

// add names the file by the key, so that an authority which is renewed takes the place
// of the former one.
func (a anchorDir) add(ctx context.Context, ca *x509.Certificate) error {
	path := filepath.Join(a.dir, fmt.Sprintf("popbridge-%.8x.crt", sha256.Sum256(ca.RawSubjectPublicKeyInfo)))
	if err := atomicfile.Write(path, 0o644, encode(ca)); err != nil { // which all users can read
		return a.unwritable(err)
	}
	return a.rebuild(ctx, a.refresh, ca, true)
}

func (a anchorDir) remove(ctx context.Context, ca *x509.Certificate) error {
	files, err := a.files()
	if err != nil {
		return err
	}
	for path, c := range files {
		if c.Equal(ca) {
			if err := atomicfile.Remove(path); err != nil {
				return a.unwritable(err)
			}
		}
	}
	return a.rebuild(ctx, a.fresh, ca, false)
}

// rebuild makes the bundle, and what other packages make of it, for all users whatever
// the umask here, and looks whether the authority is in it as wanted.
func (a anchorDir) rebuild(ctx context.Context, command []string, ca *x509.Certificate, wanted bool) error {
	_, err := a.host.run(ctx, nil, append([]string{"/bin/sh", "-c", `umask 022; exec "$0" "$@"`}, command...)...)
	if err != nil {
		return fault.Wrap(err, fault.Temporary, "the system's bundle of authorities could not be made", "run "+command[0]+" as root, and look at what it says")
	}
	entries, err := a.read(ctx)
	if err != nil {
		return err
	}
	trusted := slices.ContainsFunc(entries, func(e Entry) bool { return e.Trusted && e.Cert.Equal(ca) })
	switch {
	case wanted && !trusted:
		return fault.New(fault.Conflict, command[0]+" did not take the authority up", "run "+command[0]+" as root, and look at what it says")
	case !wanted && trusted:
		return fault.New(fault.Conflict, "the authority is still in "+strings.Join(a.bundles, ", ")+", from another file than in "+a.dir, "remove that file, and run "+command[0]+" as root")
	}
	return nil
}

func (a anchorDir) unreadable(err error) error {
	return fault.Wrap(err, fault.Denied, "it cannot be read", "look at the permissions of "+a.dir)
}

func (a anchorDir) unwritable(err error) error {
	return fault.Wrap(err, fault.Denied, "it cannot be changed", "only root may: run it with sudo and --system")
}
