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

// append answers APPEND (RFC 9051 section 6.3.12): the literal goes straight into the
// spool. Flags that do not exist are dropped rather than the mail. What is saved to
// Sent twice is one message: docs/decisions/0010-sent-saved-twice.md.
func (s *session) append() (string, error) {
	r := s.in
	r.SP()
	name := s.mailbox()
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
	wrapped := r.TakeWord("UTF8") // (RFC 6855 section 4, and APPEND of BINARY)
	if wrapped {
		r.SP()
		r.Expect('(')
	}
	size, _, ok := r.Announced()
	if !ok {
		r.Fail(&imapwire.SyntaxError{Text: "Expected a literal"})
	}
	if err := r.Err(); err != nil {
		return "", err
	}
	if size > appendLimit {
		return "", no(imap.ResponseCodeTooBig, "The message is longer than APPENDLIMIT")
	}
	if err := s.writable(); err != nil {
		return "", err
	}
	box, err := s.store.Mailbox(s.ctx, name)
	if err != nil {
		return "", s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	var spooled *mailstore.Spooled
	r.Literal(func(body io.Reader) (err error) {
		spooled, err = s.store.Spool(s.ctx, body)
		return err
	})
	if spooled != nil {
		defer spooled.Discard()
	}
	if wrapped {
		r.Expect(')')
	}
	if err := r.End(); err != nil {
		return "", err
	}
	return s.deliver(box, spooled, flags, given)
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

func (s *session) deliver(box mailstore.Mailbox, spooled *mailstore.Spooled, flags []string, given time.Time) (string, error) {
	received := given
	if received.IsZero() {
		received = time.Now()
	}
	names, _ := storable(flags)
	delivery := mailstore.Delivery{Mailbox: box.ID, Message: spooled, Flags: names, ReceivedAt: received}
	if box.SpecialUse == string(imap.MailboxAttrSent) {
		delivery.Once = sentTwice(given)
	}
	done, err := s.store.Deliver(s.ctx, []mailstore.Delivery{delivery})
	if err != nil {
		return "", s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	if s.store.lacks(imap.CapUIDPlus) {
		return "", nil
	}
	return fmt.Sprintf("[APPENDUID %d %d] APPEND completed", done[0].UIDValidity, done[0].UID), nil
}

// storable returns the names of flags the store keeps: the system flags and
// keywords. ok is false where there were others. \Recent is the server's and is
// passed over (RFC 3501 section 2.3.2).
func storable(flags []string) (names []string, ok bool) {
	ok = true
	for _, f := range flags {
		i := slices.IndexFunc(systemFlags, func(s imap.Flag) bool { return strings.EqualFold(string(s), f) })
		switch {
		case f == "" || isRecent(f):
		case i >= 0:
			names = append(names, string(systemFlags[i]))
		case f[0] == '\\' || len(f) > maxKeyword:
			ok = false
		default:
			names = append(names, f)
		}
	}
	return names, ok
}
