package localimap

import (
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailstore"
)

const (
	// mergeWithin is how long a client is told nothing after it was told something,
	// so that a burst of changes is not told one by one.
	mergeWithin = 50 * time.Millisecond
	// stillHereEvery is how often IDLE says something where nothing changes. It
	// finds clients that are gone and keeps routers from forgetting the others;
	// telephones pay for it with their battery. Clients begin a new IDLE before
	// 29 minutes are over (RFC 9051 section 6.3.13).
	stillHereEvery = 25 * time.Minute
)

// event is a set of events of NOTIFY (RFC 5465 section 5).
type event uint16

const (
	messageNew event = 1 << iota
	messageExpunge
	flagChange
	mailboxName
	subscriptionChange
	annotationChange
	mailboxMetadataChange
	serverMetadataChange
	unknownEvent

	// The others are refused.
	supportedEvents = messageNew | messageExpunge | flagChange | mailboxName | subscriptionChange
	newAndExpunge   = messageNew | messageExpunge // always together
	messageEvents   = newAndExpunge | flagChange | annotationChange
	mailboxEvents   = mailboxName | subscriptionChange | mailboxMetadataChange | serverMetadataChange
)

// notification is what a client wants to be told (RFC 5465). Without NOTIFY it is told
// of the selected mailbox during commands.
type notification struct {
	selected event         // of the selected mailbox
	delayed  bool          // EXPUNGE waits for a command that may tell it
	fetch    *fetchRequest // what is told of new messages there, nil for EXISTS only
	groups   []eventGroup  // of other mailboxes

	// Nothing of the following without groups.
	known   []listed // the mailboxes as the client was told
	commits <-chan struct{}
	due     bool // there were commits that known does not have
	own     own  // what the command has changed
	stop    func()
}

// eventGroup are the events of some mailboxes.
type eventGroup struct {
	which  string // INBOXES, which are not known, or PERSONAL: all of them; SUBSCRIBED; SUBTREE or MAILBOXES
	names  []string
	events event
}

func (g *eventGroup) has(l *listed) bool {
	switch g.which {
	case "SUBSCRIBED":
		return l.subscribed()
	case "SUBTREE":
		return below(g.names, l.name)
	case "MAILBOXES":
		return slices.Contains(g.names, l.name)
	}
	return true
}

// events returns the events of a mailbox, those of all groups that have it.
func (n *notification) events(l *listed) (all event) {
	for _, g := range n.groups {
		if l != nil && g.has(l) {
			all |= g.events
		}
	}
	return all
}

// setNotification replaces what the client wants to be told. What has changed since
// it was told last is told of the new groups.
func (s *session) setNotification(n *notification) error {
	var err error
	if len(n.groups) > 0 {
		n.commits, n.stop = s.store.Watch()
		if old := s.notify; old != nil && old.known != nil {
			n.known, n.due = old.known, true
		} else if n.known, err = s.allListed(); err != nil {
			n.stop()
			return err
		}
	}
	if s.notify != nil && s.notify.stop != nil {
		s.notify.stop()
	}
	s.notify = n
	return nil
}

// listen tells what changes until the client has sent something: during IDLE, and
// with NOTIFY between commands.
func (s *session) listen(idle bool) error {
	silent := time.Now().Add(s.quiet())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !s.in.Waiting() && !s.conn.arrived() {
		expunge := idle || !s.notify.delayed
		if !s.tellSelected(expunge) || !s.tellOthers() {
			return errClientGone
		}
		if err := s.conn.flush(); err != nil {
			return err
		}
		s.conn.release()
		s.rest(timer, mergeWithin, false) // what comes soon after is told as one
		switch {
		case s.conn.arrived():
		case idle:
			if s.rest(timer, stillHereEvery, true) {
				s.conn.line("* OK Still here")
			}
		case s.rest(timer, time.Until(silent), true):
			return errTimeout
		}
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
	}
	return nil
}

// rest waits for the client to send something, for the end of the connection, and
// perhaps for changes. It reports whether nothing has come within d.
func (s *session) rest(timer *time.Timer, d time.Duration, changes bool) (quiet bool) {
	var selected, commits <-chan struct{}
	n := s.notify
	if changes && s.view != nil && (n == nil || n.selected != 0) {
		selected = s.view.feed.Changed()
	}
	if changes && n != nil {
		commits = n.commits
	}
	timer.Reset(d)
	select {
	case <-selected:
	case <-commits:
		n.due = true
	case <-timer.C:
		return true
	case <-s.conn.more:
	case <-s.ctx.Done():
	}
	return false
}

// tellSelected tells what has changed in the selected mailbox, where the client wants
// to know. It reports whether the session goes on.
func (s *session) tellSelected(allowExpunge bool) bool {
	v, n := s.view, s.notify
	if v == nil {
		return true
	}
	if !s.inSight() {
		return false
	}
	if n != nil && n.selected == 0 && !s.expunges() {
		return true
	}
	v.holdsFlags, v.tellsUIDs = n != nil && n.selected&flagChange == 0, n != nil
	high := mailstore.UID(0)
	if last := len(v.told.uids) - 1; last >= 0 {
		high = v.told.uids[last]
	}
	s.sync(allowExpunge)
	if n != nil && n.fetch != nil && n.selected&messageNew != 0 {
		s.fetchNew(high)
	}
	v.own = nil
	return s.conn.overflow() == nil
}

// fetchNew tells of the messages after a UID what NOTIFY asks for, unless this client
// has made them itself (RFC 5465 section 5.2).
func (s *session) fetchNew(after mailstore.UID) {
	v := s.view
	var indices []int
	for i := sort.Search(len(v.told.uids), func(i int) bool { return v.told.uids[i] > after }); i < len(v.told.uids); i++ {
		if !slices.Contains(v.own, v.told.uids[i]) {
			indices = append(indices, i)
		}
	}
	if len(indices) > 0 {
		f := &fetching{session: s, v: v, items: s.notify.fetch, zone: s.srv.opt.Zone()}
		// A message that cannot be told is there nevertheless.
		_, _ = s.perform(&command{run: func(*session) (string, error) { return "", f.run(indices) }})
	}
}

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
	for _, l := range listing(s.ctx, boxes, subscribed, []string{"*"}, &imap.ListOptions{SelectSubscribed: true}) {
		if l.box == nil && !slices.ContainsFunc(all, func(other listed) bool { return other.name == l.name }) {
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
		s.tellStatus(*l.box, s.notifyItems())
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

// notifyItems are told of a mailbox in which something happens (RFC 5465 section 5).
// UNSEEN is more than it asks for.
func (s *session) notifyItems() []string {
	items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}
	if s.condstore {
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
	return slices.ContainsFunc(s.notifyItems(), func(item string) bool {
		flags := item == "UNSEEN" || item == "HIGHESTMODSEQ"
		return (wanted&flagChange != 0 || !flags) && statusItems[item](*was) != statusItems[item](*now)
	})
}
