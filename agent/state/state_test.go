package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotedIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "made")
	b := Open(dir, "/config.toml")
	if f, err := b.Read(); err != nil || len(f.Users) > 0 || b.Running() != nil {
		t.Fatalf("at first: %+v, %v", f, err)
	}
	lease := mailstore.Lease{From: 3, To: 9}
	must(t, b.Update(func(f *File) {
		f.Users["ann"] = User{Store: "00000000000000aa", Dir: "/data/users/ann"}
		f.Stores["00000000000000aa"] = lease
		f.Accounts["u at host:995"] = "00000000000000aa"
	}))
	f, err := Open(dir, "/config.toml").Read()
	must(t, err)
	want := File{Version: version, Config: "/config.toml", Users: map[string]User{"ann": {Store: "00000000000000aa", Dir: "/data/users/ann"}},
		Stores: map[string]mailstore.Lease{"00000000000000aa": lease}, Accounts: map[string]string{"u at host:995": "00000000000000aa"}, Folders: map[string]string{}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(b.Path()); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// Another config of the same store knows how far it has come.
	if got := Open(dir, "/other.toml").Lease("00000000000000aa", func(string) bool { return false }); got != lease {
		t.Errorf("lease %+v", got)
	}
	// But not what happened to a copy of it.
	if got := Open(dir, "/other.toml").Lease("00000000000000aa", func(dir string) bool { return dir == "/data/users/ann" }); got.To != 0 {
		t.Errorf("lease of a copy %+v", got)
	}
}

// A damaged file is as if there were none; a person is told, and it is written
// again.
func TestADamagedFileIsNotUsed(t *testing.T) {
	b := Open(t.TempDir(), "/config.toml")
	for _, text := range []string{"", "{", "null", `{"version":2}`, `{"version":1,"stores":{"x":{"from":5,"to":4}}}`,
		`{"version":1,"stores":{"x":{"from":0,"to":9999999999}}}`, `{"version":1,"users":{"ann":{"store":"zz"}}}`,
		`{"version":1,"last_end":{"reason":"` + strings.Repeat("x", maxReason+1) + `"}}`} {
		must(t, os.WriteFile(b.Path(), []byte(text), 0o600))
		if f, err := b.Read(); !fault.Is(err, fault.Corrupt) || fault.Hint(err) == "" || len(f.Users)+len(f.Stores) > 0 {
			t.Errorf("%q gave %+v, %v", text, f, err)
		}
		must(t, b.Update(func(*File) {}))
		if _, err := b.Read(); err != nil {
			t.Errorf("%q was not written again: %v", text, err)
		}
	}
}

func TestOneAgentForAConfig(t *testing.T) {
	dir := t.TempDir()
	b := Open(dir, "/config.toml")
	must(t, b.Update(func(f *File) { f.Agent = &Agent{PID: 7, DataDir: "/data"} }))
	if b.Running() != nil {
		t.Error("one that was killed is taken for one that runs")
	}
	release, other, err := b.Claim(t.Context())
	if err != nil || other != nil {
		t.Fatal(other, err)
	}
	if a := Open(dir, "/config.toml").Running(); a == nil || a.PID != 7 {
		t.Errorf("running: %+v", a)
	}
	if _, other, err := Open(dir, "/config.toml").Claim(t.Context()); err != nil || other == nil || other.DataDir != "/data" {
		t.Errorf("a second one: %+v, %v", other, err)
	}
	release()
	if b.Running() != nil {
		t.Error("one that has ended is taken for one that runs")
	}
}

// Root asks for the agent of another user: nothing is made where that user points.
func TestAskingForAnAgentMakesNothing(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "nologin")
	b := Open(dir, "/config.toml")
	must(t, b.Update(func(f *File) { f.Runs("/data") }))
	if err := os.Remove(b.path + ".run"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if b.Running() != nil || b.RunningPID() != 0 {
		t.Error("an agent runs")
	}
	if _, err := os.Lstat(b.path + ".run"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
	if err := os.Symlink(elsewhere, b.path+".run"); err != nil {
		t.Skip(err)
	}
	_ = b.RunningPID()
	if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made elsewhere: %v", err)
	}
}

// Why an agent ended is known afterwards: it says so, or it was killed. One that
// runs has not ended.
func TestTheLastEnd(t *testing.T) {
	dir := t.TempDir()
	b := Open(dir, "/config.toml")
	if end := b.LastEnd(); end != nil {
		t.Errorf("at first: %+v", end)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	told := &End{At: &at, Reason: "it was told to stop"}
	failed := &End{At: &at, Reason: strings.Repeat("x", maxReason), Failed: true}
	for _, run := range []struct {
		end  func(*File)
		want *End
	}{
		{func(f *File) { f.Ends(at, nil) }, told},
		{func(*File) {}, &killed},
		{func(f *File) { f.Ends(at, errors.New(strings.Repeat("x", maxReason)+"é")) }, failed},
	} {
		before := b.LastEnd()
		release, _, err := b.Claim(t.Context())
		must(t, err)
		must(t, b.Update(func(f *File) { f.Begins("/data") }))
		if diff := cmp.Diff(before, b.LastEnd()); diff != "" {
			t.Errorf("while the next one runs: %s", diff)
		}
		must(t, b.Update(func(f *File) { f.Runs("/data2"); run.end(f) }))
		release()
		if diff := cmp.Diff(run.want, b.LastEnd()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAStateFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	b := Open(filepath.Join(file, "state"), "/config.toml")
	if err := b.Update(func(f *File) { f.Agent = &Agent{} }); !fault.Is(err, fault.Temporary) || fault.Hint(err) == "" {
		t.Errorf("Update: %v", err)
	}
	release, other, err := b.Claim(t.Context())
	if err != nil || other != nil {
		t.Errorf("Claim: %+v, %v", other, err)
	}
	release()
}

// What another user can change does not say that a backup is ours.
func TestWhatAnotherUserCanChangeProvesNothing(t *testing.T) {
	dir := t.TempDir()
	b := Open(dir, "/config.toml")
	must(t, b.Update(func(f *File) { f.NoteBackup("hash") }))
	if !b.Wrote("hash") || b.Wrote("another") {
		t.Error("the hash of a backup is not known")
	}
	if runtime.GOOS == "windows" {
		return // there is no mode
	}
	must(t, os.Chmod(dir, 0o777)) // that is the point
	if b.Wrote("hash") {
		t.Error("a hash counts that another user may have written")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"agent":{"pid":1},"users":{"ann":{"store":"00000000000000aa"}},"stores":{"00000000000000aa":{"from":1,"to":2}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := decode(data)
		if err != nil {
			return
		}
		for id, l := range file.Stores {
			if l.From < 0 || l.To < l.From || l.To > maxLease {
				t.Errorf("%s: %+v", id, l)
			}
		}
	})
}

// What is changed behind a pointer is written, too.
func TestWhyAnAgentWaitsIsKept(t *testing.T) {
	b := Open(t.TempDir(), "config.toml")
	for _, change := range []func(*File){
		func(f *File) { f.Begins("data") },
		func(f *File) { f.Agent.Waiting = "the disk is read-only" },
	} {
		if err := b.Update(change); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := b.Read(); err != nil || f.Agent == nil || f.Agent.Waiting != "the disk is read-only" {
		t.Errorf("%+v, %v", f.Agent, err)
	}
}
