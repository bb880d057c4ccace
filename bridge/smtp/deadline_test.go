package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

const (
	opening  = "S: 220 ready\nC~ EHLO .*\n"
	upgraded = opening + "S: 250-h\nS: 250 STARTTLS\nC: STARTTLS\n"
)

// stalls are scripts in which the server stops to answer, and how long the client
// puts up with it.
var stalls = []struct {
	name, script string
	security     Security
	after        time.Duration
	phase        Phase
	text         string
}{
	{"tls", "@stall\n", Implicit, 3 * time.Second, Connected, "handshake"},
	{"greeting", "@stall\n", Plain, 5 * time.Second, Connected, "greet"},
	{"greeting, half", "S\" 220 rea\n@stall\n", Plain, 5 * time.Second, Connected, "greet"},
	{"ehlo", opening + "@stall\n", Plain, 7 * time.Second, Connected, "answer"},
	{"ehlo, half", opening + "S: 250-h\nS: 250-SIZE\n@stall\n", Plain, 7 * time.Second, Connected, "answer"},
	{"starttls", upgraded + "@stall\n", StartTLS, 7 * time.Second, Connected, "answer"},
	{"starttls handshake", upgraded + "S: 220 go\n@stall\n", StartTLS, 3 * time.Second, Connected, "handshake"},
	{"ehlo under tls", upgraded + "S: 220 go\n@tls\nC~ EHLO .*\n@stall\n", StartTLS, 7 * time.Second, Connected, "answer"},
	{"auth", smtptest.Hello() + "C: AUTH PLAIN\n@stall\n", Plain, 7 * time.Second, Connected, "answer"},
	{"password", smtptest.Hello() + "C: AUTH PLAIN\nS: 334\nC*\n@stall\n", Plain, 7 * time.Second, Connected, "after the password"},
	{"mail", smtptest.Hello() + smtptest.Login() + "C~ MAIL .*\n@stall\n", Plain, 7 * time.Second, Mail, "answer"},
	{"rcpt", smtptest.Hello() + smtptest.Login() + smtptest.Mail(ann, "250 ok") + "C~ RCPT .*\n@stall\n", Plain, 7 * time.Second, Rcpt, "answer"},
	{"rcpt, pipelined", smtptest.Hello("PIPELINING") + smtptest.Login() + smtptest.Envelope(ann, bob) + "C~ RCPT .*\n@stall\n", Plain, 7 * time.Second, Rcpt, "answer"},
	{"data", smtptest.Hello() + smtptest.Login() + smtptest.Envelope(ann, bob, cat) + "C: DATA\n@stall\n", Plain, 7 * time.Second, Data, "answer"},
	{"final", smtptest.Hello() + smtptest.Login() + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nC.\n@stall\n", Plain, 13 * time.Second, AfterDot, "answer"},
	{"final, half", smtptest.Hello() + smtptest.Login() + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nC.\nS: 250-ok\nS\" 250 o\n@stall\n", Plain, 13 * time.Second, AfterDot, "answer"},
	{"quit", smtptest.Hello() + smtptest.Login() + smtptest.Taken(ann, bob, cat) + "C: QUIT\n@stall\n", Plain, 10 * time.Second, Answered, "answer"},
}

// impatient makes short time limits. The certificates are of now, which in a bubble
// is another time.
func impatient(security Security, ca *testkit.TLS, now time.Time) func(*Config) {
	return func(cfg *Config) {
		cfg.Security, cfg.TLS = security, &tls.Config{RootCAs: ca.CertPool, Time: func() time.Time { return now }}
		cfg.Timeouts = Timeouts{TLS: 3 * time.Second, Greeting: 5 * time.Second, Reply: 7 * time.Second, Write: 11 * time.Second, Final: 13 * time.Second}
	}
}

func TestEveryStepHasADeadline(t *testing.T) {
	ca, now := testkit.CA(t, "mail.example.com"), time.Now()
	for _, tt := range stalls {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context) {
				start := time.Now()
				s := play(ctx, tt.script, impatient(tt.security, ca, now), scripted.WithTLS(ca.ServerConfig))
				if !fault.Is(s.err, fault.Temporary) || !strings.Contains(s.err.Error(), tt.text) || fault.Hint(s.err) == "" || s.out.Phase != tt.phase {
					t.Errorf("%v: %v", s.out, s.err)
				}
				if took := time.Since(start).Round(time.Second); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
			})
		})
	}
}

func TestContextEndsEveryStepAtOnce(t *testing.T) {
	ca, now := testkit.CA(t, "mail.example.com"), time.Now()
	for _, tt := range stalls {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				start := time.Now()
				s := play(ctx, tt.script, impatient(tt.security, ca, now), scripted.WithTLS(ca.ServerConfig))
				if !errors.Is(s.err, context.DeadlineExceeded) || fault.KindOf(s.err) != fault.Internal || s.out.Phase != tt.phase {
					t.Errorf("%v, %v", s.out, s.err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestDialDeadlineAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}
		start := time.Now()
		_, err := Dial(t.Context(), Config{Host: "mail.example.com", Dialer: hang})
		if !fault.Is(err, fault.Temporary) || time.Since(start) != 30*time.Second || !strings.Contains(err.Error(), "mail.example.com:465") {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Dial(ctx, Config{Host: "mail.example.com", Security: StartTLS, Dialer: hang}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
