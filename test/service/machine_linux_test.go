package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// machine is a Debian that is booted in namespaces of its own, network included.
type machine struct {
	name, dir string
	host      *rig.Host // whose network it has, which stays when it is switched off
	nspawn    *exec.Cmd
	console   bytes.Buffer
	leader    int // its process 1, as seen from here
}

const (
	suite       = "bookworm"
	include     = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,sudo,ca-certificates,libnss3-tools"
	bootWithin  = 60 * time.Second
	powerWithin = 30 * time.Second
)

// debian returns a folder with a minimal Debian, which is made once.
func debian(ctx context.Context) (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("popbridge-debian-%s-%08x", suite, crc32.ChecksumIEEE([]byte(include))))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include="+include, suite, fresh, mirror(ctx))
	cmd.Env = append(os.Environ(), "DPKG_FORCE=unsafe-io") // a tree that a power cut damages is made again
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("debootstrap: %w\n%s", err, out)
	}
	return dir, os.Rename(fresh, dir)
}

// mirror is where this machine has its own packages of that Debian from.
func mirror(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages").Output()
	for line := range strings.Lines(string(out)) {
		if uri, release, _ := strings.Cut(strings.TrimSpace(line), " "); release == suite {
			return uri
		}
	}
	return "http://deb.debian.org/debian"
}

// newMachine makes a machine below dir, switched off.
func newMachine(ctx context.Context, name, dir, program string) (*machine, error) {
	tree, err := debian(ctx)
	if err != nil {
		return nil, err
	}
	m := &machine{name: name, dir: filepath.Join(dir, name)}
	for _, argv := range [][]string{
		{"cp", "-a", tree, m.dir},
		{"cp", program, filepath.Join(m.dir, "usr/local/bin/popbridge")},
		{"useradd", "--root", m.dir, "--create-home", "--shell", "/bin/bash", "ann"},
	} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", argv[0], err, out)
		}
	}
	if m.host, err = rig.NewHost(0); err != nil {
		return nil, err
	}
	return m, errors.Join(
		os.WriteFile(filepath.Join(m.dir, "etc/hostname"), []byte(name+"\n"), 0o644),
		os.WriteFile(filepath.Join(m.dir, "etc/hosts"), []byte("127.0.0.1 localhost "+name+"\n"), 0o644),
		os.WriteFile(filepath.Join(m.dir, "etc/resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644),
		os.WriteFile(filepath.Join(m.dir, "etc/sudoers.d/ann"), []byte("ann ALL=(ALL) NOPASSWD: ALL\n"), 0o440))
}

// boot switches the machine on, and waits until it is up. Its Thunderbird is that of
// this one, which has what that needs besides.
func (m *machine) boot() error {
	m.console.Reset()
	m.nspawn = exec.Command("systemd-nspawn", "--quiet", "--directory="+m.dir, "--machine="+m.name, "--register=no", "--keep-unit", "--resolv-conf=off", "--network-namespace-path="+m.host.Namespaces()+"/net", "--bind-ro=/usr/lib/thunderbird", "--boot")
	m.nspawn.Stdout, m.nspawn.Stderr = &m.console, &m.console
	m.nspawn.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // so that it is switched off also after a test that is killed
	if err := m.nspawn.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(bootWithin); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if m.leader = child(m.nspawn.Process.Pid); m.leader == 0 {
			continue
		}
		state, _ := m.enter("systemctl", "is-system-running").Output()
		if s := strings.TrimSpace(string(state)); s == "running" || s == "degraded" {
			return nil
		}
	}
	return fmt.Errorf("the machine was not up after %v:\n%s", bootWithin, m.console.String())
}

// child returns the systemd that nspawn has started, 0 before.
func child(nspawn int) int {
	ids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	for _, id := range strings.Fields(string(ids)) {
		if comm, _ := os.ReadFile("/proc/" + id + "/comm"); string(comm) == "systemd\n" {
			pid, _ := strconv.Atoi(id)
			return pid
		}
	}
	return 0
}

// off switches the machine off as a person would, or pulls the plug.
func (m *machine) off() error {
	if m.nspawn == nil {
		return nil
	}
	_ = m.enter("systemctl", "poweroff").Run()
	plug := time.AfterFunc(powerWithin, func() { _ = m.nspawn.Process.Kill() })
	defer plug.Stop()
	err := m.nspawn.Wait()
	m.nspawn = nil
	_ = os.Remove("/run/systemd/nspawn/propagate/" + m.name)
	return err
}

// enter makes a command of process 1's surroundings.
func (m *machine) enter(argv ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(m.leader), "--all", "--"}, argv...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// login makes a command that a user types after a login.
func (m *machine) login(user string, argv ...string) *exec.Cmd {
	run := []string{"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=WorkingDirectory=~",
		"--property=User=" + user, "--property=PAMName=login", "--", "bash", "-lc", `exec "$@"`, "bash"}
	return m.enter(append(run, argv...)...)
}

// container makes a command that is process 1 of a container with the files of the
// machine, which keeps nothing.
func (m *machine) container(argv ...string) *exec.Cmd {
	return exec.Command("systemd-nspawn", append([]string{"--quiet", "--ephemeral", "--directory=" + m.dir, "--machine=" + m.name + "-c", "--register=no", "--keep-unit",
		"--pipe", "--private-network", "--setenv=HOME=/root", "--"}, argv...)...)
}

// remove deletes a machine that is switched off.
func (m *machine) remove() error {
	m.host.Close()
	return os.RemoveAll(m.dir)
}

// listen opens a port of the machine's own loopback address.
func (m *machine) listen(port string) (ln net.Listener, err error) {
	err = m.host.Do(func() (err error) {
		ln, err = net.Listen("tcp4", "127.0.0.1:"+port)
		return err
	})
	return ln, err
}

// exitCode runs a command; only that it could not be run is an error.
func exitCode(cmd *exec.Cmd) (int, error) { return ended(cmd.Run()) }

// ended returns the exit code of a command that was waited for.
func ended(err error) (int, error) {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}
