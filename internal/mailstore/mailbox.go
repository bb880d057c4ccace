package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

const inbox = "INBOX"

// defaultMailboxes are those of a new store (RFC 6154).
var defaultMailboxes = []struct{ name, specialUse string }{
	{inbox, ""}, {"Archive", `\Archive`}, {"Drafts", `\Drafts`}, {"Junk", `\Junk`}, {"Sent", `\Sent`}, {"Trash", `\Trash`},
}

var specialUses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Important`, `\Junk`, `\Sent`, `\Trash`}

func noMailbox(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errNoMailbox
	}
	return err
}

// Mailboxes returns all mailboxes, sorted by name.
func (s *Store) Mailboxes(ctx context.Context) ([]Mailbox, error) {
	var out []Mailbox
	err := s.reader.rows(ctx, `SELECT `+mailboxColumns+` FROM mailbox ORDER BY name`, nil, func(rows *sql.Rows) error {
		var m Mailbox
		var recentFrom UID
		err := rows.Scan(m.scanned(&recentFrom)...)
		out = append(out, m)
		return err
	})
	if err != nil {
		return nil, failure(err, "list mailboxes")
	}
	return out, nil
}

// Mailbox returns the mailbox of that name; fault.NotFound when there is none.
func (s *Store) Mailbox(ctx context.Context, name string) (Mailbox, error) {
	var m Mailbox
	var recentFrom UID
	name, err := canonical(name)
	if err != nil {
		return m, errNoMailbox // a name that cannot be is the name of nothing
	}
	m, ok, commits := s.feed.row(name)
	if ok {
		return m, nil
	}
	err = s.reader.get(ctx, `SELECT `+mailboxColumns+` FROM mailbox WHERE name = ?`, []any{name}, m.scanned(&recentFrom)...)
	if err == nil {
		s.feed.remember(m, commits)
	}
	return m, failure(noMailbox(err), "look up the mailbox")
}

// CreateMailbox makes a mailbox, and those above it where they are missing.
// specialUse is an attribute of RFC 6154 or empty. fault.Conflict when the
// mailbox exists, ErrSpecialUse when another one has the special use.
func (s *Store) CreateMailbox(ctx context.Context, name, specialUse string) (Mailbox, error) {
	if specialUse != "" && !slices.Contains(specialUses, specialUse) {
		return Mailbox{}, fault.New(fault.Config, "special use "+fault.Quote(specialUse)+" is not known", "use one of "+strings.Join(specialUses, " "))
	}
	return s.makeMailbox(ctx, name, func(t *tx, name string, b *box) (*box, error) {
		if b != nil {
			return nil, errMailboxExists
		}
		if err := t.atMost(maxMailboxes, "mailbox", "mailboxes"); err != nil {
			return nil, err
		}
		return t.create(name, specialUse)
	})
}

// EnsureMailbox returns the mailbox of that name. One that it has to make is
// subscribed, because no one asked for it in a client that would subscribe it.
func (s *Store) EnsureMailbox(ctx context.Context, name string) (Mailbox, error) {
	return s.makeMailbox(ctx, name, func(t *tx, name string, _ *box) (*box, error) { return t.ensure(name) })
}

// ensure returns the mailbox of a canonical name, making and subscribing it
// where it is missing.
func (t *tx) ensure(name string) (*box, error) {
	b, err := t.named(name)
	if errors.Is(err, errNoMailbox) {
		if b, err = t.create(name, ""); err == nil {
			err = t.subscribe(b)
		}
	}
	if err == nil {
		err = t.giveUse(b)
	}
	return b, err
}

// giveUse gives a mailbox the special use that one of its name has in a new store, where no
// mailbox has it since a client deleted that one: clients would not find it otherwise.
func (t *tx) giveUse(b *box) error {
	for _, d := range defaultMailboxes {
		if b.SpecialUse != "" || d.specialUse == "" || d.name != b.Name {
			continue
		}
		if taken, err := t.useTaken(d.specialUse); err != nil || taken {
			return err
		}
		b.SpecialUse, b.touched = d.specialUse, true
		t.logMailbox(b)
	}
	return nil
}

func (t *tx) useTaken(use string) (taken bool, err error) {
	err = t.get(`SELECT EXISTS (SELECT 1 FROM mailbox WHERE special_use = ?)`, []any{use}, &taken)
	return taken, err
}

// ErrSpecialUse refuses a special use: clients would file mail into one of two
// mailboxes, whichever they find first.
var ErrSpecialUse = fault.New(fault.Conflict, "another mailbox has this special use", "")

var errMailboxExists = fault.New(fault.Conflict, "the mailbox exists already", "")

func (s *Store) makeMailbox(ctx context.Context, name string, do func(t *tx, name string, b *box) (*box, error)) (Mailbox, error) {
	name, err := canonical(name)
	if err != nil {
		return Mailbox{}, err
	}
	var m Mailbox
	err = s.write(ctx, "create the mailbox", func(t *tx) error {
		b, err := t.named(name)
		if err != nil && !errors.Is(err, errNoMailbox) {
			return err
		}
		if b, err = do(t, name, b); err != nil {
			return err
		}
		m = b.Mailbox
		return nil
	})
	return m, err
}

// create makes the mailbox and its parents. All of them are real: some clients
// file mail into a parent that says it cannot hold any.
func (t *tx) create(name, specialUse string) (*box, error) {
	if err := t.makeParent(name); err != nil {
		return nil, err
	}
	if specialUse != "" {
		taken, err := t.useTaken(specialUse)
		if err == nil && taken {
			err = ErrSpecialUse
		}
		if err != nil {
			return nil, err
		}
	}
	validity, err := t.nextUIDValidity()
	if err != nil {
		return nil, err
	}
	err = t.exec(`INSERT INTO mailbox (name, special_use, uidvalidity) VALUES (?, ?, ?)`, name, specialUse, validity)
	if err != nil {
		return nil, err
	}
	b, err := t.named(name)
	if err == nil {
		t.logMailbox(b)
	}
	return b, err
}

// makeParent makes the mailbox above one, where there is none. Below the Outbox there are
// none.
func (t *tx) makeParent(name string) error {
	up := parent(name)
	if up == "" {
		return nil
	}
	b, err := t.named(up)
	if errors.Is(err, errNoMailbox) {
		b, err = t.create(up, "")
	}
	if err == nil && b.Outbox {
		err = ErrOutbox
	}
	return err
}

func (t *tx) logMailbox(b *box) {
	t.log.line('M', int64(b.ID), int64(b.UIDValidity), int64(b.UIDNext), int64(b.HighestModSeq), b.Name, b.SpecialUse)
}

// nextUIDValidity gives each mailbox a number of its own, higher than all
// before: a name that is used again must never look like the old mailbox. It
// follows the clock so that it also rises when a store was lost and rebuilt.
func (t *tx) nextUIDValidity() (int64, error) {
	var last int64
	err := t.get(`SELECT value FROM meta WHERE key = 'uidvalidity'`, nil, &last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	validity := max(last+1, t.s.now().Unix())
	return validity, t.exec(`INSERT OR REPLACE INTO meta (key, value) VALUES ('uidvalidity', ?)`, validity)
}

func (t *tx) createDefaults() error {
	for _, d := range defaultMailboxes {
		b, err := t.create(d.name, d.specialUse)
		if err == nil {
			err = t.subscribe(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteMailbox deletes a mailbox and expunges its messages. INBOX and mailboxes with
// others below them are refused with fault.Conflict.
func (s *Store) DeleteMailbox(ctx context.Context, name string) error {
	name, err := canonical(name)
	if err != nil {
		return errNoMailbox
	}
	return s.write(ctx, "delete the mailbox", func(t *tx) error {
		b, err := t.named(name)
		if err != nil {
			return err
		}
		if name == inbox {
			return fault.New(fault.Conflict, "INBOX cannot be deleted", "")
		}
		if b.Outbox {
			return ErrOutbox
		}
		tree, err := t.below(name)
		if err != nil {
			return err
		}
		if len(tree) > 0 {
			return fault.New(fault.Conflict, "the mailbox has others below it", "delete those first")
		}
		rows, err := t.pick(b.ID, nil)
		if err != nil {
			return err
		}
		if err := t.remove(b, rows, true); err != nil {
			return err
		}
		b.gone, b.touched = true, true
		if err := t.orphan(rows); err != nil {
			return err
		}
		t.log.line('D', int64(b.ID))
		if err := t.exec(`DELETE FROM vanished WHERE mailbox_id = ?`, b.ID); err != nil {
			return err
		}
		return t.exec(`DELETE FROM mailbox WHERE id = ?`, b.ID)
	})
}

// below returns the names of the mailboxes below name, sorted.
func (t *tx) below(name string) (names []string, err error) {
	// '0' follows '/', so this is the range of all names that start with name/.
	err = t.rows(`SELECT name FROM mailbox WHERE name > ? || '/' AND name < ? || '0' ORDER BY name`, []any{name, name}, into(&names, column))
	return names, err
}

// RenameMailbox renames a mailbox and all below it; UIDs and UIDVALIDITY stay.
// INBOX is never renamed: its messages move to the new mailbox, and INBOX stays,
// empty (RFC 9051 section 6.3.6). fault.Conflict when the new name is taken.
func (s *Store) RenameMailbox(ctx context.Context, from, to string) error {
	from, err := canonical(from)
	if err != nil {
		return errNoMailbox
	}
	if to, err = canonical(to); err != nil {
		return err
	}
	return s.write(ctx, "rename the mailbox", func(t *tx) error {
		b, err := t.named(from)
		if err != nil {
			return err
		}
		if b.Outbox {
			return ErrOutbox
		}
		if _, err := t.named(to); !errors.Is(err, errNoMailbox) {
			return errors.Join(err, errMailboxExists)
		}
		if err := t.atMost(maxMailboxes, "mailbox", "mailboxes"); err != nil { // it may make parents
			return err
		}
		if from == inbox {
			dst, err := t.create(to, "")
			if err == nil {
				_, err = t.transfer(b, nil, dst, true)
			}
			return err
		}
		return t.rename(b, to)
	})
}

func (t *tx) rename(b *box, to string) error {
	from := b.Name
	if strings.HasPrefix(to, from+"/") {
		return fault.New(fault.Config, "a mailbox cannot be moved below itself", "")
	}
	if err := t.makeParent(to); err != nil {
		return err
	}
	names, err := t.below(from)
	if err != nil {
		return err
	}
	for _, name := range append([]string{from}, names...) {
		child, err := t.named(name)
		if err != nil {
			return err
		}
		child.Name, child.touched = to+strings.TrimPrefix(name, from), true
		if len(child.Name) > maxName {
			return fault.New(fault.Config, "the new name of "+fault.Quote(name)+" is too long", "choose a shorter one")
		}
		t.logMailbox(child)
		// The old name stays subscribed: a server may not take names off the
		// list (RFC 9051 section 6.3.7), and the client that renames does.
		if child.Subscribed {
			err = t.subscribe(child)
		} else {
			// The new name may have been on the list before.
			err = t.get(`SELECT EXISTS (SELECT 1 FROM subscription WHERE name = ?)`, []any{child.Name}, &child.Subscribed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
