package localimap

import (
	"fmt"
	"slices"
	"strings"
)

// The reference model: what the mailboxes of one user hold after each command.
// It is written from the RFCs, as plainly as can be, and shares nothing with
// the store.

// flagSet is a set of flags: lower case, sorted, each once, with spaces between.
type flagSet string

func flagsOf(names ...string) flagSet {
	list := strings.Fields(strings.ToLower(strings.Join(names, " ")))
	list = slices.DeleteFunc(list, func(n string) bool { return n == `\recent` })
	slices.Sort(list)
	return flagSet(strings.Join(slices.Compact(list), " "))
}

func (f flagSet) names() []string { return strings.Fields(string(f)) }

func (f flagSet) has(name string) bool { return slices.Contains(f.names(), strings.ToLower(name)) }

// apply is STORE with +FLAGS, -FLAGS or FLAGS.
func (f flagSet) apply(op string, given flagSet) flagSet {
	switch op {
	case "+":
		return flagsOf(string(f), string(given))
	case "-":
		return flagsOf(slices.DeleteFunc(f.names(), given.has)...)
	}
	return given
}

// content is what copies of a message share.
type content struct {
	body string
	date int64 // Unix seconds; 0: the server's choice, not told yet
}

// mail is one message in one mailbox. A copy is another one.
type mail struct {
	*content
	uid   uint32
	flags flagSet
	gone  bool
}

type mbox struct {
	name       string
	validity   uint32 // 0: not told yet
	next       uint32
	list       []*mail // uid ascends
	gone       bool
	recentFrom uint32
}

// lost is an expunged message, which can be brought back.
type lost struct {
	*mail
	from *mbox
	name string
}

type world struct {
	boxes      map[string]*mbox
	subscribed map[string]bool
	lost       []lost // in the order of expunging
	validity   map[string]uint32
}

func newWorld() *world {
	w := &world{boxes: make(map[string]*mbox), subscribed: make(map[string]bool), validity: make(map[string]uint32)}
	for _, name := range []string{"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"} {
		w.create(name)
		w.subscribed[name] = true
	}
	return w
}

// parents of "a/b/c" are "a" and "a/b".
func parents(name string) (list []string) {
	for i, c := range name {
		if c == '/' {
			list = append(list, name[:i])
		}
	}
	return list
}

func (w *world) create(name string) *mbox {
	for _, n := range append(parents(name), name) {
		if w.boxes[n] == nil {
			w.boxes[n] = &mbox{name: n, next: 1, recentFrom: 1}
		}
	}
	return w.boxes[name]
}

func (w *world) below(name string) (list []*mbox) {
	for n, b := range w.boxes {
		if strings.HasPrefix(n, name+"/") {
			list = append(list, b)
		}
	}
	return list
}

// remove deletes a mailbox; its name may stay subscribed (RFC 9051 section
// 6.3.4, 6.3.7).
func (w *world) remove(b *mbox) {
	w.expunge(b, func(*mail) bool { return true })
	b.gone = true
	delete(w.boxes, b.name)
}

func (w *world) rename(b *mbox, to string) {
	if b.name == "INBOX" {
		w.transfer(slices.Clone(b.list), b, w.create(to), true)
		return
	}
	for _, p := range parents(to) {
		w.create(p)
	}
	for _, child := range append(w.below(b.name), b) {
		old := child.name
		child.name = to + strings.TrimPrefix(old, b.name)
		if child == b {
			child.name = to
		}
		delete(w.boxes, old)
		w.boxes[child.name] = child
		if w.subscribed[old] {
			w.subscribed[child.name] = true
		}
	}
}

func (b *mbox) add(c *content, flags flagSet) *mail {
	m := &mail{content: c, uid: b.next, flags: flags}
	b.next++
	b.list = append(b.list, m)
	return m
}

func (b *mbox) drop(gone func(*mail) bool) {
	b.list = slices.DeleteFunc(slices.Clone(b.list), func(m *mail) bool {
		m.gone = m.gone || gone(m)
		return m.gone
	})
}

func (w *world) expunge(b *mbox, which func(*mail) bool) {
	for _, m := range b.list {
		if which(m) {
			w.lost = append(w.lost, lost{m, b, b.name})
		}
	}
	b.drop(which)
}

// transfer copies those messages that are still there, or moves them.
func (w *world) transfer(list []*mail, from, to *mbox, move bool) (old, made []*mail) {
	for _, m := range list {
		if !m.gone {
			old, made = append(old, m), append(made, to.add(m.content, m.flags))
		}
	}
	if move {
		from.drop(func(m *mail) bool { return slices.Contains(old, m) })
	}
	return old, made
}

func (w *world) undelete(l lost) (*mbox, *mail) {
	b := l.from
	if b.gone {
		if b = w.boxes[l.name]; b == nil {
			b = w.create(l.name)
			w.subscribed[l.name] = true
		}
	}
	return b, b.add(l.content, l.flags.apply("-", `\deleted`))
}

func (b *mbox) count(match func(*mail) bool) (n int) {
	for _, m := range b.list {
		if match(m) {
			n++
		}
	}
	return n
}

// status is what STATUS must tell.
func (b *mbox) status() map[string]int {
	size := 0
	for _, m := range b.list {
		size += len(m.body)
	}
	return map[string]int{
		"MESSAGES": len(b.list), "UIDNEXT": int(b.next), "SIZE": size,
		"UNSEEN":  b.count(func(m *mail) bool { return !m.flags.has(`\Seen`) }),
		"DELETED": b.count(func(m *mail) bool { return m.flags.has(`\Deleted`) }),
		"RECENT":  b.count(func(m *mail) bool { return m.uid >= b.recentFrom }),
	}
}

// learnValidity: the UIDVALIDITY of a mailbox never changes, and a name that is
// used again gets a higher one (RFC 9051 section 2.3.1.1).
func (w *world) learnValidity(b *mbox, v uint32) error {
	if b.validity == v {
		return nil
	}
	if b.validity != 0 || v == 0 || v <= w.validity[b.name] {
		return fmt.Errorf("UIDVALIDITY of %s is %d; was %d, that of an earlier mailbox of the name %d", b.name, v, b.validity, w.validity[b.name])
	}
	b.validity, w.validity[b.name] = v, v
	return nil
}

// listing is what LIST "" * must tell: each name and whether it has children.
func (w *world) listing() []string {
	var list []string
	for name := range w.boxes {
		list = append(list, fmt.Sprint(name, " ", len(w.below(name)) > 0))
	}
	slices.Sort(list)
	return list
}
