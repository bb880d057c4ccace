package localimap

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// delimiter separates the levels of a mailbox name. The library passes on the
// name of the INBOX in upper case.
const (
	delimiter = '/'
	inbox     = "INBOX"
)

// Select opens a mailbox. A device that may only read gets it as EXAMINE would.
func (s *session) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	box, err := s.store.Mailbox(s.ctx, name)
	if err != nil {
		return nil, s.response(err)
	}
	rev2 := s.lib.EnabledCaps().Has(imap.CapIMAP4rev2)
	v, err := newView(s.ctx, s.store.Store, box.ID, options.ReadOnly || s.store.device.ReadOnly || box.ID == mailstore.EmptyInbox.ID, rev2)
	if err != nil {
		return nil, s.response(err)
	}
	s.mu.Lock()
	s.unselectLocked()
	s.view = v
	s.mu.Unlock()
	s.conn.opensReadOnly(v.readOnly)
	s.srv.opt.Opened(s.user, box.Name)

	now := v.seen.Mailbox
	data := &imap.SelectData{
		Flags:       v.flagsInUse(),
		NumMessages: uint32(len(v.told.uids)),
		NumRecent:   v.recents,
		UIDNext:     imap.UID(now.UIDNext),
		UIDValidity: now.UIDValidity,
	}
	if !v.readOnly {
		data.PermanentFlags = append(slices.Clone(data.Flags), imap.FlagWildcard)
	}
	unseen := slices.IndexFunc(v.told.flags, func(f mailstore.Flags) bool { return f.System&mailstore.Seen == 0 })
	data.FirstUnseenSeqNum = uint32(unseen + 1)
	if rev2 {
		// RFC 9051 section 6.3.2 wants it; IMAP4rev1 clients do not expect it.
		data.List = &imap.ListData{Delim: delimiter, Mailbox: box.Name}
	}
	return data, nil
}

// Create makes a mailbox, with its parents (RFC 9051 section 6.3.4), and with a
// special use where one is given (RFC 6154 section 3).
func (s *session) Create(name string, options *imap.CreateOptions) error {
	if err := s.writable(); err != nil {
		return err
	}
	use := ""
	for _, attr := range options.SpecialUse {
		if use != "" || !slices.Contains(specialUses, attr) {
			return no(codeUseAttr, "A mailbox has one of "+specialUseList())
		}
		use = string(attr)
	}
	_, err := s.store.CreateMailbox(s.ctx, strings.TrimSuffix(name, string(delimiter)), use)
	if errors.Is(err, mailstore.ErrSpecialUse) {
		return s.recode(err, fault.KindOf(err), codeUseAttr)
	}
	return s.response(err)
}

// specialUses are those a mailbox can be created with; \All and \Flagged would
// be views of other mailboxes, which there are none of.
var specialUses = []imap.MailboxAttr{
	imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash,
}

func specialUseList() string {
	names := make([]string, len(specialUses))
	for i, attr := range specialUses {
		names[i] = string(attr)
	}
	return strings.Join(names, " ")
}

// Delete removes a mailbox and its messages.
func (s *session) Delete(name string) error {
	if err := s.writable(); err != nil {
		return err
	}
	if name == inbox {
		return no(imap.ResponseCodeCannot, "INBOX cannot be deleted")
	}
	return s.recode(s.store.DeleteMailbox(s.ctx, name), fault.Conflict, imap.ResponseCodeHasChildren)
}

// Rename renames a mailbox and all below it. INBOX stays; its messages go to
// the new mailbox (RFC 9051 section 6.3.6).
func (s *session) Rename(name, newName string, _ *imap.RenameOptions) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.response(s.store.RenameMailbox(s.ctx, name, strings.TrimSuffix(newName, string(delimiter))))
}

// Subscribe subscribes to a name, whether or not there is such a mailbox.
func (s *session) Subscribe(name string) error { return s.subscribe(name, true) }

// Unsubscribe ends a subscription.
func (s *session) Unsubscribe(name string) error { return s.subscribe(name, false) }

func (s *session) subscribe(name string, on bool) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.response(s.store.Subscribe(s.ctx, strings.TrimSuffix(name, string(delimiter)), on))
}

// Status answers STATUS; the counts are kept by the store.
func (s *session) Status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	if options.DeletedStorage {
		return nil, errDeletedStorage
	}
	box, err := s.store.Mailbox(s.ctx, name)
	if err != nil {
		return nil, s.response(err)
	}
	return statusOf(box), nil
}

func statusOf(box mailstore.Mailbox) *imap.StatusData {
	limit := uint32(appendLimit)
	return &imap.StatusData{
		Mailbox:     box.Name,
		NumMessages: &box.Messages,
		NumRecent:   &box.Recent,
		UIDNext:     imap.UID(box.UIDNext),
		UIDValidity: box.UIDValidity,
		NumUnseen:   &box.Unseen,
		NumDeleted:  &box.Deleted,
		Size:        &box.Size,
		AppendLimit: &limit,
	}
}

// errDeletedStorage refuses an item of RFC 9208, which is not announced.
var errDeletedStorage = bad("DELETED-STORAGE is not supported")

// sentTwice is how far apart two clients, or one that tries again, save the
// same sent message. A client that gives a date means it: it may be about to
// replace a message by one with another date.
func sentTwice(given time.Time) time.Duration {
	if given.IsZero() {
		return 24 * time.Hour
	}
	return 5 * time.Minute
}

// Append stores a message; the literal goes straight into the spool. Flags that
// do not exist are dropped rather than the mail. What is saved to Sent twice is
// one message: docs/decisions/0010-sent-saved-twice.md.
func (s *session) Append(name string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	box, err := s.store.Mailbox(s.ctx, name)
	if err != nil {
		return nil, s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	spooled, err := s.store.Spool(s.ctx, &literal{r, r.Size()})
	if err != nil {
		return nil, s.response(err)
	}
	defer spooled.Discard()
	received := options.Time
	if received.IsZero() {
		received = time.Now()
	}
	names, _ := storable(options.Flags)
	delivery := mailstore.Delivery{Mailbox: box.ID, Message: spooled, Flags: names, ReceivedAt: received}
	if box.SpecialUse == string(imap.MailboxAttrSent) {
		delivery.Once = sentTwice(options.Time)
	}
	done, err := s.store.Deliver(s.ctx, []mailstore.Delivery{delivery})
	if err != nil {
		return nil, s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	if s.store.lacks(imap.CapUIDPlus) {
		return nil, nil
	}
	return &imap.AppendData{UID: imap.UID(done[0].UID), UIDValidity: done[0].UIDValidity}, nil
}

// literal fails where the library's reader ends early without an error, which
// it does when the connection breaks: half a message must not be stored.
type literal struct {
	r    io.Reader
	left int64
}

func (l *literal) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if err == io.EOF && l.left > 0 {
		err = fault.Wrap(io.ErrUnexpectedEOF, fault.Protocol, "the client broke off", "")
	}
	return n, err
}

// storable returns the names of flags the store keeps: the system flags and
// keywords. ok is false where there were others. \Recent is the server's and is
// passed over (RFC 3501 section 2.3.2).
func storable(flags []imap.Flag) (names []string, ok bool) {
	ok = true
	for _, f := range flags {
		switch {
		case f == "" || isRecent(f):
		case slices.Contains(systemFlags, f):
			names = append(names, string(f))
		case f[0] == '\\' || len(f) > maxKeyword || strings.ContainsFunc(string(f), func(r rune) bool { return r > '~' }):
			ok = false
		default:
			names = append(names, string(f))
		}
	}
	return names, ok
}
