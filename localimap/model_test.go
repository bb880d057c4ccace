package localimap

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// mirror is a client that believes every word it is told, and nothing else: its
// list of messages is made of EXISTS, EXPUNGE and FETCH responses alone. An
// entry learns its UID from the first FETCH that names it; from then on its
// number must never lead to another message.
type mirror struct {
	*talk
	box  string
	tags int
	list []*entry
}

type entry struct {
	uid   string
	flags map[string]bool // nil: not told yet
}

var (
	numbered  = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|RECENT|FETCH)(.*)$`)
	uidItem   = regexp.MustCompile(`UID (\d+)`)
	flagsItem = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// command sends a line and believes the responses. It returns the untagged
// SEARCH response and whether the command was refused.
func (m *mirror) command(t *rapid.T, line string, mayExpunge bool) (search string, refused bool) {
	m.tags++
	tag := fmt.Sprintf("t%d ", m.tags)
	m.send(tag + line)
	for {
		got := m.line()
		if m.err != nil {
			t.Fatalf("%s: %s", line, got)
		}
		switch r := numbered.FindStringSubmatch(got); {
		case strings.HasPrefix(got, tag):
			if strings.Contains(got, "SERVERBUG") || strings.Contains(got, "BAD") {
				t.Fatalf("%s: %s", line, got)
			}
			return search, !strings.HasPrefix(got, tag+"OK")
		case strings.HasPrefix(got, "* SEARCH"):
			search = strings.TrimPrefix(got, "* SEARCH")
		case r != nil:
			m.believe(t, line, r, mayExpunge)
		}
	}
}

func (m *mirror) believe(t *rapid.T, line string, r []string, mayExpunge bool) {
	n, err := strconv.Atoi(r[1])
	if err != nil {
		t.Fatal(err)
	}
	switch r[2] {
	case "EXISTS":
		if n < len(m.list) {
			t.Fatalf("%s: EXISTS %d with %d known", line, n, len(m.list))
		}
		for len(m.list) < n {
			m.list = append(m.list, &entry{})
		}
	case "EXPUNGE":
		if !mayExpunge || n < 1 || n > len(m.list) {
			t.Fatalf("%s: EXPUNGE %d with %d known, allowed: %v", line, n, len(m.list), mayExpunge)
		}
		m.list = slices.Delete(m.list, n-1, n)
	case "FETCH":
		if n < 1 || n > len(m.list) {
			t.Fatalf("%s: FETCH %d with %d known", line, n, len(m.list))
		}
		e := m.list[n-1]
		if u := uidItem.FindStringSubmatch(r[3]); u != nil {
			if e.uid != "" && e.uid != u[1] {
				t.Fatalf("%s: number %d was UID %s and is now %s", line, n, e.uid, u[1])
			}
			e.uid = u[1]
		}
		if f := flagsItem.FindStringSubmatch(r[3]); f != nil {
			e.flags = make(map[string]bool)
			for _, name := range strings.Fields(f[1]) {
				if name != `\Recent` {
					e.flags[name] = true
				}
			}
		}
	}
}

// TestModel lets three clients work on one mailbox at random and compares what
// each has come to believe with the store.
func TestModel(t *testing.T) {
	r := newRig(t)
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		box := fmt.Sprintf("m%d", round)
		setup := r.talk("joe")
		setup.do("a CREATE "+box, "a OK")
		var clients []*mirror
		for range 3 {
			m := &mirror{talk: r.talk("joe"), box: box}
			defer func() { _ = m.conn.Close() }()
			clients = append(clients, m)
			m.command(t, "SELECT "+box, false)
		}
		setup.do("b LOGOUT", "b OK")
		for step := range rapid.IntRange(5, 40).Draw(t, "steps") {
			m := clients[rapid.IntRange(0, 2).Draw(t, "client")]
			m.random(t, r, step)
		}
		for _, m := range clients {
			m.compare(t, r)
		}
	})
}

// random does one thing.
func (m *mirror) random(t *rapid.T, r *rig, step int) {
	what := rapid.SampledFrom([]string{"deliver", "deliver", "noop", "fetch", "fetch", "body", "store", "store", "store", "expunge", "uidexpunge", "copy", "move", "search", "idle"}).Draw(t, "what")
	if len(m.list) == 0 && what != "deliver" && what != "idle" {
		what = "noop"
	}
	a := rapid.IntRange(1, max(1, len(m.list))).Draw(t, "from")
	b := rapid.IntRange(1, max(1, len(m.list))).Draw(t, "to")
	set := fmt.Sprintf("%d:%d", a, b)
	switch what {
	case "deliver":
		r.deliver(m.box, nil, fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", step))
	case "noop":
		m.command(t, "NOOP", true)
	case "fetch":
		m.command(t, "FETCH "+set+" (UID FLAGS)", false)
	case "body":
		m.command(t, "FETCH "+set+" (UID RFC822.TEXT)", false)
	case "store":
		m.store(t, min(a, b), max(a, b))
	case "expunge":
		m.command(t, "EXPUNGE", true)
	case "uidexpunge":
		if uid := m.list[a-1].uid; uid != "" {
			m.command(t, "UID EXPUNGE "+uid, true)
		}
	case "copy":
		m.command(t, "COPY "+set+" "+m.box, true)
	case "move":
		m.command(t, "MOVE "+set+" "+rapid.SampledFrom([]string{m.box, "Trash"}).Draw(t, "dest"), true)
	case "search":
		m.search(t, r)
	case "idle":
		m.tags++
		m.send(fmt.Sprintf("t%d IDLE\r\nDONE", m.tags))
		m.tags--
		m.drainIdle(t)
	}
}

func (m *mirror) drainIdle(t *rapid.T) {
	m.tags++
	for {
		got := m.line()
		if strings.HasPrefix(got, fmt.Sprintf("t%d ", m.tags)) {
			return
		}
		if m.err != nil {
			t.Fatalf("IDLE: %s", got)
		}
		if r := numbered.FindStringSubmatch(got); r != nil {
			m.believe(t, "IDLE", r, true)
		}
	}
}

// store changes flags; after a silent change the client believes what it asked
// for, unless it is told something else.
func (m *mirror) store(t *rapid.T, from, to int) {
	flags := rapid.SampledFrom([][]string{{`\Deleted`}, {`\Seen`}, {`\Seen`, `$Work`}, {`Later`}, {}}).Draw(t, "flags")
	op := rapid.SampledFrom([]string{"+", "-", ""}).Draw(t, "op")
	silent := rapid.SampledFrom([]string{"", ".SILENT"}).Draw(t, "silent")
	before := slices.Clone(m.list[from-1 : to])
	asked := make([]map[string]bool, len(before))
	for i, e := range before {
		if e.flags == nil && op != "" || silent == "" {
			continue
		}
		asked[i] = make(map[string]bool)
		if op != "" {
			maps.Copy(asked[i], e.flags)
		}
		for _, f := range flags {
			if op == "-" {
				delete(asked[i], f)
			} else {
				asked[i][f] = true
			}
		}
	}
	old := make([]map[string]bool, len(before))
	for i, e := range before {
		old[i], e.flags = e.flags, nil
	}
	_, refused := m.command(t, fmt.Sprintf("STORE %d:%d %sFLAGS%s (%s)", from, to, op, silent, strings.Join(flags, " ")), false)
	for i, e := range before {
		switch {
		case e.flags != nil: // told
		case refused:
			e.flags = old[i]
		case asked[i] != nil:
			e.flags = asked[i]
		}
	}
}

// search compares with what the client believes: the answer is never of a
// state it does not know. Messages that are gone already are left out: a silent
// STORE on one succeeds and changes nothing.
func (m *mirror) search(t *rapid.T, r *rig) {
	before := make([]map[string]bool, len(m.list))
	there := r.uids(m.box)
	for i, e := range m.list {
		if there[e.uid] {
			before[i] = maps.Clone(e.flags)
		}
	}
	answer, refused := m.command(t, "SEARCH UNSEEN", false)
	if refused {
		t.Fatal("SEARCH refused")
	}
	found := strings.Fields(answer)
	for i, flags := range before {
		if flags != nil && slices.Contains(found, strconv.Itoa(i+1)) == flags[`\Seen`] {
			t.Fatalf("SEARCH UNSEEN found %v; number %d has %v", found, i+1, flags)
		}
	}
}

// uids returns the UIDs in a mailbox.
func (r *rig) uids(name string) map[string]bool {
	r.t.Helper()
	box, err := r.store.Mailbox(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := r.store.OpenView(r.t.Context(), box.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	set := make(map[string]bool)
	for _, uid := range v.Snapshot().UIDs {
		set[fmt.Sprint(uid)] = true
	}
	return set
}

// compare brings the client up to date and looks whether it knows the mailbox.
func (m *mirror) compare(t *rapid.T, r *rig) {
	m.command(t, "NOOP", true)
	believed := make([]map[string]bool, len(m.list))
	for i, e := range m.list {
		believed[i] = e.flags
	}
	if len(m.list) > 0 {
		m.command(t, "FETCH 1:* (UID FLAGS)", false)
	}
	box, err := r.store.Mailbox(r.t.Context(), m.box)
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.store.OpenView(r.t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	now := v.Snapshot()
	if len(now.UIDs) != len(m.list) {
		t.Fatalf("the client knows %d messages, there are %d", len(m.list), len(now.UIDs))
	}
	for i, e := range m.list {
		truth := make(map[string]bool)
		for _, name := range r.store.FlagNames(now.Flags[i]) {
			truth[name] = true
		}
		if e.uid != fmt.Sprint(now.UIDs[i]) || !maps.Equal(e.flags, truth) {
			t.Fatalf("number %d is UID %s %v for the client, in truth %d %v", i+1, e.uid, e.flags, now.UIDs[i], truth)
		}
		if believed[i] != nil && !maps.Equal(believed[i], truth) {
			t.Fatalf("number %d: the client believed %v after NOOP, in truth %v", i+1, believed[i], truth)
		}
	}
}
