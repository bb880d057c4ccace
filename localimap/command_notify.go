package localimap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/text/unicode/norm"

	"github.com/popbridge/popbridge/internal/imapwire"
)

// eventNames are in the order of their bits.
var eventNames = []string{
	"MessageNew", "MessageExpunge", "FlagChange", "MailboxName", "SubscriptionChange",
	"AnnotationChange", "MailboxMetadataChange", "ServerMetadataChange",
}

// notifyCommand is a NOTIFY that is being read.
type notifyCommand struct {
	*session
	n      notification
	status bool  // the present state is told
	asked  event // in all groups
	chosen bool  // there was a group for the selected mailbox
}

// setNotify answers NOTIFY (RFC 5465 section 3.1). What ends every command tells
// what has changed in the selected mailbox.
func (s *session) setNotify() (string, error) {
	c := notifyCommand{session: s}
	if err := c.arguments(); err != nil {
		return "", err
	}
	names := len(c.n.groups)
	for _, g := range c.n.groups {
		names += len(g.names)
	}
	switch {
	case c.asked&^supportedEvents != 0:
		return "", no(imap.ResponseCode("BADEVENT ("+strings.Join(eventNames[:5], " ")+")"), "Only these events are supported")
	case names > maxNotified:
		return "", no("NOTIFICATIONOVERFLOW", fmt.Sprintf("Too many mailboxes, at most %d", maxNotified))
	}
	if !s.tellOthers() { // what is still to be told of the former groups
		return "", errAnswered
	}
	if err := s.setNotification(&c.n); err != nil {
		return "", err
	}
	for i := range c.n.known {
		l := &c.n.known[i]
		if asked := c.n.events(l); c.status && asked&messageEvents != 0 && l.box != nil && !s.isSelected(l) {
			s.tellStatus(*l.box, s.notifyItems(asked&flagChange != 0))
		}
	}
	return "", s.conn.overflow()
}

func (c *notifyCommand) arguments() error {
	c.in.SP()
	switch strings.ToUpper(c.in.Atom()) {
	case "NONE":
	case "SET":
		c.in.SP()
		if c.status = c.in.TakeWord("STATUS"); c.status {
			c.in.SP()
		}
		for c.group(); c.in.Take(' '); {
			c.group()
		}
	default:
		c.in.Fail(&imapwire.SyntaxError{Text: "Expected SET or NONE"})
	}
	return c.in.End()
}

// group reads an event-group (RFC 5465 section 8).
func (c *notifyCommand) group() {
	r, selected := c.in, false
	r.Expect('(')
	g := eventGroup{which: strings.ToUpper(r.Atom())}
	r.SP()
	switch g.which {
	case "SELECTED", "SELECTED-DELAYED":
		selected = true
	case "INBOXES", "PERSONAL", "SUBSCRIBED":
	case "SUBTREE", "MAILBOXES":
		g.names = c.mailboxNames()
		r.SP()
	default:
		r.Fail(&imapwire.SyntaxError{Text: "Expected SELECTED, SELECTED-DELAYED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE or MAILBOXES"})
	}
	var fetch *fetchRequest
	g.events, fetch = c.events(selected)
	r.Expect(')')
	c.asked |= g.events
	g.events &= supportedEvents // the others are refused with NO, and not with BAD
	switch {
	case selected && c.chosen:
		r.Fail(&imapwire.SyntaxError{Text: "Only one group is for the selected mailbox"})
	case selected && g.events&mailboxEvents != 0:
		r.Fail(&imapwire.SyntaxError{Text: "Only events of messages are for the selected mailbox"})
	case g.events&messageEvents != 0 && g.events&newAndExpunge != newAndExpunge:
		r.Fail(&imapwire.SyntaxError{Text: "MessageNew and MessageExpunge go together, and the other events of messages need both"})
	case selected:
		c.chosen = true
		c.n.selected, c.n.fetch, c.n.delayed = g.events, fetch, g.which == "SELECTED-DELAYED"
	case g.events != 0:
		c.n.groups = append(c.n.groups, g)
	}
}

// mailboxNames reads one name or a list of some.
func (c *notifyCommand) mailboxNames() (names []string) {
	add := func() { names = append(names, norm.NFC.String(c.mailbox())) }
	if c.in.Peek() != '(' {
		add()
	} else if c.in.List(add); len(names) == 0 {
		c.in.Fail(&imapwire.SyntaxError{Text: "Expected the name of a mailbox"})
	}
	return names
}

// events reads events, or NONE. MessageNew of the selected mailbox may have the items
// of FETCH that are to be told; reading them does not set \Seen.
func (c *notifyCommand) events(selected bool) (all event, fetch *fetchRequest) {
	r := c.in
	if r.TakeWord("NONE") {
		return 0, nil
	}
	last := event(0)
	r.List(func() {
		if r.Peek() == '(' && last == messageNew && selected && fetch == nil {
			fetch, last = &fetchRequest{}, 0
			r.Items(func() { fetch.read(r, r.AtomUntil('[')) })
			c.needs(fetch.caps...)
			if err := fetch.check(); err != nil {
				r.Fail(err)
			}
			fetch.setsSeen = false
			return
		}
		name := r.Atom()
		i := slices.IndexFunc(eventNames, func(n string) bool { return strings.EqualFold(n, name) })
		if last = unknownEvent; i >= 0 {
			last = 1 << i
		}
		all |= last
	})
	if all == 0 {
		r.Fail(&imapwire.SyntaxError{Text: "Expected an event"})
	}
	return all, fetch
}
