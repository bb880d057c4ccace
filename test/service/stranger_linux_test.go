package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// providerNames are what the certificate of the provider of example.com is for.
var providerNames = []string{"autoconfig.example.com", "pop.example.com", "smtp.example.com"}

// startProvider makes the mail provider of example.com in the network of the machine:
// a DNS server, autoconfig by https, and a Dovecot with TLS that has N messages of ann.
// Its authority becomes one that the machine trusts.
func startProvider(ca *testkit.TLS) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		w := worldOf(ts)
		n, err := strconv.Atoi(args[0])
		ts.Check(err)
		var dovecot *rig.Dovecot
		ts.Check(w.host.Do(func() (err error) {
			dovecot, err = rig.StartDovecot(context.Background(), ca.CertFile, ca.KeyFile)
			return err
		}))
		ts.Defer(func() { _ = dovecot.Stop() })
		for i := range n {
			ts.Check(dovecot.Put("ann", testkit.Message(i)))
		}
		dns := rig.DNS("--mx-host=example.com,mx.example.com", "--host-record="+strings.Join(providerNames, ",")+",127.0.0.1")
		ts.Check(w.host.Do(dns.Start))
		ts.Defer(func() { _ = dns.Process.Signal(syscall.SIGTERM); _ = dns.Wait() })

		ln, err := w.listen("443")
		ts.Check(err)
		web := &http.Server{Handler: rig.Autoconfig(dovecot.POP3S)}
		go func() { _ = web.Serve(tls.NewListener(ln, ca.ServerConfig)) }()
		ts.Defer(func() { _ = web.Close() })

		pem, err := os.ReadFile(ca.CAFile)
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(w.dir, "usr/local/share/ca-certificates/provider.crt"), pem, 0o644))
		ts.Check(w.enter("update-ca-certificates").Run())
	}
}

// figures are what a stranger has done since the start.
type figures struct {
	began            time.Time
	steps, questions int
	password         string // of a mail client, as it was shown
}

// step is one command that a stranger types; the first begins the time.
func step(ts *testscript.TestScript, neg bool, args []string) {
	count(ts, 0)
	typed("ann")(ts, neg, args)
}

func count(ts *testscript.TestScript, questions int) {
	f := &worldOf(ts).figures
	if f.began.IsZero() {
		f.began = time.Now()
	}
	f.steps++
	f.questions += questions
}

// told prints the figures of the stranger.
func told(ts *testscript.TestScript, _ bool, args []string) {
	f := worldOf(ts).figures
	ts.Logf("stranger: %d steps, %d questions, %.1f s %s", f.steps, f.questions, time.Since(f.began).Seconds(), strings.Join(args, " "))
	if f.questions > 3 {
		ts.Fatalf("%d questions, at most three are asked", f.questions)
	}
}

// answer runs a command at a terminal as ann, and answers it: each line of the file is
// what it asks, and after " => " the answer. It may ask nothing else, and must ask all.
func answer(ts *testscript.TestScript, _ bool, args []string) {
	asked := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	count(ts, len(asked))
	// The shell stays: script(1) waits for ever beside another child, that of PAM.
	cmd := worldOf(ts).login("ann", "env", "TERM=xterm", "sh", "-c", `script -qec "$1" /dev/null; exit $?`, "sh", strings.Join(args[1:], " "))
	in, err := cmd.StdinPipe()
	ts.Check(err)
	var screen waited
	cmd.Stdout, cmd.Stderr = &screen, &screen
	ts.Check(cmd.Start())
	defer func() { _, _ = ts.Stdout().Write(screen.text()) }()
	for _, line := range asked {
		question, reply, _ := strings.Cut(line, " => ")
		if !screen.await(regexp.MustCompile(question)) {
			_ = cmd.Process.Kill()
			ts.Fatalf("%q was not asked:\n%s", question, screen.text())
		}
		_, err := in.Write([]byte(reply + "\n"))
		ts.Check(err)
	}
	if code, err := ended(cmd.Wait()); err != nil || code != 0 {
		ts.Fatalf("exit code %d, %v:\n%s", code, err, screen.text())
	}
	if shown := regexp.MustCompile(`password +([a-z2-7-]+) +\(shown`).FindSubmatch(screen.text()); shown != nil {
		worldOf(ts).figures.password = string(shown[1])
	}
}

// thunderbird is started as a person does; besides what is in its profile it is told
// only how to be driven.
func thunderbird(ts *testscript.TestScript, _ bool, args []string) {
	count(ts, 0)
	w := worldOf(ts)
	home := filepath.Join(w.dir, "home/ann")
	profile := filepath.Join(home, args[0])
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for dir := profile; dir != os.TempDir(); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		ts.Check(err)
		ts.Check(os.Chmod(dir, info.Mode().Perm()|0o011)) // it goes there by this machine's paths
	}
	var owner unix.Stat_t
	ts.Check(unix.Stat(profile, &owner))
	automation := filepath.Join(profile, "user.js")
	ts.Check(os.WriteFile(automation, []byte(rig.ThunderbirdAutomation), 0o644))
	ts.Check(os.WriteFile(filepath.Join(profile, "thunderbird.log"), nil, 0o666))

	cmd := exec.Command("/usr/lib/thunderbird/thunderbird")
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	var b *rig.Thunderbird
	ts.Check(w.host.Do(func() (err error) {
		b, err = rig.StartThunderbird(context.Background(), cmd, profile)
		return err
	}))
	defer func() { ts.Check(b.Quit()) }()
	ts.Check(b.Script(nil, `await tb.openAccount(...args)`, w.figures.password, n))
}

// waited is a screen that one can wait at. What was waited for is not found again.
type waited struct {
	mu   sync.Mutex
	all  bytes.Buffer
	seen int
}

func (s *waited) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *waited) text() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.ReplaceAll(s.all.Bytes(), []byte("\r\n"), []byte("\n"))
}

func (s *waited) await(want *regexp.Regexp) bool {
	for deadline := time.Now().Add(awaitWithin); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		found := want.FindIndex(s.all.Bytes()[s.seen:])
		if found != nil {
			s.seen += found[1]
		}
		s.mu.Unlock()
		if found != nil {
			return true
		}
	}
	return false
}
