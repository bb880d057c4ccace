package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit/ports"
	"github.com/popbridge/popbridge/test/rig"
)

const imageConfigFile = `version = 1
[imap]
listen = ["127.0.0.1:%d"]
tls = "off"
[[account]]
name = "home"
host = "127.0.0.1"
port = 1
tls = "none"
username = "ann"
password_file = "home.password"
user = "ann"
`

// tryImage loads an image as docker and podman do, from both forms in the archive, and
// runs what is in it as its user: what serves, what the health check says, and what
// happens on a volume of someone else.
func tryImage(t *testing.T, dist string) {
	rig.Need(t, "buildah", "tar", "chroot")
	if os.Getuid() != 0 {
		t.Log("an image is run by root only: not tried")
		return
	}
	file := filepath.Join(dist, "popbridge_1.2.3_linux_"+runtime.GOARCH+"_image.tar")
	said := func(good bool, argv ...string) string {
		t.Helper()
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if (err == nil) != good {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	// Nothing of this machine's containers is seen or changed.
	storage := t.TempDir()
	buildah := []string{"env", "STORAGE_DRIVER=vfs", "buildah", "--root", storage + "/root", "--runroot", storage + "/run"}
	oci := said(true, append(buildah, "pull", "--quiet", "oci-archive:"+file)...)
	if docker := said(true, append(buildah, "pull", "--quiet", "docker-archive:"+file)...); docker != oci {
		t.Errorf("the OCI layout is image %s, the one of docker save %s", oci, docker)
	}

	root, env := imageRoot(t, file)
	in := func(args ...string) []string {
		return slices.Concat([]string{"env", "--ignore-environment"}, env, []string{"/usr/sbin/chroot", "--userspec=1000:1000", root, "/usr/bin/popbridge"}, args)
	}
	if got := said(true, in("version")...); !strings.HasPrefix(got, "popbridge 1.2.3\n") {
		t.Error(got)
	}
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, "data/config/popbridge")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"config.toml": fmt.Sprintf(imageConfigFile, free[0]), "home.password": "secret\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said(true, "chown", "-R", "1000:1000", filepath.Join(root, "data/config"))
	said(true, "chown", "0:0", filepath.Join(root, "data"))
	said(true, "chmod", "755", filepath.Join(root, "data"))
	if got := said(false, in("sync")...); !strings.Contains(got, "/data") || !strings.Contains(got, "hint: ") {
		t.Errorf("on a volume of root:\n%s", got)
	} else {
		t.Logf("on a volume of root:\n%s", got)
	}
	said(true, "chown", "-R", "1000:1000", filepath.Join(root, "data"))
	if got := said(false, in("status", "--serving")...); !strings.Contains(got, "no agent is running") {
		t.Errorf("before it runs: %s", got)
	}

	var log strings.Builder
	argv := in("run")
	agent := exec.Command(argv[0], argv[1:]...)
	agent.Stdout, agent.Stderr = &log, &log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	var ended error
	go func() { ended = agent.Wait(); close(gone) }()
	defer func() { _ = agent.Process.Kill(); <-gone }()
	if err := rig.WaitPort(t.Context(), free[0], gone); err != nil {
		t.Fatal(err)
	}
	if got := said(true, in("status", "--serving")...); !strings.HasPrefix(got, "serving mail on "+rig.Addr(free[0])) {
		t.Error(got)
	}
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-gone; ended != nil {
		t.Errorf("after SIGTERM: %v\n%s", ended, &log)
	}
	if got := said(false, in("status", "--serving")...); !strings.Contains(got, "no agent is running") {
		t.Errorf("after it ran: %s", got)
	}
}

// imageRoot unpacks the files of an image, and returns what its environment is.
func imageRoot(t *testing.T, file string) (root string, env []string) {
	t.Helper()
	layout := t.TempDir()
	unpack := func(file, to string) {
		if out, err := exec.Command("tar", "--extract", "--numeric-owner", "--same-permissions", "--file", file, "--directory", to).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	read := func(name string, v any) {
		data, err := os.ReadFile(filepath.Join(layout, name))
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	unpack(file, layout)
	var manifest []struct {
		Config string
		Layers []string
	}
	read("manifest.json", &manifest)
	var config struct {
		Config struct {
			User, WorkingDir     string
			Env, Entrypoint, Cmd []string
			Healthcheck          struct{ Test []string }
		} `json:"config"`
	}
	read(manifest[0].Config, &config)
	if c := config.Config; c.User != "1000:1000" || !slices.Equal(append(c.Entrypoint, c.Cmd...), []string{"/usr/bin/popbridge", "run"}) ||
		!slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/bin/popbridge", "status", "--serving"}) {
		t.Errorf("%+v", c)
	}
	root = t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	unpack(filepath.Join(layout, manifest[0].Layers[0]), root)
	return root, config.Config.Env
}

// Without them no POP3 server's certificate is good in a container.
func TestAuthorities(t *testing.T) {
	pool := x509.NewCertPool()
	if text := authorities(); !pool.AppendCertsFromPEM(text) || bytes.Count(text, []byte("BEGIN CERTIFICATE")) < 100 {
		t.Errorf("%d octets", len(text))
	}
}
