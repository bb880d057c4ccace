package submission

import (
	"bufio"
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/message"
)

var when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))

const (
	addedDate = "Date: Fri, 02 Jan 2026 03:04:05 +0100\r\n"
	addedID   = "Message-ID: <id@x>\r\n"
)

func TestFixHeader(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"Subject: x\r\n\r\n", addedDate + addedID + "Subject: x\r\n\r\n"},
		{"Subject: x\r\n", addedDate + addedID + "Subject: x\r\n"},
		{"date: never\r\nMESSAGE-ID : none\r\n\r\n", "date: never\r\nMESSAGE-ID : none\r\n\r\n"},
		{"Date: x\r\n\r\n", addedID + "Date: x\r\n\r\n"},
		{"Message-Id: x\r\n\r\n", addedDate + "Message-Id: x\r\n\r\n"},
		{"Return-Path: <a@b>\r\n (really)\r\nDate: x\r\nreturn-path:\r\n\ty\r\nMessage-ID: y\r\nBcc: z\r\nX-Return-Path: u\r\n\r\n", "Date: x\r\nMessage-ID: y\r\nBcc: z\r\nX-Return-Path: u\r\n\r\n"},
		{"X: y\r\n Date: x\r\n Message-ID: y\r\n\r\n", addedDate + addedID + "X: y\r\n Date: x\r\n Message-ID: y\r\n\r\n"},
		{"Resent-Date: x\r\nResent-Message-ID: y\r\n\r\n", addedDate + addedID + "Resent-Date: x\r\nResent-Message-ID: y\r\n\r\n"},
		{"\r\n", addedDate + addedID + "\r\n"},
		{"", addedDate + addedID + "\r\n"},
		{"Hello\r\n", addedDate + addedID + "\r\nHello\r\n"},
		{"Hello, you: all\r\n", addedDate + addedID + "\r\nHello, you: all\r\n"},
		{" Date: x\r\n", addedDate + addedID + "\r\n Date: x\r\n"},
		{"Date: x\r\nno field\r\nMessage-ID: y\r\n\r\n", "Date: x\r\nno field\r\nMessage-ID: y\r\n\r\n"},
	} {
		got, n := fixHeader([]byte(tt.in), when, "<id@x>")
		if string(got) != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
		if rest := string(got[n:]); !strings.Contains(rest, "Return-Path") && !strings.HasPrefix(tt.in, "Return-Path") && rest != tt.in {
			t.Errorf("%q is %q behind what was added", tt.in, rest)
		}
	}
}

// What programs put before a header by mistake does not make it a part of the body, where
// everyone would read its Bcc.
func TestBeforeTheHeader(t *testing.T) {
	const header = "From: ann@example.com\r\nBcc: secret@x.example\r\n\r\n"
	for _, before := range []string{"", "From ann@example.com Thu Nov 27 13:00:00 2026\r\n", ">From ann\r\n", "From a\r\n>From b\r\n", "\ufeff", "\ufeffFrom a\r\n", "From a\r\n\ufeff"} {
		in := bufio.NewReaderSize(strings.NewReader(before+header+"From here on\r\n"), 4<<10)
		raw, err := readHeader(in)
		if string(raw) != header || err != nil {
			t.Errorf("behind %q: %q, %v", before, raw, err)
		}
	}
	for _, before := range []string{"Hello\r\n", "\r\n", " \r\n", "#! rnews 100\r\n"} {
		for _, bcc := range []string{"Bcc: secret@x.example\r\n", "To: a@b\r\nbCC : a@b\r\n", "Resent-Bcc:\r\n a@b\r\n"} {
			_, err := readHeader(bufio.NewReaderSize(strings.NewReader(before+bcc+"\r\nbody\r\n"), 4<<10))
			if r, ok := err.(reply); !ok || r.code != 550 {
				t.Errorf("%.10q before %q: %v", before, bcc, err)
			}
		}
	}
	for _, in := range []string{"Hello\r\n\r\nBcc: is a field\r\n", "\r\nbody\r\n", "Hello\r\nno field\r\nBcc: x\r\n", "\r\n", "From a\r\n", "\ufeff"} {
		if _, err := readHeader(bufio.NewReaderSize(strings.NewReader(in), 4<<10)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

var generated = regexp.MustCompile(`^<[a-z0-9]{26}@([a-z.]+)>$`)

func TestMessageID(t *testing.T) {
	for _, tt := range [][3]string{{"ann@example.com", "", "example.com"}, {"", "ann@example.com", "example.com"}, {"", "", "localhost"},
		{"ann@[127.0.0.1]", "ann@example.com", "example.com"}, {"ann@\u00e4.example", "ann@example.com", "example.com"}, {"ann@a>b", "ann@\r\n", "localhost"}} {
		got := messageID(tt[0], tt[1])
		if m := generated.FindStringSubmatch(got); m == nil || m[1] != tt[2] || got == messageID(tt[0], tt[1]) {
			t.Errorf("%q: %s", tt[:2], got)
		}
	}
}

// FuzzFixHeader: whatever a message begins with, it has a Date and a Message-ID
// afterwards, no Return-Path, all other lines as they were, and nothing is left to be
// done. Who sends it is found without a panic.
func FuzzFixHeader(f *testing.F) {
	for _, in := range []string{headed + "\r\nbody", "\r\nbody", "body", "", " x\r\nDate: y\r\n", "Return-Path: x\r\n y\r\n\r\n", "X\r\nReturn-Path: <>\r\nFrom: a@b, c@d\r\n\r\n",
		"From: \"a\r\n b\" <c@d>\r\nSender: x:;\r\n\r\n", "Resent-From: (\r\nFrom: =?x?q?y?=\r\n", strings.Repeat("x", 5000) + ":\r\n\r\n"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := &dots{in: bufio.NewReader(strings.NewReader(string(in) + "\r\n.\r\n"))}
		r := bufio.NewReaderSize(d, 4<<10)
		raw, err := readHeader(r)
		if err != nil {
			if len(in) < maxHeader/2 {
				t.Fatal(err)
			}
			return
		}
		fixed, _ := fixHeader(raw, when, "<id@x>")
		if again, _ := fixHeader(fixed, when, "<other@x>"); !bytes.Equal(again, fixed) {
			t.Errorf("%q becomes %q and then %q", raw, fixed, again)
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(string(fixed), addedDate), addedID)
		if want := withoutReturnPath(string(raw)); rest != want && rest != "\r\n"+want {
			t.Errorf("%q becomes %q", raw, fixed)
		}
		if h, err := message.ReadHeader(bytes.NewReader(fixed)); err == nil && len(fixed) < maxHeader {
			for field := range h.Fields() {
				if field.Is("Return-Path") {
					t.Errorf("%q has a Return-Path", fixed)
				}
			}
		}
		_, _ = sender(raw, "") // an error is as good as an address
	})
}

// withoutReturnPath is written otherwise than fixHeader.
func withoutReturnPath(header string) string {
	return regexp.MustCompile(`(?mi)^return-path[ \t]*:.*\n([ \t].*\n)*`).ReplaceAllString(header, "")
}
