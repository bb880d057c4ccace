package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/popbridge/popbridge/installer"
)

// formats are the kinds of packages for Linux, as nfpm calls them, with the end of
// their names.
var formats = []struct{ packager, end string }{{"deb", ".deb"}, {"rpm", ".rpm"}, {"apk", ".apk"}, {"archlinux", ".pkg.tar.zst"}}

// recommended is what popbridge is better with, by kind of package: certutil, with
// which `popbridge trust install` reaches Thunderbird and Firefox.
var recommended = map[string][]string{"deb": {"libnss3-tools"}, "rpm": {"nss-tools"}}

// nfpmFile is a file of a package, in nfpm's terms.
type nfpmFile struct {
	Src  string `json:"src"`
	Dst  string `json:"dst"`
	Info struct {
		Mode  fs.FileMode `json:"mode"`
		MTime time.Time   `json:"mtime"`
	} `json:"file_info"`
}

// linux writes the packages for distributions. They install the program, its reference,
// an entry of the menu that opens the web page, and, where there is systemd, a unit for users and one for the system with an account of
// its own, neither of which is enabled. `popbridge install` writes one that knows config
// and disks. Removing a package leaves mail and config alone.
func (r *release) linux(ctx context.Context) error {
	scripts, err := r.scripts()
	if err != nil {
		return err
	}
	for _, t := range r.targets {
		if t.os != "linux" {
			continue
		}
		for _, f := range formats {
			entries, err := r.installed(t, f.packager)
			if err != nil {
				return err
			}
			inPackage := scripts
			if f.packager == "apk" {
				inPackage = nil // without systemd there is nothing to do; and nfpm orders them at random there
			}
			config, err := r.nfpmConfig(t, f.packager, entries, inPackage)
			if err != nil {
				return err
			}
			err = r.tool(ctx, []string{"SOURCE_DATE_EPOCH=" + r.epoch()},
				"github.com/goreleaser/nfpm/v2/cmd/nfpm", "package", "--config", config, "--packager", f.packager, "--target", filepath.Join(r.out, r.name(t, f.end)))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// nfpmConfig writes what nfpm reads. JSON is YAML.
func (r *release) nfpmConfig(t target, packager string, entries []entry, scripts map[string]string) (string, error) {
	files := make([]nfpmFile, len(entries))
	for i, e := range entries {
		files[i].Src, files[i].Dst = e.from, e.path
		files[i].Info.Mode, files[i].Info.MTime = e.mode, r.date
	}
	text, err := json.MarshalIndent(map[string]any{
		"name": "popbridge", "arch": t.arch, "platform": "linux", "version": r.version, "version_schema": "semver", "release": "1",
		"section": "mail", "priority": "optional", "maintainer": maintainer, "homepage": installer.Homepage, "license": "MIT",
		"description": summary + "\n" + description, "mtime": r.date, "contents": files, "scripts": scripts, "recommends": recommended[packager],
		"deb": map[string]any{"compression": "gzip"},
		"rpm": map[string]any{"summary": summary, "group": "Applications/Internet", "buildhost": "localhost", "compression": "gzip"},
	}, "", "\t")
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.work, "nfpm-"+packager+"-"+t.arch+".json")
	return path, os.WriteFile(path, text, 0o644)
}

// installed is what a package puts where.
func (r *release) installed(t target, packager string) ([]entry, error) {
	zsh := "/usr/share/zsh/site-functions/_popbridge"
	if packager == "deb" {
		zsh = "/usr/share/zsh/vendor-completions/_popbridge"
	}
	completions := filepath.Join(r.work, "completions")
	entries := []entry{
		{"/usr/bin/popbridge", r.program(t), 0o755},
		{"/usr/share/bash-completion/completions/popbridge", filepath.Join(completions, "popbridge"), 0o644},
		{zsh, filepath.Join(completions, "_popbridge"), 0o644},
		{"/usr/share/fish/vendor_completions.d/popbridge.fish", filepath.Join(completions, "popbridge.fish"), 0o644},
		{"/usr/share/applications/popbridge.desktop", "cmd/packages/menu/popbridge.desktop", 0o644},
		{"/usr/share/icons/hicolor/scalable/apps/popbridge.svg", "agent/web/static/icon.svg", 0o644},
		{"/usr/share/doc/popbridge/README.md", "README.md", 0o644},
		{"/usr/share/doc/popbridge/copyright", "LICENSE", 0o644},
		{"/usr/share/doc/popbridge/THIRD-PARTY-LICENSES.txt", r.licenceFile(), 0o644},
		{"/usr/share/doc/popbridge/popbridge.cdx.json", r.materialsFile(t), 0o644},
	}
	changes, err := r.compressed("CHANGELOG.md", "changelog.gz")
	if err != nil {
		return nil, err
	}
	entries = append(entries, entry{"/usr/share/doc/popbridge/changelog.gz", changes, 0o644})
	if packager != "apk" { // Alpine has no systemd
		units, err := r.units()
		if err != nil {
			return nil, err
		}
		entries = append(entries, units...)
	}
	pages, err := filepath.Glob(filepath.Join(r.work, "man", "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		name := filepath.Base(page) + ".gz"
		file, err := r.compressed(page, name)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{"/usr/share/man/man1/" + name, file, 0o644})
	}
	return entries, nil
}

// units are the units of the installer, and the account that they need.
func (r *release) units() ([]entry, error) {
	var entries []entry
	files := installer.Packaged()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		from := filepath.Join(r.work, "units", path)
		err := os.MkdirAll(filepath.Dir(from), 0o755)
		if err == nil {
			err = os.WriteFile(from, []byte(files[path]), 0o644)
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{path, from, 0o644})
	}
	return entries, nil
}

// compressed writes a file with gzip, without its time and name.
func (r *release) compressed(from, name string) (string, error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	path := filepath.Join(r.work, name)
	return path, os.WriteFile(path, b.Bytes(), 0o644)
}

// What runs after a package was installed or upgraded, and before it is removed:
// services that run go on with the new program, or end. Nothing is enabled.
const (
	eachService = `[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
systemctl %[1]s popbridge.service 2>/dev/null || true
for dir in /run/user/*; do
	[ -S "$dir/systemd/private" ] || continue
	systemctl --user --machine="${dir##*/}@.host" daemon-reload 2>/dev/null || true
	systemctl --user --machine="${dir##*/}@.host" %[2]s popbridge.service 2>/dev/null || true
done
`
	head       = "#!/bin/sh\nset -e\n"
	afterwards = head + `if command -v systemd-sysusers >/dev/null; then systemd-sysusers popbridge.conf || true; fi
` + eachService
	beforeGoing = head + `# deb says remove, rpm how many versions stay, pacman calls it only then
case "${1:-0}" in upgrade | [1-9]*) exit 0 ;; esac
` + eachService
	// The account stays as well: what belongs to it would be some other's later.
	afterGoing = head + `if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
if [ "${1:-}" = purge ] && [ -d /var/lib/popbridge ]; then
	echo "popbridge: the mail of the service is kept in /var/lib/popbridge, its config in /etc/popbridge"
fi
`
)

func (r *release) scripts() (map[string]string, error) {
	scripts := map[string]string{}
	for name, text := range map[string]string{
		"postinstall": fmt.Sprintf(afterwards, "try-restart", "try-restart"),
		// A unit of /etc stays enabled; what is not there is not started.
		"preremove":  fmt.Sprintf(beforeGoing, "disable --now", "stop"),
		"postremove": afterGoing,
	} {
		path := filepath.Join(r.work, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			return nil, err
		}
		scripts[name] = path
	}
	return scripts, nil
}
