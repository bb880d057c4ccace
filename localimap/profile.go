package localimap

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// scope is the store as the device of a session sees it: whatever goes by the
// name of a mailbox passes here. A device that is restricted sees its folders
// and all below them. The others are to it as if they were not there, and a
// name outside is refused alike whether or not it is taken. Its INBOX is empty
// where that is not among its folders: a client without INBOX is of no use, and
// one that showed the mail would make the restriction pointless, as that is
// where mail comes in.
type scope struct {
	*mailstore.Store
	device mailstore.Device
}

var (
	errNoMailbox = fault.New(fault.NotFound, "the mailbox does not exist", "")
	errUses      = fault.Wrap(mailstore.ErrSpecialUse, fault.Denied, "special uses are given by devices that see all folders", "")
	errOutside   = fault.New(fault.Denied, "this device sees some folders only, and that is none of them", "")
)

// inSight ends the connection of a device whose selected mailbox was moved out of
// its sight: nothing that comes into it from then on is told or changed.
func (s *session) inSight() bool {
	name := s.view.feed.Snapshot().Mailbox.Name
	if !s.store.restricted() || name == s.view.seen.Mailbox.Name {
		return true
	}
	if _, err := s.store.Mailbox(s.ctx, name); err != nil {
		s.conn.Abort()
		return false
	}
	return true
}

// folders returns the mailboxes of the store, and the present names of those
// that the device sees with all below.
func (s scope) folders(ctx context.Context) (boxes []mailstore.Mailbox, roots []string, err error) {
	boxes, err = s.Store.Mailboxes(ctx)
	for _, b := range boxes {
		if slices.Contains(s.device.Folders, b.ID) {
			roots = append(roots, b.Name)
		}
	}
	return boxes, roots, err
}

func (s scope) restricted() bool { return s.device.Folders != nil }

func below(roots []string, name string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return name == root || strings.HasPrefix(name, root+string(delimiter))
	})
}

// Mailboxes returns what LIST may tell.
func (s scope) Mailboxes(ctx context.Context) ([]mailstore.Mailbox, error) {
	boxes, roots, err := s.folders(ctx)
	if err != nil || !s.restricted() {
		return s.shown(boxes), err
	}
	seen := []mailstore.Mailbox{}
	for _, b := range boxes {
		switch {
		case below(roots, b.Name):
			seen = append(seen, b)
		case b.Name == inbox:
			seen = append(seen, mailstore.EmptyInbox)
		}
	}
	return s.shown(seen), nil
}

// shown takes away the special uses where SPECIAL-USE is switched off.
func (s scope) shown(boxes []mailstore.Mailbox) []mailstore.Mailbox {
	if s.lacks(imap.CapSpecialUse) {
		for i := range boxes {
			boxes[i].SpecialUse = ""
		}
	}
	return boxes
}

// Mailbox returns the mailbox of that name, if the device sees it.
func (s scope) Mailbox(ctx context.Context, name string) (mailstore.Mailbox, error) {
	box, err := s.Store.Mailbox(ctx, name)
	if err != nil || !s.restricted() {
		return box, err
	}
	_, roots, err := s.folders(ctx)
	switch {
	case err != nil:
		return mailstore.Mailbox{}, err
	case below(roots, box.Name):
		return box, nil
	case box.Name == inbox:
		return mailstore.EmptyInbox, nil
	}
	return mailstore.Mailbox{}, errNoMailbox
}

// Subscriptions returns the subscribed names that the device may know.
func (s scope) Subscriptions(ctx context.Context) ([]string, error) {
	names, err := s.Store.Subscriptions(ctx)
	if err != nil || !s.restricted() {
		return names, err
	}
	_, roots, err := s.folders(ctx)
	return slices.DeleteFunc(names, func(name string) bool { return name != inbox && !below(roots, name) }), err
}

// allowed refuses a name that is none of a mailbox of the device's nor below
// one. Its nearest mailbox decides, for the store knows other spellings.
func (s scope) allowed(ctx context.Context, name string) error {
	if !s.restricted() {
		return nil
	}
	_, roots, err := s.folders(ctx)
	if err != nil {
		return err
	}
	for {
		box, err := s.Store.Mailbox(ctx, name)
		up := strings.LastIndexByte(name, delimiter)
		switch {
		case err == nil && below(roots, box.Name):
			return nil
		case err == nil || fault.Is(err, fault.NotFound) && up < 0:
			return errOutside
		case !fault.Is(err, fault.NotFound):
			return err
		}
		name = name[:up]
	}
}

// CreateMailbox makes a mailbox below one of the device's. Special uses are of
// the whole user: a device that does not see all mailboxes gives none.
func (s scope) CreateMailbox(ctx context.Context, name, specialUse string) (mailstore.Mailbox, error) {
	if err := s.allowed(ctx, name); err != nil {
		return mailstore.Mailbox{}, err
	}
	if s.restricted() && specialUse != "" {
		return mailstore.Mailbox{}, errUses
	}
	return s.Store.CreateMailbox(ctx, name, specialUse)
}

// DeleteMailbox deletes a mailbox that the device sees.
func (s scope) DeleteMailbox(ctx context.Context, name string) error {
	if err := s.allowed(ctx, name); err != nil {
		return err
	}
	return s.Store.DeleteMailbox(ctx, name)
}

// RenameMailbox renames within what the device sees.
func (s scope) RenameMailbox(ctx context.Context, from, to string) error {
	for _, name := range []string{from, to} {
		if err := s.allowed(ctx, name); err != nil {
			return err
		}
	}
	return s.Store.RenameMailbox(ctx, from, to)
}

// Subscribe changes the list that all devices share.
func (s scope) Subscribe(ctx context.Context, name string, on bool) error {
	if err := s.allowed(ctx, name); err != nil {
		return err
	}
	return s.Store.Subscribe(ctx, name, on)
}

// lacks reports whether a capability is switched off for the device. QRESYNC needs
// CONDSTORE.
func (s scope) lacks(c imap.Cap) bool {
	return slices.Contains(s.device.Without, string(c)) || c == imap.CapQResync && s.lacks(imap.CapCondStore)
}

// available refuses what belongs to a capability that is switched off for the device.
func (s scope) available(caps ...imap.Cap) error {
	for _, c := range caps {
		if s.lacks(c) {
			return bad(string(c) + " is switched off for this device")
		}
	}
	return nil
}
