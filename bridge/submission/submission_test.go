package submission

import (
	"regexp"
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

// What is added is said, and has the form by which package mailstore knows it.
func TestWhatIsAddedIsSaid(t *testing.T) {
	date, id := `Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [-+]\d{4}\r\n`, `Message-ID: <[a-z2-7]{26}@[^>\r\n]+>\r\n`
	for header, want := range map[string]string{
		"From: ann@example.com\r\n":                                          date + id,
		"From: ann@example.com\r\nMessage-ID: <1@x>\r\n":                     date,
		"Date: Tue, 03 Nov 2026 09:00:00 +0000\r\nFrom: ann@example.com\r\n": id,
		"Date: x\r\nFrom: ann@example.com\r\nMessage-ID: <1@x>\r\n":          "",
	} {
		r := newRig(t)
		k := r.talk("ann")
		k.begin("bob@example.net")
		k.send(header + "\r\nHello\r\n.")
		k.want("250 2.0.0")
		m := r.last(1)
		if added, rest := m.raw[:m.Added], m.raw[m.Added:]; !regexp.MustCompile("^"+want+"$").MatchString(added) || rest != header+"\r\nHello\r\n" {
			t.Errorf("%q: added %q before %q", header, added, rest)
		}
	}
}

// A receipt, or what a program sends while its user is away, answers nothing.
func TestOnlyWhatAPersonWritesAnswers(t *testing.T) {
	for _, tt := range []struct {
		from, field string
		answers     bool
	}{
		{"ann@example.com", "X-Mailer: x", true},
		{"ann@example.com", "Auto-Submitted: No (by hand)", true},
		{"ann@example.com", "Auto-Submitted: no; x=y", true},
		{"ann@example.com", "Content-Type: multipart/mixed; boundary=report", true},
		{"", "X-Mailer: x", false},
		{"ann@example.com", "auto-submitted:\r\n auto-replied (vacation)", false},
		{"ann@example.com", "Auto-Submitted: auto-generated", false},
		{"ann@example.com", "Content-Type: Multipart/Report; report-type=disposition-notification; boundary=x", false},
	} {
		r := newRig(t)
		k := r.talk("ann")
		k.do("MAIL FROM:<"+tt.from+">", "250 2.1.0")
		k.do("RCPT TO:<eva@example.org>", "250 2.1.5")
		k.do("DATA", "354 ")
		k.send("From: ann@example.com\r\nIn-Reply-To: <2@x>\r\n" + tt.field + "\r\n\r\ntext\r\n.")
		k.want("250 ")
		if got := r.last(1).InReplyTo; (len(got) == 1) != tt.answers {
			t.Errorf("from %q, %s: answers %q", tt.from, tt.field, got)
		}
	}
}
