package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/test/rig"
)

// TestBackToTheFormerProgram: mail came and changed after an update; the former program
// refuses the data folder and changes nothing in it, and after the way back that
// docs/backups.md describes shows all of it, once. The former program is that of today,
// and the store then gets the number of a later schema; POPBRIDGE_FORMER names a real
// one, to be tried by hand.
func TestBackToTheFormerProgram(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	today := build(t)
	former := os.Getenv("POPBRIDGE_FORMER")
	real := former != ""
	if !real {
		former = today
	}
	w, err := newWorld(ctx, former, t.TempDir())
	must(t, err)
	defer w.stop()
	w.deliver(false, "home", "work", "bob")
	must(t, w.start(ctx))
	_, err = rig.IMAP(rig.Addr(w.pop.Port), "ann", device, changes...)
	must(t, err)
	must(t, w.pop.Stop())
	if !real {
		w.eachStore(t, func(dir string) { copyFile(t, dir+"/index.db", dir+"/index.db.schema-0") })
	}

	w.pop.Binary = today
	must(t, w.pop.Start(ctx))
	w.deliver(true, "home", "work", "bob")
	must(t, w.sync(ctx))
	_, err = rig.IMAP(rig.Addr(w.pop.Port), "ann", device, "SELECT INBOX", `UID STORE 8 +FLAGS (\Seen later)`, "UID MOVE 9 Alt")
	must(t, err)
	want, err := w.shown()
	must(t, err)
	must(t, w.pop.Stop())
	if !real {
		w.eachStore(t, func(dir string) { setSchema(t, dir+"/index.db", 99) })
	}

	w.pop.Binary = former
	before := tree(t, w.pop.Data)
	for _, command := range []string{"sync", "check", "check --repair", "backup " + t.TempDir(), "device list", "device add tablet --user ann", "undelete --user ann", "user list"} {
		out, err := w.pop.Run(ctx, "", strings.Fields(command)...)
		must(t, err)
		if out.Code == 0 || !strings.Contains(out.Stdout+out.Stderr, "written by a newer version of popbridge") {
			t.Errorf("%s: exit code %d: %s%s", command, out.Code, out.Stdout, out.Stderr)
		}
	}
	if after := tree(t, w.pop.Data); after != before {
		t.Errorf("the former program has changed\n%s\nto\n%s", before, after)
	}

	w.eachStore(t, func(dir string) {
		copies, err := filepath.Glob(dir + "/index.db.schema-*")
		must(t, err)
		if len(copies) != 1 {
			t.Fatalf("copies of the former index: %q", copies)
		}
		must(t, os.Rename(copies[0], dir+"/index.db"))
	})
	out, err := w.pop.Run(ctx, "", "check", "--repair")
	must(t, err)
	t.Logf("check --repair: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	must(t, w.pop.Start(ctx))
	must(t, w.sync(ctx))
	shown, err := w.shown()
	must(t, err)
	if got, want := withoutNext(shown), withoutNext(want); got != want {
		t.Errorf("the former program shows\n%s\nwant\n%s", got, want)
	}
	must(t, w.pop.Stop())
}

// withoutNext leaves UIDNEXT out, which is higher after a rebuild.
func withoutNext(shown []string) string {
	return regexp.MustCompile(`UIDNEXT \d+ `).ReplaceAllString(strings.Join(shown, "\n"), "")
}

func (w *world) eachStore(t *testing.T, do func(dir string)) {
	t.Helper()
	for _, user := range []string{"ann", "bob"} {
		do(filepath.Join(w.pop.Data, "users", user))
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o600))
}

// setSchema writes user_version into the header of an index (SQLite's file format,
// section 1.3).
func setSchema(t *testing.T, index string, version byte) {
	t.Helper()
	f, err := os.OpenFile(index, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{0, 0, 0, version}, 60)
	must(t, err)
	must(t, f.Close())
}

// tree names all files with their hashes, but for the lock.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	root := os.DirFS(dir)
	must(t, fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "agent.lock" {
			return err
		}
		data, err := fs.ReadFile(root, name)
		fmt.Fprintf(&b, "%s %x\n", name, sha256.Sum256(data))
		return err
	}))
	return b.String()
}
