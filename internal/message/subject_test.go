package message

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// TestBaseSubject has the rules of RFC 5256 section 2.1, one by one, and what
// Dovecot makes of the same subjects.
func TestBaseSubject(t *testing.T) {
	for _, tt := range []struct {
		subject, base string
		reply         bool
	}{
		{"Hello", "HELLO", false},
		{"", "", false},
		{"Re: Hello", "HELLO", true},
		{"re:hello", "HELLO", true},
		{"RE :  hello", "HELLO", true},
		{"Re[2]: hello", "HELLO", true},
		{"Re [2]: hello", "HELLO", true},
		{"Fw: Fwd: re: hello", "HELLO", true},
		{"[list] Re: hello", "HELLO", true},
		{"[list] [other] Re: hello", "HELLO", true},
		{"[list] hello", "HELLO", false},
		{"[one] [two] hello", "HELLO", false},
		{"[only]", "[ONLY]", false},
		{"Re: [only]", "[ONLY]", true},
		{"hello (fwd)", "HELLO", true},
		{"hello (fwd)  (FWD) ", "HELLO", true},
		{"[fwd: hello]", "HELLO", true},
		{"[Fwd: Re: [list] hello (fwd)]", "HELLO", true},
		{"[fwd: hello", "[FWD: HELLO", false},
		{"Re: [fwd: [fwd: a]]", "A", true},
		{"Reply: hello", "REPLY: HELLO", false},
		{"Re hello", "RE HELLO", false},
		{"Re[a[b]: hello", "RE[A[B]: HELLO", false},
		{"  a \t b\r\n c  ", "A B C", false},
		{"Re:", "", true},
		{"(fwd)", "", true},
		{"Aw: hello", "AW: HELLO", false},
		{"grüße", "GRU\u0308ßE", false},
		{"ǆ ﬁ", "ǅ fi", false},
	} {
		base, reply := BaseSubject(tt.subject)
		want := strings.ReplaceAll(tt.base, "ǅ", "D\u017e")
		want = strings.ReplaceAll(want, "\u017e", "z\u030c")
		if base != want || reply != tt.reply {
			t.Errorf("%q: %q %v, want %q %v", tt.subject, base, reply, want, tt.reply)
		}
	}
}

func FuzzBaseSubject(f *testing.F) {
	for _, s := range []string{"Re: [a] b (fwd)", "[fwd: [fwd: x]]", "[[]]", "re[:", strings.Repeat("[a]", 50), strings.Repeat("[fwd:", 20) + strings.Repeat("]", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		subject = subject[:min(len(subject), maxLines-len("Re: "))]
		base, _ := BaseSubject(subject)
		again, reply := BaseSubject("Re: " + subject)
		if again != base || !reply {
			t.Fatalf("%q has %q, the reply %q %v", subject, base, again, reply)
		}
	})
}

func TestMessageIDs(t *testing.T) {
	for _, tt := range []struct{ value, ids string }{
		{"<a@b>", "a@b"},
		{"<a@b> <c@d>", "a@b c@d"},
		{"<a@b><c@d>", "a@b c@d"},
		{"text <a@b> (comment) more", "a@b"},
		{"no id", ""},
		{"a@b", ""},
		{"<noat> <a@b>", "a@b"},
		{"<\"a.b\"@c>", "a.b@c"},
		{"<\"a\\\"b\"@c>", "a\"b@c"},
		{"<a@b(comment)>", "a@b"},
		{"<a@b", ""},
		{"<a@b>\r\n <c@d>", "a@b c@d"},
	} {
		h, err := ReadHeader(strings.NewReader("X: y\r\nReferences: " + tt.value + "\r\nReferences: <other@x>\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(h.MessageIDs("references"), " "); got != tt.ids {
			t.Errorf("%s: %q, want %q", tt.value, got, tt.ids)
		}
	}
}

// TestManyQuotesInMessageIDs: what a sender can make a mail program's THREAD cost grows
// with the length of a field, not with its square.
func TestManyQuotesInMessageIDs(t *testing.T) {
	for _, piece := range []string{`""`, `()`, `<"a"@b>`} {
		h := &Header{lines: []byte("References: <" + strings.Repeat(piece, 10000) + ">\r\n")}
		if n := testkit.Allocated(func() { h.MessageIDs("References") }); n > 5<<20 {
			t.Errorf("%s: %d bytes are allocated", piece, n)
		}
	}
}

func FuzzMessageIDs(f *testing.F) {
	f.Add("<a@b> <\"q\\\"\"@c(d)>")
	f.Fuzz(func(t *testing.T, value string) {
		h, _ := ReadHeader(strings.NewReader("References: " + strings.ReplaceAll(value, "\n", "") + "\r\n\r\n"))
		for _, id := range h.MessageIDs("References") {
			if !strings.Contains(id, "@") {
				t.Fatalf("%q gives %q", value, id)
			}
		}
	})
}

func TestHeaderValues(t *testing.T) {
	h, _ := ReadHeader(strings.NewReader("From: =?utf-8?q?J=C3=B6rg?= <joe@example.com>, b@c\r\nSubject: =?iso-8859-1?q?gr=FC=DFe?=\r\n to all\r\nSubject: second\r\nTo: team: a@b;\r\nDate: Thu, 1 Jan 1970 01:00:01 +0100\r\n\r\n"))
	if a := h.Address("From"); a != (Address{"Jörg", "joe", "example.com"}) {
		t.Error(a)
	}
	if a := h.Address("To"); a != (Address{Mailbox: "team"}) {
		t.Error(a)
	}
	if a := h.Address("Cc"); a != (Address{}) {
		t.Error(a)
	}
	if s := h.Text("subject"); s != "grüße to all" {
		t.Error(s)
	}
	if d, ok := h.Date(); !ok || d.Unix() != 1 {
		t.Error(d, ok)
	}
}

func TestDecoder(t *testing.T) {
	for _, name := range strings.Fields(Charsets) {
		decode := Decoder(name)
		if decode == nil {
			t.Errorf("%s is not known", name)
			continue
		}
		if got, ok := decode("abc"); got != "abc" || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	if got, ok := Decoder("koi8-r")("\xf0\xd2\xc9"); got != "При" || !ok {
		t.Error(got, ok)
	}
	for name, text := range map[string]string{"utf-8": "caf\xe9", "us-ascii": "\xff", "big5": "\xa4\xff", "euc-jp": "\xa4"} {
		if got, ok := Decoder(name)(text); ok {
			t.Errorf("%q in %s is %q", text, name, got)
		}
	}
	for _, name := range []string{"x-none", "UTF-16", ""} {
		if Decoder(name) != nil {
			t.Errorf("%q is known", name)
		}
	}
}
