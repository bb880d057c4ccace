package smtp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/sasl"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

const (
	ann = "ann@a.example"
	bob = "bob@b.example"
	cat = "cat@c.example"
)

var credentials = sasl.Credentials{Username: "ann", Secret: "s3cret"}

func always(context.Context, []Reply) error { return nil }

// dial connects to a server with a script, in the clear.
func dial(t *testing.T, script string, opts ...scripted.Option) *Client {
	t.Helper()
	c, err := Dial(t.Context(), Config{Host: "mail.example.com", Security: Plain, Dialer: scripted.New(t, script, opts...).Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestASession(t *testing.T) {
	for name, extensions := range map[string][]string{
		"plain":     nil,
		"pipelined": {"PIPELINING", "SIZE 1000", "8BITMIME", "ENHANCEDSTATUSCODES"},
	} {
		for _, split := range []int{0, 1, 7} {
			t.Run(name, func(t *testing.T) {
				c := dial(t, smtptest.Hello(extensions...)+smtptest.Login()+
					smtptest.Taken(ann, bob, cat)+
					smtptest.Envelope(ann, bob)+"C: DATA\nS: 354\nC: a\nC: ..b\nC: ...\nC: .\nS: 250-2.6.0 first\nS: 250 2.6.0 second\n"+
					smtptest.Taken("", bob)+smtptest.Quit, scripted.WithSplit(split))
				if err := c.Login(t.Context(), credentials); err != nil {
					t.Fatal(err)
				}
				for _, tt := range []struct {
					e     Envelope
					body  string
					final string
				}{
					{Envelope{From: ann, To: []string{bob, cat}, Size: 20}, "Subject: a\r\n\r\ntext\r\n", "250 2.0.0 queued"},
					{Envelope{From: ann, To: []string{bob}}, "a\r\n.b\r\n..", "250 2.6.0 first second"},
					{Envelope{To: []string{bob}}, "", "250 2.0.0 queued"},
				} {
					asked := false
					out, err := c.Send(t.Context(), tt.e, strings.NewReader(tt.body), func(context.Context, []Reply) error { asked = true; return nil })
					if err != nil || out.Phase != Answered || out.Final.String() != tt.final || !asked {
						t.Errorf("%+v, %v", out, err)
					}
					for i, r := range out.Recipients {
						if r.String() != "250 2.1.5 ok" {
							t.Errorf("recipient %d: %v", i, r)
						}
					}
				}
				if err := c.Quit(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := c.Send(t.Context(), Envelope{To: []string{bob}}, strings.NewReader(""), always); !fault.Is(err, fault.Internal) {
					t.Errorf("after QUIT: %v", err)
				}
			})
		}
	}
}

var errDisk = errors.New("disk")

// broken is a message that cannot be read to its end.
type broken struct{}

func (broken) Read(p []byte) (int, error) { return copy(p, "Subject: a\r\n"), errDisk }

// The server never gets a final dot when something is wrong on this side.
func TestNoDotWithoutAWholeMessage(t *testing.T) {
	unsure := func(context.Context, []Reply) error { return errDisk }
	for name, tt := range map[string]struct {
		body   io.Reader
		before func(context.Context, []Reply) error
		e      Envelope
		is     error
	}{
		"cannot be read":    {broken{}, always, Envelope{}, errDisk},
		"not made durable":  {strings.NewReader("a\r\n"), unsure, Envelope{}, errDisk},
		"bare LF":           {strings.NewReader("a\r\n\n.\r\nMAIL FROM:<x@y>\r\n"), always, Envelope{}, ErrLineEnd},
		"bare CR":           {strings.NewReader("a\r.\r\nb"), always, Envelope{}, ErrLineEnd},
		"CR at the end":     {strings.NewReader("a\r"), always, Envelope{}, ErrLineEnd},
		"8-bit unannounced": {strings.NewReader("\xc3\xa4\r\n"), always, Envelope{}, ErrEightBit},
	} {
		t.Run(name, func(t *testing.T) {
			script := smtptest.Hello("8BITMIME") + smtptest.Envelope(ann, bob) + "C: DATA\nS: 354 go\n@stall\n"
			server := scripted.New(t, script)
			conn := &recorder{}
			c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: conn.dialer(server)})
			if err != nil {
				t.Fatal(err)
			}
			tt.e.From, tt.e.To = ann, []string{bob}
			out, err := c.Send(t.Context(), tt.e, tt.body, tt.before)
			if !errors.Is(err, tt.is) || out.Phase != Data || out.Final != (Reply{}) {
				t.Errorf("%+v, %v", out, err)
			}
			if strings.Contains(conn.sent(), "\r\n.\r\n") || strings.Contains(conn.sent(), "DATA\r\n.\r\n") {
				t.Errorf("sent %q", conn.sent())
			}
			if _, err := c.Send(t.Context(), tt.e, strings.NewReader(""), always); !errors.Is(err, tt.is) {
				t.Errorf("the session goes on: %v", err)
			}
		})
	}
}

// What does not fit the server is said before it hears of it, and the session goes on.
func TestWhatDoesNotFitIsNotOffered(t *testing.T) {
	c := dial(t, smtptest.Hello("SIZE 1000")+smtptest.Taken(ann, bob))
	for _, tt := range []struct {
		e  Envelope
		is error
	}{
		{Envelope{From: ann, To: []string{bob}, Size: 1001}, ErrTooLarge},
		{Envelope{From: ann, To: []string{bob}, EightBit: true}, ErrEightBit},
		{Envelope{From: ann, To: []string{bob}, UTF8: true}, ErrUTF8},
		{Envelope{From: ann, To: []string{bob, "jürgen@b.example"}}, ErrUTF8},
		{Envelope{From: ann}, ErrAddress},
		{Envelope{From: ann, To: []string{""}}, ErrAddress},
		{Envelope{From: "a>\r\nRCPT TO:<x", To: []string{bob}}, ErrAddress},
		{Envelope{From: ann, To: []string{"a@b> SIZE=1"}}, ErrAddress},
		{Envelope{From: ann, To: []string{"a b@c.example"}}, ErrAddress},
		{Envelope{From: ann, To: []string{`"a@b.example`}}, ErrAddress},
		{Envelope{From: ann, To: []string{"a\x00@b.example"}}, ErrAddress},
		{Envelope{From: ann, To: []string{"a\u0085@b.example"}}, ErrAddress},
		{Envelope{From: ann, To: []string{"a\xff@b.example"}}, ErrAddress},
		{Envelope{From: ann, To: []string{strings.Repeat("a", 1001)}}, ErrAddress},
	} {
		out, err := c.Send(t.Context(), tt.e, strings.NewReader(""), always)
		if !errors.Is(err, tt.is) || out.Phase != Connected || !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
			t.Errorf("%+v: %+v, %v", tt.e, out, err)
		}
	}
	if out, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob}, Size: 1000}, strings.NewReader(""), always); err != nil || out.Phase != Answered {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestLiteral(t *testing.T) {
	for addr, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 5}:             "[192.0.2.1]",
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5}:           "[IPv6:2001:db8::1]",
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 5}: "[IPv6:fe80::1]",
		&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 5}:      "[192.0.2.1]",
		&net.UnixAddr{Name: "/run/x"}:                                   "[127.0.0.1]",
	} {
		if got := literal(addr); got != want {
			t.Errorf("%v: %s", addr, got)
		}
	}
}

// TestTheTraceHasNoContent: neither of messages nor of secrets.
func TestTheTraceHasNoContent(t *testing.T) {
	var trace bytes.Buffer
	server := scripted.New(t, smtptest.Hello()+smtptest.Login()+smtptest.Taken(ann, bob))
	c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: server.Dial, Trace: zerolog.New(&trace).Level(zerolog.TraceLevel)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(t.Context(), credentials); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob}}, strings.NewReader("Subject: private\r\n"), always); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"private": false, credentials.Secret: false, b64("\x00ann\x00s3cret"): false, "***": true, `"size":18`: true, "RCPT TO:<bob@b.example>": true, "queued": true} {
		if strings.Contains(trace.String(), text) != want {
			t.Errorf("%s in the trace: %v\n%s", text, !want, trace.String())
		}
	}
}

func TestMailParameters(t *testing.T) {
	all := []string{"SIZE", "8BITMIME", "SMTPUTF8"}
	for line, tt := range map[string]struct {
		extensions []string
		e          Envelope
	}{
		"MAIL FROM:<ann@a.example>":                               {nil, Envelope{Size: 10}},
		"MAIL FROM:<ann@a.example> SIZE=10":                       {all, Envelope{Size: 10}},
		"MAIL FROM:<ann@a.example> BODY=8BITMIME":                 {all, Envelope{EightBit: true}},
		"MAIL FROM:<ann@a.example> SIZE=9 BODY=8BITMIME SMTPUTF8": {all, Envelope{Size: 9, EightBit: true, UTF8: true}},
	} {
		c := dial(t, smtptest.Hello(tt.extensions...)+"C: "+line+"\nS: 250 ok\n"+smtptest.Rcpt(`"a b>"@b.example`, "250 ok")+smtptest.Content("250 ok"))
		tt.e.From, tt.e.To = ann, []string{`"a b>"@b.example`}
		if out, err := c.Send(t.Context(), tt.e, strings.NewReader(""), always); err != nil || out.Phase != Answered {
			t.Errorf("%s: %+v, %v", line, out, err)
		}
	}
}

// TestDSNParameters: what is asked of a server that has DSN, and of none that has not; nothing
// that is no such parameter gets into a command.
func TestDSNParameters(t *testing.T) {
	for _, tt := range []struct {
		extensions         []string
		dsn                map[string]string
		mail, bobs, others string
	}{
		{[]string{"DSN"}, map[string]string{"": "RET=HDRS ENVID=1", bob: "NOTIFY=NEVER"}, " RET=HDRS ENVID=1", " NOTIFY=NEVER", ""},
		{[]string{"DSN"}, nil, "", "", ""},
		{nil, map[string]string{"": "RET=HDRS", bob: "NOTIFY=NEVER"}, "", "", ""},
		{[]string{"DSN"}, map[string]string{"": "RET=HDRS\r\nRCPT TO:<eve@a.example>", bob: "SIZE=1"}, "", "", ""},
	} {
		c := dial(t, smtptest.Hello(tt.extensions...)+"C: MAIL FROM:<"+ann+">"+tt.mail+"\nS: 250 ok\nC: RCPT TO:<"+bob+">"+tt.bobs+"\nS: 250 ok\nC: RCPT TO:<eve@a.example>"+tt.others+"\nS: 250 ok\n"+smtptest.Content("250 ok"))
		out, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob, "eve@a.example"}, DSN: tt.dsn}, strings.NewReader(""), always)
		if err != nil || out.Phase != Answered {
			t.Errorf("%+v: %+v, %v", tt, out, err)
		}
	}
}
