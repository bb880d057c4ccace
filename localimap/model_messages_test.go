package localimap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// What the clients of TestModel do with the messages of the selected mailbox.

func (m *machine) doStore(c *mirror) {
	uid, set, indices, bad := m.someSet(c)
	op, silent := oneOf(m, "op", "+", "-", ""), rapid.Bool().Draw(m.T, "silent")
	names := m.someFlags()
	given := flagsOf(names...)
	flags := "(" + strings.Join(names, " ") + ")"
	if len(names) > 0 && rapid.Bool().Draw(m.T, "bare") {
		flags = strings.Join(names, " ")
	}
	line := fmt.Sprintf("%sSTORE %s %sFLAGS%s %s", uidPrefix(uid), set, op, map[bool]string{true: ".SILENT"}[silent], flags)
	before, there := c.mails(), c.there(indices)
	a := c.store(line, op, given, silent, indices)
	switch {
	case c.readOnly:
		m.want(a, "NO [NOPERM]")
	case bad:
		m.want(a, "BAD")
	case c.box.gone && len(indices) > 0:
		m.want(a, "NO")
	case len(indices) > 0 && len(there) == 0 && !uid && set != "$":
		m.want(a, "NO [EXPUNGEISSUED]")
	default:
		m.want(a, "OK")
	}
	if a.ok() {
		for _, n := range there {
			n.flags = n.flags.apply(op, given)
		}
	}
	m.told(c, a, before, uid)
	if a.ok() && !silent {
		m.answered(c, a, there, []string{"FLAGS"})
	}
}

// answered checks that there was a FETCH response with the items for each of
// the messages.
func (m *machine) answered(c *mirror, a *reply, list []*mail, items []string) {
	for _, n := range list {
		if !slices.ContainsFunc(a.fetches, func(f fetched) bool {
			return f.mail == n && !slices.ContainsFunc(items, func(item string) bool { _, ok := f.items[item]; return !ok })
		}) {
			m.Fatalf("%s was not told %v of UID %d", c.name, items, n.uid)
		}
	}
}

// doCopy is COPY and MOVE.
func (m *machine) doCopy(c *mirror) {
	uid, set, indices, bad := m.someSet(c)
	verb, dest, there := oneOf(m, "how", "COPY", "MOVE"), m.mailboxName("to"), c.there(indices)
	m.do(c, fmt.Sprintf("%s%s %s %s", uidPrefix(uid), verb, set, dest), true, func(a *reply) {
		to := m.w.boxes[dest]
		switch {
		case verb == "MOVE" && c.readOnly, c.device == "pw-read":
			m.want(a, "NO [NOPERM]")
		case bad:
			m.want(a, "BAD")
		case to == nil:
			m.want(a, "NO [TRYCREATE]")
		case c.box.gone && len(indices) > 0:
			m.want(a, "NO [NONEXISTENT]", "NO [EXPUNGEISSUED]")
		case len(indices) > 0 && len(there) == 0 && !uid && set != "$":
			m.want(a, "NO [EXPUNGEISSUED]")
		default:
			m.want(a, "OK")
			from, made := m.w.transfer(there, c.box, to, verb == "MOVE")
			m.copied(a, to, from, made)
		}
	})
}

// copied compares COPYUID (RFC 4315 section 3) with what was made.
func (m *machine) copied(a *reply, to *mbox, from, made []*mail) {
	id := a.codes("COPYUID")
	if len(from) == 0 {
		if id != nil {
			m.Fatalf("COPYUID %v for nothing", id)
		}
		return
	}
	if len(id) != 3 || !slices.Equal(numbers(id[1]), uidsOf(from)) || !slices.Equal(numbers(id[2]), uidsOf(made)) {
		m.Fatalf("COPYUID %v instead of %v %v", id, uidsOf(from), uidsOf(made))
	}
	m.validity(to, id[0])
}

func uidsOf(list []*mail) (uids []uint32) {
	for _, n := range list {
		uids = append(uids, n.uid)
	}
	return uids
}

// numbers lists the numbers of a set without stars.
func numbers(set string) (list []uint32) {
	for _, span := range strings.Split(set, ",") {
		from, to, isRange := strings.Cut(span, ":")
		a, _ := strconv.ParseUint(from, 10, 32) // 0 is in no list
		b := a
		if isRange {
			b, _ = strconv.ParseUint(to, 10, 32)
		}
		for ; a <= b && a > 0; a++ {
			list = append(list, uint32(a))
		}
	}
	return list
}

func (m *machine) doExpunge(c *mirror) {
	line := "EXPUNGE"
	only := func(*mail) bool { return true }
	if oneOf(m, "how", "EXPUNGE", "UID EXPUNGE") != line {
		uid, set, some, _ := m.someSet(c)
		if !uid && set != "$" {
			return
		}
		line = "UID EXPUNGE " + set
		there := c.there(some)
		only = func(n *mail) bool { return slices.Contains(there, n) }
	}
	m.do(c, line, true, func(a *reply) {
		switch {
		case c.readOnly:
			m.want(a, "NO [NOPERM]")
		case c.box.gone:
			m.want(a, "NO", "OK")
		default:
			m.want(a, "OK")
			m.w.expunge(c.box, func(n *mail) bool { return n.flags.has(`\Deleted`) && only(n) })
		}
	})
}

// fetchItems are what FETCH asks for: the command's words, the names in the
// response, and whether it makes messages \Seen.
var fetchItems = []struct {
	text string
	want []string
	sees bool
}{
	{"FLAGS", []string{"FLAGS"}, false},
	{"(UID FLAGS)", []string{"UID", "FLAGS"}, false},
	{"(UID FLAGS INTERNALDATE RFC822.SIZE)", []string{"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE"}, false},
	{"FULL", []string{"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"}, false},
	{"BODYSTRUCTURE", []string{"BODYSTRUCTURE"}, false},
	{"BODY.PEEK[]", []string{"BODY[]"}, false},
	{"RFC822.HEADER", []string{"RFC822.HEADER"}, false},
	{"(BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[]<4.9>)", []string{`BODY[HEADER.FIELDS (SUBJECT)]`, "BODY[]<4>"}, false},
	{"BODY[]", []string{"BODY[]"}, true},
	{"(BODY[TEXT] UID)", []string{"BODY[TEXT]", "UID"}, true},
	{"RFC822", []string{"RFC822"}, true},
	{"(BINARY[1] BINARY.SIZE[1])", []string{"BINARY[1]", "BINARY.SIZE[1]"}, true},
}

func (m *machine) doFetch(c *mirror) {
	item := fetchItems[rapid.IntRange(0, len(fetchItems)-1).Draw(m.T, "items")]
	uid, set, indices, bad := m.someSet(c)
	there := c.there(indices)
	line := fmt.Sprintf("%sFETCH %s %s", uidPrefix(uid), set, item.text)
	if bad {
		m.want(m.do(c, line, uid, func(*reply) {}), "BAD")
		return
	}
	if item.sees && !c.readOnly {
		for _, n := range there {
			n.flags = n.flags.apply("+", `\seen`)
		}
	}
	m.fetch(c, line, indices, item.want)
}

func (m *machine) fetch(c *mirror, line string, indices []int, items []string) {
	there := c.there(indices)
	a := m.do(c, line, strings.HasPrefix(line, "UID "), func(a *reply) {
		if len(there) == len(indices) {
			m.want(a, "OK")
		} else {
			m.want(a, "OK", "NO [EXPUNGEISSUED]")
		}
	})
	m.answered(c, a, there, items)
	for _, f := range a.fetches {
		for name, got := range f.items {
			if want, ok := f.mail.item(name, got.text); ok && got.text != want {
				m.Fatalf("%s of UID %d is %q instead of %q", name, f.mail.uid, got.text, want)
			}
		}
	}
}

// item returns what a FETCH item must be, where the model knows.
func (n *mail) item(name, got string) (want string, ok bool) {
	header, text, _ := strings.Cut(n.body, "\r\n\r\n")
	header += "\r\n\r\n"
	subject, _, _ := strings.Cut(header, "\r\n")
	switch name {
	case "UID":
		return fmt.Sprint(n.uid), true
	case "RFC822.SIZE":
		return strconv.Itoa(len(n.body)), true
	case "BODY[]", "RFC822":
		return n.body, true
	case "BODY[]<4>":
		return n.body[4:13], true
	case "BODY[TEXT]", "BINARY[1]":
		return text, true
	case "BINARY.SIZE[1]":
		return strconv.Itoa(len(text)), true
	case "RFC822.HEADER":
		return header, true
	case `BODY[HEADER.FIELDS (SUBJECT)]`:
		return subject + "\r\n\r\n", true
	case "INTERNALDATE":
		const form = "_2-Jan-2006 15:04:05 -0700"
		at, err := time.Parse(form, got)
		if n.date == 0 && err == nil {
			n.date = at.Unix() // the server's choice; from now on it stays
		}
		return time.Unix(n.date, 0).UTC().Format(form), true
	}
	return "", false
}

// searchKey is a SEARCH key and what it means for a message with these flags.
// One with message numbers keeps the server from telling of removals (RFC 7162 section
// 3.2.10.2).
type searchKey struct {
	text    string
	match   func(i int, n *mail, f flagSet) bool
	numbers bool
}

func (m *machine) someKey(c *mirror, depth int) searchKey {
	flag := func(text, name string, has bool) searchKey {
		return searchKey{text: text, match: func(_ int, _ *mail, f flagSet) bool { return f.has(name) == has }}
	}
	k := rapid.IntRange(1, max(1, m.made)).Draw(m.T, "k")
	within := func(of func(*mail) string, text string) func(int, *mail, flagSet) bool {
		return func(_ int, n *mail, _ flagSet) bool { return strings.Contains(of(n), text) }
	}
	subject := func(n *mail) string { s, _, _ := strings.Cut(n.body, "\r\n"); return s }
	keys := []func() searchKey{
		func() searchKey { return searchKey{text: "ALL", match: func(int, *mail, flagSet) bool { return true }} },
		func() searchKey { return flag("SEEN", `\Seen`, true) },
		func() searchKey { return flag("UNSEEN", `\Seen`, false) },
		func() searchKey { return flag("DELETED", `\Deleted`, true) },
		func() searchKey { return flag("UNDELETED", `\Deleted`, false) },
		func() searchKey { return flag("KEYWORD later", "later", true) },
		func() searchKey { return flag("UNKEYWORD $WORK", "$work", false) },
		func() searchKey {
			return searchKey{text: fmt.Sprintf("SUBJECT s%d", k), match: within(subject, fmt.Sprint("s", k))}
		},
		func() searchKey {
			return searchKey{text: fmt.Sprintf("BODY TEXT%d", k), match: within(func(n *mail) string { return n.body }, fmt.Sprint("text", k))}
		},
		func() searchKey {
			return searchKey{text: "LARGER 52", match: func(_ int, n *mail, _ flagSet) bool { return len(n.body) > 52 }}
		},
		func() searchKey {
			uid, set, indices, _ := m.someSet(c)
			if set == "$" {
				uid = false
			}
			return searchKey{uidPrefix(uid) + set, func(i int, _ *mail, _ flagSet) bool { return slices.Contains(indices, i) }, !uid && set != "$"}
		},
	}
	form := rapid.IntRange(0, len(keys)+2).Draw(m.T, "key")
	if form < len(keys) || depth == 0 {
		return keys[form%len(keys)]()
	}
	a, b := m.someKey(c, depth-1), m.someKey(c, depth-1)
	switch form - len(keys) {
	case 0:
		return searchKey{"NOT (" + a.text + ")", func(i int, n *mail, f flagSet) bool { return !a.match(i, n, f) }, a.numbers}
	case 1:
		return searchKey{"OR " + "(" + a.text + ") (" + b.text + ")", func(i int, n *mail, f flagSet) bool { return a.match(i, n, f) || b.match(i, n, f) }, a.numbers || b.numbers}
	}
	return searchKey{a.text + " " + b.text, func(i int, n *mail, f flagSet) bool { return a.match(i, n, f) && b.match(i, n, f) }, a.numbers || b.numbers}
}

func (m *machine) doSearch(c *mirror) {
	options := oneOf(m, "return", "", "", "", "ALL", "SAVE", "SAVE ALL MIN", "MIN", "COUNT", "SAVE COUNT", "SAVE MIN", "SAVE MIN MAX")
	extended, all := options != "" || c.rev2, options == "" || strings.Contains(options, "ALL")
	if !all {
		m.doNoop(c) // what is not listed can be foretold only without news
	}
	k := m.someKey(c, 2)
	uid := rapid.Bool().Draw(m.T, "uidsearch")
	line := uidPrefix(uid) + "SEARCH " + k.text
	if options != "" {
		line = uidPrefix(uid) + "SEARCH RETURN (" + options + ") " + k.text
	}
	before, told := c.mails(), make([]flagSet, len(c.list))
	for i, e := range c.list {
		told[i] = e.told
	}
	a := m.do(c, line, uid && !k.numbers, func(a *reply) {})
	m.want(a, "OK")
	number := func(i int) uint32 {
		if uid {
			return before[i].uid
		}
		return uint32(i + 1)
	}
	said := m.found(a, extended, options == "SAVE")
	var found []*mail
	var hits []uint32
	for i, n := range before {
		hit := slices.Contains(said["ALL"], number(i))
		was, is := k.match(i, n, told[i]), k.match(i, n, n.flags)
		if all && !n.gone && was == is && hit != was {
			m.Fatalf("found %v, and number %d, UID %d, has %q", said["ALL"], i+1, n.uid, n.flags)
		}
		if all && hit || !all && was {
			found, hits = append(found, n), append(hits, number(i))
		}
	}
	if all && len(hits) != len(said["ALL"]) {
		m.Fatalf("found %v, which has others than %v", said["ALL"], hits)
	}
	m.extremes(options, said, hits)
	if strings.Contains(options, "SAVE") {
		c.saved = found
		if strings.HasPrefix(options, "SAVE MIN") && len(found) > 1 {
			c.saved = slices.Clone(found[:1])
			if strings.HasSuffix(options, "MAX") {
				c.saved = append(c.saved, found[len(found)-1])
			}
		}
		m.checkSaved(c)
	}
}

// checkSaved asks what $ stands for.
func (m *machine) checkSaved(c *mirror) {
	var want []uint32
	for i, e := range c.list {
		if slices.Contains(c.saved, e.mail) {
			want = append(want, uint32(i+1))
		}
	}
	m.do(c, "SEARCH $", false, func(a *reply) {
		if got := m.found(a, c.rev2, false)["ALL"]; !a.ok() || !slices.Equal(got, want) {
			m.Fatalf("$ is %v instead of %v", got, want)
		}
	})
}

// extremes checks MIN, MAX and COUNT of an ESEARCH response.
func (m *machine) extremes(options string, said map[string][]uint32, hits []uint32) {
	want := map[string][]uint32{"COUNT": {uint32(len(hits))}}
	if len(hits) > 0 {
		want["MIN"], want["MAX"] = hits[:1], hits[len(hits)-1:]
	}
	for item, value := range want {
		if strings.Contains(options, item) && !slices.Equal(said[item], value) && (item != "COUNT" || value[0] > 0) {
			m.Fatalf("%s is %v instead of %v", item, said[item], value)
		}
	}
}

// found returns the items of the SEARCH or ESEARCH response, of which there is
// exactly one, or none where all was saved (RFC 5182 section 2.1).
func (m *machine) found(a *reply, extended, saved bool) map[string][]uint32 {
	said, n := make(map[string][]uint32), 0
	for _, nodes := range a.other {
		switch nodes[1].text {
		case "SEARCH":
			n++
			for _, hit := range nodes[2:] {
				said["ALL"] = append(said["ALL"], numbers(hit.text)...)
			}
		case "ESEARCH":
			n++
			for i := range nodes[2:] {
				if name := nodes[i+2].text; i+3 < len(nodes) && slices.Contains([]string{"ALL", "MIN", "MAX", "COUNT"}, name) {
					said[name] = numbers(nodes[i+3].text)
				}
			}
		}
	}
	if saved && n == 0 {
		return said
	}
	if n != 1 || saved || a.find("ESEARCH") == nil == extended {
		m.Fatalf("%d responses with what was found", n)
	}
	return said
}
