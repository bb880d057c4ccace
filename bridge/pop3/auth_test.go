package pop3

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// scramServer serves one login with SCRAM-SHA-256 for ann; tamper changes its
// last message.
func scramServer(t *testing.T, conn net.Conn, password string, tamper func(string) string) {
	defer conn.Close()
	client, err := scram.SHA256.NewClient("ann", password, "")
	if err != nil {
		t.Error(err)
		return
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt", Iters: 4096})
	if err != nil {
		t.Error(err)
		return
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		t.Error(err)
		return
	}
	conv := server.NewConversation()
	r := bufio.NewReader(conn)
	read := func() string {
		line, _ := r.ReadString('\n')
		return strings.TrimRight(line, "\r\n")
	}
	say := func(format string, args ...any) { fmt.Fprintf(conn, format+"\r\n", args...) }

	say("+OK")
	read() // CAPA
	say("+OK\r\nSASL PLAIN SCRAM-SHA-256 CRAM-MD5\r\nUSER\r\n.")
	if line := read(); line != "AUTH SCRAM-SHA-256" {
		t.Errorf("the client sent %q", line)
	}
	say("+ ")
	for range 2 {
		message, _ := base64.StdEncoding.DecodeString(read())
		answer, err := conv.Step(string(message))
		if err != nil {
			say("-ERR [AUTH] no")
			if line := read(); line != "" {
				t.Errorf("after the refusal the client sent %q", line)
			}
			return
		}
		if conv.Done() {
			answer = tamper(answer)
		}
		say("+ %s", base64.StdEncoding.EncodeToString([]byte(answer)))
	}
	if line := read(); line == "" && conv.Valid() {
		say("+OK")
		read() // CAPA
		say("-ERR")
	}
}

func TestSCRAM(t *testing.T) {
	same := func(s string) string { return s }
	for _, tt := range []struct {
		name, password string
		tamper         func(string) string
		want           string
	}{
		{"right", "pencil", same, ""},
		{"wrong password", "other", same, "refused"},
		{"server without proof", "pencil", func(string) string { return "v=AAAA" }, "could not prove"},
		{"server error", "pencil", func(string) string { return "e=other-error" }, "could not prove"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := scripted.Pipe(0)
			done := make(chan struct{})
			go func() {
				defer close(done)
				scramServer(t, server, tt.password, tt.tamper)
			}()
			c, err := Dial(t.Context(), Config{Host: "h", Security: Plain,
				Dialer: func(context.Context, string, string) (net.Conn, error) { return client, nil }})
			if err != nil {
				t.Fatal(err)
			}
			err = c.Login(t.Context(), Credentials{Username: "ann", Secret: "pencil"})
			_ = c.Close()
			<-done
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!fault.Is(err, fault.Auth) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCredentialsWithLineEndsAreNotSent(t *testing.T) {
	server := scripted.New(t, "S: +OK\nC: CAPA\nS: -ERR\n")
	c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: server.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, cred := range []Credentials{
		{"ann\r\nDELE 1", "pw", MethodPassword},
		{"ann", "pw\nQUIT", MethodPassword},
		{"ann", "p\x00w", MethodToken},
		{"", "pw", MethodPassword},
		{"ann", "", MethodAPOP},
	} {
		if err := c.Login(t.Context(), cred); !fault.Is(err, fault.Config) {
			t.Errorf("%q: %v", cred.Username, err)
		}
	}
}

func TestNoPasswordWithoutTLS(t *testing.T) {
	client, server := scripted.Pipe(0)
	defer server.Close()
	for _, method := range []Method{MethodPassword, MethodAPOP, MethodToken} {
		c := newClient(Config{Host: "h", Security: StartTLS}.withDefaults(), mailconn.New(client))
		if err := c.Login(t.Context(), Credentials{"ann", "pw", method}); !fault.Is(err, fault.Internal) {
			t.Error(err)
		}
	}
	_ = client.Close()
	if n, _ := server.Read(make([]byte, 1)); n != 0 {
		t.Error("something was sent")
	}
}

func TestTimestamp(t *testing.T) {
	for line, want := range map[string]string{
		"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>": "<1896.697170952@dbc.mtview.ca.us>",
		"+OK <a@b> <c@d>": "<a@b>",
		"+OK ready":       "",
		"+OK <ready":      "",
		"+OK <ready>":     "",
		"+OK <@>":         "",
		"+OK <a@>":        "",
		"+OK <a@b@c>":     "",
		"+OK <a b@c>":     "",
		"+OK <a\x80@c>":   "",
		"+OK > <a@c>":     "<a@c>",
	} {
		if got := timestamp(line); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestReplyErrorParsing(t *testing.T) {
	for text, want := range map[string]ReplyError{
		"":                             {},
		" no":                          {Text: "no"},
		" [in-use] busy":               {Code: "IN-USE", Text: "busy"},
		"[SYS/TEMP/DISK/FULL]  x ":     {Code: "SYS/TEMP/DISK/FULL", Text: "x"},
		" [not a code] x":              {Text: "[not a code] x"},
		" [] x":                        {Text: "[] x"},
		" [open":                       {Text: "[open"},
		" text [IN-USE]":               {Text: "text [IN-USE]"},
		" [" + strings.Repeat("A", 65): {Text: "[" + strings.Repeat("A", 65)},
	} {
		if got := newReplyError("", text); *got != want {
			t.Errorf("%q: %+v", text, *got)
		}
	}
}

// TestMeanings holds the words of servers, as they were seen, against what
// they mean.
func TestMeanings(t *testing.T) {
	for _, tt := range []struct {
		text string
		kind fault.Kind
		is   error
	}{
		{"[IN-USE] Unable to lock maildrop", fault.Temporary, ErrInUse},
		{"[IN-USE] Account is locked by another session", fault.Temporary, ErrInUse},
		{"account already locked by another session", fault.Temporary, ErrInUse},
		{"duplicate login!", fault.Temporary, ErrInUse},
		{"maildrop already locked", fault.Temporary, ErrInUse},
		{"mailbox in use by another POP3 session", fault.Temporary, ErrInUse},
		{"[LOGIN-DELAY] minimum interval is 10 minutes", fault.Temporary, ErrLoginDelay},
		{"login too frequently", fault.Temporary, ErrLoginDelay},
		{"Download exceed. msg=10", fault.Temporary, ErrSessionLimit},
		{"Session message limit reached", fault.Temporary, ErrSessionLimit},
		{"Can't get the letter, try again later", fault.Temporary, nil},
		{"Message can not load", fault.Temporary, nil},
		{"Your account has been locked", fault.Auth, ErrWebLogin},
		{"[AUTH] Please log in via your web browser: https://support.example.com/78754", fault.Auth, ErrWebLogin},
		{"[AUTH] Application-specific password required", fault.Auth, ErrAppPassword},
		{"[AUTH] temporarily blocked? wrong password", fault.Auth, nil},
		{"[AUTH] Your mailbox is blocked", fault.Auth, nil},
		{"[SYS/PERM] Your account is not enabled for POP access.", fault.Config, ErrPOPOff},
		{"POP3 access is disabled for this mailbox", fault.Config, ErrPOPOff},
		{"[AUTH] POP3 access is disabled for your account", fault.Config, ErrPOPOff},
		{"[SYS/PERM] gone", fault.Config, nil},
		{"[SYS/TEMP] later", fault.Temporary, nil},
		{"[AUTH] no", fault.Auth, nil},
	} {
		err := newReplyError("PASS", tt.text).classified()
		if fault.KindOf(err) != tt.kind {
			t.Errorf("%s: %v", tt.text, fault.KindOf(err))
		}
		for _, is := range []error{ErrInUse, ErrLoginDelay, ErrSessionLimit, ErrPOPOff, ErrAppPassword, ErrWebLogin} {
			if errors.Is(err, is) != (is == tt.is) {
				t.Errorf("%s: errors.Is(%v) is %v", tt.text, is, errors.Is(err, is))
			}
		}
		if reply, ok := errors.AsType[*ReplyError](err); !ok || reply.Command != "PASS" {
			t.Errorf("%s: no ReplyError", tt.text)
		}
	}
}
