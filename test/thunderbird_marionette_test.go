//go:build unix

package test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/popbridge/popbridge/test/rig"
)

// thunderbird is a running Thunderbird; what fails ends the test.
type thunderbird struct{ *rig.Thunderbird }

// startThunderbird starts it on a profile.
func startThunderbird(t *testing.T, profile string) *thunderbird {
	t.Helper()
	return startThunderbirdAt(t, "thunderbird", profile, profile, "--profile", profile)
}

// startThunderbirdAt starts a Thunderbird with a home folder, in which it has its
// profile.
func startThunderbirdAt(t *testing.T, program, home, profile string, args ...string) *thunderbird {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+home)
	b, err := rig.StartThunderbird(t.Context(), cmd, profile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Quit(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("thunderbird: %s", tail(b.Output()))
		}
	})
	return &thunderbird{b}
}

// script runs JavaScript inside Thunderbird, which may `await`, and decodes what
// it returns into result.
func (b *thunderbird) script(t *testing.T, result any, js string, args ...any) {
	t.Helper()
	if err := b.Script(result, js, args...); err != nil {
		t.Fatal(err)
	}
}
