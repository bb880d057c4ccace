package localimap

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// TestModelNotify lets others do random things with the mailboxes of one user, while
// clients listen that ask once how things are and from then on know only what NOTIFY
// tells them. In the end, and from time to time before, what they know is the truth.
func TestModelNotify(t *testing.T) {
	t.Parallel()
	fresh := freshStores(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir := fresh()
		defer func() { _ = os.RemoveAll(dir) }() // all of them go at the end
		m := &notifyModel{T: rt, dir: dir, r: openRig(t, dir)}
		defer func() {
			if err := m.r.close(); err != nil {
				rt.Error(err)
			}
		}()
		m.change("CreateMailbox", func() error { _, err := m.r.store.CreateMailbox(t.Context(), "a/b", ""); return err })
		m.r.deliver("INBOX", nil, m.text(), m.text())
		m.r.deliver("a/b", []string{`\Seen`}, m.text())
		m.listenAll()
		rt.Repeat(m.actions())
		m.check()
		for _, l := range m.listeners {
			_ = l.conn.Close()
		}
	})
}

type notifyModel struct {
	*rapid.T
	dir       string
	r         *rig
	listeners []*listener
	trace     strings.Builder
	made      int
}

// listener is a mail program that believes every word it is told, and asks nothing.
type listener struct {
	*talk
	m        *notifyModel
	selector string
	selected mailstore.MailboxID
	boxes    map[string]*knownBox
	list     []knownMail // of box
}

type knownBox struct {
	subscribed bool
	status     string
}

type knownMail struct {
	uid   int
	flags flagSet
}

func (m *notifyModel) Fatalf(format string, args ...any) {
	m.T.Fatalf("%s\n%s", fmt.Sprintf(format, args...), m.trace.String())
}

func (m *notifyModel) text() string {
	m.made++
	return fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", m.made)
}

// change does something that may be refused.
func (m *notifyModel) change(what string, do func() error) {
	err := do()
	fmt.Fprintf(&m.trace, "%s: %v\n", what, err)
}

func (m *notifyModel) listenAll() {
	for _, l := range m.listeners {
		_ = l.conn.Close()
	}
	m.listeners = nil
	for _, selector := range []string{"selected", "selected-delayed", ""} {
		m.listeners = append(m.listeners, m.listen(selector))
	}
}

// again opens what is in the folder of the store after do; the listeners begin again.
func (m *notifyModel) again(what string, do func() error) {
	m.check()
	m.change(what, func() error {
		if err := errors.Join(m.r.close(), do()); err != nil {
			m.Fatalf("%s: %v", what, err)
		}
		m.r = openRig(m.r.t, m.dir)
		return nil
	})
	m.listenAll()
}

func (m *notifyModel) listen(selector string) *listener {
	l := &listener{talk: m.r.talk("joe"), m: m, selector: selector, boxes: make(map[string]*knownBox)}
	if selector != "" {
		selector = "(" + selector + " (MessageNew (UID FLAGS) MessageExpunge FlagChange)) "
	}
	l.command("NOTIFY SET STATUS " + selector + "(personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))")
	l.command(`LIST "" * RETURN (SUBSCRIBED)`)
	if selector != "" {
		l.open("INBOX")
	}
	return l
}

// command sends a command and believes what comes.
func (l *listener) command(text string) {
	l.send("c " + text)
	for line := l.line(); ; line = l.line() {
		if l.hear(line); strings.HasPrefix(line, "c ") || l.err != nil {
			fmt.Fprintf(&l.m.trace, "%s %s\n", l.selector, line)
			return
		}
	}
}

func (l *listener) open(name string) {
	fmt.Fprintf(&l.m.trace, "%s: SELECT %s\n", l.selector, name)
	l.selected, l.list = l.m.r.boxID(name), nil
	l.command("SELECT " + name)
	if len(l.list) > 0 {
		l.command("FETCH 1:* (UID FLAGS)")
	}
}

var modSeqItem = regexp.MustCompile(`HIGHESTMODSEQ \d+ `)

func (l *listener) hear(line string) {
	if !strings.HasPrefix(line, "* ") {
		return
	}
	fmt.Fprintf(&l.m.trace, "%s %s\n", l.selector, line)
	n := (&scanner{s: line}).nodes()
	number, err := strconv.Atoi(n[1].text)
	switch {
	case n[1].text == "STATUS":
		if l.boxes[n[2].text] == nil { // the first come before LIST
			l.boxes[n[2].text] = &knownBox{}
		}
		// The first have it (RFC 5465 section 3.1), others only with CONDSTORE.
		l.boxes[n[2].text].status = modSeqItem.ReplaceAllString(line[strings.IndexByte(line, '('):], "")
	case n[1].text == "LIST":
		l.listed(n)
	case err != nil:
	case n[2].text == "EXISTS":
		if number < len(l.list) {
			l.m.Fatalf("%d EXISTS after %d", number, len(l.list))
		}
		l.list = append(l.list, make([]knownMail, number-len(l.list))...)
	case n[2].text == "EXPUNGE":
		l.list = slices.Delete(l.list, number-1, number)
	case n[2].text == "FETCH":
		l.fetched(&l.list[number-1], n[3].list)
	}
}

func (l *listener) listed(n []node) {
	name := n[4].text
	has := func(attr string) bool {
		return slices.ContainsFunc(n[2].list, func(a node) bool { return a.text == attr })
	}
	if has(`\NonExistent`) {
		delete(l.boxes, name)
		return
	}
	if len(n) > 5 {
		old := n[5].list[1].list[0].text
		l.boxes[name] = l.boxes[old]
		delete(l.boxes, old)
	}
	if l.boxes[name] == nil {
		l.boxes[name] = &knownBox{}
	}
	l.boxes[name].subscribed = has(`\Subscribed`)
}

func (l *listener) fetched(mail *knownMail, items []node) {
	if items[0].text != "UID" || items[2].text != "FLAGS" && mail.uid == 0 {
		l.m.Fatalf("FETCH told %v", items)
	}
	uid, _ := strconv.Atoi(items[1].text)
	if mail.uid != 0 && mail.uid != uid {
		l.m.Fatalf("UID %d is %d now", mail.uid, uid)
	}
	var flags []string
	for _, f := range items[3].list {
		flags = append(flags, f.text)
	}
	*mail = knownMail{uid, flagsOf(flags...)}
}

// truth is what a listener has to know.
func (m *notifyModel) truth(l *listener) (boxes, list string) {
	all, err := m.r.store.Mailboxes(m.r.t.Context())
	if err != nil {
		m.Fatalf("%v", err)
	}
	known := make(map[string]*knownBox)
	var mails []knownMail
	for _, b := range all {
		k := &knownBox{b.Subscribed, fmt.Sprintf("(MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN %d)", b.Messages, b.UIDNext, b.UIDValidity, b.Unseen)}
		if b.ID == l.selected { // its STATUS is not told
			mails, k.status = m.mails(b.ID), ""
			if had := l.boxes[b.Name]; had != nil {
				k.status = had.status
			}
		} else if had := l.boxes[b.Name]; had != nil && had.status == "" && b.UIDNext == 1 {
			k.status = "" // LIST has told all of a mailbox that is new and empty
		}
		known[b.Name] = k
	}
	return show(known), fmt.Sprint(mails)
}

func (m *notifyModel) mails(id mailstore.MailboxID) (mails []knownMail) {
	v, err := m.r.store.OpenView(m.r.t.Context(), id)
	if err != nil {
		m.Fatalf("%v", err)
	}
	defer v.Close()
	now := v.Snapshot()
	for i, uid := range now.UIDs {
		mails = append(mails, knownMail{int(uid), flagsOf(m.r.store.FlagNames(now.Flags[i])...)})
	}
	return mails
}

func show(boxes map[string]*knownBox) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(boxes)) {
		text += fmt.Sprintln(name, *boxes[name])
	}
	return text
}

// check waits until every listener knows the truth, which it must soon.
func (m *notifyModel) check() {
	for _, l := range m.listeners {
		idle := l.selector == "selected-delayed" || rapid.Bool().Draw(m.T, "idle")
		if idle { // EXPUNGE waits for a command
			l.send("i IDLE")
		}
		_ = l.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		for {
			boxes, list := m.truth(l)
			if show(l.boxes) == boxes && fmt.Sprint(l.list) == list {
				break
			}
			if l.hear(l.line()); l.err != nil {
				m.Fatalf("%s: %v\nknows\n%s%v\ninstead of\n%s%s", l.selector, l.err, show(l.boxes), l.list, boxes, list)
			}
		}
		_ = l.conn.SetReadDeadline(time.Now().Add(time.Minute))
		if idle {
			_, _ = io.WriteString(l.conn, "DONE\r\n") // an error shows at the read
			for line := l.line(); !strings.HasPrefix(line, "i OK"); line = l.line() {
				if l.hear(line); l.err != nil {
					m.Fatalf("%v", l.err)
				}
			}
		}
	}
}

func (m *notifyModel) actions() map[string]func(*rapid.T) {
	ctx := m.r.t.Context()
	name := func() string {
		return rapid.SampledFrom([]string{"INBOX", "a", "a/b", "INBOX", "c", "d/e", "Trash"}).Draw(m.T, "mailbox")
	}
	box := func() mailstore.Mailbox {
		b, err := m.r.store.Mailbox(ctx, name())
		if err != nil {
			b, _ = m.r.store.Mailbox(ctx, "INBOX")
		}
		return b
	}
	uids := func(b mailstore.Mailbox) []mailstore.UID {
		return []mailstore.UID{mailstore.UID(rapid.IntRange(1, int(b.UIDNext)).Draw(m.T, "uid")), b.UIDNext - 1}
	}
	deliver := func(*rapid.T) {
		b := box()
		m.r.deliver(b.Name, rapid.SampledFrom([][]string{nil, {`\Seen`}, {"$k"}}).Draw(m.T, "flags"), m.text())
		m.change("deliver "+b.Name, func() error { return nil })
	}
	flag := func(*rapid.T) {
		b, flags := box(), rapid.SampledFrom([]string{`\Seen`, `\Deleted`, `\Flagged`, "$k"}).Draw(m.T, "flag")
		op := rapid.SampledFrom([]mailflags.Op{mailflags.Add, mailflags.Remove}).Draw(m.T, "op")
		m.change(fmt.Sprint("SetFlags ", b.Name, flags, op), func() error { _, err := m.r.store.SetFlags(ctx, b.ID, uids(b), op, []string{flags}); return err })
	}
	transfer := func(of func(*mailstore.Store) copyFunc) func(*rapid.T) {
		return func(*rapid.T) {
			from, to := box(), box()
			m.change("transfer "+from.Name+" "+to.Name, func() error { _, err := of(m.r.store)(ctx, from.ID, uids(from), to.ID); return err })
		}
	}
	return map[string]func(*rapid.T){
		"deliver": deliver, "deliver'": deliver, "flag": flag, "flag'": flag,
		"copy": transfer(func(s *mailstore.Store) copyFunc { return s.Copy }), "move": transfer(func(s *mailstore.Store) copyFunc { return s.Move }),
		"restart": func(*rapid.T) { m.again("a restart", func() error { return nil }) },
		"rebuild": func(*rapid.T) {
			m.again("the index is made again", func() error {
				_ = os.Remove(filepath.Join(m.dir, "index.db")) // Rebuild says so where it is still there
				_, err := mailstore.Rebuild(ctx, m.dir, mailstore.Options{Log: zerolog.Nop()})
				return err
			})
		},
		"expunge": func(*rapid.T) {
			b := box()
			m.change("Expunge "+b.Name, func() error { _, err := m.r.store.Expunge(ctx, b.ID, nil); return err })
		},
		"create": func(*rapid.T) {
			n := name()
			m.change("CreateMailbox "+n, func() error { _, err := m.r.store.CreateMailbox(ctx, n, ""); return err })
		},
		"delete": func(*rapid.T) {
			n := name()
			m.change("DeleteMailbox "+n, func() error { return m.r.store.DeleteMailbox(ctx, n) })
		},
		"rename": func(*rapid.T) {
			from, to := name(), name()
			m.change("RenameMailbox "+from+" "+to, func() error { return m.r.store.RenameMailbox(ctx, from, to) })
		},
		"subscribe": func(*rapid.T) {
			n, on := name(), rapid.Bool().Draw(m.T, "on")
			m.change(fmt.Sprint("Subscribe ", n, on), func() error { return m.r.store.Subscribe(ctx, n, on) })
		},
		"select": func(*rapid.T) {
			m.check()
			m.listeners[rapid.IntRange(0, 1).Draw(m.T, "listener")].open(box().Name)
		},
		"own": func(*rapid.T) {
			l, b := m.listeners[0], box()
			l.command(fmt.Sprintf("APPEND %s {%d+}\r\n%s", b.Name, 5, "a\r\n\r\n"))
			l.command("UID COPY 1:* " + b.Name)
			l.command(`UID STORE 1 +FLAGS (\Flagged)`)
			l.command("UID FETCH 1:* (UID FLAGS)") // its own messages are not told
			l.command("STATUS " + b.Name + " (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")
		},
		"check": func(*rapid.T) { m.check() },
	}
}
