package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// TestTheService runs the scripts, one machine after the other. Besides
// testscript's own commands they have what follows; packages of two versions are in
// ~root/packages.
//
//	root COMMAND...       what root types after a login; ! in front: it fails
//	ann COMMAND...        what ann types
//	exits CODE USER COMMAND...     the same, with an exit code
//	await REGEXP USER COMMAND...   again until its stdout matches
//	put FILE PATH USER    a file of the script, as one of that user's in the machine
//	popserver N           a POP3 server with N messages on port 110, for ann with "secret"
//	provider N            the mail provider of example.com: DNS, autoconfig, Dovecot with TLS and N messages
//	step COMMAND...       what a stranger types as ann; counted, as is
//	answer FILE COMMAND...         the same at a terminal, with the questions and answers of FILE
//	thunderbird PROFILE N          starts Thunderbird on ann's profile, types the password that the answers
//	                      before have shown, and waits until it has read N messages of the INBOX
//	told WHAT             prints how many steps, questions and seconds it was
//	busy PORT, free PORT  another program takes a port, and gives it back
//	container COMMAND...  what root types in a container of the same files, without systemd
//	reboot                switches the machine off and on
func TestTheService(t *testing.T) {
	rig.Need(t, "systemd-nspawn", "debootstrap", "nsenter", "ip", "dnsmasq", "dovecot", "thunderbird")
	if os.Getuid() != 0 {
		rig.Skip(t, "machines are booted by root only")
	}
	alone(t)
	program := filepath.Join(t.TempDir(), "popbridge")
	build := exec.Command("go", "build", "-o", program, "../../cmd/popbridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var tree sync.WaitGroup // downloads while the other compiles
	var treeErr error
	tree.Go(func() { _, treeErr = debian(t.Context()) })
	defer tree.Wait()
	debs := packages(t)
	tree.Wait()
	if treeErr != nil {
		t.Fatal(treeErr)
	}
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts: ", err)
	}
	ca := testkit.CA(t, providerNames...)
	for _, script := range scripts {
		// Not in parallel: their systemds would share a control group.
		t.Run(filepath.Base(script), func(t *testing.T) { testscript.Run(t, params(script, program, debs, ca)) })
	}
}

// packages makes the packages for Debian of two versions, one after the other, as
// 1.0.0.deb and 1.1.0.deb.
func packages(t *testing.T) string {
	dir := t.TempDir()
	for _, version := range []string{"1.0.0", "1.1.0"} {
		out := filepath.Join(t.TempDir(), version)
		make := exec.Command("go", "run", "./cmd/packages", "-version", version, "-only", "linux/"+runtime.GOARCH, "-out", out)
		make.Dir = "../.."
		if text, err := make.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if err := os.Rename(filepath.Join(out, "popbridge_"+version+"_linux_"+runtime.GOARCH+".deb"), filepath.Join(dir, version+".deb")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func params(script, program, debs string, ca *testkit.TLS) testscript.Params {
	return testscript.Params{
		Files:               []string{script},
		RequireExplicitExec: true,
		Setup:               func(e *testscript.Env) error { return setUp(e, program, debs) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"root": typed("root"), "ann": typed("ann"), "exits": exits, "await": await, "put": put,
			"popserver": startPOP, "busy": busy, "free": free, "reboot": reboot, "container": inContainer,
			"provider": startProvider(ca), "step": step, "answer": answer, "thunderbird": thunderbird, "told": told,
		},
	}
}

// alone waits until no other run of this test has machines.
func alone(t *testing.T) {
	f, err := os.Create(filepath.Join(os.TempDir(), "popbridge-machines.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

type machineKey struct{}

// world is the machine of a script and what runs beside it.
type world struct {
	*machine
	ports   map[string]net.Listener
	figures figures
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(machineKey{}).(*world) }

func setUp(e *testscript.Env, program, debs string) error {
	m, err := newMachine(context.Background(), "popbridge-test", e.WorkDir, program)
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(m.dir, "root/packages"), os.DirFS(debs)); err != nil {
		return err
	}
	w := &world{machine: m, ports: map[string]net.Listener{}}
	e.Values[machineKey{}] = w
	e.Defer(func() {
		_ = m.off()
		_ = m.remove()
	})
	return m.boot()
}

// do runs a command of a user; what it prints is for `stdout` and `stderr`.
func do(ts *testscript.TestScript, argv []string) int {
	cmd := worldOf(ts).login(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	code, err := exitCode(cmd)
	ts.Check(err)
	return code
}

func typed(user string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if code := do(ts, append([]string{user}, args...)); (code != 0) != neg {
			ts.Fatalf("exit code %d", code)
		}
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if got := do(ts, args[1:]); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

const awaitWithin = time.Minute

func await(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out []byte
	for deadline := time.Now().Add(awaitWithin); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if out, _ = worldOf(ts).login(args[1], args[2:]...).CombinedOutput(); want.Match(out) {
			_, err = ts.Stdout().Write(out)
			ts.Check(err)
			return
		}
	}
	ts.Fatalf("%q did not come within %v, at last:\n%s", args[0], awaitWithin, out)
}

func put(ts *testscript.TestScript, _ bool, args []string) {
	cmd := worldOf(ts).login(args[2], "sh", "-c", fmt.Sprintf("mkdir -p \"$(dirname %s)\" && cat >%s", args[1], args[1]))
	in, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { _ = in.Close() }()
	cmd.Stdin, cmd.Stderr = in, ts.Stderr()
	ts.Check(cmd.Run())
}

func startPOP(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := worldOf(ts).listen("110")
	ts.Check(err)
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	server := popserver.New(popserver.Options{User: "ann", Password: "secret"})
	for i := range n {
		server.Add(testkit.Message(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ctx, ln)
	}()
	ts.Defer(func() { cancel(); <-done })
}

func busy(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := worldOf(ts).listen(args[0])
	ts.Check(err)
	worldOf(ts).ports[args[0]] = ln
	ts.Defer(func() { _ = ln.Close() })
}

func free(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(worldOf(ts).ports[args[0]].Close())
}

func reboot(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(worldOf(ts).off())
	ts.Check(worldOf(ts).boot())
}

func inContainer(ts *testscript.TestScript, neg bool, args []string) {
	cmd := worldOf(ts).container(args...)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	code, err := exitCode(cmd)
	ts.Check(err)
	if (code != 0) != neg {
		ts.Fatalf("exit code %d", code)
	}
}
