package submission

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// TestOnlyOneEnd: CR LF . CR LF ends a message, and nothing that other servers take
// for it, or make of it. What is stored has no other line ends than CR LF.
func TestOnlyOneEnd(t *testing.T) {
	r := openRig(t)
	const inner = "MAIL FROM:<ann@example.com>\r\nRCPT TO:<mallory@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\n.\r", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\r\n\r.\r\n", "\r\n.\r\r\n", "\r\n.\r\n"[:4] + "\x00\n",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n .\r\n", "\r\n. \r\n", "\r\n..\r\n", "\r\r\n.\r\r\n", "\n\n.\n\n", "\r\n\t.\r\n", "\u2028.\u2028", "\x0b.\x0b", "\r\n.\u0085", "\r\n.\r\t\n",
		"\r\n.\r.\r\n", "\r\n.\n.\r\n", "\n.\r\n.\n", ".\r\n", "x.\r\n",
	} {
		for _, piece := range []int{1, 2, 3, 5, 1 << 20} {
			n := len(r.messages())
			got := r.play(strings.NewReader(begun+headed+"\r\nHello"+end+inner+".\r\nQUIT\r\n"), piece)
			if codes(got) != "250 235 250 250 354 250 221" {
				t.Errorf("%q in pieces of %d: %s", end, piece, codes(got))
			}
			m := r.last(n + 1)
			if len(m.Recipients) != 1 || m.Recipients[0] != "bob@example.net" || !strings.Contains(m.raw, "mallory") {
				t.Errorf("%q in pieces of %d: to %q: %q", end, piece, m.Recipients, m.raw)
			}
			if bare := strings.ReplaceAll(m.raw, "\r\n", ""); strings.ContainsAny(bare, "\r\n") {
				t.Errorf("%q is stored with other line ends: %q", end, m.raw)
			}
		}
	}
}

// TestAPathIsNoCommand: a LF in an address begins no other command.
func TestAPathIsNoCommand(t *testing.T) {
	r := openRig(t)
	for _, in := range []string{
		"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\nRCPT TO:<mallory@example.net>\r\nDATA\r\n",
		"MAIL FROM:<ann@example.com>\nRCPT TO:<mallory@example.net>\r\nDATA\r\n",
		"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\nDATA\r\n",
	} {
		got := r.play(strings.NewReader("EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\n"+in+headed+"\r\nx\r\n.\r\n"), 1<<20)
		if !strings.Contains(got, "500 5.5.2 ") || strings.Contains(got, "354") {
			t.Errorf("%q: %s", in, got)
		}
	}
	for _, tt := range []struct{ to, want string }{
		{"bob@example.net\rRCPT TO:<mallory@example.net", "500"}, {"bob\x00@example.net", "500"}, {"\"\x01\"@example.net", "501"}, {"bob@example.net\u0085", "501"}, {"bob@example.net\xff", "501"},
	} {
		got := r.play(strings.NewReader("EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<"+tt.to+">\r\nDATA\r\n"), 1<<20)
		if c := codes(got); c != "250 235 250 "+tt.want+" 554" {
			t.Errorf("%q: %s", tt.to, got)
		}
	}
	if n := len(r.messages()); n > 0 {
		t.Errorf("%d messages were submitted", n)
	}
}

// TestARefusedMessageIsNoCommand: what follows a DATA, BDAT or AUTH that is refused is
// the message, not commands.
func TestARefusedMessageIsNoCommand(t *testing.T) {
	r := openRig(t)
	const text = "From: x\r\n\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<mallory@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
	const login = "EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\n"
	for _, tt := range []struct{ before, want string }{
		{"EHLO x\r\nDATA\r\n", "250 530"},
		{login + "DATA\r\n", "250 235 503"},
		{login + "DATA now\r\n", "250 235 501"},
		{login + "MAIL FROM:<ann@example.com>\r\nDATA\r\n", "250 235 250 554"},
		{login + "MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob>\r\nDATA\r\n", "250 235 250 501 554"},
		{login + "BDAT 10 LAST\r\n", "250 235 502"},
		{"BDAT 10 LAST\r\n", "502"},
	} {
		if got := codes(r.play(strings.NewReader(tt.before+text), 1<<20)); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.before, got, tt.want)
		}
		if got := codes(r.play(strings.NewReader(tt.before+text), 1)); got != tt.want && got != tt.want+" 421" {
			t.Errorf("%q by octets: %s, want %s", tt.before, got, tt.want)
		}
	}
	// One that is refused by its header is read to its end.
	got := r.play(strings.NewReader(begun+"From: mallory@example.net\r\n\r\nQUIT\r\n.\r\nNOOP\r\n"), 7)
	if codes(got) != "250 235 250 250 354 550 250" {
		t.Error(got)
	}
	if n := len(r.messages()); n > 0 {
		t.Errorf("%d messages were submitted", n)
	}
}

// TestCutAtEveryOctet: whatever the client has said when it goes, only a message whose
// end has come is submitted.
func TestCutAtEveryOctet(t *testing.T) {
	r := openRig(t)
	session := begun + headed + "\r\nHello\r\n.\n.\r\n..\r\n.\r\nMAIL FROM:<ann@example.com> SIZE=10\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n.\r\nQUIT\r\n"
	first := strings.Index(session, "..\r\n.\r\n") + len("..\r\n.\r\n")
	second := strings.Index(session, "QUIT")
	for n := range len(session) + 1 {
		before := len(r.messages())
		r.play(strings.NewReader(session[:n]), 1<<20)
		want := 0
		if n >= first {
			want++
		}
		if n >= second {
			want++
		}
		if got := len(r.messages()) - before; got != want {
			t.Errorf("cut behind %q: %d messages, want %d", session[max(0, n-20):n], got, want)
		}
	}
}

// endless is the same again and again.
type endless struct {
	text string
	n    int64
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) && e.n > 0 {
		k := copy(p[n:], e.text[e.at:])
		n, e.n, e.at = n+k, e.n-int64(k), (e.at+k)%len(e.text)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestFloods end, take little memory and submit nothing.
func TestFloods(t *testing.T) {
	const login = "EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\n"
	for _, tt := range []struct {
		name, before, again string
		n                   int64
		after, want         string // codes of the last replies
	}{
		{"an endless first line", "", "x", 2 << 20, "", "500"},
		{"an endless command", login, "NOOP ", 2 << 20, "", "500"},
		{"an endless initial response", "EHLO x\r\nAUTH PLAIN ", "AAAA", 2 << 20, "", "500"},
		{"an endless response", "EHLO x\r\nAUTH LOGIN\r\n", "AAAA", 2 << 20, "", "500"},
		{"an endless recipient", login + "MAIL FROM:<ann@example.com>\r\nRCPT TO:<", "a", 2 << 20, "", "500"},
		{"a long command", login, "x", maxLine, "\r\nQUIT\r\n", "235 500 221"},
		{"NULs", "", "\x00", 2 << 20, "", "500"},
		{"NULs in lines", login, "\x00\r\n", 2 << 20, "", "500 421"},
		{"empty lines", login, "\r\n", 2 << 20, "", "500 421"},
		{"no commands", login, "SPAM\r\n", 2 << 20, "", "500 421"},
		{"ten thousand times the same recipient", login + "MAIL FROM:<ann@example.com>\r\n", "RCPT TO:<a@example.net>\r\n", 25 * 10_000, "QUIT\r\n", "250 250 221"},
		{"an endless header", begun, "X: y\r\n", 3 << 19, "\r\n.\r\nQUIT\r\n", "354 552 221"},
		{"an endless field", begun + "X: ", "y", 3 << 19, "\r\n.\r\nQUIT\r\n", "354 552 221"},
		{"an endless body", begun + headed + "\r\n", "a line\r\n", 1 << 20, ".\r\nQUIT\r\n", "354 552 221"},
		{"an endless line of a body", begun + headed + "\r\n", "z", 1 << 20, "\r\n.\r\nQUIT\r\n", "354 552 221"},
		{"a body of dots", begun + headed + "\r\n", ".", 1 << 20, "\r\n.\r\nQUIT\r\n", "354 552 221"},
		{"a body of CRs", begun + headed + "\r\n", "\r", 1 << 20, "\r\n.\r\nQUIT\r\n", "354 552 221"},
		{"a body of LFs", begun + headed + "\r\n", "\n", 1 << 20, "\r\n.\r\nQUIT\r\n", "354 552 221"},
		{"a thousand transactions", login, "MAIL FROM:<ann@example.com>\r\nRCPT TO:<a@example.net>\r\nRSET\r\n", 60 * 1000, "QUIT\r\n", "250 250 250 221"},
	} {
		r := openRig(t)
		var got string
		n := testkit.Allocated(func() {
			in := io.MultiReader(strings.NewReader(tt.before), &endless{text: tt.again, n: tt.n / int64(len(tt.again)) * int64(len(tt.again))}, strings.NewReader(tt.after))
			got = r.play(in, 1<<20)
		})
		if c := codes(got); !strings.HasSuffix(c, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, c[max(0, len(c)-100):], tt.want)
		}
		if n > 20<<20 {
			t.Errorf("%s: %d MB were allocated", tt.name, n>>20)
		}
		if m := r.messages(); len(m) > 0 {
			t.Errorf("%s: a message was submitted", tt.name)
		}
	}
}

// TestRecipients: a thousand are taken, what comes behind them is to be sent later.
func TestRecipients(t *testing.T) {
	r := openRig(t)
	var in bytes.Buffer
	in.WriteString("EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\nMAIL FROM:<ann@example.com>\r\n")
	for i := range maxRecipients + 5 {
		fmt.Fprintf(&in, "RCPT TO:<%d@example.net>\r\nRCPT TO:<%d@EXAMPLE.net>\r\n", i, i)
	}
	in.WriteString("DATA\r\n" + headed + "\r\nx\r\n.\r\n")
	got := r.play(&in, 1000)
	if n := strings.Count(got, "452 4.5.3 Too many recipients, at most 1000\r\n"); n != 10 {
		t.Errorf("%d recipients were refused", n)
	}
	if m := r.last(1); len(m.Recipients) != maxRecipients {
		t.Errorf("%d recipients", len(m.Recipients))
	}
}

// lineEnd is CR LF, or that with the CR put before it that makes CR LF of a LF.
var lineEnd = regexp.MustCompile("\r{1,2}\n")

// oracle is what dots must make of in, written otherwise.
func oracle(in string) (out string, rest string, ended bool) {
	in = "\r\n" + in
	end := strings.Index(in, "\r\n.\r\n")
	if end >= 0 {
		in, rest, ended = in[:end+2], in[end+5:], true
	}
	in = strings.ReplaceAll(in, "\r\n.", "\r\n")
	in = lineEnd.ReplaceAllString(in, "\x01\x02")
	in = strings.NewReplacer("\r", "\r\n", "\n", "\r\n").Replace(in)
	return strings.ReplaceAll(in, "\x01\x02", "\r\n")[2:], rest, ended
}

func checkDots(t *testing.T, in string, piece int) {
	t.Helper()
	if strings.ContainsAny(in, "\x01\x02") {
		return
	}
	c := newConn(t.Context(), &script{in: strings.NewReader(in), piece: piece}, func() {})
	d := &dots{in: c.in}
	got, err := io.ReadAll(d)
	rest, _ := io.ReadAll(c.in)
	want, left, ended := oracle(in)
	switch {
	case ended != (err == nil) || ended != d.ended || err != nil && d.drain() == nil:
		t.Errorf("%q: ended %v, error %v", in, d.ended, err)
	case ended && (string(got) != want || string(rest) != left):
		t.Errorf("%q is read as %q with %q behind it, want %q and %q", in, got, rest, want, left)
	case !ended && !strings.HasPrefix(want, strings.TrimSuffix(string(got), "\r\n")):
		t.Errorf("%q is read as %q, want %q", in, got, want)
	}
}

func TestDots(t *testing.T) {
	alphabet := []string{"\r", "\n", ".", "x", "\r\n"}
	for range 3000 {
		var in strings.Builder
		for range rand.IntN(12) {
			in.WriteString(alphabet[rand.IntN(len(alphabet))])
		}
		checkDots(t, in.String(), 1+rand.IntN(4))
	}
}

func FuzzDots(f *testing.F) {
	for _, in := range []string{".\r\n", "a\r\n.\r\n", "\n.\n\r\n.\r\nb", "..\r\n.\r.\r\n.\r\n", "\r\r\n.\r\n"} {
		f.Add(in, 3)
	}
	f.Fuzz(func(t *testing.T, in string, piece int) { checkDots(t, in, 1+max(piece, 0)%100) })
}
