package test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// conversations makes mail as lists have it, and as they should not: replies whose
// parents are missing, loops, ids that are there twice or not at all, threads held
// together by their subject only. All have a date: INTERNALDATE is another on each
// server.
func conversations(seed uint64, n int) map[string][]byte {
	rnd := rand.New(rand.NewPCG(seed, 5256))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	type sent struct {
		id      string
		refs    []string
		subject string
	}
	var all []sent
	mail := map[string][]byte{}
	for i := range n {
		m := sent{id: fmt.Sprintf("<%d.%d@example.org>", seed, i), subject: pick("Zebra", "apple pie", "=?utf-8?q?=C3=84pfel?=", "[list] apple pie", "plan", "a", "", "Plan  b", "=?iso-8859-1?q?=DCber?=")}
		if len(all) > 0 && rnd.IntN(4) > 0 {
			p := all[rnd.IntN(len(all))]
			m.refs = append(slices.Clone(p.refs), p.id)
			m.subject = pick("Re: ", "RE:", "Re[2]: ", "Fwd: ", "", "[fwd: ") + p.subject
			if strings.HasPrefix(m.subject, "[fwd: ") {
				m.subject += "]"
			}
			if rnd.IntN(8) == 0 {
				m.subject = "another matter"
			}
		}
		all = append(all, m)
		if rnd.IntN(8) == 0 {
			continue // no one has it
		}
		var b strings.Builder
		switch rnd.IntN(12) {
		case 0:
			m.id = ""
		case 1:
			m.id = all[rnd.IntN(len(all))].id // twice
		case 2:
			m.id = strings.Replace(strings.Replace(m.id, "<", "<\"", 1), "@", "\"@", 1) // the same, quoted
		}
		if m.id != "" {
			fmt.Fprintf(&b, "Message-ID: %s\r\n", m.id)
		}
		switch rnd.IntN(8) {
		case 0:
			m.refs = append(m.refs, fmt.Sprintf("<%d.%d@example.org>", seed, rnd.IntN(n))) // perhaps a loop
		case 1:
			slices.Reverse(m.refs)
		case 2:
			m.refs = slices.DeleteFunc(m.refs, func(string) bool { return rnd.IntN(2) == 0 })
		}
		switch {
		case len(m.refs) == 0:
		case rnd.IntN(4) == 0:
			fmt.Fprintf(&b, "In-Reply-To: %s\r\n", pick(m.refs[len(m.refs)-1], "your mail of Monday", m.refs[0]+" "+m.refs[len(m.refs)-1]))
		default:
			fmt.Fprintf(&b, "References: %s\r\n", strings.Join(m.refs, pick(" ", "\r\n\t", "")))
		}
		at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rnd.IntN(400*24*60)) * time.Minute)
		date := at.In(time.FixedZone("", (rnd.IntN(24)-12)*3600)).Format(time.RFC1123Z)
		fmt.Fprintf(&b, "Date: %s\r\nSubject: %s\r\nFrom: %s\r\n", date, m.subject, pick("Joe <joe@example.com>", "joe@example.com", "=?utf-8?q?=C3=84nne?= <anne@example.com>", "\"zed\" <Zed@example.com>", "bob@example.org (Bob)", "Zoe Doe <abc@example.net>"))
		fmt.Fprintf(&b, "To: %s\r\n", pick("a@example.com, b@example.com", "Team: x@example.com;", "B <b@example.com>", "undisclosed-recipients:;"))
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, "Cc: %s\r\n", pick("c@example.com", "\"C, D\" <cd@example.com>"))
		}
		b.WriteString("\r\n" + strings.Repeat("text\r\n", rnd.IntN(30)))
		mail[fmt.Sprintf("%05d", i)] = []byte(b.String())
	}
	return mail
}

// TestOrderBesideDovecot sorts and threads the same mail on both servers.
func TestOrderBesideDovecot(t *testing.T) {
	corpus := conversations(1, 300)
	names := slices.Sorted(maps.Keys(corpus))
	_, ours, dialTheirs := besideDovecot(t, corpus, names)
	theirs := dialTheirs()
	both := func(command string) {
		t.Helper()
		mine, tagged := ours.command("%s", command)
		other, taggedOther := theirs.command("%s", command)
		if kind, _, _ := strings.Cut(tagged, " "); !strings.HasPrefix(taggedOther, kind+" ") {
			t.Errorf("%s: %s, with Dovecot %s", command, tagged, taggedOther)
		}
		if a, b := answers(mine), answers(other); a != b {
			t.Errorf("%s\n%s\nwith Dovecot\n%s", command, a, b)
		}
	}
	for _, key := range []string{"CC", "DATE", "REVERSE DATE", "FROM", "SIZE", "REVERSE SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO", "SUBJECT REVERSE DATE", "FROM SUBJECT DATE", "REVERSE FROM DATE SIZE", "DATE DATE", "", "REVERSE", "BOGUS", "REVERSE BOGUS"} {
		both("SORT (" + key + ") UTF-8 ALL")
	}
	for _, command := range []string{
		"UID SORT (SUBJECT) US-ASCII SUBJECT plan", "SORT (DATE) UTF-8 SUBJECT nothing", "SORT (DATE) BOGUS ALL", "SORT (DATE) UTF-8", "SORT (DATE) UTF-8 BOGUS",
		"SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL", "SORT RETURN () (REVERSE SUBJECT DATE) UTF-8 ALL", "UID SORT RETURN (ALL) (SIZE) UTF-8 SUBJECT pie", "SORT RETURN (COUNT MIN) (SIZE) UTF-8 SUBJECT nothing",
		"SORT RETURN (PARTIAL 10:20) (DATE) UTF-8 ALL", "SORT RETURN (PARTIAL 1000:2000 COUNT) (DATE) UTF-8 ALL", "SORT RETURN (MIN SAVE) (REVERSE DATE) UTF-8 ALL", "SEARCH $",
		"SEARCH RETURN (PARTIAL 3:5) ALL", "SEARCH RETURN (PARTIAL 9:7) SUBJECT plan", "UID SEARCH RETURN (PARTIAL 1:3 MIN MAX COUNT) SUBJECT plan", "SEARCH RETURN (PARTIAL 1:2 ALL) ALL", "SEARCH RETURN (PARTIAL 0:2) ALL",
		"SEARCH 1000", "SEARCH 200:1000", "SEARCH NOT 200:1000", "SEARCH 1000:1001", "SEARCH RETURN (SAVE) 1:5", "SEARCH RETURN (SAVE) BOGUS", "SEARCH $", "SEARCH RETURN (SAVE) CHARSET BOGUS ALL", "SEARCH $",
		"SEARCH RETURN (SAVE COUNT) 7:9", "SEARCH $", "SEARCH RETURN () SUBJECT nothing", "SEARCH RETURN (COUNT MAX) SUBJECT nothing", "SEARCH YOUNGER 0", "SEARCH OLDER x", "SEARCH YOUNGER 1000000000", "SEARCH OLDER 1000000000",
		"THREAD REFERENCES UTF-8 ALL", "THREAD REFS UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL", "UID THREAD REFERENCES UTF-8 SUBJECT pie", "THREAD REFERENCES UTF-8 SUBJECT nothing",
		"UID THREAD REFS UTF-8 1:100", "THREAD ORDEREDSUBJECT UTF-8 5:50", "THREAD BOGUS UTF-8 ALL", "THREAD REFERENCES BOGUS ALL", "THREAD REFERENCES UTF-8", "THREAD REFERENCES",
	} {
		both(command)
	}
	for at := 1; at < len(names); at += 7 { // parts of the mailbox, where other messages are missing
		both(fmt.Sprintf("THREAD REFERENCES UTF-8 %d:%d", at, at+60))
		both(fmt.Sprintf("THREAD REFS UTF-8 %d:%d", at, at+60))
	}
}

// answers are the untagged responses that tell what was found, without the tag.
func answers(untagged []string) string {
	var kept []string
	for _, line := range untagged {
		for _, what := range []string{"* SORT", "* THREAD", "* SEARCH", "* ESEARCH"} {
			if strings.HasPrefix(line, what) {
				if at := strings.Index(line, `")`); at > 0 && what == "* ESEARCH" {
					line = what + line[at+2:]
				}
				kept = append(kept, strings.TrimRight(line, " "))
			}
		}
	}
	return strings.Join(kept, "\n")
}
