package test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// TestCorpus takes every message of the corpus from a POP3 server and compares
// what IMAP answers for it, item by item and section by section, with what
// Dovecot answers for the same bytes.
func TestCorpus(t *testing.T) {
	corpus := testkit.Corpus(t)
	names := slices.Sorted(maps.Keys(corpus))
	c := &comparison{T: t}
	_, c.ours, c.dialTheirs = besideDovecot(t, corpus, names)
	c.theirs = c.dialTheirs()
	for i, name := range names {
		c.name, c.seq = name, i+1
		c.message()
	}
	appended(t, c.ours, names, corpus)
	t.Logf("%d messages, %d of them equal, %d differ on purpose; %d sections, %d without the blank line that is not there",
		len(names), c.equal, len(differ), c.sections, c.lineEnds)
	if c.equal*100 < len(names)*99 {
		t.Error("less than 99 % of the messages are equal")
	}
}

// besideDovecot takes these messages from a POP3 server and gives what that has
// served to Dovecot's IMAP, too. It returns them, and the same mailbox opened on
// both sides.
func besideDovecot(t *testing.T, corpus map[string][]byte, names []string) (served [][]byte, ours *imapConn, dialTheirs func() *imapConn) {
	t.Helper()
	d := dovecot(t, nil)
	for _, name := range names {
		if err := d.Put("home", corpus[name]); err != nil {
			t.Fatal(err)
		}
	}
	p := prepare(t, account(d, "home"))
	start(t, p)
	command(t, p, 0, "sync")
	// RETR ends every message with a line end; both have that.
	served, err := rig.Retrieve(rig.Addr(d.POP3), "home")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put("same", served...); err != nil {
		t.Fatal(err)
	}
	open := func(addr, user, password string) *imapConn {
		conn := dialIMAP(t, addr, user, password)
		conn.must("EXAMINE INBOX")
		return conn
	}
	return served, open(rig.Addr(p.Port), localUser, devicePw), func() *imapConn {
		return open(rig.Addr(d.IMAP), "same", rig.Password)
	}
}

// comparison is one of the same mailbox on two servers.
type comparison struct {
	*testing.T
	ours, theirs    *imapConn
	dialTheirs      func() *imapConn
	name            string // of the message
	seq             int
	equal, sections int
	lineEnds        int // sections with the line end that is explained at compareItems
}

// both asks both servers for the same items of the message.
func (c *comparison) both(items string) (ours, theirs map[string]any) {
	c.Helper()
	ask := func(conn *imapConn) map[string]any {
		c.Helper()
		untagged, tagged := conn.command("FETCH %d %s", c.seq, items)
		if !strings.HasPrefix(tagged, "OK") {
			c.Errorf("%s: FETCH %s: %s", c.name, items, tagged)
		}
		return fetched(c.T, untagged)[c.seq]
	}
	return ask(c.ours), ask(c.theirs)
}

// raw asks both servers for the same items and returns the lines as they come.
func (c *comparison) raw(items string) (ours, theirs string) {
	c.Helper()
	return c.ours.must("FETCH %d %s", c.seq, items)[0], c.theirs.must("FETCH %d %s", c.seq, items)[0]
}

func (c *comparison) message() {
	reason := differ[c.name]
	// The first time Dovecot answers from the header. Later it knows only that a
	// message is plain ASCII, and not how its header says so.
	mine, other := c.raw("(ENVELOPE BODYSTRUCTURE)")
	same := mine == other
	if same {
		c.equal++
	} else if reason == "" {
		c.Errorf("%s:\n%.2000q, with Dovecot\n%.2000q", c.name, mine, other)
	}
	if mine, other := c.raw("BODY"); !strings.EqualFold(mine, other) && same {
		c.Errorf("%s:\n%.2000q, with Dovecot\n%.2000q", c.name, mine, other)
	}
	if same != (reason == "") {
		c.Errorf("%s: equal is %v, reason to differ %q", c.name, same, reason)
	}
	ours, theirs := c.both("(RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
	if ours["RFC822.SIZE"] != theirs["RFC822.SIZE"] {
		c.Errorf("%s: RFC822.SIZE %v, Dovecot says %v", c.name, ours["RFC822.SIZE"], theirs["RFC822.SIZE"])
	}
	c.items()
	structure := ours["BODYSTRUCTURE"].([]any)
	c.bodySections(structure, reason != "")
	c.binarySections(structure, reason != "")
}

// items asks for everything that is no section; both must know it.
func (c *comparison) items() {
	for _, items := range []string{"ALL", "FAST", "FULL", "UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE"} {
		ours, theirs := c.both(items)
		if got, want := slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs)); !slices.Equal(got, want) {
			c.Errorf("%s: FETCH %s answers %q, Dovecot %q", c.name, items, got, want)
		}
	}
}

// pieces are the partial fetches of n bytes that are worth a look.
func pieces(n int) []string {
	var all []string
	for _, p := range [][2]int{{0, 1}, {0, n}, {0, n + 1}, {1, 7}, {n / 2, n}, {n - 1, 2}, {n, 1}, {n + 1, 10}, {1 << 30, 1}, {65536, 65536}} {
		if p[0] >= 0 && p[1] > 0 {
			all = append(all, fmt.Sprintf("<%d.%d>", p[0], p[1]))
		}
	}
	return slices.Compact(all)
}

const fewFields = "(FROM SUBJECT CONTENT-TYPE X-NONE)"

func (c *comparison) bodySections(structure []any, structureDiffers bool) {
	items := []string{"RFC822", "RFC822.HEADER", "RFC822.TEXT"}
	leaf := map[string]bool{"RFC822": true, "RFC822.HEADER": true, "RFC822.TEXT": true, "BODY[]": true, "BODY[HEADER]": true, "BODY[TEXT]": true}
	for _, s := range sectionsOf(structure) {
		items = append(items, "BODY.PEEK["+s.name+"]")
		leaf["BODY["+s.name+"]"] = leaf["BODY["+s.name+"]"] || s.leaf || strings.HasSuffix(s.name, ".MIME")
		if strings.HasSuffix(s.name, "HEADER") {
			items = append(items, "BODY.PEEK["+s.name+".FIELDS "+fewFields+"]", "BODY.PEEK["+s.name+".FIELDS.NOT "+fewFields+"]")
		}
	}
	whole := c.compareItems(items, leaf, structureDiffers)
	items = items[:0]
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		if strings.HasPrefix(name, "BODY[") {
			for _, piece := range pieces(len(whole[name])) {
				items = append(items, strings.Replace(name, "BODY[", "BODY.PEEK[", 1)+piece)
			}
		}
	}
	for chunk := range slices.Chunk(items, 150) {
		c.checkPieces(chunk, whole)
	}
}

// compareItems compares the bytes of sections. Where the servers see different
// parts only that ours answers can be held. Of a header without its blank line
// HEADER.FIELDS has none here (RFC 3501 section 6.4.5); Dovecot adds one, or reads on
// behind the part.
func (c *comparison) compareItems(items []string, leaf map[string]bool, structureDiffers bool) map[string]string {
	whole := make(map[string]string)
	for chunk := range slices.Chunk(items, 150) {
		ours, theirs := c.both("(" + strings.Join(chunk, " ") + ")")
		if len(ours) != len(chunk) {
			c.Errorf("%s: %d items asked, %d answered", c.name, len(chunk), len(ours))
		}
		theirs = plainNames(theirs)
		for name, got := range plainNames(ours) {
			c.sections++
			whole[name], _ = got.(string)
			// NUL cannot be in a literal of IMAP4rev1; Dovecot sends 0x80.
			want, _ := theirs[name].(string)
			switch mine := strings.ReplaceAll(whole[name], "\x00", "\x80"); {
			case mine == want || structureDiffers:
			case strings.Contains(name, "HEADER.FIELDS") && strings.HasPrefix(want, mine) && !strings.HasSuffix(mine, "\r\n\r\n"):
				c.lineEnds++
			default:
				c.Errorf("%s: %s: %s", c.name, name, difference(got, want))
			}
		}
	}
	return whole
}

// plainNames makes the names of items the same: fields may come quoted or not
// and in any case.
func plainNames(items map[string]any) map[string]any {
	all := make(map[string]any, len(items))
	for name, value := range items {
		all[plainName(name)] = value
	}
	return all
}

func plainName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, `"`, "")) }

func difference(got, want any) string {
	g, okGot := got.(string)
	w, okWant := want.(string)
	if !okGot || !okWant {
		return fmt.Sprintf("%v, Dovecot says %v", got, want)
	}
	return fmt.Sprintf("%d bytes, Dovecot has %d; %s", len(g), len(w), firstDifference([]byte(g), []byte(w)))
}

// checkPieces asks for parts of sections, each of which must be that of the
// whole.
func (c *comparison) checkPieces(items []string, whole map[string]string) {
	for chunk := range slices.Chunk(items, 150) {
		c.checkChunk(chunk, whole)
	}
}

func (c *comparison) checkChunk(items []string, whole map[string]string) {
	// One answer for each, with no more than the origin in its name: they come
	// in the order of the question.
	untagged := c.ours.must("FETCH %d (%s)", c.seq, strings.Join(items, " "))
	_, rest, _ := strings.Cut(untagged[0], "FETCH (")
	for _, item := range items {
		name := itemName(rest)
		var value any
		value, rest = readValue(rest[len(name)+1:])
		rest = strings.TrimPrefix(rest, " ")
		c.sections++
		base, piece, _ := strings.Cut(strings.Replace(item, ".PEEK[", "[", 1), "]<")
		base += "]"
		var offset, size int
		if _, err := fmt.Sscanf(piece, "%d.%d>", &offset, &size); err != nil {
			c.Fatal(err)
		}
		want := whole[base]
		want = want[min(offset, len(want)):min(offset+size, len(want))]
		if named := fmt.Sprintf("%s<%d>", base, offset); plainName(name) != named || value != want {
			c.Errorf("%s: %s answers %s with %d bytes, want %d", c.name, item, name, len(fmt.Sprint(value)), len(want))
		}
	}
}

func (c *comparison) binarySections(structure []any, structureDiffers bool) {
	for _, s := range sectionsOf(structure) {
		if !s.leaf {
			continue
		}
		c.sections++
		ask := func(conn *imapConn) (map[string]any, string) {
			untagged, tagged := conn.command("FETCH %d (BINARY.SIZE[%s] BINARY.PEEK[%s])", c.seq, s.name, s.name)
			return fetched(c.T, untagged)[c.seq], tagged
		}
		ours, tagged := ask(c.ours)
		if structureDiffers {
			continue
		}
		c.theirs.fragile = true
		theirs, theirTagged := ask(c.theirs)
		if c.theirs.fragile = false; c.theirs.err != nil {
			// Dovecot gives up the connection at base64 that is broken; here
			// what can be read is.
			c.theirs, theirTagged, theirs = c.dialTheirs(), "OK", ours
		}
		if strings.HasPrefix(theirTagged, "NO") {
			continue // Dovecot refuses all of a message with a part that it cannot decode
		}
		if !strings.HasPrefix(tagged, "OK") {
			c.Errorf("%s: BINARY[%s]: %s; Dovecot: %s", c.name, s.name, tagged, theirTagged)
		}
		for name, got := range ours {
			if want := theirs[name]; got != want {
				c.Errorf("%s: %s: %s", c.name, name, difference(got, want))
			}
		}
	}
}

// appended stores every message with APPEND, with the line ends it has, and
// reads it back. An empty one cannot be stored that way: RFC 3502 section
// 6.3.11.
func appended(t *testing.T, c *imapConn, names []string, corpus map[string][]byte) {
	c.must("CREATE Appended")
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return len(corpus[name]) == 0 })
	for _, name := range names {
		if tagged := c.appendRaw("Appended", corpus[name]); !strings.HasPrefix(tagged, "OK [APPENDUID") {
			t.Fatalf("%s: %s", name, tagged)
		}
	}
	c.must("SELECT Appended")
	all := fetched(t, c.must("FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE RFC822.PEEK)"))
	if len(all) != len(names) {
		t.Errorf("%d messages appended, %d there", len(names), len(all))
	}
	for i, name := range names {
		raw := corpus[name]
		items := all[i+1]
		if got, _ := items["RFC822"].(string); got != string(raw) || items["RFC822.SIZE"] != fmt.Sprint(len(raw)) {
			t.Errorf("%s: %v bytes: %s", name, items["RFC822.SIZE"], firstDifference([]byte(got), raw))
		}
		var peeks []string
		for _, s := range sectionsOf(items["BODYSTRUCTURE"].([]any)) {
			peeks = append(peeks, "BODY.PEEK["+s.name+"]")
		}
		c.must("FETCH %d (%s)", i+1, strings.Join(peeks, " "))
	}
}
