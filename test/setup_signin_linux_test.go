package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A provider that takes no password: setup says how to get a client id, takes it, and
// leads through the sign-in. Its servers are Microsoft's by their names only.
func TestSetupSignsIn(t *testing.T) {
	rig.Need(t, "dovecot", "script", "ip", "curl")
	t.Parallel()
	ca := testkit.CA(t, "outlook.office365.com")
	must(t, namedHost(t, "outlook.office365.com", "smtp.office365.com", "smtp-mail.outlook.com").Do(func() error {
		setupSignsIn(t, ca)
		return nil
	}))
}

func setupSignsIn(t *testing.T, ca *testkit.TLS) {
	provider := oauthtest.New(t)
	d, err := rig.StartDovecot(context.WithoutCancel(t.Context()), ca.CertFile, ca.KeyFile, provider.Dovecot(t),
		"service pop3-login {\n  inet_listener pop3s {\n    port = 995\n  }\n}")
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = d.Stop() }()
	if err := d.Put("ann@outlook.com", testkit.Message(0), testkit.Message(1)); err != nil {
		t.Error(err)
		return
	}
	config := filepath.Join(t.TempDir(), "popbridge", "config.toml")
	environment := append(os.Environ(), "SSL_CERT_FILE="+ca.CAFile, "XDG_DATA_HOME="+t.TempDir(), "XDG_STATE_HOME="+t.TempDir(), "TERM=dumb", "DISPLAY=", "WAYLAND_DISPLAY=")
	s := newTypist(t, environment, binary+" setup --config "+config)
	s.answer("Mail address: ", "ann@outlook.com")
	s.answer("Client id (Enter alone: stop here): ", "an id")
	s.answer("Tenant", "")
	s.waits("copy it from the pages of the provider")
	s.answer("Client id (Enter alone: stop here): ", oauthtest.ClientID)
	s.answer("Tenant", "consumers")
	s.waits("https://login.microsoftonline.com/consumers/oauth2/v2.0/authorize?")
	s.end()
	for _, want := range []string{"docs/oauth.md", "written to"} {
		if !strings.Contains(s.text(), want) {
			t.Errorf("%s is not said: %s", want, s.text())
		}
	}
	text, err := os.ReadFile(config)
	if err != nil || !regexp.MustCompile(`(?s)\[oauth\.microsoft\]\nclient_id = "popbridge-test"\ntenant    = "consumers"\n.*auth     = "oauth2"\noauth    = "microsoft"\n`).Match(text) {
		t.Errorf("the config is %v\n%s", err, text)
	}

	add := exec.CommandContext(t.Context(), binary, "account", "add", "--address", "ann@outlook.com", "--password-stdin", "--config", filepath.Join(t.TempDir(), "config.toml"))
	add.Env = environment
	if out, err := add.CombinedOutput(); err == nil || !strings.Contains(string(out), "this server takes no password, only OAuth2") || !strings.Contains(string(out), "--oauth signs in") {
		t.Errorf("account add: %v: %s", err, out)
	}

	// With an authorisation server that answers, to the end.
	config = filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "version = 1\n[oauth.microsoft]\nclient_id = %q\nauthorize_url = %q\ntoken_url = %q\nredirect = \"http://127.0.0.1\"\n",
		oauthtest.ClientID, provider.Endpoints().Authorize, provider.Endpoints().Token), 0o600); err != nil {
		t.Error(err)
		return
	}
	s = newTypist(t, environment, binary+" setup --config "+config)
	s.answer("Mail address: ", "ann@outlook.com")
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/authorize\?\S+`).FindString(s.waits("paste the whole address here"))
	final, err := exec.CommandContext(t.Context(), "curl", "-s", "-o", "/dev/null", "-w", "%{redirect_url}", "-d", "user=ann@outlook.com", "-d", "decision=allow", address).Output()
	if err != nil {
		t.Errorf("%s: %v", address, err)
	}
	s.types(string(final))
	s.waits("account ann@outlook.com is signed in")
	s.waits("the server has 2 messages")
	s.waits("sending: no connection") // nothing answers here
	s.types("n")                      // where a service is offered
	s.waits("(shown this once only)")
	if part := s.waits("the same"); !strings.Contains(part, "outgoing mail   SMTP\r\n    server        127.0.0.1") { // the provider takes no password from a mail program
		t.Errorf("for sending is said: %s", part)
	}
	s.end()
	if strings.Contains(s.text(), "waits for you to sign in") {
		t.Errorf("it is said that nobody has signed in:\n%s", s.text())
	}
	s = newTypist(t, environment, binary+" setup --config "+config)
	s.answer("Mail address: ", "ann@outlook.com")
	s.waits("account signin ann@outlook.com --config " + config + "` signs in there")
	s.end()

	// Added again, it needs no other sign-in than the one that is kept.
	remove := exec.CommandContext(t.Context(), binary, "account", "remove", "ann@outlook.com", "--config", config)
	remove.Env = environment
	if out, err := remove.CombinedOutput(); err != nil {
		t.Errorf("account remove: %v: %s", err, out)
	}
	s = newTypist(t, environment, binary+" setup --config "+config)
	s.answer("Mail address: ", "ann@outlook.com")
	s.waits("paste the whole address here")
	s.types("http://127.0.0.1/?error=access_denied&state=" + regexp.MustCompile(`[?&]state=([^&\s]+)`).FindStringSubmatch(s.text())[1])
	s.waits("Account ann@outlook.com uses the sign-in of ann@outlook.com that is kept.")
	s.end()
	if strings.Contains(s.text(), "waits for you to sign in") {
		t.Errorf("it is said that nobody has signed in:\n%s", s.text())
	}

	// A provider that takes both, for which there is a client id.
	config = filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(config, []byte("version = 1\n[oauth.google]\nclient_id = \"x\"\n"), 0o600); err != nil {
		t.Error(err)
		return
	}
	s = newTypist(t, environment, binary+" setup --config "+config)
	s.answer("Mail address: ", "ann@gmail.com")
	s.answer("Sign in with the browser, in place of a password? [y/N] ", "y")
	s.waits("https://accounts.google.com/o/oauth2/v2/auth?")
	s.end()
}

// typist is a program at a terminal, with a person who reads before they type.
type typist struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	seen strings.Builder
	from int // what is before it was waited for
}

// newTypist starts it. What goes wrong is an error of the test, which goes on: it may be
// in the network of a host.
func newTypist(t *testing.T, environment []string, command string) *typist {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s := &typist{t: t, cmd: exec.CommandContext(ctx, "script", "-qec", command, "/dev/null")}
	s.cmd.Env = environment
	in, inErr := s.cmd.StdinPipe()
	out, outErr := s.cmd.StdoutPipe()
	s.in, s.out = in, bufio.NewReader(out)
	if err := errors.Join(inErr, outErr, s.cmd.Start()); err != nil {
		t.Error(err)
	}
	return s
}

func (s *typist) text() string { return strings.ReplaceAll(s.seen.String(), "\r\n", "\n") }

// waits reads until a text was printed, and returns all up to there that was not returned
// before.
func (s *typist) waits(text string) string {
	s.t.Helper()
	for {
		if i := strings.Index(s.seen.String()[s.from:], text); i >= 0 {
			part := s.seen.String()[s.from : s.from+i+len(text)]
			s.from += i + len(text)
			return part
		}
		b, err := s.out.ReadByte()
		if err != nil {
			s.t.Errorf("%q is not printed (%v):\n%s", text, err, s.text())
			return ""
		}
		s.seen.WriteByte(b)
	}
}

func (s *typist) types(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Error(err)
	}
}

func (s *typist) answer(question, line string) {
	s.t.Helper()
	s.waits(question)
	s.types(line)
}

// end is Ctrl-C, or the end that has come already.
func (s *typist) end() {
	s.t.Helper()
	_, _ = io.WriteString(s.in, "\x03")
	_, _ = io.Copy(&s.seen, s.out)
	_ = s.cmd.Wait() // 130 after Ctrl-C
}
