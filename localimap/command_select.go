package localimap

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// open answers SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3). A device that
// may only read gets a mailbox as EXAMINE would.
func (s *session) open(readOnly bool) (string, error) {
	s.in.SP()
	name := s.mailbox()
	condstore, missed := s.selectParams()
	if err := s.in.End(); err != nil {
		return "", err
	}
	s.acted = true
	s.closeView() // whatever comes of it (RFC 9051 section 6.3.2)
	box, err := s.store.Mailbox(s.ctx, name)
	if err != nil {
		return "", err
	}
	v, err := newView(s.ctx, s.store.Store, box.ID, readOnly || s.store.device.ReadOnly || box.ID == mailstore.EmptyInbox.ID, &s.enabled)
	if err != nil {
		return "", err
	}
	s.view = v
	s.srv.opt.Opened(s.user, box.Name)
	s.condstore = s.condstore || condstore
	s.tellOpened(box.Name)
	if missed != nil {
		if err := s.tellMissed(missed); err != nil {
			s.unselect()
			return "", err
		}
	}
	if v.readOnly {
		return "[READ-ONLY] " + s.name + " completed", nil
	}
	return "[READ-WRITE] " + s.name + " completed", nil
}

func (s *session) tellOpened(name string) {
	v, c := s.view, s.conn
	now := v.seen.Mailbox
	c.line("* FLAGS %s", flagText(v.flagsInUse()))
	if v.readOnly {
		c.line("* OK [PERMANENTFLAGS ()] No flags can be changed")
	} else {
		c.line("* OK [PERMANENTFLAGS %s] Flags can be changed", flagText(append(v.flagsInUse(), string(imap.FlagWildcard))))
	}
	c.line("* %d EXISTS", len(v.told.uids))
	if !s.rev2 { // IMAP4rev2 has neither
		c.line("* %d RECENT", v.recents)
		if i := slices.IndexFunc(v.told.flags, func(f mailflags.Flags) bool { return f.System&mailflags.Seen == 0 }); i >= 0 {
			c.line("* OK [UNSEEN %d] First unseen message", i+1)
		}
	}
	c.line("* OK [UIDVALIDITY %d] UIDs are valid", now.UIDValidity)
	c.line("* OK [UIDNEXT %d] Predicted next UID", now.UIDNext)
	if !s.store.lacks(imap.CapCondStore) {
		c.tellHighestModSeq(v.settled)
	}
	if !s.store.lacks(imap.CapObjectID) {
		c.line("* OK [MAILBOXID (%s)] Object", mailboxID(now))
	}
	if s.rev2 {
		// RFC 9051 section 6.3.2 wants it; IMAP4rev1 clients do not expect it.
		c.out = imapwire.AppendMailbox(append(c.out, `* LIST () "/" `...), name, s.utf8)
		c.line("")
	}
}

// closeView closes the mailbox that is open, and says so (RFC 9051 section 7.1, RFC 7162
// section 3.2.11).
func (s *session) closeView() {
	if s.view == nil {
		return
	}
	s.unselect()
	if s.rev2 || !s.store.lacks(imap.CapQResync) {
		s.conn.line("* OK [CLOSED] Previous mailbox is closed")
	}
}

// unselect closes the mailbox. It keeps the feeds of the last few mailboxes open:
// clients switch back and forth, and the store reads a mailbox again that no one has open.
func (s *session) unselect() {
	if s.view == nil {
		return
	}
	if s.notify != nil {
		s.notify.due = true
	}
	s.parked = append(s.parked, s.view.feed)
	s.view = nil
	s.unpark(maxParked)
}

// unpark closes all but the newest n.
func (s *session) unpark(n int) {
	for ; len(s.parked) > n; s.parked = s.parked[1:] {
		s.parked[0].Close()
	}
}

// unselectMailbox answers UNSELECT (RFC 9051 section 6.4.2).
func (s *session) unselectMailbox() (string, error) {
	s.unselect()
	return "", nil
}

// closeMailbox answers CLOSE: it removes messages with \Deleted without a word, where
// the mailbox may be changed and is still there (RFC 9051 section 6.4.1). Not even the
// modification sequence after it is told (RFC 7162 section 3.2.8), nor that a message in
// the Outbox stays because it is being handed over.
func (s *session) closeMailbox() (string, error) {
	v := s.view
	s.acted = true
	if !v.readOnly && !v.feed.Gone() {
		if _, err := s.store.Expunge(s.ctx, v.id, nil); err != nil && !fault.Is(err, fault.Conflict) {
			return "", err
		}
	}
	s.unselect()
	return "", nil
}

// expunge answers EXPUNGE and UID EXPUNGE (RFC 9051 sections 6.4.3 and 6.4.9). The
// poll that ends the command tells the client.
func (s *session) expunge(byUID bool) (string, error) {
	var set imapwire.Set
	if byUID {
		s.in.SP()
		set = s.set()
	}
	if err := s.in.End(); err != nil {
		return "", err
	}
	v, err := s.writableView()
	if err != nil {
		return "", err
	}
	var only []mailstore.UID // nil: all
	if byUID {
		indices, err := v.resolve(set, true)
		if err != nil || len(indices) == 0 {
			return "", err
		}
		only = v.uidsOf(indices)
	}
	_, err = s.store.Expunge(s.ctx, v.id, only)
	return "", s.recode(err, fault.Conflict, imap.ResponseCodeInUse)
}
