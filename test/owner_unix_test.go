//go:build unix

package test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// other is the id of the user whose mail it is.
const other = 54321

// asOther makes the commands of p those of another user than root.
func asOther(p *rig.Popbridge) *rig.Popbridge {
	theirs := *p
	theirs.Setup = func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}}
	}
	return &theirs
}

// chown gives what is there to a user.
func chown(t *testing.T, uid int, paths ...string) {
	t.Helper()
	for _, top := range paths {
		must(t, filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, uid, uid))
		}))
	}
}

// inventory is every name with its owner, mode, size and time.
func inventory(t *testing.T, top string) []string {
	t.Helper()
	var list []string
	must(t, filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			list = append(list, fmt.Sprint(path, info.Mode(), info.Size(), info.ModTime(), info.Sys().(*syscall.Stat_t).Uid))
		}
		return err
	}))
	return list
}

// theirMail is a mailbox that another user than root has fetched.
func theirMail(t *testing.T) (root, theirs *rig.Popbridge) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	srv := popserver.New(popserver.Options{User: "home", Password: rig.Password})
	for n := range 3 {
		srv.Add(testkit.Message(n))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	root, err = rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	for dir := root.Dir; dir != filepath.Dir(dir) && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	must(t, os.Chmod(filepath.Dir(binary), 0o755))
	must(t, root.Configure(rig.Account{Name: "home", Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: "none",
		Username: "home", Password: rig.Password, PollEvery: "1h", User: localUser}))
	chown(t, other, root.Dir)
	theirs = asOther(root)
	must(t, theirs.AddDevice(t.Context(), localUser, "test", devicePw))
	command(t, theirs, 0, "sync")
	return root, theirs
}

// Nothing that root runs by mistake leaves a trace in the folder of a user.
func TestRootIsRefusedInTheFolderOfAUser(t *testing.T) {
	root, theirs := theirMail(t)
	before := inventory(t, root.Dir)
	own := *root
	own.Dir = t.TempDir()
	text, err := os.ReadFile(root.ConfigFile())
	must(t, err)
	must(t, os.WriteFile(own.ConfigFile(), text, 0o600)) // root's own config, the user's data folder
	for _, args := range [][]string{
		{"sync"}, {"status"}, {"status", "--json"}, {"check"}, {"check", "--repair"}, {"device", "list"}, {"device", "revoke", "test"},
		{"backup", filepath.Join(t.TempDir(), "backup")}, {"restore", t.TempDir()}, {"undelete"}, {"run"}, {"account", "confirm", "home"},
	} {
		for _, p := range []*rig.Popbridge{root, &own} {
			if args[0] == "restore" && p == &own {
				continue // an empty folder is no backup, which it says first
			}
			out, err := p.Run(t.Context(), "", args...)
			must(t, err)
			if out.Code == 0 {
				t.Errorf("%v was run by root", args)
			}
			oneMessage(t, out, "belongs to user 54321", "sudo -u '#54321' popbridge")
		}
	}
	if after := inventory(t, root.Dir); !slices.Equal(before, after) {
		t.Errorf("root has changed something: %v, was %v", after, before)
	}
	command(t, theirs, 0, "check")
	// Nor while the user's agent runs, which answers to the user.
	start(t, theirs)
	defer stop(t, theirs)
	oneMessage(t, command(t, root, 1, "status"), "belongs to user 54321")
	command(t, theirs, 0, "status")
}

// Where it has happened, files cannot be read. They are not damaged: everyone is
// told what to run, no file is moved or fetched again, and after that all is well.
func TestWhatRootHasLeftIsUnreadableAndNotDamaged(t *testing.T) {
	_, p := theirMail(t)
	users := filepath.Join(p.Data, "users", localUser)
	files, err := filepath.Glob(filepath.Join(users, "mail", "*", "*.eml"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	help := "chown -R 54321: " + users
	start(t, p)
	defer stop(t, p)
	for name, path := range map[string]string{"file": files[0], "folder": filepath.Dir(files[0])} {
		chown(t, 0, path)
		if name == "file" {
			oneMessage(t, command(t, p, 1, "check"), "1 problem")
		}
		out, err := p.Run(t.Context(), "", "check")
		must(t, err)
		if !strings.Contains(out.Stdout, "foreign-owner") || !strings.Contains(out.Stdout, path+" of root") || !strings.Contains(out.Stdout, help) {
			t.Errorf("%s of root, check: %s%s", name, out.Stdout, out.Stderr)
		}
		out, err = p.Run(t.Context(), "", "check", "--repair")
		must(t, err)
		if out.Code == 0 || !strings.Contains(out.Stdout, help) || strings.Contains(out.Stdout+out.Stderr, "fetches") {
			t.Errorf("%s of root, repair: %s%s", name, out.Stdout, out.Stderr)
		}
		if _, err := os.Lstat(filepath.Join(users, "damaged")); err == nil {
			t.Error("a file was moved aside")
		}
		_, err = rig.ReadMailbox(rig.Addr(p.Port), localUser, devicePw, "INBOX")
		if err == nil || !strings.Contains(err.Error(), "belongs to root") || !strings.Contains(err.Error(), help) {
			t.Errorf("%s of root, FETCH: %v", name, err)
		}
		unhealthy(t, p, "belongs to root", help)
		chown(t, other, path)
		if got := fetchAll(t, p, "INBOX"); len(got) != 3 {
			t.Errorf("%d messages", len(got))
		}
	}
	command(t, p, 0, "sync")
	healthy(t, p)
	command(t, p, 0, "check")
}

// After a busy run all that was made is for this user only, whatever the umask.
func TestEveryFileIsPrivate(t *testing.T) {
	root, _ := theirMail(t)
	chown(t, 0, root.Dir)
	dir := t.TempDir() // others could change what is below it with the umask 0
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	text, err := os.ReadFile(root.ConfigFile())
	must(t, err)
	former := root.Data
	root.Dir, root.Data, root.TLS = dir, filepath.Join(dir, "data"), "starttls" // nothing is known of a former store there
	changed := strings.ReplaceAll(string(text), former, root.Data)
	must(t, os.WriteFile(root.ConfigFile(), []byte(strings.ReplaceAll(changed, `tls = "off"`, `tls = "starttls"`)), 0o600))
	must(t, root.AddDevice(t.Context(), localUser, "test", devicePw))
	start(t, root)
	defer stop(t, root)
	command(t, root, 0, "sync")
	if got := fetchAll(t, root, "INBOX"); len(got) != 3 {
		t.Errorf("%d messages", len(got))
	}
	backup := filepath.Join(dir, "backup")
	command(t, root, 0, "backup", backup)
	for _, top := range []string{root.Data, backup} {
		files := 0
		must(t, filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a temporary file of the running agent
			}
			want := fs.FileMode(0o600)
			if e.IsDir() {
				want = 0o700
			} else {
				files++
			}
			if err == nil && info.Mode().Perm() != want {
				t.Errorf("%s: %v", path, info.Mode())
			}
			return err
		}))
		if files < 8 {
			t.Errorf("%d files in %s", files, top)
		}
	}
}
