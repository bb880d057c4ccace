package cli_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/agent/cli"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/ports"
)

func TestMain(m *testing.M) {
	testkit.Quick()
	testkit.Overlap()
	os.Setenv("XDG_STATE_HOME", filepath.Join(os.TempDir(), fmt.Sprint("popbridge-cli-test", os.Getuid()))) // of this user alone
	testscript.Main(leakChecked{m}, map[string]func(){
		"popbridge": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// leakChecked is goleak.VerifyTestMain for testscript.Main.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/Microsoft/go-winio.ioCompletionProcessor")); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// The scripts start the real program. Besides testscript's own commands they
// have:
//
//	exits CODE COMMAND...    run a command and compare its exit code
//	await REGEXP COMMAND...  run it again until its stdout matches
//	signal NAME              send a signal to what runs in the background
//	freeport VAR...          set variables to free ports
//	busyport VAR             set a variable to a port that is taken
//	expand FILE              replace the variables in a file by their values
//	popserver VAR USER PASSWORD N  start a POP3 server with N messages; VAR is its port
//	popmail VAR N            let N more arrive there
//	popdown VAR              stop it
//	imap PORT USER PASSWORD [COMMAND...]   log in with IMAP, run tagged commands
//	uids FILE FILE           compare the UIDs, flags and sizes that imap printed
//	damage DIR               change a byte of one file below DIR
//	newer FILE               give an index the schema of a later version
func TestScripts(t *testing.T) { testscript.Run(t, scripts("testdata/script")) }

func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Values[peersKey{}] = map[string]*popPeer{}
			for _, dir := range []string{filepath.Dir(e.WorkDir), e.WorkDir} {
				if err := os.Chmod(dir, 0o755); err != nil { // where no one else gets in, what others may change counts for nothing
					return err
				}
			}
			home := filepath.Join(e.WorkDir, "home")
			for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "AppData", "LocalAppData"} {
				e.Setenv(name, home)
			}
			// A program with the race detector sleeps for a second before it
			// exits; the scripts start hundreds of them.
			e.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=10")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "await": await, "signal": sendSignal, "freeport": freePorts, "busyport": busyPort,
			"expand": expand, "popserver": startPOP, "popmail": addMail, "popdown": stopPOP, "imap": sayIMAP, "uids": compareUIDs, "damage": damage, "newer": newer,
		},
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCode(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// exitCode runs a command; what it prints is for `stdout` and `stderr`.
func exitCode(ts *testscript.TestScript, command []string) int {
	err := ts.Exec(command[0], command[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		_ = exitCode(ts, args[1:])
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%q did not come within 20 s", args[0])
}

func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": os.Interrupt, "KILL": os.Kill}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(signals[args[0]]))
	}
}

func freePorts(ts *testscript.TestScript, _ bool, names []string) {
	free, err := ports.Free(len(names))
	ts.Check(err)
	for i, name := range names {
		ts.Setenv(name, strconv.Itoa(free[i]))
	}
}

func busyPort(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	ts.Setenv(args[0], portOf(ln))
}

func portOf(ln net.Listener) string { return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port) }

func expand(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// sayIMAP says what the server answers to each command, as a person with telnet
// would see it.
func sayIMAP(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", args[0]))
	ts.Check(err)
	defer func() { _ = conn.Close() }()
	ts.Check(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	commands := append([]string{fmt.Sprintf("A0 LOGIN %q %q", args[1], args[2])}, args[3:]...)
	_, err = io.WriteString(conn, strings.Join(commands, "\r\n")+"\r\nZZ LOGOUT\r\n")
	ts.Check(err)
	answer, err := io.ReadAll(conn)
	ts.Check(err)
	_, err = ts.Stdout().Write(answer)
	ts.Check(err)
}

func compareUIDs(ts *testscript.TestScript, _ bool, args []string) {
	seen := func(file string) []string {
		return regexp.MustCompile(`(?m)^\* [0-9]+ FETCH .*|UIDVALIDITY [0-9]+\)`).FindAllString(ts.ReadFile(file), -1)
	}
	one, other := seen(args[0]), seen(args[1])
	if len(one) < 2 || !slices.Equal(one, other) {
		ts.Fatalf("they differ:\n%s\n\n%s", strings.Join(one, "\n"), strings.Join(other, "\n"))
	}
}

func damage(ts *testscript.TestScript, _ bool, args []string) {
	done := errors.New("done")
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		ts.Check(err)
		b[len(b)/2] ^= 0xff
		ts.Check(os.Chmod(path, 0o600))
		ts.Check(os.WriteFile(path, b, 0o600))
		return done
	})
	if !errors.Is(err, done) {
		ts.Fatalf("no file below %s: %v", args[0], err)
	}
}

// newer writes the user_version of an SQLite database: https://sqlite.org/fileformat.html,
// section 1.3.
func newer(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte{0, 0, 1, 0}, 60)
	ts.Check(errors.Join(err, f.Close()))
}
