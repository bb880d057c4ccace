package pop3_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// A connection that ends without a word says at which command, and whether the
// server had the password.
func TestAConnectionThatIsClosedAtACommand(t *testing.T) {
	const capa = "S: +OK\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: .\n"
	for _, tt := range []struct {
		script, command, text string
		security              pop3.Security
		hungUp                bool
	}{
		{"S: +OK\nC: CAPA\n@close\n", "CAPA", "at CAPA", pop3.Plain, false},
		{"S: +OK\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\n@close\n", "STLS", "(STLS)", pop3.StartTLS, false},
		{capa + "C: AUTH PLAIN\n@close\n", "AUTH", "at AUTH", pop3.Plain, false},
		{capa + "C: AUTH PLAIN\nS: +\nC~ .*\n@close\n", "AUTH", "got the password", pop3.Plain, true},
		{"S: +OK\nC: CAPA\nS: -ERR\nC: USER ann\nS: +OK\nC: PASS pw\n@close\n", "PASS", "got the password", pop3.Plain, true},
		{"S: +OK\nC: CAPA\nS: -ERR\nC: USER ann\n@close\n", "USER", "closed the connection", pop3.Plain, false},
	} {
		server := scripted.New(t, tt.script)
		c, err := pop3.Dial(t.Context(), pop3.Config{Host: "h", Security: tt.security, Dialer: server.Dial})
		if err == nil {
			err = c.Login(t.Context(), pop3.Credentials{"ann", "pw", pop3.MethodPassword})
			_ = c.Close()
		}
		lost, ok := errors.AsType[*pop3.LostError](err)
		if !ok || lost.Command != tt.command || errors.Is(err, pop3.ErrHungUp) != tt.hungUp || !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", tt.command, err)
		}
	}
}

// A server that hangs up at AUTH gets the password by USER and PASS, but not in
// the clear where AUTH would not have shown it: whoever cuts the connection
// could read it.
func TestWithoutAUTHNoPasswordIsShown(t *testing.T) {
	for sasl, want := range map[string]string{
		"PLAIN LOGIN":         "C: USER ann\nS: +OK\nC: PASS pw\nS: +OK\nC: CAPA\nS: -ERR\n",
		"PLAIN CRAM-MD5":      "C: AUTH CRAM-MD5\n@close\n",
		"PLAIN SCRAM-SHA-256": "C: AUTH SCRAM-SHA-256\n@close\n",
	} {
		server := scripted.New(t, "S: +OK\nC: CAPA\nS: +OK\nS: SASL "+sasl+"\nS: .\n"+want)
		c, err := pop3.Dial(t.Context(), pop3.Config{Host: "h", Security: pop3.Plain, NoAUTH: true, Dialer: server.Dial})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Login(t.Context(), pop3.Credentials{"ann", "pw", pop3.MethodPassword}); (err == nil) != strings.Contains(want, "PASS") {
			t.Errorf("%s: %v", sasl, err)
		}
		_ = c.Close()
	}
}
