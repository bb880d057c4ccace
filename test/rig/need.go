package rig

import (
	"os"
	"os/exec"
	"testing"
)

// Need skips the test where a program is not installed. POPBRIDGE_REAL=required
// makes it fail instead, as the build machine wants it; POPBRIDGE_REAL=off skips
// every test that needs another program.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	mode := os.Getenv("POPBRIDGE_REAL")
	if mode == "off" {
		t.Skip("POPBRIDGE_REAL=off")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if _, err := os.Stat("/usr/sbin/" + program); err == nil {
			continue
		}
		Skip(t, program, " is not installed")
	}
}

// Skip skips the test for what this machine lacks, and fails it with
// POPBRIDGE_REAL=required.
func Skip(t testing.TB, why ...any) {
	t.Helper()
	if os.Getenv("POPBRIDGE_REAL") == "required" {
		t.Fatal(why...)
	}
	t.Skip(why...)
}

// NeedRoot skips the test for who is not root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "this test has to be root")
	}
}
