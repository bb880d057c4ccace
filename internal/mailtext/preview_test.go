package mailtext_test

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/mailtext"
)

// TestPreview has what Dovecot 2.3.19 answers, but for scripts of HTML.
func TestPreview(t *testing.T) {
	long := strings.Repeat("é", 250)
	for _, tt := range []struct{ raw, want string }{
		{"Subject: a\r\n\r\nHello  world\r\n  this is\tthe text\r\n\r\n> quoted\r\nmore\r\n", "Hello world this is the text more"},
		{"\r\n> only quoted\r\n> two  lines\r\n", ">only quoted two lines"},
		{"Content-Type: text/plain; charset=utf-8\r\n\r\nGrüße " + long, "Grüße " + long[:2*194]},
		{"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe", "Grüße"},
		{"Content-Type: text/html\r\n\r\n<head><title>T</title><style>x{}</style></head><p>Hi <b>there</b></p><p>Second &amp; third</p>", "T Hi there Second & third"},
		{"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>html</b>\r\n--b\r\n\r\nplain part\r\n--b--\r\n", "plain part"},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner\r\n--b\r\n\r\nafter\r\n--b--\r\n", "after"},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n  \r\n--b\r\n\r\nafter\r\n--b--\r\n", ""},
		{"Content-Type: image/png\r\n\r\nxx", ""},
		{"\r\n   leading\x01ctl\x7fx\r\n", "leadingctlx"},
		{"\r\n" + strings.Repeat("w ", 150), strings.TrimSpace(strings.Repeat("w ", 100))},
		{"Subject: only\r\n\r\n", ""},
	} {
		s := parseBytes([]byte(tt.raw))
		if got, err := mailtext.Preview(s, strings.NewReader(tt.raw)); got != tt.want || err != nil {
			t.Errorf("%.60q: %q, want %q; %v", tt.raw, got, tt.want, err)
		}
	}
}
