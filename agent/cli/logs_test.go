package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// safeBuffer is written by one goroutine while another reads.
type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// A log in a file: its last lines, what is added, and the file that takes its place.
func TestALogFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "popbridge.log")
	write := func(name, text string) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			_ = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	show := func(lines int) string {
		var out bytes.Buffer
		if err := newApp(nil, &out, &out).showLogFile(t.Context(), path, lines, false); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	if err := newApp(nil, nil, nil).showLogFile(t.Context(), path, 1, false); err == nil || !strings.Contains(err.Error(), "there is no log yet") {
		t.Errorf("no file: %v", err)
	}
	write(path, "one\ntwo\nthree\n")
	for lines, want := range map[int]string{1: "three\n", 2: "two\nthree\n", 3: "one\ntwo\nthree\n", 9: "one\ntwo\nthree\n"} {
		if got := show(lines); got != want {
			t.Errorf("%d lines: %q", lines, got)
		}
	}
	for _, text := range []string{"", "half a line"} { // it is being written
		if err := os.WriteFile(path+".half", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newApp(nil, io.Discard, io.Discard).showLogFile(t.Context(), path+".half", 0, false); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	var out safeBuffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- newApp(nil, &out, &out).showLogFile(ctx, path, 1, true) }()
	await := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); out.String() != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q, want %q", out.String(), want)
			}
		}
	}
	await("three\n")
	write(path, "four\n")
	await("three\nfour\n")
	want := "three\nfour\n"
	if runtime.GOOS != "windows" { // which does not rename what is open
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
		write(path+".old", "five\n")
		write(path, "six\n")
		want += "five\nsix\n"
		await(want)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(path, "7\n")
	await(want + "7\n")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
