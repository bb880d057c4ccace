package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAfterAnUpdate gives the data folder of each earlier version to today's program,
// with the POP3 servers as they were: it shows by IMAP what the earlier one has shown,
// stores nothing a second time, and brings expunged messages back.
func TestAfterAnUpdate(t *testing.T) {
	program := build(t)
	fixtures, err := filepath.Glob("../../internal/mailstore/testdata/schemas/*.tar.gz")
	if err != nil || len(fixtures) == 0 {
		t.Fatal("no fixtures: ", err)
	}
	for _, fixture := range fixtures {
		t.Run(filepath.Base(fixture), func(t *testing.T) { update(t, program, fixture) })
	}
}

// build returns today's program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "popbridge")
	build := exec.Command("go", "build", "-o", program, "../../cmd/popbridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func update(t *testing.T, program, fixture string) {
	ctx := context.WithoutCancel(t.Context())
	w, err := newWorld(ctx, program, t.TempDir())
	must(t, err)
	defer w.stop()
	want := unpack(t, fixture, w.pop.Data)
	for _, later := range []bool{false, true} {
		w.deliver(later, "home", "bob") // that of work was deleted there
	}
	must(t, w.pop.Start(ctx))
	must(t, w.sync(ctx))
	compare(t, w, want)
	out, err := w.pop.Run(ctx, "", "undelete", "--all", "--user", "ann")
	must(t, err)
	if out.Code != 0 {
		t.Errorf("undelete: exit code %d: %s%s", out.Code, out.Stdout, out.Stderr)
	}
	shown, err := w.shown()
	must(t, err)
	if len(shown) != len(want)+2 {
		t.Errorf("%d lines after both expunged messages came back, %d before:\n%s", len(shown), len(want), strings.Join(shown, "\n"))
	}
	out, err = w.pop.Run(ctx, "", "check")
	must(t, err)
	if out.Code != 0 {
		t.Errorf("check: exit code %d: %s%s", out.Code, out.Stdout, out.Stderr)
	}
	must(t, w.pop.Stop())
}

func compare(t *testing.T, w *world, want []string) {
	t.Helper()
	shown, err := w.shown()
	must(t, err)
	if got, want := strings.Join(shown, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("shown by IMAP is\n%s\nwant\n%s", got, want)
	}
}

// unpack returns what the former program has shown.
func unpack(t *testing.T, fixture, data string) (shown []string) {
	f, err := os.Open(fixture)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return shown
		}
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		if h.Name == "shown.txt" {
			shown = strings.Split(strings.TrimSpace(string(text)), "\n")
			continue
		}
		path := filepath.Join(data, filepath.FromSlash(h.Name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, text, 0o600))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
