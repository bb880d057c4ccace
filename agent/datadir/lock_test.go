package datadir_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/internal/fault"
)

func TestOneProcessPerDataFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := datadir.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = datadir.Open(t.Context(), dir)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), dir) || fault.Hint(err) == "" {
		t.Errorf("second lock: %v, hint %q", err, fault.Hint(err))
	}
	if pid := fmt.Sprint(os.Getpid()); runtime.GOOS != "windows" && !strings.Contains(err.Error(), pid) {
		t.Errorf("%v does not name process %s", err, pid)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := datadir.Open(t.Context(), dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestABusyLockIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	first, err := datadir.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		second, err := datadir.Open(t.Context(), dir)
		if err == nil {
			err = second.Close()
		}
		waiting <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

func TestALockThatIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	first, err := datadir.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := datadir.Open(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
