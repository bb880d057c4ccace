//go:build unix

package test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// thunderbird is a running Thunderbird, driven through its own automation port
// (Marionette): every message in either direction is `LENGTH:JSON`.
type thunderbird struct {
	conn net.Conn
	r    *bufio.Reader
	last int
	log  string // its own record of what it says to the IMAP server
}

// startThunderbird starts it on a profile, without a window system, and opens a
// session that may do everything the program itself can.
func startThunderbird(t *testing.T, profile string) *thunderbird {
	t.Helper()
	return startThunderbirdAt(t, "thunderbird", profile, profile, "--profile", profile)
}

// startThunderbirdAt starts a Thunderbird with a home folder, in which it has its
// profile.
func startThunderbirdAt(t *testing.T, program, home, profile string, args ...string) *thunderbird {
	t.Helper()
	log, err := os.Create(filepath.Join(profile, "thunderbird.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"--headless", "--marionette", "--remote-allow-system-access", "--no-remote"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+profile, "MOZ_CRASHREPORTER_DISABLE=1",
		"MOZ_LOG=IMAP:3,sync", "MOZ_LOG_FILE="+filepath.Join(profile, "imap"))
	cmd.Stdout, cmd.Stderr = log, log
	// The program is a shell script that starts others; all of them end with us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	b := &thunderbird{log: filepath.Join(profile, "imap.moz_log")}
	t.Cleanup(func() { b.quit(t, cmd, done, log) })

	// Asked for port 0, it picks one and writes it into the profile.
	var port int
	eventually(t, "Thunderbird opens its automation port", func() (bool, error) {
		raw, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		if err != nil {
			return false, err
		}
		port, err = strconv.Atoi(strings.TrimSpace(string(raw)))
		return err == nil, err
	})
	if err := rig.WaitPort(t.Context(), port, done); err != nil {
		t.Fatal(err)
	}
	if b.conn, err = net.Dial("tcp", rig.Addr(port)); err != nil {
		t.Fatal(err)
	}
	b.r = bufio.NewReader(b.conn)
	if _, err := b.receive(); err != nil {
		t.Fatal(err)
	}
	b.must(t, "WebDriver:NewSession", map[string]any{}, nil)
	b.must(t, "WebDriver:SetTimeouts", map[string]any{"script": 90_000}, nil)
	b.must(t, "Marionette:SetContext", map[string]any{"value": "chrome"}, nil)
	return b
}

func (b *thunderbird) quit(t *testing.T, cmd *exec.Cmd, done <-chan struct{}, log *os.File) {
	if b.conn != nil {
		_ = b.call("Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}}, nil)
		_ = b.conn.Close()
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("Thunderbird did not quit when asked")
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-done
	_ = log.Close()
	if raw, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
		t.Logf("thunderbird: %s", tail(string(raw)))
	}
}

// script runs JavaScript inside Thunderbird, which may `await`, and decodes what
// it returns into result.
func (b *thunderbird) script(t *testing.T, result any, js string, args ...any) {
	t.Helper()
	if args == nil {
		args = []any{}
	}
	b.must(t, "WebDriver:ExecuteScript", map[string]any{
		"script": "return (async (...args) => {" + js + "})(...arguments)", "args": args, "sandbox": "system", "newSandbox": false,
	}, result)
}

// sent returns the IMAP commands that Thunderbird has sent, without their tags.
func (b *thunderbird) sent(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(b.log)
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for line := range strings.Lines(string(raw)) {
		if _, command, ok := strings.Cut(line, ":SendData: "); ok {
			_, command, _ = strings.Cut(strings.TrimSpace(command), " ")
			commands = append(commands, command)
		}
	}
	return commands
}

// screenshot writes what the main window shows as a PNG.
func (b *thunderbird) screenshot(t *testing.T, file string) {
	t.Helper()
	var text string
	b.must(t, "WebDriver:TakeScreenshot", map[string]any{"full": true, "hash": false}, &text)
	png, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *thunderbird) must(t *testing.T, name string, params map[string]any, result any) {
	t.Helper()
	if err := b.call(name, params, result); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// call sends [0, id, name, params] and waits for [1, id, error, {"value": ...}].
func (b *thunderbird) call(name string, params map[string]any, result any) error {
	b.last++
	raw, err := json.Marshal([]any{0, b.last, name, params})
	if err != nil {
		return err
	}
	if err := b.conn.SetDeadline(time.Now().Add(100 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(b.conn, "%d:%s", len(raw), raw); err != nil {
		return err
	}
	if raw, err = b.receive(); err != nil {
		return err
	}
	var reply [4]json.RawMessage
	if err := json.Unmarshal(raw, &reply); err != nil {
		return err
	}
	if string(reply[2]) != "null" {
		return fmt.Errorf("%s", reply[2])
	}
	if result == nil {
		return nil
	}
	value := struct{ Value any }{result}
	return json.Unmarshal(reply[3], &value)
}

func (b *thunderbird) receive() ([]byte, error) {
	text, err := b.r.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, ":"))
	if err != nil {
		return nil, err
	}
	raw := make([]byte, n)
	_, err = io.ReadFull(b.r, raw)
	return raw, err
}
