package localimap

import (
	"slices"
	"strings"
	"testing"
)

func TestOffer(t *testing.T) {
	for _, c := range []struct{ command, response, want string }{
		{"a CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 UTF8=ACCEPT MOVE\r\n", "* CAPABILITY IMAP4rev1\r\n"},
		{"a capability\r\n", "* CAPABILITY MOVE utf8=accept IDLE\r\n", "* CAPABILITY IDLE\r\n"},
		{"a CAPABILITY\r\n", "a OK [CAPABILITY IDLE MOVE UTF8=ACCEPT] MOVE in\r\n", "a OK [CAPABILITY IDLE] in\r\n"},
		{"a CAPABILITY\r\n", "a BAD MOVE CAPABILITY\r\n", "a BAD MOVE CAPABILITY\r\n"},
		{"a CAPABILITY MOVE\r\n", "* CAPABILITY MOVE\r\n", "* CAPABILITY MOVE\r\n"},
		{"a FETCH 1 BODY[]\r\n", "* CAPABILITY MOVE\r\n", "* CAPABILITY MOVE\r\n"},
	} {
		o := offerTo([]string{"MOVE"})
		o.command([]byte(c.command))
		if got := string(o.response([]byte(c.response))); got != c.want {
			t.Errorf("%q after %q became %q, want %q", c.response, c.command, got, c.want)
		}
	}
	for command, want := range map[string]string{
		"a ENABLE UTF8=ACCEPT\r\n":                      "a ENABLE\r\n",
		"a enable CONDSTORE imap4rev2 UTF8=ACCEPT\r\n":  "a enable CONDSTORE\r\n",
		"a ENABLE\r\n":                                  "a ENABLE\r\n",
		"a LIST \"\" UTF8=ACCEPT\r\n":                   "a LIST \"\" UTF8=ACCEPT\r\n",
		"a CREATE MOVE\r\n":                             "a CREATE MOVE\r\n",
		"a ENABLE UTF8=ACCEPT X-UTF8=ACCEPT MOVEMENT\r": "a ENABLE X-UTF8=ACCEPT MOVEMENT\r",
	} {
		o := offerTo([]string{"MOVE"})
		if got := string(o.command([]byte(command))); got != want {
			t.Errorf("%q became %q, want %q", command, got, want)
		}
	}
}

// FuzzOffer: words are taken out of a line, and nothing else happens to it.
func FuzzOffer(f *testing.F) {
	f.Add("a ENABLE UTF8=ACCEPT IMAP4rev2\r\n")
	f.Add("* CAPABILITY IMAP4rev1 MOVE UTF8=ACCEPT]\r\n")
	f.Add("  UTF8=ACCEPT]]\r\n  ")
	f.Fuzz(func(t *testing.T, line string) {
		o := offerTo([]string{"MOVE"})
		words := strings.FieldsFunc(string(o.strip([]byte(line))), func(r rune) bool { return strings.ContainsRune(" ]\r\n", r) })
		want := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" ]\r\n", r) })
		off := func(w string) bool {
			return slices.ContainsFunc(o.without, func(name string) bool { return strings.EqualFold(w, name) })
		}
		for i, n := 0, 0; i < len(want); i++ {
			switch {
			case n < len(words) && words[n] == want[i]:
				n++
			case !off(want[i]):
				t.Fatalf("%q became %q", line, words)
			}
			if i == len(want)-1 && n < len(words) {
				t.Fatalf("%q became %q", line, words)
			}
		}
		o.without = nil
		if got := string(o.strip([]byte(line))); got != line {
			t.Errorf("%q became %q", line, got)
		}
	})
}

// TestAnAlertIsOneLine: right after login, whatever is in it.
func TestAnAlertIsOneLine(t *testing.T) {
	text := "account home: \"x\r\n* BYE\x1b[31m é\" " + strings.Repeat("y", maxAlert)
	r := newRig(t, func(o *Options) {
		o.Alert = func(user, device string) string {
			if user != "joe" || device != "laptop" {
				return ""
			}
			return text
		}
	})
	for _, command := range []string{"LOGIN joe pw", "AUTHENTICATE PLAIN AGpvZQBwdw=="} {
		k := r.talk("")
		k.do("a "+command, "* OK [ALERT] account home: \"x * BYE?[31m ?\" yyy")
		k.want("a OK")
		k.all("NOOP", "OK")
	}
	if got := oneLine(text); len(got) != maxAlert || !strings.HasSuffix(got, "y...") {
		t.Errorf("%d characters: %s", len(got), got)
	}
	text = ""
	r.talk("").do("a LOGIN joe pw", "a OK")
}
