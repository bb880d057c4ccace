package wine

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/ports"
	"github.com/popbridge/popbridge/test/rig"
)

const (
	messages = 500
	password = "wine-and-water"
)

// program is popbridge.exe with a config in a folder of its own.
type program struct {
	t        *testing.T
	exe, dir string
	port     int
}

// windows is the name of a file of this machine under wine.
func windows(path string) string { return "Z:" + strings.ReplaceAll(path, "/", `\`) }

func newProgram(t *testing.T, server net.Addr) *program {
	t.Helper()
	exe := os.Getenv("POPBRIDGE_EXE")
	if exe == "" {
		t.Skip("POPBRIDGE_EXE is not set: run .ci/wine")
	}
	free, err := ports.Free(1)
	must(t, err)
	p := &program{t, exe, filepath.Join(t.TempDir(), "Jörg's mail"), free[0]}
	must(t, os.Mkdir(p.dir, 0o700))
	must(t, os.WriteFile(filepath.Join(p.dir, "password"), []byte(password+"\r\n"), 0o600))
	p.configure(server, "password_file = 'password'")
	t.Cleanup(func() { // of a test that has failed
		stop := p.command("uninstall")
		stop.Stderr = nil
		_ = stop.Run()
	})
	return p
}

func (p *program) configure(server net.Addr, secret string) {
	p.t.Helper()
	_, port, err := net.SplitHostPort(server.String())
	must(p.t, err)
	text := fmt.Sprintf(`version = 1
data_dir = 'data'
notices = false
[web]
listen = "off"
[imap]
listen = ["127.0.0.1:%d"]
tls = "off"
[[account]]
name = "home"
host = "127.0.0.1"
port = %s
tls = "none"
username = "ann"
user = "ann"
%s
`, p.port, port, secret)
	must(p.t, os.WriteFile(filepath.Join(p.dir, "config.toml"), []byte(text), 0o600))
}

func (p *program) command(args ...string) *exec.Cmd {
	cmd := exec.Command("wine", append([]string{p.exe}, append(args, "--config", windows(filepath.Join(p.dir, "config.toml")))...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// run runs a command and returns what it prints.
func (p *program) run(stdin string, args ...string) string {
	p.t.Helper()
	out, said, err := p.once(stdin, args)
	if err != nil && len(out)+len(said) == 0 {
		p.t.Logf("%q: %v, and not a word: wine did not start it, which happens now and then; once more", args, err)
		out, said, err = p.once(stdin, args)
	}
	if err != nil {
		p.t.Fatalf("%q: %v\n%s%s\n%s", args, err, out, said, p.log())
	}
	return string(out)
}

// once runs a command. What it says on the standard error goes through a file: an agent that
// it starts would keep a pipe open.
func (p *program) once(stdin string, args []string) (out, said []byte, err error) {
	p.t.Helper()
	file, err := os.Create(filepath.Join(p.t.TempDir(), "stderr"))
	must(p.t, err)
	defer file.Close()
	cmd := p.command(args...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), file
	out, err = cmd.Output()
	said, readErr := os.ReadFile(file.Name())
	must(p.t, readErr)
	return out, said, err
}

func (p *program) log() string {
	data, _ := os.ReadFile(filepath.Join(p.dir, "data", "popbridge.log"))
	return string(data)
}

// stored is how many messages there are.
func (p *program) stored() int {
	p.t.Helper()
	var s struct{ Accounts []struct{ Stored int } }
	must(p.t, json.Unmarshal([]byte(p.run("", "status", "--json")), &s))
	return s.Accounts[0].Stored
}

func (p *program) read() map[int]string {
	p.t.Helper()
	list, err := rig.ReadMailbox(rig.Addr(p.port), "ann", password, "INBOX")
	must(p.t, err)
	texts := map[int]string{}
	for _, m := range list {
		texts[m.UID] = string(m.Raw)
	}
	return texts
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A server that sends a megabyte in a second, so that a kill comes in between.
type slowListener struct{ net.Listener }

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return slowConn{c}, err
}

type slowConn struct{ net.Conn }

func (c slowConn) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * time.Microsecond)
	return c.Conn.Write(b)
}

func serve(t *testing.T, n int) net.Addr {
	t.Helper()
	server := popserver.New(popserver.Options{User: "ann", Password: password})
	for i := 1; i <= n; i++ {
		server.Add(testkit.Message(i))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, slowListener{ln}) }()
	t.Cleanup(func() { cancel(); <-done })
	return ln.Addr()
}

// TestKilledInMidFetch fetches, is killed, goes on, and gives each message once, byte
// for byte, with the UID that it had.
func TestKilledInMidFetch(t *testing.T) {
	p := newProgram(t, serve(t, messages))
	p.run(password+"\n", "device", "add", "laptop", "--user", "ann", "--password-stdin")
	known, between := map[int]string{}, 0
	for round := 1; round <= 40 && p.stored() < messages; round++ {
		agent := p.command("run")
		must(t, agent.Start())
		gone := make(chan struct{})
		go func() { _ = agent.Wait(); close(gone) }()
		must(t, rig.WaitPort(t.Context(), p.port, gone))
		time.Sleep(time.Duration(300*round) * time.Millisecond)
		seen := p.read()
		_ = agent.Process.Kill()
		<-gone
		for uid, text := range known {
			if seen[uid] != text {
				t.Fatalf("round %d: UID %d is another message, or gone", round, uid)
			}
		}
		known = seen
		if n := len(seen); n > 0 && n < messages {
			between++
		}
	}
	t.Logf("killed %d times with a part of the mail", between)
	if between == 0 {
		t.Error("no kill came in mid-fetch")
	}
	p.run("", "install")
	if out := p.run("", "start"); !strings.Contains(out, "the service runs as process") {
		t.Errorf("start: %s", out)
	}
	p.run("", "sync")
	final := p.read()
	for uid, text := range known {
		if final[uid] != text {
			t.Errorf("UID %d is another message, or gone", uid)
		}
	}
	count := map[string]int{}
	for _, text := range final {
		count[text]++
	}
	for i := 1; i <= messages; i++ {
		if got := count[string(testkit.Message(i))]; got != 1 {
			t.Errorf("message %d is there %d times", i, got)
		}
	}
	if len(final) != messages {
		t.Errorf("%d messages, want %d", len(final), messages)
	}
	p.run("", "check")
	p.run("", "stop")
	p.run("", "uninstall")
}

func TestAPasswordInTheCredentialManager(t *testing.T) {
	server := serve(t, 1)
	p := newProgram(t, server)
	p.configure(server, "")
	p.run(password+"\r\n", "account", "password", "home")
	if out := p.run("", "account", "test", "home"); !strings.Contains(out, "logged in at") {
		t.Errorf("account test: %s", out)
	}
}

// What goes wrong at a start is said, and in the log; what is put right is taken up.
func TestAStartThatGoesWrong(t *testing.T) {
	p := newProgram(t, serve(t, 1))
	p.run("", "install")
	config := filepath.Join(p.dir, "config.toml")
	good, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(config, []byte(strings.Replace(string(good), "listen", "listne", 1)), 0o600))
	if out := p.run("", "start"); !strings.Contains(out, "waits") || !strings.Contains(out, "listne") {
		t.Errorf("start with a broken config: %s", out)
	}
	if log := p.log(); !strings.Contains(log, "listne") {
		t.Errorf("the log says: %s", log)
	}
	must(t, os.WriteFile(config, good, 0o600))
	must(t, rig.WaitPort(t.Context(), p.port, nil))
	p.run("", "stop")

	other, err := net.Listen("tcp", rig.Addr(p.port))
	must(t, err)
	start := p.command("start")
	start.Stderr, start.WaitDelay = nil, time.Second // under wine the agent keeps it open
	if out, err := start.CombinedOutput(); err == nil || !strings.Contains(string(out), "in use by another program") {
		t.Errorf("start with a busy port: %s, %v", out, err)
	}
	if out := p.run("", "status"); !strings.Contains(out, "imap-port-busy") {
		t.Errorf("status with a busy port: %s", out)
	}
	must(t, other.Close())
	must(t, rig.WaitPort(t.Context(), p.port, nil))
	p.run("", "stop")
	p.run("", "uninstall")
}
