package localimap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// What the clients of TestModel do with mailboxes, and what happens behind
// their backs.

func (m *machine) doSelect(c *mirror) {
	m.selectMailbox(c, oneOf(m, "open", "SELECT", "SELECT", "EXAMINE"), m.mailboxName("mailbox"))
}

func (m *machine) selectMailbox(c *mirror, verb, name string) {
	c.list, c.keywords, c.box, c.saved, c.high, c.recent = nil, make(map[string]bool), nil, nil, 0, 0
	a := c.command(verb + " " + name)
	b := m.w.boxes[name]
	if b == nil {
		m.want(a, "NO [NONEXISTENT]")
		return
	}
	m.want(a, "OK")
	m.epochs++
	c.box, c.epoch, c.readOnly = b, m.epochs, verb == "EXAMINE" || c.device == "pw-read"
	if wild := strings.Join(a.codes("PERMANENTFLAGS"), " "); strings.Contains(wild, `\*`) == c.readOnly {
		m.Fatalf("PERMANENTFLAGS %s", wild)
	}
	m.number(a, "UIDNEXT", int(b.next))
	if first := slices.IndexFunc(b.list, func(n *mail) bool { return !n.flags.has(`\Seen`) }); first >= 0 && !c.rev2 {
		m.number(a, "UNSEEN", first+1)
	}
	v := a.codes("UIDVALIDITY")
	if len(v) != 1 {
		m.Fatalf("no UIDVALIDITY")
	}
	m.validity(b, v[0])
	recent := b.count(func(n *mail) bool { return n.uid >= b.recentFrom })
	if !c.rev2 && c.recent != recent {
		m.Fatalf("%d RECENT instead of %d", c.recent, recent)
	}
	m.told(c, a, nil, true)
}

func (m *machine) number(a *reply, code string, want int) {
	if got := a.codes(code); len(got) != 1 || got[0] != strconv.Itoa(want) {
		m.Fatalf("%s is %v instead of %d", code, got, want)
	}
}

func (m *machine) validity(b *mbox, text string) {
	v, err := strconv.ParseUint(text, 10, 32)
	if err == nil {
		err = m.w.learnValidity(b, uint32(v))
	}
	if err != nil {
		m.Fatalf("%v", err)
	}
}

func (m *machine) doClose(c *mirror) {
	verb := oneOf(m, "how", "CLOSE", "UNSELECT")
	a := c.command(verb)
	m.want(a, "OK")
	if len(a.lines) > 0 {
		m.Fatalf("%s told %q", verb, a.lines)
	}
	if verb == "CLOSE" && !c.readOnly {
		m.w.expunge(c.box, func(n *mail) bool { return n.flags.has(`\Deleted`) })
	}
	c.box, c.list = nil, nil
}

// doNoop: it tells all there is, and nothing when there is nothing.
func (m *machine) doNoop(c *mirror) {
	news := !slices.EqualFunc(c.list, c.box.list, func(e *entry, n *mail) bool { return e.mail == n && e.told == n.flags })
	a := m.do(c, oneOf(m, "how", "NOOP", "CHECK"), true, func(*reply) {})
	m.want(a, "OK")
	if !news && len(a.lines) > 0 {
		m.Fatalf("nothing has happened, and %s is told %q", c.name, a.lines)
	}
}

func (m *machine) doIdle(c *mirror) { c.startIdle() }

func (m *machine) doReconnect(c *mirror) {
	if rapid.Bool().Draw(m.T, "logout") {
		m.want(c.logout(), "OK")
	} else {
		m.note("%s breaks off", c.name)
	}
	_ = c.conn.Close() // it may be closed already
	c.connect(m.r.addr)
}

// anywhere sends a command that works in both states.
func (m *machine) anywhere(c *mirror, line string, change func(a *reply), literal ...string) *reply {
	before := c.mails()
	a := c.command(line, literal...)
	change(a)
	m.told(c, a, before, true)
	return a
}

// refused handles what a device that may only read is told.
func (m *machine) refused(c *mirror, a *reply) bool {
	if c.device != "pw-read" {
		return false
	}
	m.want(a, "NO [NOPERM]")
	return true
}

func (m *machine) doCreate(c *mirror) {
	name := m.mailboxName("mailbox")
	m.anywhere(c, "CREATE "+name, func(a *reply) {
		switch {
		case m.refused(c, a):
		case m.w.boxes[name] != nil:
			m.want(a, "NO [ALREADYEXISTS]")
		default:
			m.want(a, "OK")
			m.w.create(name)
		}
	})
}

func (m *machine) doDelete(c *mirror) {
	name := m.mailboxName("mailbox")
	m.anywhere(c, "DELETE "+name, func(a *reply) {
		b := m.w.boxes[name]
		switch {
		case m.refused(c, a):
		case name == "INBOX":
			m.want(a, "NO [CANNOT]")
		case b == nil:
			m.want(a, "NO [NONEXISTENT]")
		case len(m.w.below(name)) > 0:
			m.want(a, "NO [HASCHILDREN]")
		default:
			m.want(a, "OK")
			m.w.remove(b)
		}
	})
}

func (m *machine) doRename(c *mirror) {
	from, to := m.mailboxName("from"), m.mailboxName("to")
	m.anywhere(c, "RENAME "+from+" "+to, func(a *reply) {
		b := m.w.boxes[from]
		switch {
		case m.refused(c, a):
		case b == nil:
			m.want(a, "NO [NONEXISTENT]")
		case m.w.boxes[to] != nil:
			m.want(a, "NO [ALREADYEXISTS]")
		case strings.HasPrefix(to, from+"/") && from != "INBOX":
			m.want(a, "NO [CANNOT]")
		default:
			m.want(a, "OK")
			m.w.rename(b, to)
		}
	})
}

func (m *machine) doSubscribe(c *mirror) {
	verb, name := oneOf(m, "how", "SUBSCRIBE", "UNSUBSCRIBE"), m.mailboxName("mailbox")
	m.anywhere(c, verb+" "+name, func(a *reply) {
		if !m.refused(c, a) {
			m.want(a, "OK")
			m.w.subscribed[name] = verb == "SUBSCRIBE"
		}
	})
}

func (m *machine) doList(c *mirror) {
	if rapid.Bool().Draw(m.T, "all") {
		m.list(c)
	} else {
		m.listSubscribed(c)
	}
}

func (m *machine) listSubscribed(c *mirror) {
	var want []string
	for name, on := range m.w.subscribed {
		if on {
			want = append(want, fmt.Sprint(name, " ", m.w.boxes[name] != nil))
		}
	}
	m.anywhere(c, `LIST (SUBSCRIBED) "" *`, func(a *reply) { m.want(a, "OK"); m.names(a, `\NonExistent`, false, want) })
}

func (m *machine) list(c *mirror) {
	m.anywhere(c, `LIST "" *`, func(a *reply) { m.want(a, "OK"); m.names(a, `\HasChildren`, true, m.w.listing()) })
}

// names compares the LIST responses: each name with whether it has attr.
func (m *machine) names(a *reply, attr string, has bool, want []string) {
	var got []string
	for _, n := range a.other {
		if n[1].text != "LIST" {
			continue
		}
		with := slices.ContainsFunc(n[2].list, func(n node) bool { return n.text == attr })
		got = append(got, fmt.Sprint(n[4].text, " ", with == has))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.Fatalf("LIST told %v instead of %v", got, want)
	}
}

func (m *machine) doStatus(c *mirror) {
	name := m.mailboxName("mailbox")
	m.anywhere(c, "STATUS "+name+" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE RECENT)", func(a *reply) {
		b := m.w.boxes[name]
		if b == nil {
			m.want(a, "NO [NONEXISTENT]")
			return
		}
		m.want(a, "OK")
		said := a.find("STATUS")
		if len(said) != 2 || said[0].text != name {
			m.Fatalf("STATUS told %v", said)
		}
		want := b.status()
		for i := 0; i+1 < len(said[1].list); i += 2 {
			item, value := said[1].list[i].text, said[1].list[i+1].text
			if item == "UIDVALIDITY" {
				m.validity(b, value)
			} else if value != strconv.Itoa(want[item]) {
				m.Fatalf("%s of %s is %s instead of %d", item, name, value, want[item])
			}
			delete(want, item)
		}
		if len(want) > 0 {
			m.Fatalf("STATUS left out %v", want)
		}
	})
}

func (m *machine) doAppend(c *mirror) {
	name, flags, dated := m.mailboxName("mailbox"), m.someFlags(), rapid.Bool().Draw(m.T, "dated")
	body := &content{body: m.text()}
	line := "APPEND " + name
	if len(flags) > 0 {
		line += " (" + strings.Join(flags, " ") + ")"
	}
	if dated {
		at := epoch.Add(time.Duration(m.made) * time.Hour)
		body.date = at.Unix()
		line += at.Format(` "_2-Jan-2006 15:04:05 -0700"`)
	}
	m.anywhere(c, line, func(a *reply) {
		b := m.w.boxes[name]
		switch {
		case m.refused(c, a):
		case b == nil:
			m.want(a, "NO [TRYCREATE]")
		default:
			m.want(a, "OK")
			made := b.add(body, flagsOf(flags...))
			id := a.codes("APPENDUID")
			if len(id) != 2 || id[1] != fmt.Sprint(made.uid) {
				m.Fatalf("APPENDUID %v instead of %d", id, made.uid)
			}
			m.validity(b, id[0])
		}
	}, body.body)
}

// doDeliver is new mail from the POP side.
func (m *machine) doDeliver() {
	name, flags := m.mailboxName("mailbox"), oneOf(m, "flags", nil, []string{`\Seen`}, []string{"$New"})
	if m.w.boxes[name] != nil {
		m.deliver(name, flags, rapid.IntRange(1, 3).Draw(m.T, "messages"))
	}
}

func (m *machine) deliver(name string, flags []string, n int) {
	var texts []string
	for i := range n {
		texts = append(texts, m.text())
		m.w.boxes[name].add(&content{texts[i], epoch.Add(time.Duration(i) * 24 * time.Hour).Unix()}, flagsOf(flags...))
	}
	m.note("deliver %s %s: %d", name, flagsOf(flags...), n)
	m.r.deliver(name, flags, texts...)
}

// doUndelete brings expunged messages back, as the command does.
func (m *machine) doUndelete() {
	ctx := m.r.t.Context()
	list, err := m.r.store.Expunged(ctx, mailstore.ExpungedQuery{})
	if err != nil || len(list) != len(m.w.lost) {
		m.Fatalf("%d expunged messages, should be %d: %v", len(list), len(m.w.lost), err)
	}
	if len(list) == 0 {
		return
	}
	slices.Reverse(list) // the first expunged first, as in the model
	at := rapid.IntRange(0, len(list)-1).Draw(m.T, "which")
	m.note("undelete UID %d of %s", list[at].UID, list[at].Mailbox)
	back, err := m.r.store.Undelete(ctx, []int64{list[at].ID})
	b, made := m.w.undelete(m.w.lost[at])
	m.w.lost = slices.Delete(m.w.lost, at, at+1)
	if err != nil || len(back) != 1 || uint32(back[0].UID) != made.uid || back[0].Mailbox != b.name {
		m.Fatalf("undeleted as %v, should be UID %d of %s: %v", back, made.uid, b.name, err)
	}
}
