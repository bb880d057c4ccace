package localimap

import (
	"slices"
	"strings"
	"testing"
)

// What clients call themselves is shown; it may be said before login, and in literals,
// which new Outlook sends unasked.
func TestNamesOfClients(t *testing.T) {
	r := newRig(t)
	for _, say := range []string{
		"a ID (\"name\" \"Thunderbird\" \"version\" \"140.3\")",
		"a ID ({4+}\r\nname {7+}\r\nOutlook \"os\" NIL)",
		"a ID (\"NAME\" \"evil\x1b[31m \u202e" + strings.Repeat("x", 500) + "\")",
		"a ID NIL",
	} {
		k := r.talk("")
		k.send(say)
		k.want("* ID NIL")
		k.want("a OK")
		k.do("b LOGIN {3+}\r\njoe {2+}\r\npw", "b OK")
	}
	want := []string{"Outlook", "Thunderbird 140.3", "evil?[31m ?" + strings.Repeat("x", 46) + "..."}
	if got := r.server.Programs(); !slices.Equal(got, want) {
		t.Errorf("programs are %q", got)
	}
	if n, _, got := r.server.Connected("joe", "laptop"); n != 4 || !slices.Equal(got, want) {
		t.Errorf("%d connections of %q", n, got)
	}
}

// Several messages are stored in one step, or none of them (RFC 3502).
func TestSeveralMessagesInOneAppend(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	k.all("SELECT Drafts", "OK")
	k.all("APPEND Drafts (\\Seen) {3+}\r\none (\\Draft) \" 1-Jan-2026 12:00:00 +0000\" {5+}\r\nthree {2+}\r\nab", "OK [APPENDUID")
	k.same("FETCH 1:* (UID FLAGS RFC822.SIZE)", `1 FETCH (UID 1 FLAGS (\Seen \Recent) RFC822.SIZE 3)`,
		`2 FETCH (UID 2 FLAGS (\Draft \Recent) RFC822.SIZE 5)`, `3 FETCH (UID 3 FLAGS (\Recent) RFC822.SIZE 2)`)
	for _, bad := range []string{"{3+}\r\none (\\Draft", "{3+}\r\none {x}", "{3+}\r\none \"no date\" {2+}\r\nab", "{3+}\r\none x"} {
		k.all("APPEND Drafts "+bad, "BAD")
	}
	k.all("APPEND Drafts {3+}\r\none {300000000}", "NO [TOOBIG]")
	k.all("APPEND Nosuch {3+}\r\none {3+}\r\ntwo", "NO [TRYCREATE]")
	k.all("APPEND Drafts"+strings.Repeat(" {1+}\r\nx", maxAppends+1), "NO [LIMIT]")
	k.same("STATUS Drafts (MESSAGES)", "STATUS Drafts (MESSAGES 3)")
}

// REPLACE stores and expunges in one step (RFC 8508).
func TestReplace(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	k.all("APPEND Drafts (\\Draft) {3+}\r\none {3+}\r\ntwo", "OK")
	k.all("REPLACE 1 Drafts {1+}\r\nx", "BAD")
	k.all("SELECT Drafts", "OK")
	got := k.all("REPLACE 1 Drafts (\\Draft) {5+}\r\nthree", "OK")
	if len(got) != 4 || !strings.HasPrefix(got[0], "OK [APPENDUID ") || got[1] != "1 EXPUNGE" || got[2] != "2 EXISTS" {
		t.Errorf("REPLACE tells %q", got)
	}
	k.all("UID REPLACE 2 Sent {4+}\r\nsent", "OK")
	k.same("FETCH 1:* (UID FLAGS RFC822.SIZE)", `1 FETCH (UID 3 FLAGS (\Draft \Recent) RFC822.SIZE 5)`)
	k.all("REPLACE 2 Drafts {1+}\r\nx", "BAD")
	k.all("UID REPLACE 1 Drafts {1+}\r\nx", "NO [NONEXISTENT]")
	k.all("REPLACE 1:1 Drafts {1+}\r\nx", "OK")
	for _, bad := range []string{"REPLACE 1:* Drafts {1+}\r\nx", "REPLACE 1,1 Drafts {1+}\r\nx", "REPLACE $ Drafts {1+}\r\nx", "REPLACE 1 Drafts {1+}\r\nx {1+}\r\ny"} {
		k.all(bad, "BAD")
	}
	k.all("REPLACE 1 Nosuch {1+}\r\nx", "NO [TRYCREATE]")
	k.same("STATUS Sent (MESSAGES)", "STATUS Sent (MESSAGES 1)")
	k.all("EXAMINE Drafts", "OK")
	k.all("REPLACE 1 Drafts {1+}\r\nx", "NO")
	k.same("STATUS Drafts (MESSAGES)", "STATUS Drafts (MESSAGES 1)")
}

// Names are UTF-8 under UTF8=ACCEPT, and & is a letter like any other (RFC 6855
// section 3); other clients see them in modified UTF-7.
func TestNamesInUTF8(t *testing.T) {
	r := newRig(t)
	k, other := r.talk("joe"), r.talk("joe")
	k.same("ENABLE UTF8=ACCEPT", "ENABLED UTF8=ACCEPT")
	for _, name := range []string{`"R&D"`, `"Entw\xc3\xbcrfe"`, `"&Jjo-"`} {
		k.all("CREATE "+strings.ReplaceAll(name, `\xc3\xbc`, "ü"), "OK")
	}
	k.same(`LIST "" "*&*"`, `LIST (\HasNoChildren) / &Jjo-`, `LIST (\HasNoChildren) / R&D`)
	k.same(`LIST "" Entw*`, `LIST (\HasNoChildren) / Entwürfe`)
	k.all("SELECT R&D", "OK")
	k.all("CREATE \"a\u2028b\"", "BAD")
	k.all("SEARCH SUBJECT \"a\xfcb\"", "BAD")
	other.same(`LIST "" "*&-*"`, `LIST (\HasNoChildren) / &-Jjo-`, `LIST (\HasNoChildren) / R&-D`)
	other.all("SELECT Entw&APw-rfe", "OK")
	other.all("SELECT R&D", "BAD")
	k.all("APPEND R&D UTF8 (~{13+}\r\nSubject: \xc3\xbc\r\n)", "OK [APPENDUID")
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
	if got := cut(oneLine(text), maxAlert); len(got) != maxAlert || !strings.HasSuffix(got, "y...") {
		t.Errorf("%d characters: %s", len(got), got)
	}
	text = ""
	r.talk("").do("a LOGIN joe pw", "a OK")
}
