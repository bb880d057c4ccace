package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// ownStore returns what makes a command one that has a store of the system of its own,
// with one public authority: its folders are mounted over the real ones, where this
// command alone sees them.
func ownStore(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		rig.Skip(t, "needs root")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	certs, anchors := filepath.Join(dir, "certs"), filepath.Join(dir, "anchors")
	must(t, os.Mkdir(certs, 0o755))
	must(t, os.Mkdir(anchors, 0o755))
	list := write(t, filepath.Join(dir, "ca-certificates.conf"), "mozilla/ISRG_Root_X1.crt\n")
	const script = `mount --bind "$1" /etc/ssl/certs; mount --bind "$2" /usr/local/share/ca-certificates; mount --bind "$3" /etc/ca-certificates.conf; shift 3; exec "$@"`
	in := func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"unshare", "-m", "sh", "-ec", script, "sh", certs, anchors, list, cmd.Path}, cmd.Args[1:]...)
		cmd.Path, cmd.Err = "/usr/bin/unshare", nil
	}
	first := exec.CommandContext(t.Context(), "/usr/sbin/update-ca-certificates")
	in(first)
	if out, err := first.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return in
}

// Programs that read the store of the system trust the server once root has put the
// authority there, with whatever umask, and no longer when it was taken out.
func TestTheStoreOfTheSystem(t *testing.T) {
	rig.Need(t, "dovecot", "curl", "openssl", "unshare", "update-ca-certificates")
	t.Parallel()
	in := ownStore(t)
	d := dovecot(t, nil)
	must(t, d.Put("home", testkit.Message(1)))
	p := overTLS(t, "implicit", d)
	p.Env = []string{"SUDO_USER="}
	p.Setup = in // from here on: the agent runs already

	client := func(words ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		in(cmd)
		// As another user, who reads what root has written.
		cmd.Args = slices.Insert(cmd.Args, 9, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	clients := func(trusted bool) {
		t.Helper()
		for _, host := range []string{"localhost", "127.0.0.1"} {
			out, err := client("curl", "-sS", "--user", localUser+":"+devicePw, fmt.Sprintf("imaps://%s:%d/INBOX;UID=1", host, p.Port))
			if trusted && out != string(testkit.Message(1)) || !trusted && (err == nil || !strings.Contains(out, "certificate")) {
				t.Errorf("curl, %s, trusted %v: %v: %s", host, trusted, err, tail(out))
			}
		}
		out, err := client("openssl", "s_client", "-connect", rig.Addr(p.Port), "-verify_return_error", "-verify_hostname", "localhost", "-CApath", "/etc/ssl/certs")
		if (err == nil) != trusted {
			t.Errorf("openssl, trusted %v: %v: %s", trusted, err, tail(out))
		}
	}

	clients(false)
	for _, again := range []string{": trusted\n", ": trusted already\n"} {
		if out := command(t, p, 0, "trust", "install", "--system", "--yes"); !strings.Contains(out.Stdout, again) {
			t.Errorf("no %q in %s", again, out.Stdout)
		}
		clients(true)
	}
	if out := command(t, p, 0, "trust", "status"); !strings.Contains(out.Stdout, "Evolution)  trusted") {
		t.Error(out.Stdout)
	}
	if out := command(t, p, 0, "trust", "remove"); !strings.Contains(out.Stdout, "sudo popbridge trust remove --system") {
		t.Error(out.Stdout)
	}
	clients(true)

	sudoTrusts(t, p)
	clients(true)
	if out := command(t, p, 0, "trust", "remove", "--system"); !strings.Contains(out.Stdout, ": removed\n") {
		t.Error(out.Stdout)
	}
	clients(false)
	if left, err := client("sh", "-c", "find -L /etc/ssl/certs -type l; ls /usr/local/share/ca-certificates"); left != "" || err != nil {
		t.Errorf("left behind: %s, %v", left, err)
	}
}

// sudoTrusts puts the authority of the user who has called sudo into the store, and takes
// it out again: root has another one.
func sudoTrusts(t *testing.T, p *rig.Popbridge) {
	t.Helper()
	const nobody = 65534
	dir, err := os.MkdirTemp("", "popbridge") // where another user gets to
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chown(dir, nobody, nobody))
	config := filepath.Join(dir, "config.toml")
	write(t, config, "version = 1\ndata_dir = \"data\"\n[[account]]\nname = \"home\"\nhost = \"pop.example.com\"\nusername = \"ann\"\nuser = \"ann\"\npassword_file = \"password\"\n")
	for _, path := range []string{config, write(t, filepath.Join(dir, "password"), "secret\n")} {
		must(t, os.Chown(path, nobody, nobody))
	}
	run := func(own bool, code int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append(args, "--config", config)...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_STATE_HOME="+dir, "SUDO_USER=nobody")
		if own {
			cmd.Env = append(cmd.Env, "SUDO_USER=")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		} else {
			p.Setup(cmd)
		}
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, out)
		}
		return string(out)
	}
	for _, tt := range []struct {
		own  bool
		code int
		args string
		want string
	}{
		{false, 1, "trust install --system --yes", "there is no authority in the data folder of user nobody yet"},
		{false, 2, "trust install --yes", "omit sudo for those of nobody, or add --system"},
		{true, 1, "trust install --system --yes", "only root may change the store of the system"},
		{true, 0, "trust install --yes", "sudo popbridge trust install --system --config " + config},
		{false, 0, "trust install --system --yes", filepath.Join(dir, "data", "tls", "ca-key.pem")},
	} {
		if out := run(tt.own, tt.code, strings.Fields(tt.args)...); !strings.Contains(out, tt.want) {
			t.Errorf("%s: no %q in %s", tt.args, tt.want, out)
		}
	}
	systemTrustsTwo(t, p)
	if out := run(false, 0, "trust", "remove", "--system"); !strings.Contains(out, ": removed\n") {
		t.Error(out)
	}
}

// systemTrustsTwo looks whether the store of the system trusts the authority of p and
// another one.
func systemTrustsTwo(t *testing.T, p *rig.Popbridge) {
	t.Helper()
	var seen struct {
		Stores []struct {
			System bool
			State  string
			Others int
		}
	}
	out := command(t, p, 0, "trust", "status", "--json")
	must(t, json.Unmarshal([]byte(out.Stdout), &seen))
	for _, s := range seen.Stores {
		if s.System && (s.State != "trusted" || s.Others != 1) {
			t.Errorf("the store of the system has %+v", s)
		}
	}
}
