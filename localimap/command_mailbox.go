package localimap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// delimiter separates the levels of a mailbox name.
const (
	delimiter = '/'
	inbox     = "INBOX"
)

// mailbox reads the name of a mailbox. INBOX has no regard to case.
func (s *session) mailbox() string {
	name, ok := imapwire.DecodeMailbox(s.in.AString(), s.utf8)
	switch {
	case !ok:
		s.in.Fail(errName)
	case strings.EqualFold(name, inbox):
		return inbox
	}
	return name
}

var errName = &imapwire.SyntaxError{Text: "Expected the name of a mailbox in modified UTF-7"}

// oneMailbox reads the one argument of a command that changes mailboxes, and refuses
// it to a device that may only read.
func (s *session) oneMailbox() (string, error) {
	s.in.SP()
	name := s.mailbox()
	if err := s.in.End(); err != nil {
		return "", err
	}
	return name, s.writable()
}

func trimmed(name string) string { return strings.TrimSuffix(name, string(delimiter)) }

// create answers CREATE, with the parents (RFC 9051 section 6.3.4), and with a special
// use where one is given (RFC 6154 section 3).
func (s *session) create() (string, error) {
	r := s.in
	r.SP()
	name := s.mailbox()
	var uses []string
	if !r.AtEnd() {
		r.SP()
		s.needs(imap.CapCreateSpecialUse)
		r.Params(func(name string) {
			if name != "USE" {
				r.Fail(&imapwire.SyntaxError{Text: "Unknown parameter of CREATE"})
			}
			r.SP()
			r.List(func() { uses = append(uses, r.Flag()) })
		})
	}
	if err := r.End(); err != nil {
		return "", err
	}
	if err := s.writable(); err != nil {
		return "", err
	}
	use := ""
	for _, u := range uses {
		i := slices.IndexFunc(specialUses, func(known imap.MailboxAttr) bool { return strings.EqualFold(string(known), u) })
		if use != "" || i < 0 {
			return "", no(codeUseAttr, fmt.Sprint("A mailbox has one of ", specialUses))
		}
		use = string(specialUses[i])
	}
	box, err := s.store.CreateMailbox(s.ctx, trimmed(name), use)
	switch err = s.did(err, own{events: mailboxName, names: []string{box.Name}}); {
	case errors.Is(err, mailstore.ErrSpecialUse):
		return "", s.recode(err, fault.KindOf(err), codeUseAttr)
	case err != nil || s.store.lacks(imap.CapObjectID):
		return "", err
	}
	return fmt.Sprintf("[MAILBOXID (%s)] CREATE completed", mailboxID(box)), nil // RFC 8474 section 4.1
}

// specialUses are those a mailbox can be created with; \All and \Flagged would
// be views of other mailboxes, which there are none of.
var specialUses = []imap.MailboxAttr{
	imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash,
}

// delete answers DELETE (RFC 9051 section 6.3.5).
func (s *session) delete() (string, error) {
	name, err := s.oneMailbox()
	switch {
	case err != nil:
		return "", err
	case name == inbox:
		return "", no(imap.ResponseCodeCannot, "INBOX cannot be deleted")
	}
	err = s.did(s.store.DeleteMailbox(s.ctx, name), own{events: mailboxName, names: []string{name}})
	return "", s.recode(err, fault.Conflict, imap.ResponseCodeHasChildren)
}

// rename answers RENAME, of a mailbox and all below it. INBOX stays; its messages
// go to the new mailbox (RFC 9051 section 6.3.6).
func (s *session) rename() (string, error) {
	s.in.SP()
	from := s.mailbox()
	to, err := s.oneMailbox()
	if err != nil {
		return "", err
	}
	to = trimmed(to)
	return "", s.did(s.store.RenameMailbox(s.ctx, from, to), own{events: mailboxEvents, names: []string{from, to}})
}

// subscribe answers SUBSCRIBE, whether or not there is such a mailbox, and
// UNSUBSCRIBE (RFC 9051 sections 6.3.7 and 6.3.8).
func (s *session) subscribe(on bool) (string, error) {
	name, err := s.oneMailbox()
	if err != nil {
		return "", err
	}
	name = trimmed(name)
	return "", s.did(s.store.Subscribe(s.ctx, name, on), own{events: subscriptionChange, names: []string{name}})
}
