package smtp

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// rest is a session under TLS, behind its greeting.
func rest() string {
	return smtptest.Extended("AUTH PLAIN", "SIZE 70") + smtptest.Login() + smtptest.Taken(ann, bob) + smtptest.Quit
}

func TestSecuredSessions(t *testing.T) {
	ca := testkit.CA(t, "mail.example.com")
	for name, tt := range map[string]struct {
		security Security
		script   string
	}{
		"implicit": {Implicit, "@tls\nS: 220 ok\n" + rest()},
		// What was announced before TLS does not count: the AUTH there would be CRAM-MD5.
		"starttls": {StartTLS, opening + "S: 250-h\nS: 250-SIZE 1\nS: 250-AUTH CRAM-MD5\nS: 250 starttls\nC: STARTTLS\nS: 220 go\n@tls\n" + rest()},
	} {
		t.Run(name, func(t *testing.T) {
			server := scripted.New(t, tt.script, scripted.WithTLS(ca.ServerConfig))
			c, err := Dial(t.Context(), Config{Host: "mail.example.com", Security: tt.security, TLS: &tls.Config{RootCAs: ca.CertPool}, Dialer: server.Dial})
			if err != nil {
				t.Fatal(err)
			}
			if c.Extensions().Size != 70 {
				t.Errorf("%+v", c.Extensions())
			}
			if err := c.Login(t.Context(), credentials); err != nil {
				t.Error(err)
			}
			if out, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob}}, strings.NewReader("a"), always); out.Phase != Answered || err != nil {
				t.Errorf("%+v, %v", out, err)
			}
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNoWayAroundTLS: whatever a server, or who is between, says, nothing of the login
// is sent without TLS, and the error says what to do.
func TestNoWayAroundTLS(t *testing.T) {
	ca, other := testkit.CA(t, "mail.example.com"), testkit.CA(t, "mail.example.com")
	const offer = opening + "S: 250-h\nS: 250-AUTH PLAIN\nS: 250 STARTTLS\n"
	for name, tt := range map[string]struct {
		security   Security
		script     string
		kind       fault.Kind
		text, hint string
	}{
		"stripped":               {StartTLS, opening + "S: 250-h\nS: 250-XXXXXXXA\nS: 250 AUTH PLAIN\n", fault.Config, "does not offer STARTTLS", "465"},
		"no EHLO":                {StartTLS, opening + "S: 502 no\nC~ HELO .*\nS: 250 h\n", fault.Config, "does not offer STARTTLS", "465"},
		"refused":                {StartTLS, offer + "C: STARTTLS\nS: 502 5.5.1 no\n", fault.Config, "refused STARTTLS", "465"},
		"refused for now":        {StartTLS, offer + "C: STARTTLS\nS: 454 4.7.0 TLS not available\n", fault.Temporary, "temporary", "again"},
		"another code":           {StartTLS, offer + "C: STARTTLS\nS: 354 go\n", fault.Protocol, "354", ""},
		"injected":               {StartTLS, offer + "C: STARTTLS\nS: 220 go\nS: 250-h\nS: 250 AUTH PLAIN\n", fault.Protocol, "before the TLS handshake|and the TLS handshake", "tampering"},
		"all in one packet":      {StartTLS, "S: 220 ready\nS: 250-h\nS: 250 STARTTLS\nS: 220 go\n", fault.Protocol, "nothing asked for", "tampering"},
		"220 with EHLO's answer": {StartTLS, offer + "S: 220 go\n", fault.Protocol, "nothing asked for", "tampering"},
		"half with the answer":   {StartTLS, offer + "S\" 220\n", fault.Protocol, "nothing asked for", "tampering"},
		"goes on in the clear":   {StartTLS, offer + "C: STARTTLS\nS: 220 go\n@packet\nS: 250-h\nS: 250 AUTH PLAIN\n", fault.Temporary, "handshake", "587"},
		"closes":                 {StartTLS, offer + "C: STARTTLS\nS: 220 go\n@close\n", fault.Temporary, "handshake", ""},
		"unknown authority":      {StartTLS, offer + "C: STARTTLS\nS: 220 go\n@tls\n", fault.Config, "no authority that this computer trusts", "tls_pin"},
		"wrong name":             {StartTLS, offer + "C: STARTTLS\nS: 220 go\n@tls\n", fault.Config, "is not for", "mail.example.com"},
		"implicit, wrong name":   {Implicit, "@tls\n", fault.Config, "is not for", "mail.example.com"},
		"implicit at 587":        {Implicit, "S: 220 ready\n", fault.Config, "does not speak TLS at port", "starttls"},
		"implicit, closed":       {Implicit, "@close\n", fault.Temporary, "handshake", ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := scripted.New(t, tt.script, scripted.WithTLS(ca.ServerConfig), scripted.Lenient())
			conn := &recorder{}
			cfg := Config{Host: "mail.example.com", Security: tt.security, TLS: &tls.Config{RootCAs: ca.CertPool}, Dialer: conn.dialer(server)}
			if strings.Contains(name, "wrong name") {
				cfg.Host = "smtp.example.org"
			}
			if name == "unknown authority" {
				cfg.TLS.RootCAs = other.CertPool
			}
			c, err := Dial(t.Context(), cfg)
			if err == nil {
				_ = c.Close()
			}
			said := false
			for text := range strings.SplitSeq(tt.text, "|") {
				said = said || err != nil && strings.Contains(err.Error(), text)
			}
			if !fault.Is(err, tt.kind) || !said || !strings.Contains(fault.Hint(err), tt.hint) {
				t.Errorf("%v: %v\nhint: %s", fault.KindOf(err), err, fault.Hint(err))
			}
			if strings.Contains(conn.sent(), "AUTH") {
				t.Errorf("sent %q", conn.sent())
			}
		})
	}
}

// TestTheServerAnswersBeforeItIsAskedUnderTLS: a record that was not read yet is found
// as well.
func TestTheServerAnswersBeforeItIsAskedUnderTLS(t *testing.T) {
	ca, now := testkit.CA(t, "mail.example.com"), time.Now()
	before := "@tls\nS: 220 ok\n" + smtptest.Extended("AUTH PLAIN") + smtptest.Login() + smtptest.Envelope(ann, bob, cat) + "C: DATA\n"
	for script, want := range map[string]Phase{
		"S: 354 go\nC.\nS: 250 queued\n":                                                 Answered,
		"S: 354 go\n@packet\nS: 250 queued\n@stall\n":                                    Data,
		"S: 354 go\nC: Subject: a\nC: \nS: 250-queued\n@packet\nS: 250 queued\n@stall\n": Data,
		"S: 354 go\nC: Subject: a\n@close\n":                                             Data,
		"S: 354 go\nC.\nS: 250-queued\n@packet\n@cut\n":                                  AfterDot,
	} {
		bubble(t, func(t *testing.T, ctx context.Context) {
			s := play(ctx, before+script, impatient(Implicit, ca, now), scripted.WithTLS(ca.ServerConfig))
			if s.out.Phase != want || s.out.Final.Positive() != (want == Answered) {
				t.Errorf("%s: %+v, %v", script, s.out, s.err)
			}
		})
	}
}

func TestPins(t *testing.T) {
	ca := testkit.CA(t, "mail.example.com")
	for pin, ok := range map[Pin]bool{mailconn.PinOf(leafOf(t, ca)): true, {1}: false} {
		server := scripted.New(t, "@tls\nS: 220 ok\n"+smtptest.Extended(), scripted.WithTLS(ca.ServerConfig), scripted.Lenient())
		c, err := Dial(t.Context(), Config{Host: "other.example.org", Pins: []Pin{pin}, Dialer: server.Dial})
		if (err == nil) != ok {
			t.Errorf("%v: %v", ok, err)
		}
		if c != nil {
			_ = c.Close()
		}
	}
}

// TestNoPasswordWithoutTLS is about the last door: Dial lets no such client out.
func TestNoPasswordWithoutTLS(t *testing.T) {
	client, server := scripted.Pipe(0)
	defer server.Close()
	c := newClient(Config{Host: "h", Security: StartTLS}.withDefaults(), mailconn.New(client))
	c.ext = newExtensions([]string{"h", "AUTH PLAIN"})
	if err := c.Login(t.Context(), credentials); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
	_ = client.Close()
	if n, _ := server.Read(make([]byte, 1)); n != 0 {
		t.Error("something was sent")
	}
}

func TestOtherServers(t *testing.T) {
	for script, want := range map[string]string{
		"S: +OK ready":                "this is a POP3 server",
		"S: * OK IMAP4rev1":           "this is an IMAP server",
		"S: HTTP/1.1 400 Bad Request": "not an SMTP server",
		"S: 554 5.7.1 no service":     "refused",
		"S: 421 busy":                 "closes the connection",
		"S: 250 hello":                "250",
	} {
		_, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: scripted.New(t, script+"\n").Dial})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// TestHello: a name that the server refuses is not the last one.
func TestHello(t *testing.T) {
	for script, name := range map[string]string{
		"C: EHLO [127.0.0.1]\nS: 250 h\n":                                                               "",
		"C: EHLO [127.0.0.1]\nS: 550 5.7.1 no literals\nC: EHLO localhost\nS: 250 h\n":                  "",
		"C: EHLO [127.0.0.1]\nS: 501 no\nC: EHLO localhost\nS: 501 no\nC: HELO [127.0.0.1]\nS: 250 h\n": "",
		"C: EHLO [127.0.0.1]\nS: 502 unknown\nC: HELO [127.0.0.1]\nS: 250 h\n":                          "",
		"C: EHLO pc.example.com\nS: 250 h\n":                                                            "pc.example.com",
		"C: EHLO pc.example.com\nS: 500 unknown\nC: HELO pc.example.com\nS: 250 h\n":                    "pc.example.com",
		"C: EHLO pc.example.com\nS: 450 later\n":                                                        "pc.example.com",
		"C: EHLO [127.0.0.1]\nS: 502 unknown\nC: HELO [127.0.0.1]\nS: 554 5.7.1 we don't like you\n":    "",
	} {
		c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Hello: name, Dialer: scripted.New(t, "S: 220 ok\n"+script).Dial})
		if (err == nil) != strings.HasSuffix(script, "250 h\n") {
			t.Errorf("%s: %v", script, err)
		}
		if c != nil {
			_ = c.Close()
		}
	}
}

// TestOverTCP goes once through what the other tests have in memory only.
func TestOverTCP(t *testing.T) {
	ca := testkit.CA(t)
	script := opening + "S: 250-h\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n@tls\n" + smtptest.Extended("PIPELINING", "AUTH PLAIN") + smtptest.Login()
	for ending, want := range map[string]Phase{
		smtptest.Taken(ann, bob) + smtptest.Quit:                             Answered,
		smtptest.Envelope(ann, bob) + "C: DATA\nS: 354\nC.\n@close\n":        AfterDot,
		smtptest.Envelope(ann, bob) + "C: DATA\nS: 354\nC.\nS: 250-\n@cut\n": AfterDot,
		smtptest.Envelope(ann, bob) + "C: DATA\n@cut\n":                      Data,
	} {
		server := scripted.Listen(t, script+ending, scripted.WithTLS(ca.ServerConfig), scripted.WithSplit(3))
		c, err := Dial(t.Context(), Config{Host: "127.0.0.1", Port: server.Port(), Security: StartTLS, TLS: &tls.Config{RootCAs: ca.CertPool}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Login(t.Context(), credentials); err != nil {
			t.Error(err)
		}
		out, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob}}, strings.NewReader(bodyOf), always)
		if out.Phase != want || (err == nil) != (want == Answered) || err != nil && !fault.Is(err, fault.Temporary) {
			t.Errorf("%s: %+v, %v", ending, out, err)
		}
		_ = c.Quit(t.Context())
	}
}
