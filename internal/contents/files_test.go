package contents_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/popbridge/popbridge/internal/contents"
)

func TestSpool(t *testing.T) {
	f := newFiles(t)
	for text, want := range map[string]string{"one": "one", "": "\r\n", strings.Repeat("x", 1<<20): strings.Repeat("x", 1<<20)} {
		sp := f.spool(text)[0]
		got, err := io.ReadAll(io.NewSectionReader(sp, 0, 2<<20))
		if err != nil || string(got) != want || sp.Size() != int64(len(want)) || sp.Hash() != hashOf(want) {
			t.Errorf("%.10q became %.10q, %d, %s, %v", text, got, sp.Size(), sp.Hash(), err)
		}
		sp.Discard()
		sp.Discard()
	}
	broken := errors.New("broken")
	src := contents.NewSource(t.Context(), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
	if _, err := f.Spool(src); !errors.Is(err, broken) || !errors.Is(src.Err(), broken) {
		t.Errorf("%v, %v", err, src.Err())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Spool(contents.NewSource(ctx, strings.NewReader("late"))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.want()
}

// TestASyncThatFailedIsNotForgotten: a second one could succeed although data is
// lost.
func TestASyncThatFailedIsNotForgotten(t *testing.T) {
	f := newFiles(t)
	messages := f.spool("one", "two")
	broken := errors.New("broken")
	f.Step = func(string) error { return broken }
	if err := contents.Sync(t.Context(), messages); !errors.Is(err, broken) {
		t.Error(err)
	}
	f.Step = nil
	b := f.NewBatch(messages)
	if err := b.Place(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
	b.End(false, false)
	f.want()
}

func TestListKnowsItsOwnFiles(t *testing.T) {
	f := newFiles(t)
	if any, err := f.Any(); any || err != nil {
		t.Errorf("there are files: %v", err)
	}
	f.store("one")
	h := hashOf("one")
	dir := filepath.Dir(f.Path(h))
	name := h.String()
	for _, other := range []string{"x.eml", name, strings.ToUpper(name) + ".eml", name[:60] + ".eml", contents.Hash{h[0] + 1}.String() + ".eml"} {
		must(t, os.WriteFile(filepath.Join(dir, other), nil, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, contents.Hash{h[0]}.String()+".eml"), 0o700))
	if found, err := f.List(h[0]); err != nil || len(found) != 1 || !found[h] {
		t.Errorf("%v, %v", found, err)
	}
	if any, err := f.Any(); !any || err != nil {
		t.Errorf("there are none: %v", err)
	}
	if rel, err := filepath.Rel(f.Dir, dir); err != nil || rel != contents.Folder(h[0]) {
		t.Errorf("%s is not %s", rel, contents.Folder(h[0]))
	}
}

func TestOpenAndRead(t *testing.T) {
	f := newFiles(t)
	f.store("one two")
	h := hashOf("one two")
	file, err := f.Open(h)
	must(t, err)
	got, err := io.ReadAll(file)
	if err != nil || string(got) != "one two" {
		t.Errorf("%q, %v", got, err)
	}
	must(t, file.Close())
	for _, room := range []int{3, 7, 8, 100} {
		buf := make([]byte, room)
		n, err := f.Read(h, buf)
		if want := "one two"[:min(room, 7)]; err != nil || string(buf[:n]) != want {
			t.Errorf("%q into %d: %v", buf[:n], room, err)
		}
	}
	_, err = f.Open(hashOf("none"))
	_, err2 := f.Read(hashOf("none"), make([]byte, 1))
	if !errors.Is(err, os.ErrNotExist) || !errors.Is(err2, os.ErrNotExist) || f.Unreadable() {
		t.Errorf("%v, %v", err, err2)
	}
}

func TestAFileThatMayNotBeOpenedIsRemembered(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("whoever runs this may open everything")
	}
	f := newFiles(t)
	f.store("one")
	must(t, os.Chmod(f.Path(hashOf("one")), 0))
	if _, err := f.Open(hashOf("one")); !errors.Is(err, os.ErrPermission) || !f.Unreadable() {
		t.Errorf("opened: %v", err)
	}
	if err := f.Probe(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("probe: %v", err)
	}
	must(t, os.Chmod(f.Path(hashOf("one")), 0o600))
	if err := f.Probe(); err != nil || f.Unreadable() {
		t.Errorf("still unreadable: %v", err)
	}
}

func TestProbe(t *testing.T) {
	f := newFiles(t)
	must(t, f.Probe())
	f.want()
	must(t, os.WriteFile(filepath.Join(f.Dir, "tmp", "probe-1"), nil, 0o600)) // of one that was killed
	must(t, f.Sweep())
	f.want()
	must(t, os.Remove(filepath.Join(f.Dir, "tmp")))
	if f.Probe() == nil {
		t.Error("a folder that is not there can be written")
	}
}

func TestSetAsideReplacesNothing(t *testing.T) {
	f := newFiles(t)
	for n := range 3 {
		f.store("one")
		dir, err := f.SetAside(f.Path(hashOf("one")))
		must(t, err)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != n+1 || filepath.Dir(dir) != f.Dir {
			t.Errorf("%d files in %s, %v", len(entries), dir, err)
		}
	}
	f.want()
	if _, err := f.SetAside(f.Path(hashOf("one"))); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestCopyFrom(t *testing.T) {
	f, to := newFiles(t), newFiles(t)
	f.store("one", "damaged", "cut", "gone")
	must(t, os.WriteFile(f.Path(hashOf("damaged")), []byte("DAMAGED"), 0o600))
	must(t, os.Truncate(f.Path(hashOf("cut")), 1))
	must(t, os.Remove(f.Path(hashOf("gone"))))
	bring := func(text string) (int64, string) {
		n, err := to.CopyFrom(t.Context(), f.Files, hashOf(text), int64(len(text)))
		if d, ok := errors.AsType[*contents.Damage](err); ok {
			return n, d.Code
		}
		must(t, err)
		return n, ""
	}
	for text, want := range map[string]string{"damaged": "changed-file", "cut": "truncated-file", "gone": "missing-file"} {
		if n, code := bring(text); n != 0 || code != want {
			t.Errorf("%s: %d, %s", text, n, code)
		}
	}
	for _, want := range []int64{3, 0} {
		if n, code := bring("one"); n != want || code != "" {
			t.Errorf("%d, %s", n, code)
		}
	}
	// One of another size, and one that is the same file, are brought again.
	must(t, os.WriteFile(to.Path(hashOf("one")), bytes.Repeat([]byte("x"), 9), 0o600))
	if n, _ := bring("one"); n != 3 {
		t.Error("a file of another size was kept")
	}
	must(t, os.Remove(to.Path(hashOf("one"))))
	if os.Link(f.Path(hashOf("one")), to.Path(hashOf("one"))) == nil {
		if n, _ := bring("one"); n != 3 {
			t.Error("a file is shared")
		}
	}
	to.want("one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.store("late")
	if _, err := to.CopyFrom(ctx, f.Files, hashOf("late"), 4); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	to.want("one")
}
