package operations_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// counts is what is compared of copies: messages, new files, missing files.
// Both accounts of ann have the same messages, which share their files.
func counts(done []operations.Backup) map[string][3]int {
	out := map[string][3]int{}
	for _, b := range done {
		out[b.User] = [3]int{b.Messages, b.NewFiles, len(b.Missing)}
	}
	return out
}

var withDevices = operations.RestoreOptions{Log: zerolog.Nop(), Devices: true}

func TestBackupAndRestoreOfAllUsers(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.Start()
	r.Sync()
	saved := filepath.Join(r.Dir, "elsewhere", "saved")
	backup := func() map[string][3]int {
		t.Helper()
		seen := map[string]bool{}
		done, err := r.Ops().Backup(t.Context(), saved, false, func(p operations.Progress) { seen[p.User] = true })
		if err != nil {
			t.Fatal(err)
		}
		if !seen["ann"] || !seen["bob"] {
			t.Errorf("progress of %v", seen)
		}
		return counts(done)
	}
	if diff := cmp.Diff(map[string][3]int{"ann": {5, 3, 0}, "bob": {1, 1, 0}}, backup()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][3]int{"ann": {5, 0, 0}, "bob": {1, 0, 0}}, backup()); diff != "" {
		t.Errorf("the second time: %s", diff)
	}
	if _, err := config.Load(filepath.Join(saved, "config.toml")); err != nil {
		t.Errorf("the config in the backup: %v", err)
	}

	cfg := *r.Load()
	if _, err := operations.Restore(t.Context(), &cfg, saved, withDevices); !fault.Is(err, fault.Conflict) {
		t.Errorf("while an agent runs: %v", err)
	}
	cfg.DataDir = filepath.Join(r.Dir, "new")
	if err := os.MkdirAll(filepath.Join(cfg.DataDir, "restoring", "half"), 0o700); err != nil { // an interrupted one
		t.Fatal(err)
	}
	done, err := operations.Restore(t.Context(), &cfg, saved, withDevices)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][3]int{"ann": {5, 3, 0}, "bob": {1, 1, 0}}, counts(done)); diff != "" {
		t.Error(diff)
	}
	if _, err := operations.Restore(t.Context(), &cfg, saved, withDevices); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "holds mail") {
		t.Errorf("a second time: %v", err)
	}
	restored, err := open(t.Context(), &cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = restored.Close() }()
	if problems, err := restored.Operations().Check(t.Context(), nil); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	results, err := restored.Operations().Sync(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range results {
		if res.New != 0 || res.Error != "" {
			t.Errorf("the first poll after a restore: %+v", res)
		}
	}
}

// Mail clients trust the authority that they were shown, so it comes back too,
// also where a first start has made another one.
func TestABackupHasTheCertificates(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	authority := func(data string) string {
		t.Helper()
		_, file, err := localtls.Ensure(filepath.Join(data, "tls"), localtls.Loopback())
		if err != nil {
			t.Fatal(err)
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, file, err = localtls.Ensure(filepath.Join(data, "tls", "lan"), localtls.LAN(nil))
		if err != nil {
			t.Fatal(err)
		}
		lan, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem) + string(lan)
	}
	want := authority(filepath.Join(r.Dir, "data"))
	saved := filepath.Join(r.Dir, "saved")
	for range 2 {
		if _, err := r.Ops().Backup(t.Context(), saved, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"new", "started"} {
		cfg := *r.Load()
		cfg.DataDir = filepath.Join(r.Dir, name)
		other := ""
		if name == "started" {
			other = authority(cfg.DataDir)
		}
		if _, err := operations.Restore(t.Context(), &cfg, saved, withDevices); err != nil {
			t.Fatal(err)
		}
		if authority(cfg.DataDir) != want {
			t.Errorf("%s: another authority", name)
		}
		if other != "" {
			if pem, err := os.ReadFile(filepath.Join(cfg.DataDir, "tls.before-restore", "ca.pem")); err != nil || !strings.HasPrefix(other, string(pem)) {
				t.Errorf("the former one is not put aside: %v", err)
			}
		}
		for _, dir := range []string{saved, cfg.DataDir} {
			for file, mode := range map[string]os.FileMode{"ca-key.pem": 0o600, "server-key.pem": 0o600, "ca.pem": 0o600, "server.pem": 0o600, "lan/ca-key.pem": 0o600} {
				info, err := os.Stat(filepath.Join(dir, "tls", file))
				if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
					t.Errorf("%s in %s: %v, %v", file, dir, info, err)
				}
			}
		}
	}
}

func TestPlacesThatAreNoBackup(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	data := filepath.Join(r.Dir, "data")
	link := filepath.Join(r.Dir, "link")
	if err := os.Symlink(data, link); err != nil {
		link = data // a system that allows none
	}
	for _, dir := range []string{"relative", data, filepath.Join(data, "saved"), filepath.Join(link, "not", "there", "yet")} {
		if _, err := r.Ops().Backup(t.Context(), dir, false, nil); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
			t.Errorf("backup to %s: %v", dir, err)
		}
	}
	empty := filepath.Join(r.Dir, "empty")
	if err := os.MkdirAll(filepath.Join(empty, "users"), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := *r.Load()
	cfg.DataDir = filepath.Join(r.Dir, "new")
	for _, dir := range []string{empty, filepath.Join(r.Dir, "missing")} {
		if _, err := operations.Restore(t.Context(), &cfg, dir, withDevices); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
			t.Errorf("restore from %s: %v", dir, err)
		}
	}
	if _, err := os.Stat(cfg.DataDir); err == nil {
		t.Error("a restore that could not be left a data folder behind")
	}
}

// An index that is gone is rebuilt by an agent that runs, as nobody could
// open it; one that is in use is not touched.
func TestRepairRebuildsALostIndex(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.Agent = r.Open()
	r.Sync()
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.Dir, "data", "users", "ann", "index.db")); err != nil {
		t.Fatal(err)
	}
	r.StartWith("bob")
	problems, err := r.Ops().Check(t.Context(), nil)
	if err != nil || len(problems) != 1 || problems[0].User != "ann" || problems[0].Code != "damaged-index" {
		t.Errorf("check: %+v, %v", problems, err)
	}
	agenttest.Eventually(t, "it is a condition", func() bool { return strings.Contains(r.Codes(), "store-corrupt") })
	done, err := r.Ops().Repair(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range done {
		if d.Rebuilt != (d.User == "ann") || len(d.Left) > 0 || d.Wanted > 0 {
			t.Errorf("repair: %+v", d)
		}
	}
	if got := r.Codes(); strings.Contains(got, "store-corrupt") {
		t.Errorf("conditions after it: %s", got)
	}
	for _, res := range r.Sync() {
		if res.New != 0 {
			t.Errorf("the first poll after it: %+v", res)
		}
	}
}

// A restore that is refused, as there is expunged mail, leaves that where it is, for as
// long as the config wants it kept.
func TestARefusedRestoreRemovesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := agenttest.POP(t, "a", 2)
	r.Configure("keep_expunged = \"365d\"\n"+agenttest.Plain, agenttest.Account{Name: "a", User: "ann", Folder: "INBOX", Port: port})
	r.Start()
	r.Sync()
	backup := filepath.Join(r.Dir, "backup")
	if _, err := r.Ops().Backup(t.Context(), backup, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cfg.DataDir, "users", "ann")
	expunge(t, dir, cfg.KeepExpunged, time.Now().AddDate(0, 0, -60), 1, 2)
	if err := os.Rename(filepath.Join(dir, "mail"), filepath.Join(r.Dir, "away")); err != nil {
		t.Fatal(err)
	}
	if _, err := operations.Restore(t.Context(), cfg, backup, operations.RestoreOptions{}); err == nil {
		t.Fatal("restored over expunged mail")
	}
	if u := expunge(t, dir, cfg.KeepExpunged, time.Now()); u.Expunged != 2 {
		t.Errorf("%+v, want two expunged messages", u)
	}
}

// expunge expunges messages of INBOX at a time, and returns what the store has then.
func expunge(t *testing.T, dir string, keep time.Duration, at time.Time, uids ...mailstore.UID) mailstore.Usage {
	t.Helper()
	s, err := mailstore.Open(t.Context(), dir, mailstore.Options{KeepExpunged: keep, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	box, err := s.Mailbox(t.Context(), "INBOX")
	if err == nil && len(uids) > 0 {
		_, flagged := s.SetFlags(t.Context(), box.ID, uids, mailflags.Add, []string{`\Deleted`})
		_, gone := s.Expunge(t.Context(), box.ID, uids)
		err = errors.Join(flagged, gone)
	}
	u, usage := s.Usage(t.Context())
	if err = errors.Join(err, usage, s.Close()); err != nil {
		t.Fatal(err)
	}
	return u
}
