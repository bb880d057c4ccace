package submission

import (
	"context"
	"net"
	"strings"
	"testing"
)

// starts are what a client has said when the fuzzed octets begin.
var starts = []string{"", "EHLO x\r\n", "EHLO x\r\nAUTH LOGIN\r\n", "EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\n",
	"EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\n", begun, begun + headed + "\r\n"}

// FuzzSession: whatever a client sends, in pieces of whatever size, the session ends
// with it; each message that is submitted has had its own CR LF . CR LF, and has no
// other line ends than CR LF; replies are lines of ASCII.
func FuzzSession(f *testing.F) {
	for i := range starts {
		for _, in := range []string{
			"QUIT\r\n", headed + "\r\nx\r\n.\r\n", ".\r\n", "\n.\n", "\r\n.\n.\r\n", "DATA\r\n.\r\n" + begun[8:] + ".\r\n", "MAIL FROM:< SIZE=9 BODY=8BITMIME SMTPUTF8 AUTH=<>\r\n", "BDAT 1\r\n",
			"RCPT TO:<\"\\\"@x>\r\nRCPT TO:<@a:b@[c]> X\r\nRSET\r\n", "STARTTLS\r\n\x16\x03\x01", "\x16\x03", "AUTH PLAIN =\r\n*\r\n", "YW5u\r\ncHc=\r\n", strings.Repeat("NOOP\r\n", 99), "From: a, b\r\n\r\n.\r\n", "x\r\n.\r\nNOOP\r\n",
		} {
			f.Add(i, in, 1+7*i)
		}
	}
	r := openRig(f, func(r *server, o *Options) {
		o.UTF8 = func() bool { return true }
		o.Login = func(ctx context.Context, from net.Addr, name, password string) (Account, error) {
			if password != "pw" { // a wrong one takes time
				name = "busy"
			}
			return r.login(ctx, from, name, password)
		}
	})
	f.Fuzz(func(t *testing.T, start int, in string, piece int) {
		in = starts[uint(start)%uint(len(starts))] + in
		r.mu.Lock()
		r.taken = nil
		r.mu.Unlock()
		got := r.play(strings.NewReader(in), 1+max(piece, 0)%5000)
		m := r.messages()
		if ends := strings.Count(strings.ReplaceAll(in, "\r\n", "\r\n\r\n"), "\r\n.\r\n"); len(m) > ends || strings.Count(got, "250 2.0.0 The message is queued") != len(m) {
			t.Errorf("%q: %d messages with %d ends: %q", in, len(m), ends, got)
		}
		for _, one := range m {
			if strings.ContainsAny(strings.ReplaceAll(one.raw, "\r\n", ""), "\r\n") || len(one.Recipients) == 0 {
				t.Errorf("%q: to %q: %q", in, one.Recipients, one.raw)
			}
		}
		for line := range strings.Lines(got) {
			if !strings.HasSuffix(line, "\r\n") || len(line) > 512 || strings.Trim(line[:3], "0123456789") != "" || !isASCII(line) {
				t.Errorf("%q is answered %q", in, line)
			}
		}
	})
}
