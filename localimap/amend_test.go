package localimap

import (
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

func TestLinesThatTheLibraryDoesNotGet(t *testing.T) {
	for _, tt := range []struct{ line, answer string }{
		{"a NOOP", ""},
		{"a NOSUCH (x", ""},
		{`a SELECT "x\"y"`, ""},
		{"a UID FETCH 1 UID", ""},
		{"", "* BAD"},
		{" ", "* BAD"},
		{"(a) NOOP", "* BAD"},
		{"+a NOOP", "* BAD"},
		{"a\x00 NOOP", "* BAD"},
		{"a", "a BAD"},
		{"a ", "a BAD"},
		{"a  NOOP", "a BAD"},
		{"a UID", "a BAD"},
		{"a UID ", "a BAD"},
		{`a SELECT "x`, "a BAD"},
		{`a SELECT "x\"`, "a BAD"},
		{"a STARTTLS", "a BAD"},
	} {
		var a amends
		handed := a.line([]byte(tt.line + "\r\n"))
		if got := string(a.answers()); handed != (tt.answer == "") || !strings.HasPrefix(got, tt.answer) || handed && got != "" {
			t.Errorf("%q: handed on %v, answered %q, want %q", tt.line, handed, got, tt.answer)
		}
	}
}

func TestAmendedResponses(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		writes     []string
		want       string
	}{
		{"foreseen", "a SEARCH X", []string{"a BAD x\r\n"}, "a BAD x\r\n"},
		{"unforeseen", "a SEARCH X", []string{"a" + unforeseen}, "a BAD [CLIENTBUG] Syntax error\r\n"},
		{"after a literal", "a SELECT {1}", []string{"+ go\r\n", "a" + unforeseen}, "+ go\r\na BAD [CLIENTBUG] Syntax error\r\n"},
		{"not the first", "a FETCH 1 X", []string{"* 1 FETCH\r\n", "a" + unforeseen}, "* 1 FETCH\r\na" + unforeseen},
		{"another tag", "a FETCH 1 X", []string{"b" + unforeseen}, "b" + unforeseen},
		{"in a message", "a FETCH 1 X", []string{"* 1 FETCH (X {41}\r\na" + unforeseen}, "* 1 FETCH (X {41}\r\na" + unforeseen},
		{"an empty challenge", "a AUTHENTICATE PLAIN", []string{"+ =\r\n"}, "+ \r\n"},
		{"SASL", "a authenticate PLAIN", []string{"+ =\r\n", "a" + unforeseen}, "+ \r\na NO [AUTHENTICATIONFAILED] Invalid SASL response\r\n"},
	} {
		var a amends
		if !a.line([]byte(tt.line + "\r\n")) {
			t.Fatalf("%s: not handed on", tt.name)
		}
		got := ""
		for _, p := range tt.writes {
			got += string(a.response([]byte(p), strings.Contains(tt.line, "{")))
		}
		if got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// TestAMessageIsNotAmended: a mail whose text is what the library answers to
// errors arrives as it is, wherever the pieces end that the library writes.
func TestAMessageIsNotAmended(t *testing.T) {
	r := newRig(t)
	raw := "a: b\r\n\r\n" + strings.Repeat("a"+unforeseen, 1000)
	r.deliver("INBOX", nil, raw)
	c, err := imapclient.DialInsecure(r.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Login("joe", "pw").Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	whole := &imap.FetchItemBodySection{}
	got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil || len(got) != 1 || string(got[0].FindBodySection(whole)) != raw {
		t.Errorf("another message, %v", err)
	}
}

// TestPrompted: what a client says to AUTHENTICATE and IDLE is no command,
// whatever has been written since it was asked.
func TestPrompted(t *testing.T) {
	var a amends
	a.line([]byte("a IDLE\r\n"))
	for _, p := range []string{"+ idling\r\n", "* 1 EXISTS\r\n"} {
		a.response([]byte(p), false)
	}
	if !a.line([]byte("DONE\r\n")) || a.line([]byte("DONE\r\n")) {
		t.Error("DONE ends IDLE, and only that")
	}
	a.line([]byte("b FETCH 1 BODY[]\r\n"))
	for _, p := range []string{"* 1 FETCH (BODY[] {9}\r\n", "+ a mail\r\n"} {
		a.response([]byte(p), false)
	}
	if a.line([]byte("no-command\r\n")) {
		t.Error("a mail has asked for something")
	}
}

// FuzzAmends: a line goes to the library or is answered, by one line that can
// be nothing else, and ID by its own answer.
func FuzzAmends(f *testing.F) {
	for _, seed := range []string{"a NOOP", "", "+ x", "a UID \"", "a SELECT \"\\", "\xff NOOP", "a] x", "STARTTLS STARTTLS", "a ID", "a id NIL"} {
		f.Add(seed)
	}
	one := regexp.MustCompile(`^([!-~]+ BAD \[CLIENTBUG\] [ -~]+|\* ID NIL\r\n[!-~]+ OK ID completed)\r\n$`)
	f.Fuzz(func(t *testing.T, line string) {
		var a amends
		handed := a.line([]byte(line + "\r\n"))
		if got := a.answers(); handed != (len(got) == 0) || !handed && !one.Match(got) {
			t.Errorf("%q: handed on %v, answered %q", line, handed, got)
		}
	})
}
