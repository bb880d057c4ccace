package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A stranger's five minutes: an address, a password, and a mail program reads the mail.
func TestSetup(t *testing.T) {
	rig.Need(t, "dovecot", "script", "ip")
	t.Parallel()
	ca := testkit.CA(t, "autoconfig.example.com", "pop.example.com")
	must(t, namedHost(t, "autoconfig.example.com", "pop.example.com").Do(func() error {
		setup(t, ca)
		return nil
	}))
}

func setup(t *testing.T, ca *testkit.TLS) {
	server, err := rig.StartDovecot(t.Context(), ca.CertFile, ca.KeyFile)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = server.Stop() }()
	if err := server.Put("home", []byte("Subject: one\r\n\r\n1\r\n"), []byte("Subject: two\r\n\r\n2\r\n")); err != nil {
		t.Error(err)
		return
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:443", ca.ServerConfig)
	if err != nil {
		t.Error(err)
		return
	}
	web := &http.Server{Handler: rig.Autoconfig(server.POP3S)}
	go func() { _ = web.Serve(listener) }()
	defer func() { _ = web.Close() }()

	config := filepath.Join(t.TempDir(), "popbridge", "config.toml")
	environment := append(os.Environ(), "SSL_CERT_FILE="+ca.CAFile, "XDG_DATA_HOME="+t.TempDir(), "XDG_STATE_HOME="+t.TempDir(), "TERM=dumb")
	command := func(input string, words ...string) (string, error) {
		c := exec.CommandContext(t.Context(), words[0], words[1:]...)
		c.Env = environment
		c.Stdin = strings.NewReader(input)
		out, err := c.CombinedOutput()
		return strings.ReplaceAll(string(out), "\r\n", "\n"), err
	}
	// The first answer is no address, the first password a wrong one.
	text, err := command("home at example\nhome@example.com\nguess\n"+rig.Password+"\nn\n",
		"script", "-qec", binary+" setup --config "+config, "/dev/null")
	t.Logf("%s", text)
	if err != nil {
		t.Error(err)
		return
	}
	for _, want := range []string{
		fmt.Sprintf(`pop\.example\.com:%d \(TLS\), user name home`, server.POP3S), `user name or password refused`, `logged in: 2 messages`,
		`(?m)^  incoming mail   IMAP$`, `(?m)^  outgoing mail   SMTP\n    server        127\.0\.0\.1\n    port          1[56]\d\d\n    security      STARTTLS\n    user name     me\n    password      the same$`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%s is not said", want)
		}
	}
	password := regexp.MustCompile(`password +([a-z2-7-]+) +\(shown`).FindStringSubmatch(text)
	if password == nil {
		t.Error("no password is shown")
		return
	}
	// Once more it goes on with what is there; a broken config is found before a question.
	if out, err := command("home@example.com\nn\n", "script", "-qec", binary+" setup --config "+config, "/dev/null"); err != nil || !strings.Contains(out, "Account home@example.com is set up already") {
		t.Errorf("set up again: %v: %s", err, out)
	}
	broken := filepath.Join(t.TempDir(), "broken.toml")
	if err := os.WriteFile(broken, []byte("imap = 3\n"), 0o600); err != nil {
		t.Error(err)
		return
	}
	if out, err := command("", "script", "-qec", binary+" setup --config "+broken, "/dev/null"); err == nil || strings.Contains(out, "Mail address") || !strings.Contains(out, "broken.toml:1: imap: is a whole number") {
		t.Errorf("with a broken config: %v: %s", err, out)
	}
	// An address of which nothing is known: the server is asked for, in any words.
	elsewhere := "someone@elsewhere.test\npop.example.com:1 starttls\npop.example.com:" + strconv.Itoa(server.POP3S) + "\nhome\n" + rig.Password + "\nn\n"
	if out, err := command(elsewhere, "script", "-qec", binary+" setup --config "+filepath.Join(t.TempDir(), "config.toml"), "/dev/null"); err != nil ||
		!strings.Contains(out, "pop.example.com:1 (STARTTLS): no connection") || !strings.Contains(out, "logged in: 2 messages") {
		t.Errorf("with a server that is named: %v: %s", err, out)
	}
	// The same without questions, into another config.
	if out, err := command(rig.Password, binary, "account", "add", "--address", "home@example.com", "--password-stdin", "--config", filepath.Join(t.TempDir(), "config.toml"), "poll_every=10m"); err != nil || !strings.Contains(out, "account home@example.com was added") ||
		!strings.Contains(out, "\nMail programs send from home@example.com through popbridge, too: server 127.0.0.1, port 1587, STARTTLS, with the login by which they read.\n") {
		t.Errorf("account add: %v: %s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	agent := exec.CommandContext(ctx, binary, "run", "--config", config)
	agent.Env = environment
	agent.Cancel = func() error { return agent.Process.Signal(os.Interrupt) }
	if err := agent.Start(); err != nil {
		t.Error(err)
	}
	defer func() { stop(); _ = agent.Wait() }()
	if err := rig.WaitPort(ctx, 1143, nil); err != nil {
		t.Error(err)
		return
	}
	if out, err := command("", binary, "sync", "--config", config); err != nil {
		t.Errorf("sync: %v: %s", err, out)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:1143")
	if err != nil {
		t.Error(err)
		return
	}
	client, err := imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = client.Close() }()
	if err := client.Login("me", password[1]).Wait(); err != nil {
		t.Error(err)
	}
	if box, err := client.Select("INBOX", nil).Wait(); err != nil || box.NumMessages != 2 {
		t.Errorf("INBOX: %v, %v", box, err)
	}
}
