package submission

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
)

// dialogue sends lines one by one and compares the replies.
func dialogue(t *testing.T, k *talk, lines [][2]string) {
	t.Helper()
	for _, line := range lines {
		k.send(line[0])
		if got := k.line(); !strings.HasPrefix(got, line[1]) {
			t.Fatalf("%.100q is answered %q, want %q", line[0], got, line[1])
		}
	}
}

func TestWhatIsAnnounced(t *testing.T) {
	for _, tt := range []struct {
		change func(*server, *Options)
		want   string
	}{
		{func(_ *server, o *Options) {}, "localhost,PIPELINING,8BITMIME,ENHANCEDSTATUSCODES,SIZE 1000000,AUTH PLAIN LOGIN"},
		{func(_ *server, o *Options) { o.Security = serving.StartTLS }, "localhost,PIPELINING,8BITMIME,ENHANCEDSTATUSCODES,SIZE 1000000,STARTTLS"},
		{func(_ *server, o *Options) { o.UTF8, o.MaxSize = func() bool { return true }, nil },
			"localhost,PIPELINING,8BITMIME,ENHANCEDSTATUSCODES,SIZE 209715200,SMTPUTF8,AUTH PLAIN LOGIN"},
		{func(_ *server, o *Options) { o.DSN = func() bool { return true } }, "localhost,PIPELINING,8BITMIME,ENHANCEDSTATUSCODES,SIZE 1000000,DSN,AUTH PLAIN LOGIN"},
	} {
		r := openRig(t, tt.change)
		got := r.play(strings.NewReader("EHLO\r\n"), 100)
		got = strings.NewReplacer("250-", "", "250 ", "", "\r\n", ",").Replace(strings.TrimPrefix(got, "220 localhost ESMTP server ready\r\n"))
		if got != tt.want+"," {
			t.Errorf("announced %s, want %s", got, tt.want)
		}
	}
}

func TestBeforeLogin(t *testing.T) {
	k := newRig(t).talk("")
	dialogue(t, k, [][2]string{
		{"NOOP", "250 2.0.0 OK"},
		{"noop with what it likes", "250 2.0.0 OK"},
		{"HELP MAIL", "214 2.0.0 "},
		{"MAIL FROM:<ann@example.com>", "530 5.7.0 Log in first"},
		{"helo x", "250 localhost"},
		{"MAIL FROM:<ann@example.com>", "530 5.7.0 Log in first"},
		{"RCPT TO:<ann@example.com>", "530 5.7.0 Log in first"},
		{"VRFY ann", "530 5.7.0 Log in first"},
		{"RSET", "250 2.0.0 OK"},
		{"STARTTLS", "503 5.5.1 TLS cannot be started"},
		{"SPAM", "500 5.5.1 The command is not known"},
		{"DATA", "530 5.7.0 Log in first"},
		{"SPAM", "421 4.7.0 "},
	})
	k.closed()
}

// TestNoSMTP: what does not begin as SMTP is answered once.
func TestNoSMTP(t *testing.T) {
	r := openRig(t)
	for _, first := range []string{
		"", "x", "GET / HTTP/1.1\r\nHost: localhost:1587", "a LOGIN ann pw", "USER ann", "\xff\xfb\x1f", "PRI * HTTP/2.0\r\n\r\nSM",
		"POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\nEHLO x",
	} {
		if got := codes(r.play(strings.NewReader(first+"\r\n"+begun+headed+"\r\nx\r\n.\r\n"), 1<<20)); got != "500" {
			t.Errorf("%q: %s", first, got)
		}
	}
	if got := r.play(strings.NewReader("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 100); codes(got) != "" {
		t.Errorf("TLS is answered %q", got)
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const user, password = "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"
	for _, tt := range [][][2]string{
		{{"AUTH PLAIN " + b64("\x00ann\x00pw"), "235 2.7.0 "}, {"AUTH PLAIN", "503 5.5.1 "}, {"STARTTLS", "503 5.5.1 "}},
		{{"auth plain", "334 "}, {b64("\x00ann\x00pw"), "235 2.7.0 "}},
		{{"AUTH PLAIN " + b64("ann\x00ann\x00pw"), "235 2.7.0 "}},
		{{"AUTH PLAIN  " + b64("ann\x00ann\x00pw") + " ", "235 2.7.0 "}},
		{{"AUTH LOGIN", user}, {b64("ann"), password}, {b64("pw"), "235 2.7.0 "}},
		{{"AUTH LOGIN " + b64("ann"), password}, {b64("pw"), "235 2.7.0 "}},
		{{"AUTH LOGIN =", password}, {"", "454 4.7.0 "}},
		{{"AUTH LOGIN", user}, {"*", "501 5.7.0 Authentication was cancelled"}, {"NOOP", "250 "}},
		{{"AUTH LOGIN " + b64("ann"), password}, {"*", "501 5.7.0 "}, {"AUTH PLAIN", "334 "}, {"*", "501 5.7.0 "}},
		{{"AUTH PLAIN *", "501 5.5.2 Expected base64"}, {"AUTH PLAIN ?", "501 5.5.2 "}, {"AUTH LOGIN ?", "501 5.5.2 "}},
		{{"AUTH LOGIN", user}, {"EHLO x", "501 5.5.2 "}, {"EHLO x", "250 "}},
		{{"AUTH PLAIN " + b64("ann\x00pw"), "501 5.5.2 "}, {"AUTH PLAIN =", "501 5.5.2 "}, {"AUTH PLAIN " + b64("\x00ann\x00pw\x00"), "501 5.5.2 "}},
		{{"AUTH PLAIN " + b64("bob\x00ann\x00pw"), "501 5.5.4 "}},
		{{"AUTH CRAM-MD5", "504 5.5.4 "}, {"AUTH XOAUTH2 x", "504 5.5.4 "}, {"AUTH", "504 5.5.4 "}},
		{{"AUTH PLAIN " + b64("\x00busy\x00pw"), "454 4.7.0 The mail store is being opened; try again"}},
		{{"AUTH PLAIN " + b64("\x00broken\x00pw"), "454 4.7.0 Internal error, see the log of the server"}},
		{{"AUTH PLAIN " + b64("\x00ann\x00"+strings.Repeat("x", maxLine)), "500 5.5.6 "}, {"NOOP", "250 "}},
		{{"AUTH PLAIN", "334 "}, {b64(strings.Repeat("x", maxLine)), "500 5.5.6 "}, {"NOOP", "250 "}},
		{{"AUTH PLAIN " + b64("\x00ann\x00PW"), "535 5.7.8 User name or password refused"}, {"MAIL FROM:<>", "530 5.7.0 "}, {"AUTH PLAIN " + b64("\x00ann\x00pw"), "235 "}},
	} {
		k := r.talk("")
		k.do("EHLO x", "250 ")
		dialogue(t, k, tt)
	}
}

// TestALoginIsCheckedTwice: a device that is revoked while its password is checked does
// not get in.
func TestALoginIsCheckedTwice(t *testing.T) {
	t.Parallel()
	n := 0
	r := newRig(t, func(r *server, o *Options) {
		o.Login = func(ctx context.Context, from net.Addr, name, password string) (Account, error) {
			if n++; n%2 == 0 && n < 5 {
				if n == 2 {
					return Account{}, fault.New(fault.Auth, "revoked", "")
				}
				return Account{User: "ann", Device: "another"}, nil
			}
			return r.login(ctx, from, name, password)
		}
	})
	k := r.talk("")
	k.do("EHLO x", "250 ")
	k.do("AUTH PLAIN "+plain("ann", "pw"), "535 5.7.8 Revoked")
	k.do("AUTH PLAIN "+plain("ann", "pw"), "535 5.7.8 ")
	k.do("AUTH PLAIN "+plain("ann", "pw"), "235 ")
}

func TestTransactions(t *testing.T) {
	k := newRig(t).talk("ann")
	dialogue(t, k, [][2]string{
		{"RCPT TO:<bob@example.net>", "503 5.5.1 Send MAIL first"},
		{"MAIL", "501 5.5.4 Expected MAIL FROM:<address>"},
		{"MAIL TO:<ann@example.com>", "501 5.5.4 "},
		{"MAIL FROM:<ann@example.com", "501 5.5.4 "},
		{"MAIL FROM:<ann@example.com>x", "501 5.5.4 "},
		{"MAIL FROM:ann", "501 5.1.7 "},
		{"MAIL FROM:<ann@example.com> SIZE=1000001", "552 5.3.4 The message is too large, at most 1000000 bytes can be sent"},
		{"MAIL FROM:<ann@example.com> SIZE=99999999999999999999999999", "552 5.3.4 "},
		{"MAIL FROM:<ann@example.com> SIZE=-1", "501 5.5.4 "},
		{"MAIL FROM:<ann@example.com> SIZE=", "501 5.5.4 "},
		{"MAIL FROM:<ann@example.com> BODY=BINARYMIME", "555 5.5.4 A parameter of MAIL is not supported: BODY=BINARYMIME"},
		{"MAIL FROM:<ann@example.com> RET=HDRS ENVID=x", "555 5.5.4 "},
		{"MAIL FROM:<ann@example.com> SMTPUTF8", "550 5.6.7 "},
		{"MAIL FROM:<\xc3\xa4nn@example.com>", "553 5.6.7 "},
		{"mail from:<ann@example.com> size=1000000 body=8bitmime AUTH=<>", "250 2.1.0 "},
		{"MAIL FROM:<ann@example.com>", "503 5.5.1 "},
		{"DATA", "554 5.5.1 There is no recipient"},
		{"RCPT TO:<>", "501 5.1.3 "},
		{"RCPT TO:<postmaster>", "501 5.1.3 "},
		{"RCPT TO:<bob@example.net> NOTIFY=NEVER", "555 5.5.4 A parameter of RCPT is not supported: NOTIFY=NEVER"},
		{"RCPT TO:<b\xc3\xb6b@example.net>", "553 5.6.7 "},
		{"RCPT TO:<bob@example.net>", "250 2.1.5 "},
		{"VRFY bob", "252 2.1.5 "},
		{"EXPN bob", "502 5.5.1 "},
		{"DATA now", "501 5.5.4 "},
		{"RSET", "250 2.0.0 OK"},
		{"RCPT TO:<bob@example.net>", "503 5.5.1 "},
		{"MAIL FROM:<>", "250 2.1.0 "},
		{"EHLO x", "250 "},
		{"RCPT TO:<bob@example.net>", "503 5.5.1 "},
		{"MAIL FROM: ann@example.com SIZE=1", "250 2.1.0 "},
		{"RCPT TO: bob@example.net", "250 2.1.5 "},
		{"DATA", "354 "},
		{".", "250 2.0.0 "},
		{"DATA", "503 5.5.1 "},
		{"QUIT", "221 2.0.0 "},
	})
	k.closed()
}

// TestPipelining: what a client sends at once is answered in order and at once.
func TestPipelining(t *testing.T) {
	r := newRig(t)
	k := r.talk("ann")
	k.send("MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nRCPT TO:<x>\r\nRCPT TO:<eve@example.net>\r\nDATA")
	for _, want := range []string{"250 2.1.0", "250 2.1.5", "501 5.1.3", "250 2.1.5", "354 "} {
		k.want(want)
	}
	k.send(headed + "\r\none\r\n.\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA")
	for _, want := range []string{"250 2.0.0", "250 2.1.0", "250 2.1.5", "354 "} {
		k.want(want)
	}
	k.send(headed + "\r\ntwo\r\n.\r\nQUIT")
	k.want("250 2.0.0")
	k.want("221 ")
	k.closed()
	if m := r.last(2); len(m.Recipients) != 1 || !strings.HasSuffix(m.raw, "two\r\n") {
		t.Errorf("%q to %q", m.raw, m.Recipients)
	}
}

// TestWhoMaySend: a device that may not send hears it before it has sent anything.
func TestWhoMaySend(t *testing.T) {
	k := newRig(t).talk("")
	k.do("EHLO x", "250 ")
	k.do("AUTH PLAIN "+plain("ann", "pw-read"), "235 ")
	k.do("MAIL FROM:<ann@example.com>", "550 5.7.1 Device tablet may not send; `popbridge device set tablet --send` allows it")
	k.do("RCPT TO:<bob@example.net>", "503 ")
}

// TestWayOut: the header decides by which account a message leaves.
func TestWayOut(t *testing.T) {
	const rest = "Date: x\r\nMessage-ID: <1@x>\r\n\r\nx\r\n"
	for _, tt := range []struct {
		from, header string
		want         string // account, envelope sender; or the reply
	}{
		{"ann@example.com", "From: ann@example.com\r\n", "home ann@example.com."},
		{"ann@example.com", "From: Ann at work <Ann@Work.Example>\r\n", "work a.smith@work.example."},
		{"ann@example.com", "from :\r\n \"Smith, Ann\"\r\n\t<ann@work.example> (work)\r\n", "work a.smith@work.example."},
		{"ann@work.example", "Subject: none\r\n", "work a.smith@work.example."},
		{"ann@work.example", "From: root\r\n", "work a.smith@work.example."},
		{"ann@work.example", "From: root (Cron Daemon)\r\n", "work a.smith@work.example."},
		{"mallory@example.net", "From: ann@example.com\r\n", "home ann@example.com."},
		{"", "From: ann@work.example\r\n", "work ."},
		{"ann@example.com", "From: \xe4nn <ann@work.example>\r\n", "work a.smith@work.example."},
		{"ann@example.com", "From: =?utf-8?q?Ann=2C_you?= <ann@work.example>\r\n", "work a.smith@work.example."},
		{"ann@example.com", "From: bob@example.net, ann@work.example\r\nSender: ann@work.example\r\n", "work a.smith@work.example."},
		{"ann@example.com", "From: bob@example.net\r\nFrom: ann@work.example\r\nSender: ann@work.example\r\n", "work a.smith@work.example."},
		{"ann@example.com", "Resent-From: ann@work.example\r\nResent-From: eve@example.net\r\nFrom: bob@example.net\r\n", "work a.smith@work.example."},
		{"ann@example.com", "From: bob@example.net\r\nResent-From: eve@example.net\r\n",
			"550 5.7.1 Mail from \"eve@example.net\" cannot be sent, only from ann@example.com or ann@work.example"},
		{"ann@example.com", "From: bob@example.net\r\nSender: ann@example.com\r\n", "550 5.7.1 Mail from \"bob@example.net\" cannot be sent"},
		{"ann@example.com", "From: ann@example.com, ann@work.example\r\n", "550 5.6.0 "},
		{"ann@example.com", "From: ann@example.com\r\nFrom: bob@example.net\r\n", "550 5.6.0 "},
		{"mallory@example.net", "Subject: none\r\n", "550 5.7.1 Mail from \"mallory@example.net\" cannot"},
		{"", "Subject: none\r\n", "550 5.7.1 Mail from \"\" cannot"},
	} {
		r := openRig(t)
		got := r.play(strings.NewReader(strings.ReplaceAll(begun, "ann@example.com", tt.from)+tt.header+rest+".\r\n"), 1000)
		if m := r.messages(); len(m) == 1 {
			got = m[0].Account + " " + m[0].From + "."
		} else {
			_, got, _ = strings.Cut(got, "354 ")
			_, got, _ = strings.Cut(got, "\r\n")
		}
		if !strings.HasPrefix(got, tt.want) || got == "" {
			t.Errorf("MAIL FROM:<%s>, %q: %q, want %q", tt.from, tt.header, got, tt.want)
		}
	}
}

// TestSubmitSaysWhatHappened: trouble is told by a code that says whether to try again,
// and nothing of it is taken for sent.
func TestSubmitSaysWhatHappened(t *testing.T) {
	r := newRig(t)
	k := r.talk("ann")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fault.New(fault.Full, "1000 messages wait to be sent", "see `popbridge outbox`"), "452 4.3.1 1000 messages wait to be sent; see `popbridge outbox`"},
		{fault.New(fault.Temporary, "the mail store is busy", ""), "451 4.3.0 The mail store is busy"},
		{fault.New(fault.Auth, "the provider refused the password", ""), "451 4.3.0 "},
		{fault.New(fault.Corrupt, "the index is damaged", ""), "451 4.3.0 "},
		{fault.New(fault.Denied, "device laptop may not send", ""), "550 5.7.1 "},
		{errors.New("disk on fire"), "451 4.3.0 Internal error, see the log of the server"},
		{context.Canceled, "451 4.3.2 "},
		{fault.New(fault.Temporary, "two\r\n250 lines\x00 \u00e4", strings.Repeat("x", 1000)), "451 4.3.0 Two 250 lines? ?; xxx"},
	} {
		r.mu.Lock()
		r.submit = func(context.Context, Submission) error { return tt.err }
		r.mu.Unlock()
		k.begin("bob@example.net")
		k.send(headed + "\r\nx\r\n.")
		if got := k.want(tt.want); len(got) > 510 {
			t.Errorf("the reply has %d octets", len(got))
		}
	}
	k.do("NOOP", "250 ")
}

// TestAFullDisk is told when the message has been read to its end, and none of its text
// is run as commands.
func TestAFullDisk(t *testing.T) {
	r := openRig(t, func(r *server, o *Options) {
		o.Login = func(ctx context.Context, from net.Addr, name, password string) (Account, error) {
			a, err := r.login(ctx, from, name, password)
			a.Spool = func(_ context.Context, in io.Reader) (*mailstore.Spooled, error) {
				_, err := io.CopyN(io.Discard, in, 300)
				return nil, errors.Join(err, fault.New(fault.Full, "the disk is full", "make room"))
			}
			return a, err
		}
	})
	got := r.play(strings.NewReader(begun+headed+"\r\n"+strings.Repeat("QUIT\r\n", 10_000)+".\r\nNOOP\r\n"), 1000)
	if codes(got) != "250 235 250 250 354 452 250" || !strings.Contains(got, "452 4.3.1 The disk is full; make room") {
		t.Error(got)
	}
}

// TestSizes: the limit is the account's, in bytes as they are stored.
func TestSizes(t *testing.T) {
	r := newRig(t)
	k := r.talk("ann")
	for _, tt := range []struct {
		size int
		want string
	}{{100_000, "250 "}, {100_001, "552 5.3.4 The message is too large, at most 100000 bytes can be sent by account home"}, {2_000_000, "552 5.3.4 "}} {
		k.begin("bob@example.net")
		k.send(headed + "\r\n" + strings.Repeat("x", tt.size-len(headed)-4) + "\r\n.")
		k.want(tt.want)
	}
	if m := r.last(1); len(m.raw) != 100_000 {
		t.Errorf("%d bytes", len(m.raw))
	}
	k.begin("bob@example.net")
	k.send(headed + strings.Repeat("X: y\r\n", maxHeader/6) + "\r\n\r\n.")
	k.want("552 5.3.4 The header of the message is too large, at most 1048576 bytes")
}

// TestUTF8: addresses and fields outside of ASCII leave only where the provider takes
// them.
func TestUTF8(t *testing.T) {
	r := newRig(t, func(_ *server, o *Options) { o.UTF8 = func() bool { return true } })
	k := r.talk("ann")
	for _, tt := range []struct {
		param, to, header, body string
		want                    string
		utf8, eight             bool
	}{
		{"", "bob@example.net", "From: ann@example.com\r\n", "gr\xc3\xbc\xc3\x9fe", "250 ", false, true},
		{"", "bob@example.net", "From: ann@example.com\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\n", "x", "250 ", false, true},
		{" SMTPUTF8", "bob@example.net", "From: ann@example.com\r\n", "gr\xc3\xbc\xc3\x9fe", "250 ", false, true},
		{" SMTPUTF8", "b\xc3\xb6b@example.net", "From: ann@example.com\r\n", "x", "550 5.6.7 Account home cannot send", false, false},
		{" SMTPUTF8", "bob@example.net", "From: ann@example.com\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\n", "x", "550 5.6.7 ", false, false},
		{" SMTPUTF8", "b\xc3\xb6b@ex\xc3\xa4mple.net", "From: ann@work.example\r\n", "x", "250 ", true, false},
		{" SMTPUTF8", "bob@example.net", "From: ann@work.example\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\n", "x", "250 ", true, true},
	} {
		k.do("MAIL FROM:<ann@example.com>"+tt.param, "250 ")
		k.do("RCPT TO:<"+tt.to+">", "250 ")
		k.do("DATA", "354 ")
		n := len(r.messages())
		k.do(tt.header+"\r\n"+tt.body+"\r\n.", tt.want)
		if tt.want != "250 " {
			continue
		}
		if m := r.last(n + 1); m.UTF8 != tt.utf8 || m.EightBit != tt.eight || m.Recipients[0] != tt.to {
			t.Errorf("%+v: UTF8 %v, 8-bit %v, to %q", tt, m.UTF8, m.EightBit, m.Recipients)
		}
	}
}

// TestDSN: what a mail program asks to be told of a delivery is taken where a provider has DSN.
func TestDSN(t *testing.T) {
	k := newRig(t).talk("ann")
	k.do("MAIL FROM:<ann@example.com> RET=HDRS", "555 5.5.4 ")
	k.do("MAIL FROM:<ann@example.com>", "250 ")
	k.do("RCPT TO:<bob@example.net> NOTIFY=NEVER", "555 5.5.4 ")

	r := newRig(t, func(_ *server, o *Options) { o.DSN = func() bool { return true } })
	k = r.talk("ann")
	for _, wrong := range []string{"RET", "RET=all", "RET=FULL RET=FULL", "ENVID=", "ENVID=a+b", "ENVID=" + strings.Repeat("x", maxDSN+1), "ENVID=\"ä\"", "NOTIFY=NEVER", "ORCPT=rfc822;a"} {
		k.do("MAIL FROM:<ann@example.com> "+wrong, "5")
	}
	k.do("MAIL FROM:<ann@example.com> ret=hdrs SIZE=10 ENVID=QQ+2B314159", "250 ")
	for _, wrong := range []string{"NOTIFY", "NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=SOON", "ORCPT=a@b", "ORCPT=rfc822;", "NOTIFY=NEVER NOTIFY=NEVER", "RET=FULL", "SIZE=1"} {
		k.do("RCPT TO:<bob@example.net> "+wrong, "5")
	}
	k.do("RCPT TO:<bob@example.net> NOTIFY=success,DELAY ORCPT=rfc822;Bob+2Bx@example.net", "250 ")
	k.do("RCPT TO:<eva@example.net>", "250 ")
	k.do("RCPT TO:<Eva@EXAMPLE.net>", "250 ")
	k.do("DATA", "354 ")
	k.do(headed+"\r\nx\r\n.", "250 ")
	want := map[string]string{"": "RET=hdrs ENVID=QQ+2B314159", "bob@example.net": "NOTIFY=success,DELAY ORCPT=rfc822;Bob+2Bx@example.net"}
	if got := r.last(1).DSN; !maps.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
}
