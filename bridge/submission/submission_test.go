package submission

import (
	"slices"
	"strings"
	"testing"
)

func TestAMessageIsSubmitted(t *testing.T) {
	r := newRig(t)
	k := r.talk("ann")
	k.begin("bob@example.net", `"a b"@example.org`, "bob@EXAMPLE.net", "Bob@example.net")
	k.send(headed + "In-Reply-To: <2@x> <3@y>\r\nBcc: bob@example.net\r\n\r\nHello\r\n..\r\n.two\r\n.")
	k.want("250 2.0.0")
	k.do("QUIT", "221 ")
	k.closed()
	m := r.last(1)
	if want := headed + "In-Reply-To: <2@x> <3@y>\r\nBcc: bob@example.net\r\n\r\nHello\r\n.\r\ntwo\r\n"; m.raw != want {
		t.Errorf("%q, want %q", m.raw, want)
	}
	if want := []string{"bob@example.net", `"a b"@example.org`, "Bob@example.net"}; !slices.Equal(m.Recipients, want) {
		t.Errorf("recipients %q", m.Recipients)
	}
	if m.Account != "home" || m.Device != "laptop" || m.From != "ann@example.com" || m.MessageID != "<1@example.com>" ||
		strings.Join(m.InReplyTo, " ") != "<2@x> <3@y>" || m.EightBit || m.UTF8 {
		t.Errorf("%+v", m.Submission)
	}
}
