package control

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestThePipeIsForItsOwnerOnly(t *testing.T) {
	dir := shortTempDir(t)
	access, err := accessTo(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(access, "O:S-1-") || !strings.Contains(access, "D:P(A;;GA;;;S-1-") || strings.Count(access, "(") > 2 || strings.Contains(access, "S-1-1-0)") {
		t.Errorf("access list %s", access)
	}
	if _, err := windows.SecurityDescriptorFromString(access); err != nil {
		t.Errorf("%s: %v", access, err)
	}
}

func TestThePipeOfAFolderOfAnotherUser(t *testing.T) {
	for owner, want := range map[string]string{
		"": "O:S-1-5-9D:P(A;;GA;;;S-1-5-9)", "S-1-5-9": "O:S-1-5-9D:P(A;;GA;;;S-1-5-9)", "S-1-5-7": "O:S-1-5-9D:P(A;;GA;;;S-1-5-9)(A;;GA;;;S-1-5-7)",
	} {
		if got := descriptor("S-1-5-9", owner); got != want {
			t.Errorf("%q: %s", owner, got)
		}
	}
}

func TestAPipeThatAKilledAgentLeft(t *testing.T) {
	dir := shortTempDir(t)
	dead, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.(*elsewhere).Listener.Close()
	if _, err := dial(t.Context(), dir); !errors.Is(err, ErrNoAgent) {
		t.Errorf("a dead pipe: %v", err)
	}
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dial(t.Context(), dir); !errors.Is(err, ErrNoAgent) {
		t.Errorf("after the end: %v", err)
	}
}

// Whoever makes a pipe with the name of a dead one learns nothing.
func TestAPipeOfAnotherUserIsRefused(t *testing.T) {
	dir := shortTempDir(t)
	dead, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.(*elsewhere).Listener.Close()
	theirs, err := winio.ListenPipe(noted(dir), &winio.PipeConfig{SecurityDescriptor: "O:S-1-5-21-1-2-3-1002D:P(A;;GA;;;WD)"})
	if err != nil {
		t.Skip("Windows lets no one make a pipe for another user:", err)
	}
	defer func() { _ = theirs.Close() }()
	if _, err := dial(t.Context(), dir); !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
}

// This is what winio says of a pipe whose access list does not name this user.
func TestAPipeThatIsNotForThisUser(t *testing.T) {
	err := unreachable(&os.PathError{Op: "open", Path: pipePrefix, Err: windows.ERROR_ACCESS_DENIED})
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.Hint(err), "administrator") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	if err := unreachable(&os.PathError{Op: "open", Path: pipePrefix, Err: windows.ERROR_FILE_NOT_FOUND}); !errors.Is(err, ErrNoAgent) {
		t.Errorf("a dead one: %v", err)
	}
}
