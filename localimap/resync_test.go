package localimap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// exactly sends a command and wants all its responses, the tagged one too, in which {V}
// stands for UIDVALIDITY of INBOX and {M+n} for the HIGHESTMODSEQ that base has, plus n. \Recent is left out.
func (k *talk) exactly(base mailstore.Mailbox, line string, want ...string) {
	k.t.Helper()
	fill := func(s string) string {
		s = strings.ReplaceAll(s, "{V}", fmt.Sprint(base.UIDValidity))
		for i := range 20 {
			s = strings.ReplaceAll(s, fmt.Sprintf("{M+%d}", i), fmt.Sprint(int(base.HighestModSeq)+i))
		}
		return s
	}
	k.send("x " + fill(line))
	var got []string
	for {
		l := k.line()
		if k.err != nil {
			k.t.Fatalf("%s: %v", line, k.err)
		}
		if rest, ok := strings.CutPrefix(l, "x "); ok {
			got = append(got, rest)
			break
		}
		if l = strings.ReplaceAll(strings.TrimPrefix(l, "* "), ` \Recent)`, ")"); !strings.HasSuffix(l, " RECENT") {
			got = append(got, strings.ReplaceAll(l, `(\Recent)`, "()"))
		}
	}
	for i := range want {
		want[i] = fill(want[i])
	}
	if want[0] == "…" { // only how it ends
		want = want[1:]
		got = got[max(0, len(got)-len(want)):]
	}
	if !slices.Equal(got, want) {
		k.t.Errorf("%s:\n\t%s\nwant:\n\t%s", fill(line), strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func newResyncRig(t *testing.T, n int, devices ...mailstore.Device) (*deviceRig, mailstore.Mailbox) {
	t.Helper()
	r := newDeviceRig(t, devices...)
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i+1, i+1))
	}
	r.deliver("INBOX", nil, texts...)
	box, err := r.store.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	return r, box
}

func TestModificationSequences(t *testing.T) {
	r, box := newResyncRig(t, 4)
	k, other := r.talk("joe"), r.talk("joe")
	k.exactly(box, "SELECT INBOX (CONDSTORE)", "…", "OK [UIDNEXT 5] Predicted next UID", "OK [HIGHESTMODSEQ {M+0}] Highest",
		"OK [MAILBOXID (F{V})] Object", "OK [READ-WRITE] SELECT completed")
	other.all("SELECT INBOX", "OK")
	for _, c := range []struct {
		by   *talk
		line string
		want []string
	}{
		{k, "FETCH 1 (MODSEQ)", []string{"1 FETCH (MODSEQ ({M+0}))", "OK FETCH completed"}},
		{k, "STORE 1 +FLAGS (\\Seen)", []string{"1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ({M+1}))", "OK STORE completed"}},
		{k, "STORE 2 +FLAGS.SILENT (\\Seen)", []string{"2 FETCH (UID 2 MODSEQ ({M+2}))", "OK STORE completed"}},
		{k, "STORE 2 +FLAGS.SILENT (\\Seen)", []string{"OK STORE completed"}}, // nothing changes
		{other, "NOOP", []string{"1 FETCH (FLAGS (\\Seen))", "2 FETCH (FLAGS (\\Seen))", "OK NOOP completed"}},
		{other, "STORE 3 FLAGS (\\Flagged)", []string{"3 FETCH (FLAGS (\\Flagged))", "OK STORE completed"}},

		// What another one changed is left; what was told is told once.
		{k, "UID STORE 2:4 (UNCHANGEDSINCE {M+2}) +FLAGS.SILENT (\\Deleted)", []string{"2 FETCH (UID 2 MODSEQ ({M+4}))", "4 FETCH (UID 4 MODSEQ ({M+4}))",
			"3 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ ({M+3}))", "OK [MODIFIED 3] Conditional STORE failed"}},
		{k, "STORE 1,4 (UNCHANGEDSINCE {M+1}) -FLAGS (\\Deleted)", []string{"1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ({M+1}))", "OK [MODIFIED 4] Conditional STORE failed"}},
		{k, "STORE 1:4 (UNCHANGEDSINCE 0) FLAGS ()", []string{"OK [MODIFIED 1:4] Conditional STORE failed"}},
		{k, "STORE 1 (UNCHANGED 0) FLAGS ()", []string{"BAD [CLIENTBUG] Unknown modifier of STORE"}},
		{k, "STORE 1 (UNCHANGEDSINCE -1) FLAGS ()", []string{"BAD [CLIENTBUG] Expected a number"}},

		{k, "FETCH 1:* (FLAGS) (CHANGEDSINCE {M+2})", []string{"2 FETCH (FLAGS (\\Seen \\Deleted) MODSEQ ({M+4}))",
			"3 FETCH (FLAGS (\\Flagged) MODSEQ ({M+3}))", "4 FETCH (FLAGS (\\Deleted) MODSEQ ({M+4}))", "OK FETCH completed"}},
		{k, "UID FETCH 1:* (UID) (CHANGEDSINCE 0)", []string{"1 FETCH (UID 1 MODSEQ ({M+1}))", "2 FETCH (UID 2 MODSEQ ({M+4}))",
			"3 FETCH (UID 3 MODSEQ ({M+3}))", "4 FETCH (UID 4 MODSEQ ({M+4}))", "OK UID FETCH completed"}},
		{k, "FETCH 1:* (FLAGS) (CHANGEDSINCE {M+4})", []string{"OK FETCH completed"}},
		{k, "FETCH 1:* (FLAGS) (CHANGEDSINCE 9223372036854775808)", []string{"BAD [CLIENTBUG] A number is too large"}},
		{k, "FETCH 1:* (FLAGS) (CHANGED 1)", []string{"BAD [CLIENTBUG] Unknown modifier of FETCH"}},
		{k, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)", []string{"BAD [CLIENTBUG] VANISHED is for UID FETCH with CHANGEDSINCE, and QRESYNC is to be enabled before"}},

		{k, "SEARCH MODSEQ {M+3}", []string{"SEARCH 2 3 4 (MODSEQ {M+4})", "OK SEARCH completed"}},
		{k, `UID SEARCH MODSEQ "/flags/\\Seen" all {M+4} SEEN`, []string{"SEARCH 2 (MODSEQ {M+4})", "OK UID SEARCH completed"}},
		{k, "SEARCH MODSEQ {M+5}", []string{"SEARCH", "OK SEARCH completed"}},
		{k, "SEARCH OR MODSEQ {M+9} NOT MODSEQ {M+2}", []string{"SEARCH 1 (MODSEQ {M+1})", "OK SEARCH completed"}},
		{k, "SEARCH RETURN (MIN) MODSEQ 1", []string{`ESEARCH (TAG "x") MIN 1 MODSEQ {M+1}`, "OK SEARCH completed"}},
		{k, "SEARCH RETURN (MAX MIN) NOT SEEN MODSEQ 1", []string{`ESEARCH (TAG "x") MIN 3 MAX 4 MODSEQ {M+4}`, "OK SEARCH completed"}},
		{k, "SEARCH RETURN (ALL COUNT) MODSEQ 1", []string{`ESEARCH (TAG "x") ALL 1:4 MODSEQ {M+4} COUNT 4`, "OK SEARCH completed"}},
		{k, "SEARCH RETURN (COUNT) MODSEQ {M+9}", []string{`ESEARCH (TAG "x") COUNT 0`, "OK SEARCH completed"}},
		{k, `SEARCH MODSEQ "/flags/\\Seen" some 1`, []string{"BAD [CLIENTBUG] Expected all, priv or shared"}},
		{k, "SEARCH ALL", []string{"SEARCH 1 2 3 4", "OK SEARCH completed"}},

		// Others see the modification sequence once they have asked for one.
		{other, "STATUS INBOX (HIGHESTMODSEQ MAILBOXID)", []string{"OK [HIGHESTMODSEQ {M+3}] Highest", `STATUS INBOX (HIGHESTMODSEQ {M+4} MAILBOXID (F{V}))`,
			"2 FETCH (UID 2 FLAGS (\\Seen \\Deleted) MODSEQ ({M+4}))", "4 FETCH (UID 4 FLAGS (\\Deleted) MODSEQ ({M+4}))", "OK STATUS completed"}},
		{k, "FETCH 4 BODY[TEXT]", []string{"4 FETCH (UID 4 FLAGS (\\Seen \\Deleted) MODSEQ ({M+5}) BODY[TEXT] {3}", "4", ")", "OK FETCH completed"}},
		{k, "EXPUNGE", []string{"4 EXPUNGE", "2 EXPUNGE", "OK [HIGHESTMODSEQ {M+6}] EXPUNGE completed"}},
		{k, "EXPUNGE", []string{"OK EXPUNGE completed"}},

		// As long as removals are not told, the client is not as far as FETCH says.
		{other, "FETCH 4 (MODSEQ)", []string{"4 FETCH (MODSEQ ({M+4}))", "OK [HIGHESTMODSEQ {M+4}] FETCH completed"}},
		{other, "STORE 1,2 (UNCHANGEDSINCE {M+9}) +FLAGS (New)", []string{"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft New)",
			"1 FETCH (UID 1 FLAGS (\\Seen New) MODSEQ ({M+7}))", "OK [HIGHESTMODSEQ {M+4}] Highest", "NO [MODIFIED 2] Some of the messages have been expunged by another client"}},
		{other, "NOOP", []string{"4 EXPUNGE", "2 EXPUNGE", "OK [HIGHESTMODSEQ {M+7}] NOOP completed"}},
		{other, "STORE 2 +FLAGS.SILENT (\\Deleted)", []string{"2 FETCH (UID 3 MODSEQ ({M+8}))", "OK STORE completed"}},
		{other, "CLOSE", []string{"OK CLOSE completed"}},
	} {
		c.by.exactly(box, c.line, c.want...)
	}
}

func TestQuickResync(t *testing.T) {
	r, box := newResyncRig(t, 9)
	k, other := r.talk("joe"), r.talk("joe")
	k.exactly(box, "SELECT INBOX (QRESYNC ({V} 1))", "BAD [CLIENTBUG] QRESYNC is to be enabled before")
	k.exactly(box, "ENABLE QRESYNC", "ENABLED QRESYNC", "OK ENABLE completed")
	other.all("SELECT INBOX", "OK")
	other.all("STORE 2,3,7,9 +FLAGS (\\Deleted)", "OK") // M+1
	other.all("EXPUNGE", "OK")                          // M+2
	other.all("STORE 1 +FLAGS (\\Seen)", "OK")          // M+3
	first := []string{"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)", "OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] Flags can be changed",
		"5 EXISTS", "OK [UNSEEN 2] First unseen message", "OK [UIDVALIDITY {V}] UIDs are valid", "OK [UIDNEXT 10] Predicted next UID",
		"OK [HIGHESTMODSEQ {M+3}] Highest", "OK [MAILBOXID (F{V})] Object"}
	last := "OK [READ-WRITE] SELECT completed"
	seen := "1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ({M+3}))"
	for _, c := range []struct {
		params string
		want   []string
	}{
		{"(QRESYNC ({V} {M+0}))", []string{"VANISHED (EARLIER) 2:3,7,9", seen, last}},
		{"(CONDSTORE QRESYNC ({V} {M+0}))", []string{"VANISHED (EARLIER) 2:3,7,9", seen, last}}, // eM Client
		{"(QRESYNC ({V} {M+0} 3:8))", []string{"VANISHED (EARLIER) 3,7", last}},
		{"(QRESYNC ({V} {M+0} 1,9:99))", []string{"VANISHED (EARLIER) 9", seen, last}},
		{"(QRESYNC ({V} {M+0} 1:4294967295 (1,5 1,9)))", []string{"VANISHED (EARLIER) 2:3,7,9", seen, last}},
		{"(QRESYNC ({V} {M+0} (1 1)))", []string{"VANISHED (EARLIER) 2:3,7,9", seen, last}}, // what is known needs no guess
		{"(QRESYNC ({V} {M+2}))", []string{seen, last}},
		{"(QRESYNC ({V} {M+3}))", []string{last}},
		{"(QRESYNC (77 {M+0}))", []string{last}},
		{"(CONDSTORE)", []string{last}},
	} {
		k.exactly(box, "SELECT INBOX "+c.params, slices.Concat(first, c.want)...)
		k.exactly(box, "UNSELECT", "OK UNSELECT completed")
	}
	for line, why := range map[string]string{
		"(QRESYNC ({V} {M+0} 1:*))":         "* and $ are not allowed here",
		"(QRESYNC ({V} {M+0} $))":           "* and $ are not allowed here",
		"(QRESYNC ({V} {M+0} 1:9 (* 1)))":   "* and $ are not allowed here",
		"(QRESYNC ({V}))":                   "Expected a space",
		"(QRESYNC ({V} x))":                 "Expected a number",
		"(QRESYNC ({V} 1 1:9 (1 1) 2))":     `Expected ')'`,
		"(QRESYNC ({V} 1 1:9 (1)))":         "Expected a space",
		"(QRESYNC)":                         "Expected a space",
		"(QRESYNC ({V} 1)":                  "Expected a space",
		"(OTHER)":                           "Unknown parameter of SELECT",
		"QRESYNC":                           `Expected '('`,
		"(QRESYNC ({V} 18446744073709551))": "",
	} {
		if why != "" {
			k.exactly(box, "SELECT INBOX "+line, "BAD [CLIENTBUG] "+why)
		}
	}

	k.all("SELECT Trash", "OK")
	k.exactly(box, "EXAMINE INBOX (CONDSTORE)", "…", "OK [MAILBOXID (F{V})] Object", "OK [READ-ONLY] EXAMINE completed")
	if got := k.all("SELECT INBOX", "OK"); got[0] != "OK [CLOSED] Previous mailbox is closed" {
		t.Errorf("closed by %q", got[0])
	}
	k.exactly(box, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE {M+0} VANISHED)", "VANISHED (EARLIER) 2:3,7,9", seen, "OK UID FETCH completed")
	k.exactly(box, "UID FETCH 9:* (FLAGS) (VANISHED CHANGEDSINCE {M+0})", "VANISHED (EARLIER) 9", "OK UID FETCH completed") // SOGo: * reaches UIDNEXT-1
	k.exactly(box, "UID FETCH 1:2 (UID) (CHANGEDSINCE {M+2} VANISHED)", "1 FETCH (UID 1 MODSEQ ({M+3}))", "OK UID FETCH completed")
	k.exactly(box, "UID FETCH 1:* (FLAGS) (VANISHED)", "BAD [CLIENTBUG] VANISHED is for UID FETCH with CHANGEDSINCE, and QRESYNC is to be enabled before")
	k.exactly(box, "FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)", "BAD [CLIENTBUG] VANISHED is for UID FETCH with CHANGEDSINCE, and QRESYNC is to be enabled before")
}

// After ENABLE QRESYNC nothing is told by EXPUNGE any more, and what no one asked for
// has the UID.
func TestVanishedTakesThePlaceOfExpunge(t *testing.T) {
	r, box := newResyncRig(t, 9)
	k, other := r.talk("joe"), r.talk("joe")
	k.all("SELECT INBOX", "OK")
	other.all("SELECT INBOX", "OK")
	k.exactly(box, "ENABLE QRESYNC", "OK [HIGHESTMODSEQ {M+0}] Highest", "ENABLED QRESYNC", "OK ENABLE completed")
	other.all("STORE 1,2,4 +FLAGS (\\Deleted)", "OK") // M+1
	k.exactly(box, "NOOP", "1 FETCH (UID 1 FLAGS (\\Deleted) MODSEQ ({M+1}))", "2 FETCH (UID 2 FLAGS (\\Deleted) MODSEQ ({M+1}))",
		"4 FETCH (UID 4 FLAGS (\\Deleted) MODSEQ ({M+1}))", "OK NOOP completed")
	other.all("EXPUNGE", "OK") // M+2
	k.exactly(box, "FETCH 9 (UID)", "9 FETCH (UID 9)", "OK [HIGHESTMODSEQ {M+1}] FETCH completed")
	k.exactly(box, "NOOP", "VANISHED 1:2,4", "OK [HIGHESTMODSEQ {M+2}] NOOP completed")
	k.exactly(box, "MOVE 2 Trash", "OK [COPYUID "+fmt.Sprint(r.validity("Trash"))+" 5 1] Messages moved", "VANISHED 5", "OK [HIGHESTMODSEQ {M+3}] MOVE completed")
	k.exactly(box, "STORE 1 +FLAGS (\\Deleted)", "1 FETCH (UID 3 FLAGS (\\Deleted) MODSEQ ({M+4}))", "OK STORE completed")
	k.exactly(box, "UID EXPUNGE 1:3", "VANISHED 3", "OK [HIGHESTMODSEQ {M+5}] UID EXPUNGE completed")
	k.exactly(box, "UID EXPUNGE 1:3", "OK UID EXPUNGE completed")
	k.send("y IDLE")
	k.want("+ ")
	other.all("UID STORE 6 FLAGS (\\Deleted)", "OK") // M+6
	if got := k.line(); got != fmt.Sprintf(`* 1 FETCH (UID 6 FLAGS (\Deleted \Recent) MODSEQ (%d))`, box.HighestModSeq+6) {
		t.Errorf("IDLE: %s", got)
	}
	other.all("EXPUNGE", "OK") // M+7
	if got := k.line(); got != "* VANISHED 6" {
		t.Errorf("IDLE: %s", got)
	}
	k.send("DONE")
	k.want(fmt.Sprintf("y OK [HIGHESTMODSEQ %d] IDLE completed", box.HighestModSeq+7))
	other.all("UID STORE 7 +FLAGS (\\Deleted)", "OK") // M+8
	// CLOSE is silent, and gives no modification sequence where something was not told.
	k.exactly(box, "CLOSE", "OK CLOSE completed") // M+9
	other.all("CREATE a", "OK [MAILBOXID (F")
	k.all("SELECT a", "OK")
	other.all("RENAME a b", "OK")
	id := "F" + fmt.Sprint(r.validity("b"))
	k.exactly(box, "SELECT b", "…", "OK [MAILBOXID ("+id+")] Object", "OK [READ-WRITE] SELECT completed")
	k.exactly(box, "STATUS b (MAILBOXID MESSAGES)", `STATUS "b" (MAILBOXID (`+id+`) MESSAGES 0)`, "OK STATUS completed")
}

func (r *deviceRig) validity(name string) uint32 {
	r.t.Helper()
	box, err := r.store.Mailbox(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return box.UIDValidity
}

func TestSaveDateAndObjectID(t *testing.T) {
	r, box := newResyncRig(t, 2)
	k := r.talk("joe")
	k.all("SELECT INBOX", "OK")
	k.all("COPY 2 INBOX", "OK")
	id := func(set string) (ids []string) {
		for _, line := range k.all("FETCH "+set+" (EMAILID THREADID SAVEDATE)", "OK") {
			var n int
			var email, date string
			if _, err := fmt.Sscanf(line, "%d FETCH (SAVEDATE %s", &n, &date); err != nil || !strings.HasPrefix(date, time.Now().UTC().Format("2-Jan-2006")) {
				t.Errorf("%s: %v", line, err)
			}
			_, email, _ = strings.Cut(line, "EMAILID (")
			email, rest, _ := strings.Cut(email, ")")
			if rest != " THREADID NIL)" {
				t.Errorf("%s", line)
			}
			ids = append(ids, email)
		}
		return ids
	}
	ids := id("1:3")
	if len(ids) != 3 || ids[0] == ids[1] || ids[1] != ids[2] {
		t.Fatalf("ids %q", ids)
	}
	k.exactly(box, "SEARCH EMAILID "+ids[1], "SEARCH 2 3", "OK SEARCH completed")
	k.exactly(box, "SEARCH NOT EMAILID "+ids[1]+" SUBJECT 1", "SEARCH 1", "OK SEARCH completed")
	k.exactly(box, "SEARCH THREADID T1", "SEARCH", "OK SEARCH completed")
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format("2-Jan-2006") }
	k.exactly(box, "SEARCH SAVEDSINCE "+day(-1)+" SAVEDBEFORE "+day(2), "SEARCH 1 2 3", "OK SEARCH completed")
	k.exactly(box, "SEARCH SAVEDBEFORE "+day(-1), "SEARCH", "OK SEARCH completed")
	k.exactly(box, "SEARCH SAVEDON 1-Jan-2020", "SEARCH", "OK SEARCH completed")
	k.exactly(box, "SEARCH SAVEDATESUPPORTED", "SEARCH 1 2 3", "OK SEARCH completed")
	k.exactly(box, "FETCH 1 (EMAILID ENVELOPE)", `1 FETCH (EMAILID (`+ids[0]+`) ENVELOPE (NIL "1" NIL NIL NIL NIL NIL NIL NIL NIL))`, "OK FETCH completed")
}

// What is switched off is refused, and nothing of it is told.
func TestWithoutModificationSequences(t *testing.T) {
	off := []string{"CONDSTORE", "OBJECTID", "SAVEDATE"}
	r, box := newResyncRig(t, 2, mailstore.Device{Name: "old", Without: off}, mailstore.Device{Name: "plain", Without: []string{"QRESYNC"}})
	k := r.device("old")
	for line, cap := range map[string]string{
		"SELECT INBOX (CONDSTORE)":                "CONDSTORE",
		"STATUS INBOX (HIGHESTMODSEQ)":            "CONDSTORE",
		"STATUS INBOX (MAILBOXID)":                "OBJECTID",
		"LIST \"\" * RETURN (STATUS (MAILBOXID))": "OBJECTID",
	} {
		k.exactly(box, line, "BAD [CLIENTBUG] "+cap+" is switched off for this device")
	}
	k.exactly(box, "ENABLE CONDSTORE QRESYNC", "ENABLED", "OK ENABLE completed")
	for _, line := range k.all("SELECT INBOX", "OK") {
		if strings.Contains(line, "HIGHESTMODSEQ") || strings.Contains(line, "MAILBOXID") {
			t.Errorf("told %s", line)
		}
	}
	for line, cap := range map[string]string{
		"FETCH 1 (MODSEQ)":                            "CONDSTORE",
		"FETCH 1 (UID) (CHANGEDSINCE 1)":              "CONDSTORE",
		"UID FETCH 1 (UID) (VANISHED CHANGEDSINCE 1)": "QRESYNC",
		"STORE 1 (UNCHANGEDSINCE 1) FLAGS ()":         "CONDSTORE",
		"SEARCH MODSEQ 1":                             "CONDSTORE",
		"SEARCH OR SEEN (NOT SAVEDATESUPPORTED)":      "SAVEDATE",
		"SEARCH SAVEDON 1-Jan-2020":                   "SAVEDATE",
		"SEARCH EMAILID M1":                           "OBJECTID",
		"FETCH 1 (EMAILID)":                           "OBJECTID",
		"FETCH 1 (THREADID)":                          "OBJECTID",
		"FETCH 1 (SAVEDATE)":                          "SAVEDATE",
	} {
		k.exactly(box, line, "BAD [CLIENTBUG] "+cap+" is switched off for this device")
	}
	k.exactly(box, "STORE 1 FLAGS (\\Seen)", "1 FETCH (FLAGS (\\Seen))", "OK STORE completed")
	k.exactly(box, "CREATE new", "OK CREATE completed")
	k = r.device("plain")
	k.exactly(box, "ENABLE CONDSTORE QRESYNC", "ENABLED CONDSTORE", "OK ENABLE completed")
	k.exactly(box, "SELECT INBOX (QRESYNC ({V} 1))", "BAD [CLIENTBUG] QRESYNC is to be enabled before")
}

// Where the history is not known, all that is not there is told as gone, and nothing
// that is; what the client can prove to know shortens it.
func TestUnknownHistory(t *testing.T) {
	v := &view{told: columns{uids: uids{2, 3, 7, 12}}, seen: &mailstore.Snapshot{}}
	q := func(numbers, uids string) *resync {
		text := fmt.Sprintf("(1 1 1:9 (%s %s))", numbers, uids)
		r := reading(text)
		q := readResync(r)
		if err := r.End(); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return q
	}
	for _, tt := range []struct {
		numbers, uids string
		want          mailstore.UID
	}{
		{"1", "2", 2},
		{"1", "3", 0},
		{"1,2,3", "2,3,7", 7},
		{"1:3", "2:3,7", 7},
		{"1:2,5", "2:3,12", 3},
		{"1,4", "1,12", 12},
		{"1:4294967294", "2:4294967295", 3},
		{"4:9", "12:17", 12},
	} {
		if got := v.matched(q(tt.numbers, tt.uids)); got != tt.want {
			t.Errorf("(%s %s): matched %d, want %d", tt.numbers, tt.uids, got, tt.want)
		}
	}
	v.seen.Mailbox.HighestModSeq = 1<<20 + 16 // a restore has brought 3 back, and 1 has gone
	if got := v.matched(q("3", "7")); got != 0 {
		t.Errorf("after a restore: matched %d", got)
	}
}

func FuzzReadResync(f *testing.F) {
	for _, s := range []string{"(1 1)", "(67890007 20050715194045000 41,43:211,214:541)", "(67890007 90060115194045000 1:99 (1,3:4 1,5:6))",
		"(1 1 (1 1))", "(1 1 1:*)", "(1 1 9:1,3 (4294967295 1:4294967295))", "(4294967295 9223372036854775807 1)"} {
		f.Add(s)
	}
	v := &view{told: columns{uids: uids{2, 3, 7, 12}}, seen: &mailstore.Snapshot{}}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\r\n{") {
			t.Skip()
		}
		r := reading(text)
		q := readResync(r)
		if r.End() != nil {
			return
		}
		for _, spans := range [][]imapwire.Span{q.known, q.numbers, q.uids} {
			for i, s := range spans {
				if s.From < 1 || s.From >= s.To || i > 0 && s.From <= spans[i-1].To {
					t.Fatalf("%q: %v", text, spans)
				}
			}
		}
		v.matched(q)
	})
}
