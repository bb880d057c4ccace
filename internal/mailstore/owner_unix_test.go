//go:build unix

package mailstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

const otherUser = 54321

// What belongs to another user is refused with the command that helps, and
// nothing is made or changed before.
func TestAStoreOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	r := newStore(t)
	r.append("INBOX", 1)
	for _, name := range []string{"", "mail", "tmp", "index.db", "recovery.log"} {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(r.dir, name)
		if err := os.Chown(path, otherUser, otherUser); err != nil {
			t.Fatal(err)
		}
		for what, open := range map[string]func() error{
			"open":    func() error { _, err := Open(t.Context(), r.dir, Options{}); return err },
			"rebuild": func() error { _, err := Rebuild(t.Context(), r.dir, Options{}); return err },
		} {
			err := open()
			wantKind(t, err, fault.Temporary)
			if err == nil || !strings.Contains(err.Error(), path+" belongs to user 54321") || fault.Hint(err) != "run: chown -R root: "+r.dir {
				t.Errorf("%s, %q of another user: %v; hint: %s", what, name, err, fault.Hint(err))
			}
		}
		if err := os.Chown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
		r.open()
		r.want("INBOX", "1  number 1")
	}
}

func TestALinkInTheStoreIsRefused(t *testing.T) {
	r := newStore(t)
	for _, name := range []string{"index.db", "mail", "tmp", "damaged", "search", "recovery.log"} {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		path, away := filepath.Join(r.dir, name), filepath.Join(t.TempDir(), "away")
		if err := os.Rename(path, away); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.Symlink(away, path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), r.dir, Options{}); err == nil || !strings.Contains(err.Error(), path+" is a symbolic link") || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := errors.Join(os.Remove(path), os.Rename(away, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		r.open()
	}
}

// All is for this user only, whatever the umask.
func TestFilesArePrivateWhateverTheUmask(t *testing.T) {
	dir, backup := filepath.Join(t.TempDir(), "ann"), filepath.Join(t.TempDir(), "backup")
	defer syscall.Umask(syscall.Umask(0)) // tests of this package run after it, not beside it
	s, err := Open(t.Context(), dir, Options{IndexText: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	r := &rig{Store: s, t: t, dir: dir}
	r.append("INBOX", 1)
	if err := s.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Backup(t.Context(), backup, BackupOptions{}); err != nil {
		t.Error(err)
	}
	wantPrivate(t, dir, 5)
	wantPrivate(t, backup, 3)
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(dir, "index.db"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Rebuild(t.Context(), dir, Options{}); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(filepath.Join(dir, "index.db"), 0o644); err != nil { // as an earlier version left it
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	wantPrivate(t, dir, 5)
}

func wantPrivate(t *testing.T, dir string, atLeast int) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files < atLeast {
		t.Errorf("%d files in %s, %v", files, dir, err)
	}
}

// A file of another user is not damaged: check names its owner, repair leaves it
// where it is and does not want it again.
func TestAFileOfAnotherUserIsNotDamaged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	r := newStore(t)
	r.append("INBOX", 1)
	r.append("INBOX", 2)
	files, err := filepath.Glob(filepath.Join(r.dir, "mail", "*", "*.eml"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		if err := os.Chown(path, otherUser, otherUser); err != nil {
			t.Fatal(err)
		}
	}
	want := func(problems []Problem, err error) {
		t.Helper()
		if err != nil || len(problems) != 1 || problems[0].Code != "foreign-owner" ||
			!strings.Contains(problems[0].Text, "another user: 2, the first is "+files[0]+" of user 54321; nothing is wrong with them; run: chown -R root: "+r.dir) {
			t.Errorf("%+v, %v", problems, err)
		}
	}
	want(r.Check(t.Context(), nil))
	report, err := r.Repair(t.Context(), nil)
	want(report.Left, err)
	if report.Wanted != 0 || len(report.Repaired) != 0 || report.Aside != "" {
		t.Errorf("%+v", report)
	}
	for _, path := range files {
		if err := os.Chown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// What may not be opened is said to be that, with the store's own folder.
func TestDeniedNamesOwnerAndFolder(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	files, err := filepath.Glob(filepath.Join(r.dir, "mail", "*", "*.eml"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	refused := &fs.PathError{Op: "open", Path: files[0], Err: syscall.EACCES}
	got := failure(refused, "open a message")
	wantKind(t, got, fault.Temporary)
	if !strings.Contains(got.Error(), "may not be opened by this user") || fault.Hint(got) != "check owner and permissions of "+r.dir {
		t.Errorf("%v; hint: %s", got, fault.Hint(got))
	}
	if os.Geteuid() != 0 {
		return
	}
	folder := filepath.Dir(files[0])
	if err := os.Chown(folder, otherUser, otherUser); err != nil {
		t.Fatal(err)
	}
	got = failure(refused, "open a message")
	if !strings.Contains(got.Error(), folder+" belongs to user 54321") || fault.Hint(got) != "run: chown -R root: "+r.dir {
		t.Errorf("%v; hint: %s", got, fault.Hint(got))
	}
	if err := os.Chown(folder, 0, 0); err != nil {
		t.Fatal(err)
	}
}
