package localimap

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// appending are the messages of an APPEND or REPLACE on their way.
type appending struct {
	*session
	name     string // of the mailbox
	box      mailstore.Mailbox
	messages []mailstore.Delivery
	open     []*mailstore.Spooled // of messages, those whose files are open
}

// append answers APPEND (RFC 9051 section 6.3.12), of several messages too (RFC
// 3502): all of them are stored, or none.
func (s *session) append() (string, error) {
	s.in.SP()
	a := &appending{session: s, name: s.mailbox()}
	defer a.discard()
	for {
		if err := a.read(); err != nil {
			return "", err
		}
		if s.in.AtEnd() {
			break
		}
	}
	if err := s.in.End(); err != nil {
		return "", err
	}
	code, err := a.deliver()
	if code == "" || err != nil {
		return "", err
	}
	return "[" + code + "] APPEND completed", nil
}

// replace answers REPLACE and UID REPLACE (RFC 8508): the new message is stored and
// the old one expunged in one step.
func (s *session) replace(byUID bool) (string, error) {
	r := s.in
	r.SP()
	set := s.set()
	r.SP()
	a := &appending{session: s, name: s.mailbox()}
	defer a.discard()
	if len(set.Ranges) != 1 || set.Ranges[0].From != set.Ranges[0].To {
		r.Fail(&imapwire.SyntaxError{Text: "Expected the number of one message"})
	}
	if err := r.Err(); err != nil {
		return "", err
	}
	v, err := s.writableView()
	if err != nil {
		return "", err
	}
	old, err := v.resolve(set, byUID)
	if err == nil && len(old) == 0 {
		err = no(imap.ResponseCodeNonExistent, "There is no such message")
	}
	if err == nil {
		err = a.read()
	}
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return "", err
	}
	a.messages[0].Replaces = &mailstore.Place{Mailbox: v.id, UID: v.told.uids[old[0]]}
	code, err := a.deliver()
	if code != "" {
		s.conn.line("* OK [%s] The new message is stored", code) // RFC 8508 section 3.4
	}
	return "", err
}

func (a *appending) discard() {
	for _, m := range a.messages {
		m.Message.Discard()
	}
}

// read reads one message with its flags and date. The literal goes straight into the
// spool; what refuses the message is said before the client sends it. Flags that do
// not exist are dropped rather than the mail.
func (a *appending) read() error {
	r := a.in
	r.SP()
	var flags []string
	if r.Peek() == '(' {
		r.List(func() { flags = append(flags, r.Flag()) })
		r.SP()
	}
	var given time.Time
	if r.Peek() == '"' {
		given = r.DateTime()
		r.SP()
	}
	wrapped := r.TakeWord("UTF8") // RFC 6855 section 4
	if wrapped {
		a.needs(capUTF8)
		r.SP()
		r.Expect('(')
	}
	if err := a.admit(); err != nil {
		return err
	}
	var spooled *mailstore.Spooled
	r.Literal(func(body io.Reader) (err error) {
		spooled, err = a.store.Spool(a.ctx, body)
		return err
	})
	if spooled != nil {
		a.messages = append(a.messages, a.delivery(spooled, flags, given))
		if a.open = append(a.open, spooled); len(a.open) == maxOpenAppends {
			_ = mailstore.Sync(a.ctx, a.open) // Deliver tells it
			a.open = nil
		}
	}
	if wrapped {
		r.Expect(')')
	}
	return r.Err()
}

// admit looks at what can be known before the literal.
func (a *appending) admit() error {
	size, binary, ok := a.in.Announced()
	if !ok {
		a.in.Fail(&imapwire.SyntaxError{Text: "Expected a literal"})
	}
	switch n := len(a.messages); {
	case a.in.Err() != nil:
		return a.in.Err()
	case binary && a.store.lacks(imap.CapBinary):
		return bad("Expected a literal without ~")
	case size == 0: // RFC 3502 section 6.3.11; Thunderbird removes such messages
		return no("", "An empty message cancels the command")
	case size > appendLimit:
		return no(imap.ResponseCodeTooBig, "The message is longer than APPENDLIMIT")
	case n >= maxAppends:
		return limited("Too many messages in one command, at most %d", maxAppends)
	case n > 0 && a.store.lacks(imap.CapMultiAppend):
		return bad("One message for each APPEND")
	case n > 0:
		return nil
	}
	if err := a.writable(); err != nil {
		return err
	}
	var err error
	if a.box, err = a.store.Mailbox(a.ctx, a.name); err == nil && a.box.Outbox {
		err = mailstore.ErrOutbox
	}
	return a.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
}

// sentTwice is how far apart two clients, or one that tries again, save the
// same sent message. A client that gives a date means it: it may be about to
// replace a message by one with another date.
func sentTwice(given time.Time) time.Duration {
	if given.IsZero() {
		return 24 * time.Hour
	}
	return 5 * time.Minute
}

// delivery is a message as it goes to the store. What is saved to Sent twice is one
// message: docs/decisions/0010-sent-saved-twice.md.
func (a *appending) delivery(spooled *mailstore.Spooled, flags []string, given time.Time) mailstore.Delivery {
	d := mailstore.Delivery{Mailbox: a.box.ID, Message: spooled, ReceivedAt: given}
	d.Flags, _ = storable(flags)
	if given.IsZero() {
		d.ReceivedAt = time.Now()
	}
	if a.box.SpecialUse == string(imap.MailboxAttrSent) {
		d.Once = sentTwice(given)
	}
	return d
}

// deliver stores the messages, and returns the response code that says which UIDs
// they got (RFC 4315), "" where there is nothing to be said.
func (a *appending) deliver() (code string, err error) {
	done, err := a.store.Deliver(a.ctx, a.messages)
	switch {
	case err != nil && a.messages[0].Replaces != nil: // it may be the old message that is not there
		return "", a.recode(err, fault.Conflict, imap.ResponseCodeInUse)
	case err != nil:
		return "", a.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	uids := make([]mailstore.UID, len(done))
	for i, d := range done {
		uids[i] = d.UID
	}
	if a.view != nil && a.view.id == a.box.ID {
		a.view.own = uids
	}
	_ = a.did(nil, own{mailbox: a.box.ID, added: len(uids)})
	if a.store.lacks(imap.CapUIDPlus) {
		return "", nil
	}
	return fmt.Sprintf("APPENDUID %d %s", done[0].UIDValidity, imapwire.AppendSet(nil, uids)), nil
}

// storable returns the names of flags the store keeps: the system flags and
// keywords. ok is false where there were others. \Recent is the server's and is
// passed over (RFC 3501 section 2.3.2).
func storable(flags []string) (names []string, ok bool) {
	ok = true
	for _, f := range flags {
		i := slices.IndexFunc(systemFlags, func(s string) bool { return strings.EqualFold(s, f) })
		switch {
		case f == "" || isRecent(f):
		case i >= 0:
			names = append(names, systemFlags[i])
		case f[0] == '\\' || len(f) > maxKeyword || strings.Contains(f, "]"):
			ok = false
		default:
			names = append(names, f)
		}
	}
	return names, ok
}
