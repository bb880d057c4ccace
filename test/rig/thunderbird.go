//go:build unix

package rig

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Thunderbird is a running Thunderbird, driven through its own automation port
// (Marionette): every message in either direction is `LENGTH:JSON`.
type Thunderbird struct {
	conn    net.Conn
	r       *bufio.Reader
	last    int
	profile string
	cmd     *exec.Cmd
	done    chan struct{}
	output  *os.File
}

// thunderbirdJS is what a test can ask Thunderbird to do, as `tb`.
//
//go:embed thunderbird.js
var thunderbirdJS string

// ThunderbirdAutomation is user.js: what makes Thunderbird listen to a test, and keeps it from calling
// home. It connects when it is told, as a question for the password at the start
// would keep the test from beginning. It has nothing else of an account.
const ThunderbirdAutomation = `user_pref("marionette.port", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("app.donation.eoy.version.viewed", 999);
user_pref("mailnews.start_page.enabled", false);
user_pref("mail.server.server1.login_at_startup", false);
user_pref("mail.server.server1.check_new_mail", false);
`

// StartThunderbird starts cmd, the program with the arguments that name a profile, if
// any, without a window system, and opens a session that may do everything the program
// itself can. The profile's preferences ask for automation port 0.
func StartThunderbird(ctx context.Context, cmd *exec.Cmd, profile string) (*Thunderbird, error) {
	portFile := filepath.Join(profile, "MarionetteActivePort")
	if err := os.Remove(portFile); err != nil && !errors.Is(err, os.ErrNotExist) { // of the start before
		return nil, err
	}
	output, err := os.Create(filepath.Join(profile, "thunderbird.log"))
	if err != nil {
		return nil, err
	}
	cmd.Args = append(cmd.Args, "--headless", "--marionette", "--remote-allow-system-access", "--no-remote")
	cmd.Env = append(cmd.Env, "TMPDIR="+profile, "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_LOG=IMAP:3,sync", "MOZ_LOG_FILE="+filepath.Join(profile, "imap"))
	cmd.Stdout, cmd.Stderr = output, output
	// The program is a shell script that starts others; all of them end with us.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	b := &Thunderbird{profile: profile, cmd: cmd, done: make(chan struct{}), output: output}
	go func() { _ = cmd.Wait(); close(b.done) }()
	if err := b.open(ctx, portFile); err != nil {
		return nil, errors.Join(err, b.Quit(), errors.New(b.Output()))
	}
	return b, nil
}

const thunderbirdWithin = time.Minute

func (b *Thunderbird) open(ctx context.Context, portFile string) error {
	// Asked for port 0, it picks one and writes it into the profile.
	for deadline := time.Now().Add(thunderbirdWithin); b.conn == nil; time.Sleep(50 * time.Millisecond) {
		raw, err := os.ReadFile(portFile)
		if err == nil {
			b.conn, err = net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(string(raw)))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.done:
			return errors.New("Thunderbird has ended")
		default:
		}
		if err != nil && time.Now().After(deadline) {
			return fmt.Errorf("Thunderbird opens no automation port: %w", err)
		}
	}
	b.r = bufio.NewReader(b.conn)
	if _, err := b.receive(); err != nil {
		return err
	}
	return errors.Join(
		b.call("WebDriver:NewSession", map[string]any{}, nil),
		b.call("WebDriver:SetTimeouts", map[string]any{"script": 90_000}, nil),
		b.call("Marionette:SetContext", map[string]any{"value": "chrome"}, nil),
		b.Script(nil, thunderbirdJS),
		b.Script(nil, `await tb.until("the main window", () => tb.window?.document.readyState === "complete")`))
}

// Quit ends it, and everything that it has started.
func (b *Thunderbird) Quit() error {
	if b.conn != nil {
		_ = b.call("Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}}, nil)
		_ = b.conn.Close()
	}
	var err error
	select {
	case <-b.done:
	case <-time.After(10 * time.Second):
		err = errors.New("Thunderbird did not quit when asked")
	}
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	<-b.done
	return errors.Join(err, b.output.Close())
}

// Output is what it has printed.
func (b *Thunderbird) Output() string {
	raw, _ := os.ReadFile(b.output.Name())
	return string(raw)
}

// Script runs JavaScript inside Thunderbird, which may `await`, and decodes what
// it returns into result.
func (b *Thunderbird) Script(result any, js string, args ...any) error {
	if args == nil {
		args = []any{}
	}
	return b.call("WebDriver:ExecuteScript", map[string]any{
		"script": "return (async (...args) => {" + js + "})(...arguments)", "args": args, "sandbox": "system", "newSandbox": false,
	}, result)
}

// Sent returns the IMAP commands that Thunderbird has sent, without their tags.
func (b *Thunderbird) Sent() ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(b.profile, "imap.moz_log"))
	var commands []string
	for line := range strings.Lines(string(raw)) {
		if _, command, ok := strings.Cut(line, ":SendData: "); ok {
			_, command, _ = strings.Cut(strings.TrimSpace(command), " ")
			commands = append(commands, command)
		}
	}
	return commands, err
}

// HasRead reports whether Thunderbird is done with reading a mailbox: the last command
// that it has sent there is IDLE, or selects another one.
func (b *Thunderbird) HasRead(mailbox string) (bool, error) {
	raw, err := os.ReadFile(filepath.Join(b.profile, "imap.moz_log"))
	in := ":S-" + mailbox + ":SendData: "
	last := ""
	for line := range strings.Lines(string(raw)) {
		if _, command, ok := strings.Cut(line, in); ok {
			_, last, _ = strings.Cut(strings.TrimSpace(command), " ")
		}
	}
	return last == "IDLE" || strings.HasPrefix(last, "select "), err
}

// Screenshot writes what the main window shows as a PNG.
func (b *Thunderbird) Screenshot(file string) error {
	var text string
	if err := b.call("WebDriver:TakeScreenshot", map[string]any{"full": true, "hash": false}, &text); err != nil {
		return err
	}
	png, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	return os.WriteFile(file, png, 0o600)
}

// call sends [0, id, name, params] and waits for [1, id, error, {"value": ...}].
func (b *Thunderbird) call(name string, params map[string]any, result any) error {
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
		return fmt.Errorf("%s: %s", name, reply[2])
	}
	if result == nil {
		return nil
	}
	value := struct{ Value any }{result}
	return json.Unmarshal(reply[3], &value)
}

func (b *Thunderbird) receive() ([]byte, error) {
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
