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

// allListed returns all mailboxes as LIST tells them.
func (s *session) allListed() ([]listed, error) {
	boxes, err := s.store.Mailboxes(s.ctx)
	if err != nil {
		return nil, err
	}
	var subscribed []string
	for _, b := range boxes {
		if b.Subscribed {
			subscribed = append(subscribed, b.Name)
		}
	}
	all := listing(s.ctx, boxes, subscribed, []string{"*"}, &imap.ListOptions{})
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
		taken[l.name] = true
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
		if gone := names[name]; gone.box != nil && s.notify.events(gone)&mailboxName != 0 {
			s.tellListed("LIST", listed{name: name, attrs: attributes(nil, false)})
		}
	}
}

// tellMailbox tells what has become of a mailbox; prev is nil for a new one.
func (s *session) tellMailbox(prev, l *listed) {
	wanted := s.notify.events(prev) | s.notify.events(l)
	if prev == nil {
		prev = &listed{}
	} else if prev.name != l.name {
		l.oldName = prev.name
	}
	changed := event(0)
	if prev.name != l.name || prev.id() != l.id() || !slices.Equal(prev.plain(), l.plain()) {
		changed |= mailboxName
	}
	if prev.subscribed() != l.subscribed() {
		changed |= subscriptionChange
	}
	if changed&wanted != 0 {
		s.tellListed("LIST", *l)
	}
	l.oldName = ""
	if s.isSelected(l) { // it is told by other responses, and by STATUS when it is left
		l.told = prev.told
		return
	}
	if l.box != nil && wanted&messageEvents != 0 && differs(prev.told, l.box, wanted) {
		s.tellStatus(*l.box, notifyItems)
	}
}

// notifyItems are told of a mailbox in which something happens. That of a message
// is told to clients that want to know of messages, so that these know how many are
// unseen; CONDSTORE adds HIGHESTMODSEQ.
var notifyItems = []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}

func (s *session) isSelected(l *listed) bool {
	return s.view != nil && l.box != nil && s.view.id == l.box.ID
}

// differs reports whether STATUS has something new of what the client wants to know.
func differs(was, now *mailstore.Mailbox, wanted event) bool {
	if was == nil {
		return true
	}
	return slices.ContainsFunc(notifyItems, func(item string) bool {
		return (wanted&flagChange != 0 || item != "UNSEEN") && statusItems[item](*was) != statusItems[item](*now)
	})
}
