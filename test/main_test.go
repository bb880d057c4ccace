// Package test runs the popbridge binary as its users do: against a real POP3
// server, with real mail clients, through trouble. What is not installed is
// skipped, unless POPBRIDGE_REAL=required.
package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// binary is the program under test, built once from this tree.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "popbridge-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // some tests run the program as another user
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "popbridge")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-o", binary, "../cmd/popbridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// Device login of every test; the password has what shells and quoted strings
// trip over.
const (
	localUser = "ann"
	devicePw  = "d3vice-pass"
)

// dovecot starts a POP3 server for this test, with a certificate of ca where
// one is given.
func dovecot(t *testing.T, ca *testkit.TLS) *rig.Dovecot {
	t.Helper()
	rig.Need(t, "dovecot")
	var cert, key string
	if ca != nil {
		cert, key = ca.CertFile, ca.KeyFile
	}
	d, err := rig.StartDovecot(context.WithoutCancel(t.Context()), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dovecot: %s", tail(d.Log()))
		}
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// account is the POP account name on d, plain text.
func account(d *rig.Dovecot, name string) rig.Account {
	return rig.Account{
		Name: name, Host: "127.0.0.1", Port: d.POP3, TLS: "none",
		Username: name, Password: rig.Password, PollEvery: "1h", User: localUser,
	}
}

// prepare writes a config and creates the device login; the agent isn't running
// yet.
func prepare(t *testing.T, accounts ...rig.Account) *rig.Popbridge {
	t.Helper()
	p, err := rig.NewPopbridge(binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(accounts...); err != nil {
		t.Fatal(err)
	}
	if err := p.AddDevice(t.Context(), localUser, "test", devicePw); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("popbridge: %s", tail(p.Log()))
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// start runs the agent; it is stopped when the test ends.
func start(t *testing.T, p *rig.Popbridge) {
	t.Helper()
	if err := p.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, p *rig.Popbridge) {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
}

// command runs one popbridge command and fails the test unless it exits with
// code.
func command(t *testing.T, p *rig.Popbridge, code int, args ...string) rig.Output {
	t.Helper()
	out, err := p.Run(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	if out.Code != code {
		t.Fatalf("%v: exit %d, want %d\nstdout: %s\nstderr: %s", args, out.Code, code, out.Stdout, out.Stderr)
	}
	return out
}

// login opens an IMAP connection with the client of go-imap.
func login(t *testing.T, p *rig.Popbridge, options *imapclient.Options) *imapclient.Client {
	t.Helper()
	return loginAs(t, p, options, localUser, devicePw)
}

func loginAs(t *testing.T, p *rig.Popbridge, options *imapclient.Options, user, password string) *imapclient.Client {
	t.Helper()
	dial := imapclient.DialInsecure
	if p.TLS == "starttls" {
		if options == nil {
			options = &imapclient.Options{}
		}
		options.TLSConfig = trusting(t, p)
		dial = imapclient.DialStartTLS
	}
	c, err := dial(rig.Addr(p.Port), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(user, password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// trusting trusts the certificate of this computer's popbridge only.
func trusting(t *testing.T, p *rig.Popbridge) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	c.RootCAs.AppendCertsFromPEM(authority(t, p))
	return c
}

// authority is the certificate that a client has to trust.
func authority(t *testing.T, p *rig.Popbridge) []byte {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(p.Data, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

func selectMailbox(t *testing.T, c *imapclient.Client, name string) *imap.SelectData {
	t.Helper()
	data, err := c.Select(name, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// eventually waits for something another process does; it is polled, so that a
// passing test takes no longer than the thing itself.
func eventually(t *testing.T, what string, check func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := check()
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within 30 s; %v", what, err)
		case <-tick.C:
		}
	}
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "... " + s[len(s)-most:]
	}
	return s
}
