package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// codes are those of the answers to RCPT.
func codes(o Outcome) (list []int) {
	for _, r := range o.Recipients {
		list = append(list, r.Code)
	}
	return list
}

// TestRefusals: who is refused and who is not, and the session goes on behind it.
func TestRefusals(t *testing.T) {
	mail, data := smtptest.Mail(ann, "250 2.1.0 ok"), smtptest.Content("250 2.0.0 queued")
	for name, tt := range map[string]struct {
		script    string
		phase     Phase
		codes     string
		final     int
		refusedAt string // command of a ReplyError
		kind      fault.Kind
		pipelined string // the script where that differs
	}{
		"some": {script: mail + smtptest.Rcpt(bob, "550 5.1.1 unknown") + smtptest.Rcpt(cat, "251 will forward") + data,
			phase: Answered, codes: "[550 251]", final: 250},
		"all": {script: mail + smtptest.Rcpt(bob, "550 5.1.1 unknown") + smtptest.Rcpt(cat, "452 4.5.3 too many") + "C: RSET\nS: 250 ok\n",
			phase: Rcpt, codes: "[550 452]"},
		"the sender": {script: smtptest.Mail(ann, "550 5.7.60 SendAsDenied") + "C: RSET\nS: 250 ok\n",
			pipelined: smtptest.Mail(ann, "550 5.7.60 SendAsDenied") + smtptest.Rcpt(bob, "503 5.5.1 no MAIL") + smtptest.Rcpt(cat, "503 5.5.1 no MAIL") + "C: RSET\nS: 250 ok\n",
			phase:     Mail, codes: "[0 0]", refusedAt: "MAIL FROM:<ann@a.example>", kind: fault.Denied},
		"no login": {script: smtptest.Mail(ann, "530 5.7.0 Authentication required") + "C: RSET\nS: 250 ok\n",
			pipelined: smtptest.Mail(ann, "530 5.7.0 Authentication required") + smtptest.Rcpt(bob, "530 no") + smtptest.Rcpt(cat, "530 no") + "C: RSET\nS: 250 ok\n",
			phase:     Mail, codes: "[0 0]", refusedAt: "MAIL FROM:<ann@a.example>", kind: fault.Auth},
		"the data": {script: smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 451 4.3.0 not now\nC: RSET\nS: 250 ok\n",
			phase: Data, codes: "[250 250]", refusedAt: "DATA", kind: fault.Temporary},
		"the message": {script: smtptest.Envelope(ann, bob, cat) + smtptest.Content("554 5.7.1 spam"),
			phase: Answered, codes: "[250 250]", final: 554},
		"the message for now": {script: smtptest.Envelope(ann, bob, cat) + smtptest.Content("451-4.7.1 grey\nS: 451 4.7.1 listed"),
			phase: Answered, codes: "[250 250]", final: 451},
	} {
		for _, extensions := range [][]string{nil, {"PIPELINING"}} {
			t.Run(fmt.Sprint(name, extensions), func(t *testing.T) {
				script := tt.script
				if extensions != nil && tt.pipelined != "" {
					script = tt.pipelined
				}
				c := dial(t, smtptest.Hello(extensions...)+script+smtptest.Taken(ann, cat)+smtptest.Quit)
				out, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob, cat}}, strings.NewReader(bodyOf), always)
				if out.Phase != tt.phase || fmt.Sprint(codes(out)) != tt.codes || out.Final.Code != tt.final {
					t.Errorf("%+v", out)
				}
				refused, ok := errors.AsType[*ReplyError](err)
				if ok != (tt.refusedAt != "") || ok && refused.Command != tt.refusedAt || ok && !fault.Is(err, tt.kind) || !ok && err != nil {
					t.Errorf("%v", err)
				}
				out, err = c.Send(t.Context(), Envelope{From: ann, To: []string{cat}}, strings.NewReader(bodyOf), always)
				if err != nil || out.Phase != Answered || !out.Final.Positive() {
					t.Errorf("the next: %+v, %v", out, err)
				}
				if err := c.Quit(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestALostConnectionKeepsTheRefusal: why MAIL was refused counts more than that the
// server then went away.
func TestALostConnectionKeepsTheRefusal(t *testing.T) {
	for _, end := range []string{"@close\n", "S: 421 bye\n@close\n", "S: nonsense\n@stall\n"} {
		c := dial(t, smtptest.Hello("PIPELINING")+smtptest.Mail(ann, "550 5.7.1 no")+end)
		_, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob}}, strings.NewReader(bodyOf), always)
		if refused, ok := errors.AsType[*ReplyError](err); !ok || refused.Code != 550 {
			t.Errorf("%s: %v", end, err)
		}
		if _, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob}}, strings.NewReader(bodyOf), always); err == nil {
			t.Errorf("%s: the session goes on", end)
		}
	}
}

// TestManyRecipients: commands sent ahead are bounded, and the answers belong to
// theirs.
func TestManyRecipients(t *testing.T) {
	for _, extensions := range [][]string{nil, {"PIPELINING"}} {
		script := smtptest.Hello(extensions...) + smtptest.Mail(ann, "250 ok")
		var to []string
		for i := range 3*pipelined + 7 {
			to = append(to, fmt.Sprintf("r%d@b.example", i))
			script += smtptest.Rcpt(to[i], fmt.Sprintf("%d ok", []int{250, 550, 450}[i%3]))
		}
		c := dial(t, script+smtptest.Content("250 ok"))
		var before []Reply
		out, err := c.Send(t.Context(), Envelope{From: ann, To: to}, strings.NewReader(bodyOf), func(_ context.Context, replies []Reply) error {
			before = slices.Clone(replies)
			return nil
		})
		if err != nil || out.Phase != Answered || !slices.Equal(before, out.Recipients) {
			t.Errorf("%v, %v, told before the dot: %v", out.Phase, err, before)
		}
		for i, r := range out.Recipients {
			if r.Code != []int{250, 550, 450}[i%3] {
				t.Errorf("recipient %d: %v", i, r)
			}
		}
	}
}

// TestConnectionLostAmongRecipients: what was answered by then is known.
func TestConnectionLostAmongRecipients(t *testing.T) {
	for _, extensions := range [][]string{nil, {"PIPELINING"}} {
		c := dial(t, smtptest.Hello(extensions...)+smtptest.Envelope(ann, bob)+"C~ RCPT .*\n@close\n")
		called := false
		out, err := c.Send(t.Context(), Envelope{From: ann, To: []string{bob, cat}}, strings.NewReader(bodyOf), func(context.Context, []Reply) error { called = true; return nil })
		if !fault.Is(err, fault.Temporary) || out.Phase != Rcpt || fmt.Sprint(codes(out)) != "[250 0]" || called {
			t.Errorf("%+v, %v", out, err)
		}
	}
}

func TestReplies(t *testing.T) {
	for text, want := range map[string]Reply{
		"250 ok":                             {250, "", "ok"},
		"250":                                {250, "", ""},
		"250 ":                               {250, "", ""},
		"250-2.1.0 a\r\n250 2.1.0 b":         {250, "2.1.0", "a b"},
		"550-5.1.1 a\r\n550-\r\n550 5.1.1 c": {550, "5.1.1", "a c"},
		"550 2.1.1 class":                    {550, "", "2.1.1 class"},
		"550 5.7.139 x":                      {550, "5.7.139", "x"},
		"550 5.7.1390 x":                     {550, "", "5.7.1390 x"},
		"550 5.7 x":                          {550, "", "5.7 x"},
		"550 5..1 x":                         {550, "", "5..1 x"},
		"571 5.7.1 not allowed":              {571, "5.7.1", "not allowed"},
		"250 \x00a\x1b[31mb\u202e\u2028c\td\xff e":      {250, "", "a [31mb c d\ufffd e"},
		"250 " + strings.Repeat("ä", 400):               {250, "", strings.Repeat("ä", 250)},
		"250 x" + strings.Repeat("ä", 400):              {250, "", "x" + strings.Repeat("ä", 249)},
		"250-" + strings.Repeat("a", 600) + "\r\n250 b": {250, "", strings.Repeat("a", 500)},
	} {
		r, _, err := clientOn(text + "\r\n").receive(0)
		if r != want || err != nil {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
		if bare, _, err := clientOn(strings.ReplaceAll(text, "\r", "") + "\n").receive(0); bare != want || err != nil {
			t.Errorf("%q with bare LF: %+v, %v", text, bare, err)
		}
	}
}

func TestExtensions(t *testing.T) {
	for lines, want := range map[string]Extensions{
		"h":                              {},
		"h|SIZE|8bitmime":                {size: true, EightBit: true},
		"h|SIZE 12 x":                    {size: true, Size: 12},
		"h|SIZE -5|SMTPUTF8|DSN":         {size: true, UTF8: true, DSN: true},
		"h|SIZE 99999999999999999999":    {size: true, Size: 1<<63 - 1},
		"SIZE 12":                        {},
		"h||PIPELINING|x y z":            {Pipelining: true},
		"h|ENHANCEDSTATUSCODES|StartTLS": {startTLS: true},
	} {
		if got := newExtensions(strings.Split(lines, "|")); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v", lines, got)
		}
	}
	if got := newExtensions([]string{"h", "AUTH plain", "AUTH=LOGIN  XOAUTH2"}); fmt.Sprint(got.auth) != "[PLAIN LOGIN XOAUTH2]" {
		t.Errorf("%v", got.auth)
	}
}

func TestMeanings(t *testing.T) {
	for r, kind := range map[Reply]fault.Kind{
		{421, "4.3.2", "closing"}:                                     fault.Temporary,
		{450, "4.2.1", "later"}:                                       fault.Temporary,
		{550, "5.1.1", "unknown"}:                                     fault.Denied,
		{530, "5.7.0", "Must issue a STARTTLS command first"}:         fault.Config,
		{530, "5.7.57", "Client not authenticated to send mail"}:      fault.Auth,
		{535, "5.7.139", "Authentication unsuccessful, the user ..."}: fault.Config,
		{550, "5.7.30", "Basic authentication is not supported"}:      fault.Denied,
		{535, "5.7.8", "Username and Password not accepted"}:          fault.Auth,
		{554, "5.2.0", "SubmissionQuotaExceededException"}:            fault.Denied,
		{432, "4.7.12", "a password transition is needed"}:            fault.Temporary,
	} {
		err := (&ReplyError{r, "MAIL"}).classified()
		if refused, ok := errors.AsType[*ReplyError](err); !ok || refused.Reply != r || !fault.Is(err, kind) {
			t.Errorf("%v: %v, %v", r, fault.KindOf(err), err)
		}
	}
}

// failing is a connection over which only n bytes of a line can be written.
type failing struct {
	net.Conn
	line string
	n    int
}

func (f failing) Write(p []byte) (int, error) {
	if string(p) != f.line {
		return f.Conn.Write(p)
	}
	n, _ := f.Conn.Write(p[:f.n])
	return n, syscall.EPIPE
}

// TestLastWords: what a server said before it went away is why.
func TestLastWords(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		server := scripted.New(t, smtptest.Hello()+smtptest.Envelope(ann, bob)+"C: DATA\nS: 354\n@packet\nS: 552 5.3.4 too large\n@stall\n", scripted.Lenient())
		c, err := Dial(ctx, Config{Host: "h", Security: Plain, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			return failing{conn, "a\r\n", 0}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Send(ctx, Envelope{From: ann, To: []string{bob}}, strings.NewReader("a\r\n"), always)
		if refused, ok := errors.AsType[*ReplyError](err); !ok || refused.Code != 552 || out.Phase != Data {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

// TestTheDotDoesNotLeave: where no byte of it was written the server cannot have the
// message.
func TestTheDotDoesNotLeave(t *testing.T) {
	for n, want := range []Phase{Data, AfterDot, AfterDot} {
		bubble(t, func(t *testing.T, ctx context.Context) {
			server := scripted.New(t, smtptest.Hello()+smtptest.Envelope(ann, bob)+"C: DATA\nS: 354\nC*\n@stall\n", scripted.Lenient())
			c, err := Dial(ctx, Config{Host: "h", Security: Plain, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := server.Dial(ctx, network, addr)
				return failing{conn, ".\r\n", n}, err
			}})
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.Send(ctx, Envelope{From: ann, To: []string{bob}}, strings.NewReader("a\r\n"), always)
			if out.Phase != want || !errors.Is(err, syscall.EPIPE) {
				t.Errorf("%d bytes: %+v, %v", n, out, err)
			}
		})
	}
}
