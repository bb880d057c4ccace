package mailstore

import (
	"database/sql"
	"errors"
	"math"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// row is a message as the index and a snapshot have it.
type row struct {
	UID      UID
	Content  ContentID
	Flags    mailflags.Flags
	ModSeq   ModSeq
	Received int64 // Unix seconds
	Size     int64
	Saved    int64 // when it came into this mailbox, Unix seconds; 0: not known
}

// box is a mailbox in a transaction. Its methods keep the counts, and collect
// what happened for the snapshots: first removed, then flagged, then added.
type box struct {
	Mailbox
	recentFrom UID
	loadedNext UID  // UIDNext as of the start of the transaction
	touched    bool // the mailbox row has to be written
	gone       bool // deleted in this transaction
	raised     bool // HighestModSeq is that of this transaction already

	removed []UID // ascending
	flagged []FlagChange
	added   []row
}

const mailboxColumns = `id, name, uidvalidity, uidnext, modseq, special_use,
	EXISTS (SELECT 1 FROM subscription WHERE subscription.name = mailbox.name),
	messages, unseen, deleted, recent, size, id IS ` + outboxID + `, recent_from`

func (m *Mailbox) scanned(recentFrom *UID) []any {
	return []any{&m.ID, &m.Name, &m.UIDValidity, &m.UIDNext, &m.HighestModSeq, &m.SpecialUse,
		&m.Subscribed, &m.Messages, &m.Unseen, &m.Deleted, &m.Recent, &m.Size, &m.Outbox, recentFrom}
}

// box returns the mailbox for reading and changing it in this transaction.
func (t *tx) box(id MailboxID) (*box, error) {
	if id == EmptyInbox.ID {
		return nil, fault.New(fault.Denied, "this device does not see the mail in INBOX", "")
	}
	if b := t.boxes[id]; b != nil {
		if b.gone {
			return nil, errNoMailbox
		}
		return b, nil
	}
	b := &box{}
	err := t.get(`SELECT `+mailboxColumns+` FROM mailbox WHERE id = ?`, []any{id}, b.scanned(&b.recentFrom)...)
	return t.keep(b, err)
}

// named is box by name; the name is canonical.
func (t *tx) named(name string) (*box, error) {
	b := &box{}
	err := t.get(`SELECT `+mailboxColumns+` FROM mailbox WHERE name = ?`, []any{name}, b.scanned(&b.recentFrom)...)
	if err == nil && t.boxes[b.ID] != nil {
		return t.boxes[b.ID], nil
	}
	return t.keep(b, err)
}

func (t *tx) keep(b *box, err error) (*box, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoMailbox
	}
	if err != nil {
		return nil, err
	}
	t.boxes[b.ID], b.loadedNext = b, b.UIDNext
	t.order = append(t.order, b)
	return b, nil
}

var errNoMailbox = fault.New(fault.NotFound, "the mailbox does not exist", "")

// next returns the modification sequence of this transaction.
func (b *box) next() ModSeq {
	if !b.raised {
		b.raised = true
		b.HighestModSeq++
	}
	b.touched = true
	return b.HighestModSeq
}

func (b *box) count(f mailflags.Flags, size int64, sign int) {
	step := uint32(sign) // wraps around for -1, as the sum does
	b.Messages += step
	b.Size += size * int64(sign)
	if f.System&mailflags.Seen == 0 {
		b.Unseen += step
	}
	if f.System&mailflags.Deleted != 0 {
		b.Deleted += step
	}
}

// add appends a message to the mailbox; its UID and ModSeq are set.
func (t *tx) add(b *box, r row) (row, error) {
	if b.UIDNext == math.MaxUint32 {
		return r, fault.New(fault.Full, "the mailbox has used up its message numbers", "move the messages to a new mailbox")
	}
	r.UID, r.ModSeq, r.Saved = b.UIDNext, b.next(), t.s.now().Unix()
	b.UIDNext++
	b.Recent++
	b.count(r.Flags, r.Size, 1)
	b.added = append(b.added, r)
	return r, t.exec(`INSERT INTO message (mailbox_id, uid, content_id, system, keywords, modseq, received_at, size, saved_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.ID, int64(r.UID), r.Content, int64(r.Flags.System), int64(r.Flags.Keywords), int64(r.ModSeq), r.Received, r.Size, r.Saved)
}

// flush writes the mailbox rows that changed.
func (t *tx) flush() error {
	for _, b := range t.order {
		if b.gone || !b.touched {
			continue
		}
		err := t.exec(`UPDATE mailbox SET name = ?, special_use = ?, uidnext = ?, modseq = ?, recent_from = ?,
			messages = ?, unseen = ?, deleted = ?, recent = ?, size = ? WHERE id = ?`,
			b.Name, b.SpecialUse, int64(b.UIDNext), int64(b.HighestModSeq), int64(b.recentFrom),
			b.Messages, b.Unseen, b.Deleted, b.Recent, b.Size, b.ID)
		if err != nil {
			return err
		}
	}
	return nil
}
