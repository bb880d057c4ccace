package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestOneProcessPerDataFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = acquire(t.Context(), dir)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), dir) || fault.Hint(err) == "" {
		t.Errorf("second lock: %v, hint %q", err, fault.Hint(err))
	}
	if pid := fmt.Sprint(os.Getpid()); runtime.GOOS != "windows" && !strings.Contains(err.Error(), pid) {
		t.Errorf("%v does not name process %s", err, pid)
	}
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	again, err := acquire(t.Context(), dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := again.release(); err != nil {
		t.Error(err)
	}
}

func TestABusyLockIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		second, err := acquire(t.Context(), dir)
		if err == nil {
			err = second.release()
		}
		waiting <- err
	}()
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

func TestALockThatIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.release() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := acquire(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
