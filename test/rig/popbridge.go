package rig

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/popbridge/popbridge/internal/testkit/ports"
)

// Popbridge is the program under test with a config file and a data folder.
type Popbridge struct {
	Binary string
	Dir    string // holds config.toml, password files and, by default, the data
	Data   string
	Port   int
	TLS    string // imap.tls
	Env    []string
	Setup  func(*exec.Cmd) // of each command; may be nil
	// Notices are off unless a test is about them: others count messages.
	Notices bool
	Web     string // where the web page is served; empty: nowhere
	SMTP    int    // where mail programs send; 0: nowhere
	Delay   string // smtp.send_delay
	OAuth   string // tables [oauth.NAME], as text

	cmd  *exec.Cmd
	done chan struct{}
	log  *logBuffer
}

// Account is one [[account]] of the config; empty fields are left out.
type Account struct {
	Name, Host   string
	Port         int
	TLS          string
	Username     string
	Password     string // goes into a password file
	OAuth        string // it is signed in by this table, and has no password
	CAFile       string
	PollEvery    string
	KeepOnServer string
	Quota        string
	// DeleteOnServer is "when expunged"; DeleteGrace goes with it.
	DeleteOnServer, DeleteGrace string
	User, Folder                string

	// The way out; with SendHost.
	Address           string
	SendHost, SendTLS string
	SendPort          int
}

// NewPopbridge prepares a data folder in dir and picks a free port.
func NewPopbridge(binary, dir string) (*Popbridge, error) {
	ports, err := ports.Free(1)
	if err != nil {
		return nil, err
	}
	return &Popbridge{Binary: binary, Dir: dir, Data: filepath.Join(dir, "data"), Port: ports[0], TLS: "off"}, nil
}

// ServeWeb has Configure write a free port of the web page, which stays the same.
func (p *Popbridge) ServeWeb() error {
	free, err := ports.Free(1)
	if err == nil {
		p.Web = Addr(free[0])
	}
	return err
}

// ServeSMTP has Configure write a free port for what mail programs send.
func (p *Popbridge) ServeSMTP() error {
	free, err := ports.Free(1)
	if err == nil {
		p.SMTP = free[0]
	}
	return err
}

// ConfigFile is where Configure writes.
func (p *Popbridge) ConfigFile() string { return filepath.Join(p.Dir, "config.toml") }

// Configure writes the config file, with the password files beside it.
func (p *Popbridge) Configure(accounts ...Account) error {
	var b strings.Builder
	fmt.Fprintf(&b, "version = 1\ndata_dir = %q\nnotices = %v\n\n[web]\nlisten = %q\n\n[imap]\nlisten = [%q]\ntls = %q\n", p.Data, p.Notices, cmp.Or(p.Web, "off"), Addr(p.Port), p.TLS)
	smtp := "[]"
	if p.SMTP > 0 {
		smtp = fmt.Sprintf("[%q]\nsend_delay = %q", Addr(p.SMTP), cmp.Or(p.Delay, "0s"))
	}
	fmt.Fprintf(&b, "\n[smtp]\nlisten = %s\n", smtp)
	b.WriteString("\n" + p.OAuth)
	for _, a := range accounts {
		fmt.Fprintf(&b, "\n[[account]]\nname = %q\nhost = %q\nport = %d\nusername = %q\nuser = %q\n", a.Name, a.Host, a.Port, a.Username, a.User)
		if a.OAuth != "" {
			fmt.Fprintf(&b, "auth = \"oauth2\"\noauth = %q\n", a.OAuth)
		} else {
			file := filepath.Join(p.Dir, "password-"+a.Name)
			if err := os.WriteFile(file, []byte(a.Password+"\n"), 0o600); err != nil {
				return err
			}
			fmt.Fprintf(&b, "password_file = %q\n", file)
		}
		for _, kv := range [][2]string{
			{"tls", a.TLS}, {"ca_file", a.CAFile}, {"poll_every", a.PollEvery},
			{"keep_on_server", a.KeepOnServer}, {"quota", a.Quota}, {"delete_on_server", a.DeleteOnServer},
			{"delete_grace", a.DeleteGrace}, {"folder", a.Folder},
		} {
			if kv[1] != "" {
				fmt.Fprintf(&b, "%s = %q\n", kv[0], kv[1])
			}
		}
		if a.SendHost != "" {
			fmt.Fprintf(&b, "address = %q\n[account.send]\nhost = %q\nport = %d\ntls = %q\n", a.Address, a.SendHost, a.SendPort, a.SendTLS)
		}
	}
	return os.WriteFile(p.ConfigFile(), []byte(b.String()), 0o600)
}

// Output is how one command of the program ended.
type Output struct {
	Stdout, Stderr string
	Code           int
}

// Run runs one command with --config and waits for it.
func (p *Popbridge) Run(ctx context.Context, stdin string, args ...string) (Output, error) {
	cmd := p.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	out := Output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return out, err
}

// AddDevice creates an IMAP login.
func (p *Popbridge) AddDevice(ctx context.Context, user, name, password string) error {
	out, err := p.Run(ctx, password+"\n", "device", "add", name, "--user", user, "--password-stdin")
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("device add: exit %d: %s", out.Code, out.Stderr)
	}
	return err
}

// Launch starts `run` and does not wait for it.
func (p *Popbridge) Launch(ctx context.Context) error {
	p.log = &logBuffer{}
	p.cmd = p.Command(ctx, "run")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.done = make(chan struct{})
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return nil
}

// Start starts `run` and waits until its IMAP port answers.
func (p *Popbridge) Start(ctx context.Context) error {
	if err := p.Launch(ctx); err != nil {
		return err
	}
	if err := WaitPort(ctx, p.Port, p.done); err != nil {
		return errors.Join(fmt.Errorf("run: %w: %s", err, p.Log()), p.Kill())
	}
	return nil
}

// Stop asks `run` to end with SIGTERM and returns an error unless it does so
// with exit code 0 within twelve seconds.
func (p *Popbridge) Stop() error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(12 * time.Second):
		return errors.Join(errors.New("run did not end within 12 s of SIGTERM"), p.Kill())
	}
	code := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	if code != 0 {
		return fmt.Errorf("run ended with exit code %d: %s", code, p.Log())
	}
	return nil
}

// Kill ends `run` as a power cut would.
func (p *Popbridge) Kill() error {
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Kill()
	<-p.done
	p.cmd = nil
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Signal sends a signal to the running agent.
func (p *Popbridge) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// PID is the process of `run`.
func (p *Popbridge) PID() int { return p.cmd.Process.Pid }

// Quit ends `run` in the way that makes a Go program write all of its
// goroutines, which are in Log then.
func (p *Popbridge) Quit() error {
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-p.done:
		p.cmd = nil
		return nil
	case <-time.After(12 * time.Second):
		return errors.Join(errors.New("run did not end within 12 s of SIGQUIT"), p.Kill())
	}
}

// Log is what `run` wrote to stdout and stderr so far.
func (p *Popbridge) Log() string {
	if p.log == nil {
		return ""
	}
	return p.log.String()
}

// Status is what `status --json` promises.
type Status struct {
	Accounts []struct {
		Name        string    `json:"name"`
		State       string    `json:"state"`
		LastSuccess time.Time `json:"last_success"`
		NextPoll    time.Time `json:"next_poll"`
		Stored      int       `json:"stored"`
		OnServer    int       `json:"on_server"`
		LastError   string    `json:"last_error"`
	} `json:"accounts"`
	Health []struct {
		Code     string `json:"code"`
		Severity string `json:"severity"`
		Text     string `json:"text"`
		Hint     string `json:"hint"`
	} `json:"health"`
	Clients int `json:"clients"`
}

// Status asks for `status --json`.
func (p *Popbridge) Status(ctx context.Context) (Status, error) {
	var s Status
	out, err := p.Run(ctx, "", "status", "--json")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(out.Stdout), &s); err != nil {
		return s, fmt.Errorf("status --json: %w: exit %d: %q, %q", err, out.Code, out.Stdout, out.Stderr)
	}
	return s, nil
}

// Command is one command of the program with --config, not started yet.
func (p *Popbridge) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Binary, append(args, "--config", p.ConfigFile())...)
	// A home of its own, so that nothing of the person who runs the tests is
	// read or changed.
	cmd.Env = append(os.Environ(), "HOME="+p.Dir, "XDG_CONFIG_HOME="+p.Dir, "XDG_DATA_HOME="+p.Dir, "XDG_STATE_HOME=", "STATE_DIRECTORY=")
	cmd.Env = append(cmd.Env, p.Env...)
	if p.Setup != nil {
		p.Setup(cmd)
	}
	return cmd
}

// logBuffer collects what a process writes while others read it.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
