package localimap

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestModel lets two to six clients do random things with the mailboxes of one
// user, one after the other, and compares all they are told with the reference
// model: after each command that succeeds a client knows what it must know by
// then, and was told nothing it must not be told.
//
// A failure is shrunk; its trace is printed in the form of a conformance script
// and kept in testdata/rapid, from where it is run again before all others. More
// checks: go test -run TestModel -rapid.checks=5000 ./localimap
func TestModel(t *testing.T) {
	t.Parallel()
	fresh := freshStores(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir := fresh()
		defer func() { _ = os.RemoveAll(dir) }() // all of them go at the end
		m := &machine{T: rt, r: openRig(t, dir), w: newWorld(), recent: make(map[*mail]int)}
		closed := false
		defer func() {
			if !closed {
				_ = m.r.close() // a client is in the middle of something
			}
		}()
		for i := range rapid.IntRange(2, 6).Draw(rt, "clients") {
			c := &mirror{name: string(rune('A' + i)), device: "pw", note: m.note, fail: m.Fatalf}
			if i > 0 {
				c.rev2 = rapid.IntRange(0, 4).Draw(rt, "rev2") == 4
				c.device = rapid.SampledFrom([]string{"pw", "pw", "pw", "pw-read"}).Draw(rt, "device")
			}
			c.connect(m.r.addr)
			m.clients = append(m.clients, c)
		}
		m.begin()
		rt.Repeat(m.actions())
		rt.Repeat(m.actions())
		m.finish()
		closed = true
		if err := m.r.close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// freshStores returns a function that makes folders, each with a new store. It
// is copied: making one takes its time.
func freshStores(t *testing.T) func() string {
	base := t.TempDir()
	first := filepath.Join(base, "first")
	if err := openRig(t, first).close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	return func() string {
		n++
		dir := filepath.Join(base, strconv.Itoa(n))
		if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
}

// machine is one trace.
type machine struct {
	*rapid.T
	r       *rig
	w       *world
	trace   strings.Builder
	clients []*mirror
	made    int           // messages, each with a text of its own
	epochs  int           // SELECTs
	recent  map[*mail]int // the SELECT that was told it as \Recent
}

// begin gives the clients something to work on.
func (m *machine) begin() {
	m.anywhere(m.clients[0], "CREATE a/b", func(*reply) { m.w.create("a/b") })
	m.deliver("INBOX", nil, 4)
	for _, c := range m.clients {
		if rapid.IntRange(0, 3).Draw(m.T, "begins") > 0 {
			m.selectMailbox(c, "SELECT", "INBOX")
			m.fetch(c, "FETCH 1:* (UID FLAGS)", indicesOf(len(c.list)), []string{"UID", "FLAGS"})
		}
	}
}

func (m *machine) note(format string, args ...any) { fmt.Fprintf(&m.trace, format+"\n", args...) }

// Fatalf fails with the trace, which can be made a script of testdata.
func (m *machine) Fatalf(format string, args ...any) {
	m.T.Fatalf("%s\n%s", fmt.Sprintf(format, args...), m.trace.String())
}

// actions returns what can happen, as often as it is likely.
func (m *machine) actions() map[string]func(*rapid.T) {
	selected := func(do func(*mirror)) func(*rapid.T) {
		return func(t *rapid.T) {
			c := m.client()
			if c.box == nil {
				m.doSelect(c)
				return
			}
			do(c)
		}
	}
	all := make(map[string]func(*rapid.T))
	for _, a := range []struct {
		name   string
		weight int
		do     func(*rapid.T)
	}{
		{"append", 2, func(*rapid.T) { m.doAppend(m.client()) }},
		{"check", 1, selected(m.doNoop)},
		{"close", 1, selected(m.doClose)},
		{"copy", 2, selected(m.doCopy)},
		{"create", 1, func(*rapid.T) { m.doCreate(m.client()) }},
		{"delete", 1, func(*rapid.T) { m.doDelete(m.client()) }},
		{"deliver", 4, func(*rapid.T) { m.doDeliver() }},
		{"expunge", 3, selected(m.doExpunge)},
		{"fetch", 5, selected(m.doFetch)},
		{"idle", 3, selected(m.doIdle)},
		{"list", 1, func(*rapid.T) { m.doList(m.client()) }},
		{"move", 2, selected(m.doCopy)},
		{"noop", 2, selected(m.doNoop)},
		{"reconnect", 1, func(*rapid.T) { m.doReconnect(m.client()) }},
		{"rename", 1, func(*rapid.T) { m.doRename(m.client()) }},
		{"search", 3, selected(m.doSearch)},
		{"select", 2, func(*rapid.T) { m.doSelect(m.client()) }},
		{"status", 1, func(*rapid.T) { m.doStatus(m.client()) }},
		{"store", 8, selected(m.doStore)},
		{"subscribe", 1, func(*rapid.T) { m.doSubscribe(m.client()) }},
		{"undelete", 1, func(*rapid.T) { m.doUndelete() }},
	} {
		for i := range a.weight {
			all[a.name+strings.Repeat("'", i)] = a.do
		}
	}
	all[""] = func(*rapid.T) { m.idlers() }
	return all
}

func oneOf[T any](m *machine, what string, from ...T) T {
	return rapid.SampledFrom(from).Draw(m.T, what)
}

// client picks one; where it idles, it stops to.
func (m *machine) client() *mirror {
	c := m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(m.T, "client")]
	if c.idle != "" {
		before := c.mails()
		m.told(c, c.done(), before, true)
	}
	return c
}

func (m *machine) mailboxName(what string) string {
	return oneOf(m, what, "INBOX", "a", "INBOX", "a/b", "INBOX", "a", "a/b/c", "d", "Trash")
}

func (m *machine) someFlags() []string {
	return oneOf(m, "flags", []string{`\Deleted`}, []string{`\Seen`}, []string{`\Flagged`, `\Answered`}, []string{`\Seen`, "$Work"},
		[]string{"Later"}, []string{"later", `\Draft`}, []string{`\Deleted`, "NonJunk"}, nil)
}

// text makes the next message.
func (m *machine) text() string {
	m.made++
	return fmt.Sprintf("Subject: s%d\r\nFrom: a@example.com\r\n\r\ntext%d%s\r\n", m.made, m.made, strings.Repeat("x", m.made%7))
}

func (c *mirror) mails() []*mail {
	list := make([]*mail, len(c.list))
	for i, e := range c.list {
		list[i] = e.mail
	}
	return list
}

// toldMails is what the client knows of after a command that told everything,
// with or without EXPUNGE responses.
func (c *mirror) toldMails(before []*mail, expunge bool) []*mail {
	if expunge {
		return c.box.list
	}
	list := slices.Clone(before)
	for _, n := range c.box.list {
		if n.uid > c.high {
			list = append(list, n)
		}
	}
	return list
}

// told compares what a client believes after a command, also one that was refused,
// with what it must know.
func (m *machine) told(c *mirror, a *reply, before []*mail, expunge bool) {
	if c.box == nil {
		return
	}
	want := c.toldMails(before, expunge)
	if len(want) != len(c.list) {
		m.Fatalf("%s counts %d messages and should know of %d", c.name, len(c.list), len(want))
	}
	recents := 0
	for i, e := range c.list {
		n := want[i]
		if e.mail != nil && e.mail != n || e.uid != 0 && e.uid != n.uid {
			m.Fatalf("%s: number %d is UID %d, and was another message", c.name, i+1, n.uid)
		}
		if e.mail == nil {
			e.mail, e.told = n, n.flags
		}
		c.high = max(c.high, n.uid)
		if e.recent {
			recents++
			m.claim(c, n)
		}
		if n.gone {
			continue
		}
		if e.told = n.flags; e.known && e.flags != n.flags {
			m.Fatalf("%s believes that number %d, UID %d, has %q; it has %q", c.name, i+1, n.uid, e.flags, n.flags)
		}
	}
	if expunge && recents > c.recent {
		m.Fatalf("%s was told of %d recent messages, and \\Recent of %d", c.name, c.recent, recents)
	}
	if !c.readOnly && !c.rev2 {
		c.box.recentFrom = c.box.next
	}
}

// claim: a message is \Recent in one session at most, besides those that have
// it open read-only (RFC 3501 section 2.3.2).
func (m *machine) claim(c *mirror, n *mail) {
	if c.readOnly {
		return
	}
	if by, ok := m.recent[n]; ok && by != c.epoch {
		m.Fatalf("UID %d is \\Recent for %s and was for another session", n.uid, c.name)
	}
	m.recent[n] = c.epoch
}

// do sends a command in the selected state and compares.
func (m *machine) do(c *mirror, line string, expunge bool, change func(a *reply)) *reply {
	before := c.mails()
	a := c.command(line)
	change(a)
	m.told(c, a, before, expunge)
	return a
}

// want checks the tagged response. Any of the given forms will do: "OK", "NO",
// or with the code, "NO [TRYCREATE]".
func (m *machine) want(a *reply, forms ...string) {
	for _, form := range forms {
		if strings.HasPrefix(a.status+" "+a.code, form) {
			return
		}
	}
	m.Fatalf("answered %s %s instead of %v", a.status, a.code, forms)
}

// idlers waits until every client in IDLE knows the mailbox.
func (m *machine) idlers() {
	for _, c := range m.clients {
		if c.idle == "" {
			continue
		}
		before := c.mails()
		c.await(func() bool {
			return slices.EqualFunc(c.list, c.box.list, func(e *entry, n *mail) bool {
				return (e.mail == nil || e.mail == n) && (e.uid == 0 || e.uid == n.uid) && (!e.known || e.flags == n.flags)
			})
		})
		m.told(c, &reply{status: "OK"}, before, true)
	}
}

// finish looks at everything once more, through the eyes of each client and of
// a new one.
func (m *machine) finish() {
	for i, c := range m.clients {
		if c.idle != "" {
			m.told(c, c.done(), c.mails(), true)
		}
		if c.box != nil {
			m.do(c, "NOOP", true, func(*reply) {})
			m.fetchAll(c)
		}
		if i == 0 && c.box == nil || c.device == "pw" && !c.rev2 {
			for name := range m.w.boxes {
				m.selectMailbox(c, "EXAMINE", name)
				m.fetchAll(c)
			}
		}
		m.list(c)
		m.listSubscribed(c)
		c.logout()
		_ = c.conn.Close() // the server has closed it
	}
}

// fetchAll asks for everything.
func (m *machine) fetchAll(c *mirror) {
	if len(c.list) > 0 {
		m.fetch(c, "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])", indicesOf(len(c.list)), []string{"UID", "FLAGS", "BODY[]"})
	}
}

func indicesOf(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// someSet draws a set of messages in one of its forms. bad tells that it has a
// number no message has.
func (m *machine) someSet(c *mirror) (uid bool, text string, indices []int, bad bool) {
	uid = rapid.Bool().Draw(m.T, "uid")
	form := oneOf(m, "set", "one", "range", "open", "list", "$", "beyond")
	n := len(c.list)
	if form == "$" {
		for i, e := range c.list {
			if slices.Contains(c.saved, e.mail) {
				indices = append(indices, i)
			}
		}
		return uid, "$", indices, false
	}
	top := n
	if uid {
		top = int(c.high) + 2
	}
	if n == 0 {
		return uid, "1:*", nil, false
	}
	draw := func() int { return rapid.IntRange(1, max(1, top)).Draw(m.T, "number") }
	a, b := draw(), draw()
	spans := [][2]int{{a, a}}
	text = strconv.Itoa(a)
	last := n
	if uid {
		last = int(c.list[n-1].mail.uid)
	}
	switch form {
	case "range":
		spans, text = [][2]int{{min(a, b), max(a, b)}}, fmt.Sprintf("%d:%d", a, b)
	case "open":
		spans, text = [][2]int{{min(a, last), max(a, last)}}, fmt.Sprintf("%d:*", a)
	case "list":
		spans, text = [][2]int{{a, a}, {last, last}, {b, b}}, fmt.Sprintf("%d,*,%d", a, b)
	case "beyond":
		if !uid {
			return uid, fmt.Sprintf("%d,%d", a, n+2), []int{a - 1}, true // which SEARCH passes over
		}
	}
	for i, e := range c.list {
		number := i + 1
		if uid {
			number = int(e.mail.uid)
		}
		if slices.ContainsFunc(spans, func(s [2]int) bool { return s[0] <= number && number <= s[1] }) {
			indices = append(indices, i)
		}
	}
	return uid, text, indices, false
}

// uidPrefix is what makes a command one with UIDs.
func uidPrefix(uid bool) string {
	if uid {
		return "UID "
	}
	return ""
}

// there returns those of the messages that are not expunged.
func (c *mirror) there(indices []int) (list []*mail) {
	for _, i := range indices {
		if !c.list[i].mail.gone {
			list = append(list, c.list[i].mail)
		}
	}
	return list
}
