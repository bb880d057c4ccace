//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text, name string
		n          int64
	}{
		{"", "", 1}, {"commit", "commit", 1}, {"commit=3", "commit", 3},
		{"commit=", "", 0}, {"commit=0", "", 0}, {"commit=-1", "", 0}, {"commit=x", "", 0},
	}
	for _, tt := range tests {
		if name, n := parse(tt.text); name != tt.name || n != tt.n {
			t.Errorf("%q: %q, %d; want %q, %d", tt.text, name, n, tt.name, tt.n)
		}
	}
}

// The process dies at the hit that was asked for, not before and not after.
func TestHitKills(t *testing.T) {
	if os.Getenv("FAILPOINT_CHILD") != "" {
		for n := range 5 {
			Hit("other")
			fmt.Println("before", n+1)
			Hit(Commit)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHitKills$")
	cmd.Env = append(os.Environ(), "FAILPOINT_CHILD=1", Env+"=commit=3")
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.Success() || cmd.ProcessState.ExitCode() > 0 && os.PathSeparator == '/' {
		t.Errorf("ended with %v, want a kill: %v", cmd.ProcessState, err)
	}
	if got, want := string(out), "before 1\nbefore 2\nbefore 3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
