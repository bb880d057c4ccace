package localimap

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// dialogue is a client with INBOX open.
func (r *rig) dialogue(mail ...string) *talk {
	r.t.Helper()
	r.deliver("INBOX", nil, mail...)
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	return k
}

// says sends a command and wants these lines, or prefixes of them, and no others.
func (k *talk) says(command string, want ...string) {
	k.t.Helper()
	k.send("t " + command)
	for _, prefix := range want {
		line := k.line()
		if exact := !strings.HasPrefix(prefix, "t "); exact && line != prefix || !strings.HasPrefix(line, prefix) {
			k.t.Errorf("%s\n%s\nwant\n%s", command, line, prefix)
		}
		if strings.HasPrefix(line, "t ") {
			return
		}
	}
}

// TestSort: internal dates are those of rig.deliver, a day apart.
func TestSort(t *testing.T) {
	k := newRig(t).dialogue(
		"From: zoe@a\r\nTo: \"Y\" <b@x>\r\nSubject: Re: beta\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\n\r\n",
		"From: \"Adam\" <young@a>\r\nTo: \"X\" <c@x>\r\nSubject: alpha\r\n\r\nno date: received on 3 January",
		"From: anna@a\r\nTo: a@x\r\nSubject: Beta\r\nDate: Wed, 31 Dec 2025 23:00:00 -0300\r\n\r\nlarge "+strings.Repeat("x", 99),
		"Subject: =?utf-8?q?=C3=A4lpha?=\r\nDate: garbage\r\nReferences: "+strings.Repeat("<a@b> ", 1000)+"\r\n\r\nheader in the file only",
	)
	for _, tt := range []struct{ command, want string }{
		{"SORT (ARRIVAL) UTF-8 ALL", "* SORT 1 2 3 4"},
		{"SORT (REVERSE ARRIVAL) UTF-8 ALL", "* SORT 4 3 2 1"},
		{"SORT (DATE) UTF-8 ALL", "* SORT 3 1 2 4"},
		{"SORT (SUBJECT) UTF-8 ALL", "* SORT 2 4 1 3"},
		{"SORT (SUBJECT REVERSE DATE) US-ASCII ALL", "* SORT 2 4 1 3"},
		{"sort (from) \"utf-8\" 1:3", "* SORT 3 2 1"},
		{"SORT (TO) UTF-8 1:3", "* SORT 3 1 2"},
		{"SORT (DISPLAYFROM) UTF-8 1:3", "* SORT 2 3 1"},
		{"SORT (DISPLAYTO) UTF-8 1:3", "* SORT 3 2 1"},
		{"SORT (CC) UTF-8 ALL", "* SORT 1 2 3 4"},
		{"UID SORT (REVERSE SIZE) UTF-8 2:3", "* SORT 3 2"},
		{"SORT (DATE) UTF-8 SUBJECT nothing", "* SORT"},
		{"SORT RETURN () (DATE) UTF-8 ALL", `* ESEARCH (TAG "t") ALL 3,1:2,4`},
		{"UID SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL", `* ESEARCH (TAG "t") UID MIN 3 MAX 4 COUNT 4`},
		{"SORT RETURN (PARTIAL 2:9) (DATE) UTF-8 ALL", `* ESEARCH (TAG "t") PARTIAL (2:9 1:2,4)`},
		{"SORT RETURN (PARTIAL -1:-2) (DATE) UTF-8 ALL", `* ESEARCH (TAG "t") PARTIAL (-1:-2 2,4)`},
		{"SORT (DATE) KOI8-R SUBJECT {1+}\r\n\xd0", "* SORT"},
	} {
		k.says(tt.command, tt.want, "t OK")
	}
	k.says("SORT RETURN (MIN MAX SAVE) (DATE) UTF-8 1,3", `* ESEARCH (TAG "t") MIN 3 MAX 1`, "t OK")
	k.says("SEARCH $", "* SEARCH 1 3", "t OK")
	for _, command := range []string{
		"SORT", "SORT ()", "SORT () UTF-8 ALL", "SORT (REVERSE) UTF-8 ALL", "SORT (REVERSE REVERSE DATE) UTF-8 ALL", "SORT (DATE REVERSE) UTF-8 ALL", "SORT (BODY) UTF-8 ALL", "SORT DATE UTF-8 ALL",
		"SORT (DATE) ALL", "SORT (DATE) UTF-8", "SORT (DATE) UTF-8 NONSENSE", "SORT (DATE)UTF-8 ALL", "SORT RETURN (NONE) (DATE) UTF-8 ALL", "SORT RETURN (PARTIAL 1:2 ALL) (DATE) UTF-8 ALL",
	} {
		k.says(command, "t BAD")
	}
	k.says("SORT ("+strings.Repeat("DATE ", maxCriteria)+"SIZE) UTF-8 ALL", "t NO [LIMIT]")
	k.says("SORT (DATE) X-NONE ALL", "t NO [BADCHARSET (US-ASCII UTF-8 ")
}

func TestThread(t *testing.T) {
	k := newRig(t).dialogue("Message-ID: <a@x>\r\nSubject: x\r\n\r\n", "Message-ID: <b@x>\r\nIn-Reply-To: <a@x> <q@x>\r\nSubject: y\r\n\r\n", "Subject: y\r\n\r\n")
	k.says("THREAD REFERENCES UTF-8 ALL", "* THREAD (1 2)(3)", "t OK")
	k.says("UID THREAD ORDEREDSUBJECT US-ASCII 2:3", "* THREAD (2 3)", "t OK")
	k.says("THREAD REFS UTF-8 SUBJECT none", "* THREAD", "t OK")
	k.says("THREAD BOGUS UTF-8 ALL", "t BAD")
	k.says("THREAD REFERENCES ALL", "t BAD")
	k.says("THREAD REFERENCES UTF-8 NONSENSE", "t BAD")
	k.says("THREAD REFERENCES X-NONE ALL", "t NO [BADCHARSET (")
}

// TestSearchResults has what RFC 4731, 5182 and 9394 say about results, and what
// Dovecot answers for numbers that are out of range.
func TestSearchResults(t *testing.T) {
	k := newRig(t).dialogue("Subject: a\r\n\r\n", "Subject: b\r\n\r\n", "Subject: c\r\n\r\n", "Subject: d\r\n\r\n", "Subject: e\r\n\r\n")
	for _, tt := range []struct{ command, want string }{
		{"SEARCH 9", "* SEARCH"}, {"SEARCH 4:9", "* SEARCH 4 5"}, {"SEARCH NOT 4:9", "* SEARCH 1 2 3"}, {"SEARCH 9:*", "* SEARCH 5"}, {"UID SEARCH UID 4:9", "* SEARCH 4 5"},
		{"SEARCH RETURN () SUBJECT none", `* ESEARCH (TAG "t")`},
		{"SEARCH RETURN (MIN MAX COUNT) SUBJECT none", `* ESEARCH (TAG "t") COUNT 0`},
		{"UID SEARCH RETURN (MIN ALL) 2:3", `* ESEARCH (TAG "t") UID MIN 2 ALL 2:3`},
		{"SEARCH RETURN (PARTIAL 2:3) ALL", `* ESEARCH (TAG "t") PARTIAL (2:3 2:3)`},
		{"SEARCH RETURN (PARTIAL 3:2 COUNT) ALL", `* ESEARCH (TAG "t") PARTIAL (2:3 2:3) COUNT 5`},
		{"UID SEARCH RETURN (PARTIAL -1:-2) ALL", `* ESEARCH (TAG "t") UID PARTIAL (-1:-2 4:5)`},
		{"SEARCH RETURN (PARTIAL -4:-4294967295) ALL", `* ESEARCH (TAG "t") PARTIAL (-4:-4294967295 1:2)`},
		{"SEARCH RETURN (PARTIAL 6:9) ALL", `* ESEARCH (TAG "t") PARTIAL (6:9 NIL)`},
		{"SEARCH RETURN (PARTIAL 1:9) SUBJECT none", `* ESEARCH (TAG "t") PARTIAL (1:9 NIL)`},
		{"SEARCH LARGER 3 BEFORE 4-Jan-2026", "* SEARCH 1 2"}, {"SEARCH OR SMALLER 3 ON 3-Jan-2026", "* SEARCH 2"},
		{"SEARCH OLDER 1", "* SEARCH 1 2 3 4 5"}, {"SEARCH YOUNGER 1", "* SEARCH"},
	} {
		k.says(tt.command, tt.want, "t OK")
	}
	saved := func(command, want string) {
		t.Helper()
		k.send("t " + command)
		k.want("t ")
		k.says("SEARCH $", strings.TrimRight("* SEARCH "+want, " "), "t OK")
	}
	saved("SEARCH RETURN (SAVE) 2:4", "2 3 4")
	saved("SEARCH RETURN (SAVE) NONSENSE", "2 3 4")
	saved("SEARCH RETURN (SAVE NONSENSE) ALL", "2 3 4")
	saved("SEARCH RETURN (SAVE) CHARSET X-NONE ALL", "")
	saved("SEARCH RETURN (SAVE MIN MAX) ALL", "1 5")
	saved("SEARCH RETURN (SAVE MIN COUNT) 2:4", "2 3 4")
	saved("SEARCH RETURN (SAVE PARTIAL 2:3) ALL", "2 3")
	saved("SEARCH RETURN (SAVE PARTIAL 2:3 MAX) ALL", "2 3 5")
	saved("SEARCH RETURN (SAVE PARTIAL 2:3 COUNT) ALL", "1 2 3 4 5")
	k.says("SEARCH RETURN (SAVE) 2:4", "t OK")
	for _, command := range []string{
		"SEARCH RETURN (PARTIAL 1:2 ALL) ALL", "SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL", "SEARCH RETURN (PARTIAL 0:2) ALL", "SEARCH RETURN (PARTIAL -1:2) ALL", "SEARCH RETURN (PARTIAL 1:-2) ALL", "SEARCH RETURN (PARTIAL 1:*) ALL",
		"SEARCH RETURN (PARTIAL) ALL", "SEARCH RETURN (PARTIAL 1) ALL", "SEARCH YOUNGER 0", "SEARCH OLDER -1", "SEARCH OLDER x", "SEARCH OLDER",
	} {
		k.says(command, "t BAD")
	}
}

// TestSearchCharset: needles in any charset, and what stands in the second line of
// a field that is there twice.
func TestSearchCharset(t *testing.T) {
	k := newRig(t).dialogue("From: a@x\r\nFrom: =?utf-8?q?=D0=9F=D1=80=D0=B8?= <b@x>\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\n\r\nbody \xc3\xbcber\r\n", "Subject: other\r\nX-Note: one\r\nX-Note: two\r\n\r\n")
	for _, tt := range []struct{ command, want string }{
		{"SEARCH CHARSET KOI8-R FROM {3+}\r\n\xf0\xd2\xc9", "* SEARCH 1"},
		{"SEARCH CHARSET iso-8859-1 SUBJECT {2+}\r\n\xfc\xdf BODY {2+}\r\n\xfcb", "* SEARCH 1"},
		{"SEARCH CHARSET UTF-8 SUBJECT {4+}\r\n\xc3\xbc\xc3\x9f", "* SEARCH 1"},
		{"SEARCH CHARSET SHIFT_JIS BODY body", "* SEARCH 1"},
		{"SEARCH FROM a@x FROM b@x", "* SEARCH 1"},
		{"SEARCH HEADER X-NOTE two", "* SEARCH 2"},
	} {
		k.says(tt.command, tt.want, "t OK")
	}
	k.says("SEARCH CHARSET X-NONE SUBJECT {1+}\r\nx", "t NO [BADCHARSET (")
	k.says("SEARCH CHARSET UTF-16 ALL", "t NO [BADCHARSET (")
	k.says("SEARCH CHARSET X-NONE SUBJECT", "t BAD")
	k.says("ENABLE UTF8=ACCEPT", "* ENABLED UTF8=ACCEPT", "t OK")
	k.says("SEARCH CHARSET UTF-8 ALL", "t BAD")
}

func TestFetchPreviewAndPages(t *testing.T) {
	k := newRig(t).dialogue("\r\nHello\r\n  world\r\n", "Content-Type: image/png\r\n\r\nx", "Content-Type: text/html; charset=utf-8\r\n\r\n<p>gr\xc3\xbc\xc3\x9fe</p>")
	k.says("FETCH 1 PREVIEW", `* 1 FETCH (PREVIEW "Hello world")`, "t OK")
	k.says("FETCH 1:2 (PREVIEW (LAZY) UID)", `* 1 FETCH (UID 1 PREVIEW "Hello world")`, `* 2 FETCH (UID 2 PREVIEW "")`, "t OK")
	k.says("FETCH 1 PREVIEW (LAZY)", `* 1 FETCH (PREVIEW "Hello world")`, "t OK")
	k.says("FETCH 3 (PREVIEW)", "* 3 FETCH (PREVIEW {7}", "grüße)", "t OK")
	k.says("FETCH 1 FLAGS", `* 1 FETCH (FLAGS (\Recent))`, "t OK") // not \Seen
	k.says("FETCH 1 (PREVIEW (EAGER))", "t BAD")
	k.says("UID FETCH 1:* UID (PARTIAL -1:-2)", "* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "t OK")
	k.says("UID FETCH 1:* (UID) (PARTIAL 1:1)", "* 1 FETCH (UID 1)", "t OK")
	k.says("UID FETCH 1:* UID (PARTIAL 4:9)", "t OK")
	k.says("FETCH 1:* UID (PARTIAL 1:1)", "t BAD")
	k.says("UID FETCH 1:* UID (PARTIAL 1:1 PARTIAL 2:2)", "t BAD")
	k.says("UID FETCH 1:* UID (NONSENSE)", "t BAD")
}

// TestSwitchedOffOrder: what is switched off for a device is not there.
func TestSwitchedOffOrder(t *testing.T) {
	r := newDeviceRig(t, mailstore.Device{Name: "old", Without: []string{"ESEARCH", "ESORT", "PARTIAL", "PREVIEW", "SORT=DISPLAY", "THREAD=REFS", "WITHIN"}})
	r.deliver("INBOX", nil, "Subject: a\r\n\r\n")
	k := r.device("old")
	k.do("a SELECT INBOX", "a OK")
	caps := k.do("c CAPABILITY", "* CAPABILITY")
	k.want("c OK")
	if !strings.Contains(caps, " SORT ") || !strings.Contains(caps, " THREAD=REFERENCES ") || strings.Contains(caps, "THREAD=REFS") || strings.Contains(caps, "DISPLAY") {
		t.Error(caps)
	}
	for _, command := range []string{"SORT RETURN () (DATE) UTF-8 ALL", "SORT (DISPLAYTO) UTF-8 ALL", "THREAD REFS UTF-8 ALL", "SEARCH OLDER 1", "SEARCH RETURN () ALL", "SORT RETURN (PARTIAL 1:2) (DATE) UTF-8 ALL", "FETCH 1 PREVIEW", "UID FETCH 1 UID (PARTIAL 1:2)"} {
		k.says(command, "t BAD")
	}
	k.says("SORT (DATE) UTF-8 ALL", "* SORT 1", "t OK")
}
