package localimap

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

type copyFunc = func(ctx context.Context, src mailstore.MailboxID, uids []mailstore.UID, dst mailstore.MailboxID) (mailstore.CopyResult, error)

// copy answers COPY and UID COPY, with flags (RFC 9051 section 6.4.7).
func (s *session) copy(byUID bool) (string, error) {
	set, dest, err := s.copyArguments()
	if err != nil {
		return "", err
	}
	if err := s.writable(); err != nil {
		return "", err
	}
	s.acted = true
	code, err := s.transfer(set, byUID, dest, s.store.Copy)
	if code == "" || err != nil {
		return "", err
	}
	return "[" + code + "] " + s.name + " completed", nil
}

// move answers MOVE and UID MOVE. COPYUID comes first (RFC 6851 section 4.3), the
// EXPUNGE responses with the poll that ends the command.
func (s *session) move(byUID bool) (string, error) {
	set, dest, err := s.copyArguments()
	if err != nil {
		return "", err
	}
	if _, err := s.writableView(); err != nil {
		return "", err
	}
	code, err := s.transfer(set, byUID, dest, s.store.Move)
	if code != "" {
		s.conn.line("* OK [%s] Messages moved", code)
	}
	return "", err
}

func (s *session) copyArguments() (set imapwire.Set, dest string, err error) {
	s.in.SP()
	set = s.set()
	s.in.SP()
	dest = s.mailbox()
	return set, dest, s.in.End()
}

// transfer copies or moves, and returns the response code that says what became of
// the UIDs (RFC 4315), "" where there is nothing to be said.
func (s *session) transfer(set imapwire.Set, byUID bool, dest string, transfer copyFunc) (code string, err error) {
	v := s.view
	indices, err := v.resolve(set, byUID)
	if err != nil {
		return "", err
	}
	box, err := s.store.Mailbox(s.ctx, dest)
	if err != nil {
		return "", s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	if len(indices) == 0 {
		return "", nil
	}
	r, err := transfer(s.ctx, v.id, v.uidsOf(indices), box.ID)
	if box.ID == v.id {
		v.own = r.To
	}
	_ = s.did(err, own{mailbox: box.ID, added: len(r.To)}) // err is told below
	switch {
	case err != nil && v.feed.Gone():
		return "", err // it is the source that is not there
	case fault.Is(err, fault.Conflict): // in the Outbox
		return "", s.recode(err, fault.Conflict, imap.ResponseCodeInUse)
	case err != nil:
		return "", s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	case len(r.From) == 0:
		return "", allGone(byUID, len(indices), 0)
	case s.store.lacks(imap.CapUIDPlus):
		return "", nil
	}
	return fmt.Sprintf("COPYUID %d %s %s", r.UIDValidity, imapwire.AppendSet(nil, r.From), imapwire.AppendSet(nil, r.To)), nil
}
