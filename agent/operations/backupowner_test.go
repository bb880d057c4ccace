package operations_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
)

// tree is all files below a folder with their sizes, so that it shows whether
// anything was written.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b.WriteString(path + " " + info.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestABackupOverThatOfAnotherDataFolder(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	saved := filepath.Join(r.Dir, "saved")
	if _, err := r.Ops().Backup(t.Context(), saved, false, nil); err != nil {
		t.Fatal(err)
	}
	before := tree(t, saved)
	for _, user := range []string{"ann", "bob"} { // a second computer; a new store in an empty mount point
		other := newRig(t)
		home.User = user
		other.Configure(agenttest.Plain, home)
		other.Agent = other.Open()
		_, err := other.Ops().Backup(t.Context(), saved, false, nil)
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "3 messages, taken 20") || !strings.Contains(fault.Hint(err), "--replace") {
			t.Errorf("%s: %v, %s", user, err, fault.Hint(err))
		}
		if after := tree(t, saved); after != before {
			t.Errorf("%s: something was written:\n%s", user, after)
		}
		if user == "bob" {
			_, err = other.Ops().Backup(t.Context(), saved, true, nil)
			if _, statErr := os.Stat(filepath.Join(saved, "users", "ann", "manifest.json")); err != nil || statErr != nil {
				t.Errorf("replaced: %v, the user who is not there: %v", err, statErr)
			}
		}
		if err := other.Agent.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheBackupOfARenamedUserGoesOn(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	saved := filepath.Join(r.Dir, "saved")
	if _, err := r.Ops().Backup(t.Context(), saved, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ops().RenameUser(t.Context(), "ann", "bob"); err != nil {
		t.Fatal(err)
	}
	home.User = "bob"
	r.Reload(home)
	done, err := r.Ops().Backup(t.Context(), saved, false, nil)
	if err != nil || counts(done)["bob"] != [3]int{3, 0, 0} {
		t.Errorf("%+v, %v", done, err)
	}
	cfg := *r.Load()
	cfg.DataDir = filepath.Join(r.Dir, "new")
	restored, err := operations.Restore(t.Context(), &cfg, saved, withDevices)
	total := 0
	for _, b := range restored {
		total += b.Messages
	}
	if err != nil || total != 3 {
		t.Errorf("%+v, %v", restored, err)
	}
}

// savedWithTLS is an agent with mail of ann, and a backup of it with certificates.
func savedWithTLS(t *testing.T) (r *agenttest.Rig, saved string) {
	t.Helper()
	r, _, _ = agenttest.OneUser(t, open)
	if _, _, err := localtls.Ensure(filepath.Join(r.Dir, "data", "tls"), localtls.Loopback()); err != nil {
		t.Fatal(err)
	}
	saved = filepath.Join(r.Dir, "saved")
	if _, err := r.Ops().Backup(t.Context(), saved, false, nil); err != nil {
		t.Fatal(err)
	}
	return r, saved
}

func TestARestoreTrustsNoBackup(t *testing.T) {
	t.Parallel()
	r, saved := savedWithTLS(t)
	if err := os.WriteFile(filepath.Join(saved, "config.toml"), []byte("not a config"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := *r.Load()
	cfg.DataDir = filepath.Join(r.Dir, "new")
	done, err := operations.Restore(t.Context(), &cfg, saved, operations.RestoreOptions{StateDir: t.TempDir()}) // another machine
	if err != nil || len(done) != 1 || len(done[0].Devices) != 1 || done[0].LetIn {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "tls")); err == nil {
		t.Error("the certificates of the backup are in force")
	}
	fresh, err := open(t.Context(), &cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fresh.Close() }()
	if devices, err := fresh.Operations().Devices(t.Context()); err != nil || len(devices) > 0 {
		t.Errorf("devices %+v, %v", devices, err)
	}
}

// A backup that is as this machine has written it needs no flag; one in which
// the certificates were changed brings back the logins only.
func TestARestoreKnowsItsOwnBackup(t *testing.T) {
	t.Parallel()
	r, saved := savedWithTLS(t)
	for _, tampered := range []bool{false, true} {
		if tampered {
			if err := os.WriteFile(filepath.Join(saved, "tls", "ca.pem"), []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg := *r.Load()
		cfg.DataDir = t.TempDir()
		done, err := operations.Restore(t.Context(), &cfg, saved, operations.RestoreOptions{})
		if err != nil || len(done) != 1 || !done[0].LetIn {
			t.Fatalf("%+v, %v", done, err)
		}
		if _, err := os.Stat(filepath.Join(cfg.DataDir, "tls")); (err == nil) == tampered {
			t.Errorf("tampered %v: certificates: %v", tampered, err)
		}
	}
}

func TestABackupIntoAFolderOfOthers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege, and access lists take the place of modes")
	}
	for name, prepare := range map[string]func(dir, foreign string) error{
		"users": func(dir, foreign string) error { return os.Symlink(foreign, filepath.Join(dir, "users")) },
		"tls":   func(dir, foreign string) error { return os.Symlink(foreign, filepath.Join(dir, "tls")) },
		"config": func(dir, foreign string) error {
			return os.Symlink(filepath.Join(foreign, "x"), filepath.Join(dir, "config.toml"))
		},
		"user": func(dir, foreign string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "users"), 0o700), os.Symlink(foreign, filepath.Join(dir, "users", "ann")))
		},
		"writable": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Home(1)
			r.Agent = r.Open()
			defer func() { _ = r.Agent.Close() }()
			dir, foreign := filepath.Join(r.Dir, "saved"), t.TempDir()
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := prepare(dir, foreign); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Ops().Backup(t.Context(), dir, true, nil); !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
				t.Errorf("backup: %v", err)
			}
			if left, err := os.ReadDir(foreign); err != nil || len(left) > 0 {
				t.Errorf("written to %v, %v", left, err)
			}
		})
	}
}

// A store that cannot be opened stops neither the backup, the check nor the
// devices of the others.
func TestAStoreThatCannotBeOpenedStopsNoOther(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	r := twoUsers(t)
	r.Agent = r.Open()
	if _, err := r.Ops().Sync(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ops().AddDevice(t.Context(), operations.AddDevice{User: "ann", Name: "phone", Password: "a long password"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(r.Dir, "data", "users", "bob", "index.db"), 54321, 54321); err != nil {
		t.Fatal(err)
	}
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	done, err := r.Ops().Backup(t.Context(), filepath.Join(r.Dir, "saved"), false, nil)
	if err != nil || counts(done)["ann"][0] == 0 || counts(done)["bob"] != [3]int{0, 0, 1} {
		t.Errorf("backup: %+v, %v", done, err)
	}
	problems, err := r.Ops().Check(t.Context(), nil)
	if err != nil || len(problems) != 1 || problems[0].User != "bob" || problems[0].Code != "unreadable-store" {
		t.Errorf("check: %+v, %v", problems, err)
	}
	devices, err := r.Ops().Devices(t.Context())
	if err != nil || len(devices) != 1 {
		t.Errorf("devices: %+v, %v", devices, err)
	}
}
