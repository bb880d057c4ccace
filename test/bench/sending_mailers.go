package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// msmtprc is a config of msmtp.
func msmtprc(port int, more string) []byte {
	return fmt.Appendf(nil, "account default\nhost 127.0.0.1\nport %d\nfrom ann@example.org\ntls off\ntimeout 10\n%s", port, more)
}

func unixLetter(n int) *bytes.Reader {
	return bytes.NewReader(bytes.ReplaceAll(rig.Letter(n), []byte("\r\n"), []byte("\n")))
}

// ourSending is popbridge, which takes letters from msmtp.
type ourSending struct {
	binary string
	p      *rig.Popbridge
	rc     string
}

func (*ourSending) name() string { return "popbridge" }

func (m *ourSending) prepare(ctx context.Context, dir string, port int) (version string, err error) {
	if version = versionOf(m.binary, "version"); version == "" || versionOf("msmtp", "--version") == "" {
		return "", nil
	}
	if m.p, err = rig.NewPopbridge(m.binary, dir); err != nil {
		return "", err
	}
	if err := m.p.ServeSMTP(); err != nil {
		return "", err
	}
	a := benchAccount(1)
	a.Address, a.SendHost, a.SendPort, a.SendTLS = "ann@example.org", "127.0.0.1", port, "none"
	if err := m.p.Configure(a); err != nil {
		return "", err
	}
	m.rc = filepath.Join(dir, "msmtprc")
	if err := os.WriteFile(m.rc, msmtprc(m.p.SMTP, "auth plain\nuser bench\npassword "+devicePassword+"\n"), 0o600); err != nil {
		return "", err
	}
	return version, m.p.AddDevice(ctx, "bench", "bench", devicePassword)
}

func (m *ourSending) start(ctx context.Context) error { return m.p.Launch(context.WithoutCancel(ctx)) }
func (m *ourSending) kill() error                     { return m.p.Kill() }
func (m *ourSending) close() error {
	if m.p == nil {
		return nil
	}
	return m.p.Kill()
}

func (m *ourSending) hand(ctx context.Context, n int) bool {
	if rig.WaitPort(ctx, m.p.SMTP, m.p.Done()) != nil {
		return false
	}
	c := exec.CommandContext(ctx, "msmtp", "-C", m.rc, "--", "bob@example.org")
	c.Stdin = unixLetter(n)
	return c.Run() == nil
}

// left also sends at once what waits for minutes to be tried again, as the others try each
// second.
func (m *ourSending) left(ctx context.Context) (waiting int, doubts []int, err error) {
	list, err := m.p.Outbox(ctx)
	for _, one := range list {
		if one.State != "unknown" {
			waiting++
			if one.State == "waiting" && one.Next != nil && time.Until(*one.Next) > 5*time.Second {
				if out, err := m.p.Run(ctx, "", "outbox", "retry", strconv.FormatInt(one.ID, 10)); err != nil || out.Code != 0 {
					return 0, nil, fmt.Errorf("outbox retry: %s %w", out.Stderr, err)
				}
			}
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(one.Subject, "number "))
		if err != nil {
			return 0, nil, err
		}
		doubts = append(doubts, n)
	}
	return waiting, doubts, err
}

// pack is what runs of a program. Each command leads a process group of its own, so that
// its children die with it.
type pack struct {
	mu      sync.Mutex
	running map[*exec.Cmd]bool
}

// run runs a command to its end.
func (p *pack) run(c *exec.Cmd) error {
	setsid, err := exec.LookPath("setsid")
	if err != nil {
		return err
	}
	c.Path, c.Args = setsid, append([]string{"setsid"}, c.Args...)
	p.mu.Lock()
	if err := c.Start(); err != nil {
		p.mu.Unlock()
		return err
	}
	if p.running == nil {
		p.running = map[*exec.Cmd]bool{}
	}
	p.running[c] = true
	p.mu.Unlock()
	err = c.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, c)
	return err
}

func (p *pack) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.running {
		_ = exec.Command("kill", "-KILL", "--", fmt.Sprint("-", c.Process.Pid)).Run() // it may have ended, or lead no group yet
		_ = c.Process.Kill()
	}
}

// msmtpq is the script of that name, which sends when it is called, and what it could not
// send when it is called with another name: here every second.
type msmtpq struct {
	pack
	dir  string
	stop context.CancelFunc
	done chan struct{}
}

// msmtpqDir is where Debian has the scripts.
const msmtpqDir = "/usr/libexec/msmtp/msmtpq"

func (*msmtpq) name() string { return "msmtpq" }

func (m *msmtpq) prepare(_ context.Context, dir string, port int) (string, error) {
	if _, err := os.Stat(msmtpqDir + "/msmtpq"); err != nil {
		return "", nil
	}
	m.dir = dir
	return versionOf("msmtp", "--version"), os.WriteFile(filepath.Join(dir, ".msmtprc"), msmtprc(port, ""), 0o600)
}

func (m *msmtpq) queue() string { return filepath.Join(m.dir, ".msmtp.queue") }

func (m *msmtpq) command(ctx context.Context, words ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	// x: it does not ask the net whether it is there.
	c.Env = append(os.Environ(), "HOME="+m.dir, "EMAIL_CONN_TEST=x", "PATH="+msmtpqDir+":"+os.Getenv("PATH"))
	return c
}

// start also takes the lock away that a killed script has left: a person is asked to.
func (m *msmtpq) start(ctx context.Context) error {
	if err := os.Remove(filepath.Join(m.queue(), ".lock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		for {
			_ = m.run(m.command(context.WithoutCancel(ctx), msmtpqDir+"/msmtp-queue", "-r")) // what it could not send stays
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

func (m *msmtpq) hand(ctx context.Context, n int) bool {
	c := m.command(ctx, msmtpqDir+"/msmtpq", "--", "bob@example.org")
	c.Stdin = unixLetter(n)
	return m.run(c) == nil
}

func (m *msmtpq) kill() error {
	m.stop()
	m.pack.kill()
	<-m.done
	return nil
}

func (m *msmtpq) close() error {
	if m.stop == nil {
		return nil
	}
	return m.kill()
}

// left counts the letters of which both files are there: the script passes over others.
func (m *msmtpq) left(context.Context) (waiting int, doubts []int, err error) {
	files, err := filepath.Glob(filepath.Join(m.queue(), "*.msmtp"))
	for _, file := range files {
		if _, err := os.Stat(strings.TrimSuffix(file, ".msmtp") + ".mail"); err == nil {
			waiting++
		}
	}
	return waiting, nil, err
}
