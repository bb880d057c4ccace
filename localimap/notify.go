package localimap

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
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
			return serving.ErrClientGone
		}
		if err := s.conn.flush(); err != nil {
			return err
		}
		s.conn.release(idleBuffer)
		s.rest(timer, mergeWithin, false) // what comes soon after is told as one
		switch {
		case s.conn.arrived():
		case idle:
			if s.rest(timer, stillHereEvery, true) {
				s.conn.line("* OK Still here")
			}
		case s.rest(timer, time.Until(silent), true):
			return serving.ErrTimeout
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
		items := *s.notify.fetch
		if v.condstore { // RFC 7162 section 3.2.4
			items.atts |= attUID | attModSeq
		}
		f := &fetching{session: s, v: v, items: &items, zone: s.srv.opt.Zone()}
		// A message that cannot be told is there nevertheless.
		_, _ = s.perform(&command{run: func(*session) (string, error) { return "", f.run(indices) }})
	}
}
