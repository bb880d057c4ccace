package localimap

import (
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// tellOthers tells what has changed of the other mailboxes, where the client wants to
// know. It reports whether the session goes on.
func (s *session) tellOthers() bool {
	n := s.notify
	if n == nil || n.commits == nil {
		return true
	}
	select {
	case <-n.commits:
		n.due = true
	default:
	}
	if !n.due {
		return true
	}
	now, err := s.allListed()
	if err != nil {
		_ = s.setNotification(&notification{}) // nothing can fail
		s.conn.line("* OK [NOTIFICATIONOVERFLOW] The mailboxes cannot be read")
		return s.ctx.Err() == nil
	}
	was := n.known
	n.known, n.due = now, false
	s.tellDifference(was, now)
	return s.conn.overflow() == nil
}

// own is what a command of this session has changed in other mailboxes, which the client
// SHOULD not be told (RFC 5465 section 5).
type own struct {
	events event    // mailboxName, subscriptionChange or both
	names  []string // of mailboxes that were made, deleted, renamed or subscribed

	mailbox mailstore.MailboxID // got new messages
	added   int
}

// has reports whether the command explains what became of prev.
func (o *own) has(prev, l *listed) bool {
	switch {
	case o.events == subscriptionChange || slices.Contains(o.names, l.name) && (prev.box == nil) != (l.box == nil):
		return slices.Contains(o.names, l.name)
	case prev.name == "" && l.box == nil: // a subscribed name that RENAME has left behind
		return below(o.names, l.name)
	case prev.name != "" && prev.name != l.name:
		return below(o.names, prev.name) && below(o.names, l.name)
	}
	above := slices.ContainsFunc(o.names, func(n string) bool { return n != l.name && below([]string{l.name}, n) })
	return above && (prev.box == nil || prev.id() == l.id())
}

// did notes what a command has changed, unless it has failed, and tells at once what
// others have. It returns err.
func (s *session) did(err error, o own) error {
	if s.notify != nil && err == nil {
		s.notify.own, s.notify.due = o, s.notify.commits != nil
		s.tellOthers() // an error is kept by conn
		s.notify.own = own{}
	}
	return err
}

// allListed returns all mailboxes as LIST tells them, and the subscribed names of none.
func (s *session) allListed() ([]listed, error) {
	boxes, err := s.store.Mailboxes(s.ctx)
	if err != nil {
		return nil, err
	}
	subscribed, err := s.store.Subscriptions(s.ctx)
	if err != nil {
		return nil, err
	}
	all := listing(s.ctx, boxes, subscribed, []string{"*"}, &imap.ListOptions{})
	boxed := all // in the order of names
	for _, l := range listing(s.ctx, boxes, subscribed, []string{"*"}, &imap.ListOptions{SelectSubscribed: true}) {
		byName := func(other listed, name string) int { return strings.Compare(other.name, name) }
		if _, ok := slices.BinarySearchFunc(boxed, l.name, byName); !ok && l.box == nil {
			all = append(all, l)
		}
	}
	for i := range all {
		all[i].told = all[i].box
	}
	return all, s.ctx.Err()
}

// tellDifference tells of two listings what the client wants to know. Clients know
// mailboxes by name, so one that has the name of another now is told as that one.
func (s *session) tellDifference(was, now []listed) {
	names, ids := make(map[string]*listed), make(map[mailstore.MailboxID]*listed)
	for i := range was {
		names[was[i].name] = &was[i]
		if was[i].box != nil {
			ids[was[i].box.ID] = &was[i]
		}
	}
	taken := make(map[string]bool)
	for _, l := range now {
		taken[l.name] = l.box != nil
	}
	for i := range now {
		l := &now[i]
		prev := names[l.name]
		if prev == nil && l.box != nil {
			if prev = ids[l.box.ID]; prev != nil && taken[prev.name] {
				prev = nil
			}
		}
		s.tellMailbox(prev, l)
		if prev != nil {
			delete(names, prev.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s.tellListing(names[name], &listed{name: name, attrs: attributes(nil, false)})
	}
}

// tellMailbox tells what has become of a mailbox; prev is nil for a new one.
func (s *session) tellMailbox(prev, l *listed) {
	wanted := s.notify.events(prev) | s.notify.events(l)
	if prev == nil {
		prev = &listed{}
	}
	s.tellListing(prev, l)
	if s.isSelected(l) { // it is told by other responses, and by STATUS when it is left
		l.told = prev.told
		return
	}
	if l.box != nil && wanted&messageEvents != 0 && s.differs(prev.told, l.box, wanted) {
		s.tellStatus(*l.box, s.notifyItems(false))
	}
}

// tellListing tells of a name what LIST has, where that is news.
func (s *session) tellListing(prev, l *listed) {
	changed := event(0)
	if (prev.box != nil || l.box != nil) && (prev.name != l.name || prev.id() != l.id() || !slices.Equal(prev.plain(), l.plain())) {
		changed |= mailboxName
	}
	if prev.subscribed() != l.subscribed() {
		changed |= subscriptionChange
	}
	if own := &s.notify.own; own.has(prev, l) {
		changed &^= own.events
	}
	if changed&(s.notify.events(prev)|s.notify.events(l)) != 0 {
		renamed := *l
		if renamed.name != prev.name {
			renamed.oldName = prev.name
		}
		s.tellListed("LIST", renamed)
	}
}

// notifyItems are told of a mailbox in which something happens (RFC 5465 section 5), the
// modification sequence to clients with CONDSTORE, or to all (section 3.1). UNSEEN is
// more than it asks for.
func (s *session) notifyItems(modseq bool) []string {
	items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}
	if s.condstore || modseq && !s.store.lacks(imap.CapCondStore) {
		return slices.Insert(items, 2, "HIGHESTMODSEQ")
	}
	return items
}

func (s *session) isSelected(l *listed) bool {
	return s.view != nil && l.box != nil && s.view.id == l.box.ID
}

// differs reports whether STATUS has something new of what the client wants to know.
func (s *session) differs(was, now *mailstore.Mailbox, wanted event) bool {
	if was == nil { // a mailbox that is new has nothing to tell while it is empty
		was = &mailstore.Mailbox{UIDNext: 1, UIDValidity: now.UIDValidity, HighestModSeq: now.HighestModSeq}
	}
	if own := &s.notify.own; own.added > 0 && own.mailbox == now.ID && now.UIDValidity == was.UIDValidity &&
		now.UIDNext == was.UIDNext+mailstore.UID(own.added) && now.HighestModSeq == was.HighestModSeq+1 { // by one transaction
		return false
	}
	return slices.ContainsFunc(s.notifyItems(false), func(item string) bool {
		flags := item == "UNSEEN" || item == "HIGHESTMODSEQ"
		return (wanted&flagChange != 0 || !flags) && statusItems[item](*was) != statusItems[item](*now)
	})
}
