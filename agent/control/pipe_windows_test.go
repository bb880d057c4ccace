package control

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func TestThePipeIsForItsOwnerOnly(t *testing.T) {
	dir := shortTempDir(t)
	access, err := accessTo(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(access, "D:P(A;;GA;;;S-1-") || strings.Count(access, "(") != 2 || strings.Contains(access, "S-1-1-0)") {
		t.Errorf("access list %s", access)
	}
	if _, err := windows.SecurityDescriptorFromString(access); err != nil {
		t.Errorf("%s: %v", access, err)
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
