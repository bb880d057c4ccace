package ownership

import (
	"runtime"
	"strings"
	"testing"
)

func TestCalledBy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("users have no numbers")
	}
	for _, tt := range []struct {
		env  string
		want Caller
	}{
		{"", Caller{}},
		{"SUDO_USER=ann SUDO_UID=1000", Caller{"sudo", "ann", "1000"}},
		{"SUDO_USER=root", Caller{"sudo", "root", "0"}},
		{"SUDO_USER=", Caller{}},
		{"DOAS_USER=root", Caller{"doas", "root", "0"}},
		{"DOAS_USER=no-such-user", Caller{"doas", "no-such-user", ""}},
		{"PKEXEC_UID=0", Caller{"pkexec", "root", "0"}},
		{"PKEXEC_UID=4123456", Caller{"pkexec", "4123456", "4123456"}},
	} {
		env := map[string]string{}
		for _, v := range strings.Fields(tt.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		if got := CalledBy(func(name string) string { return env[name] }); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.env, got, tt.want)
		}
	}
}
