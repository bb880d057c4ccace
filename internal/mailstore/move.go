package mailstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/popbridge/popbridge/internal/mailflags"
)

// Copy copies messages, with their flags and dates, to the end of dst. No file
// is copied.
func (s *Store) Copy(ctx context.Context, src MailboxID, uids []UID, dst MailboxID) (CopyResult, error) {
	return s.transfer(ctx, "copy messages", src, uids, dst, false)
}

// Move is Copy and removal from src in one step (RFC 6851). Within one mailbox
// the messages get new UIDs at its end.
func (s *Store) Move(ctx context.Context, src MailboxID, uids []UID, dst MailboxID) (CopyResult, error) {
	return s.transfer(ctx, "move messages", src, uids, dst, true)
}

func (s *Store) transfer(ctx context.Context, doing string, src MailboxID, uids []UID, dst MailboxID, move bool) (CopyResult, error) {
	var out CopyResult
	err := s.write(ctx, doing, func(t *tx) error {
		from, err := t.box(src)
		if err != nil {
			return err
		}
		to, err := t.box(dst)
		if err != nil {
			return err
		}
		out, err = t.transfer(from, append([]UID{}, uids...), to, move)
		return err
	})
	return out, err
}

// transfer copies or moves the messages with the given UIDs, all for nil.
func (t *tx) transfer(from *box, uids []UID, to *box, move bool) (CopyResult, error) {
	out := CopyResult{UIDValidity: to.UIDValidity}
	if to.Outbox {
		return out, ErrOutbox
	}
	rows, err := t.pick(from.ID, uids)
	if err != nil {
		return out, err
	}
	if len(rows) > 0 {
		t.log.uids(rows, 'Y', int64(to.ID), int64(to.UIDNext), int64(from.ID), t.s.now().Unix())
	}
	for _, p := range rows {
		added, err := t.add(to, p.row)
		if err != nil {
			return out, err
		}
		out.From = append(out.From, p.UID)
		out.To = append(out.To, added.UID)
	}
	if move {
		err = t.remove(from, rows, false)
	}
	return out, err
}

// Expunge removes messages that have \Deleted: all of them when uids is nil,
// otherwise those among uids. It returns their UIDs, ascending. What was expunged
// stays for a while (see Expunged and Options.KeepExpunged). In the Outbox what is being
// handed over stays; the others go, and the error is a fault.Conflict.
func (s *Store) Expunge(ctx context.Context, id MailboxID, uids []UID) ([]UID, error) {
	var out []UID
	var refused error
	err := s.write(ctx, "expunge messages", func(t *tx) error {
		b, err := t.box(id)
		if err != nil || b.Deleted == 0 {
			return err
		}
		rows, err := t.pick(id, uids)
		if err != nil {
			return err
		}
		marked := those(rows, func(r picked) bool { return r.Flags.System&mailflags.Deleted != 0 })
		if b.Outbox {
			if marked, refused, err = t.notHandedOver(marked); err != nil {
				return err
			}
		}
		for _, r := range marked {
			out = append(out, r.UID)
		}
		if err := t.remove(b, marked, true); err != nil {
			return err
		}
		return t.orphan(marked)
	})
	return out, cmp.Or(err, refused)
}

// Discard removes messages for good, without \Deleted and without keeping them among the
// expunged: what the program itself has put there, and nobody has read.
func (s *Store) Discard(ctx context.Context, id MailboxID, uids []UID) error {
	return s.write(ctx, "discard messages", func(t *tx) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		rows, err := t.pick(id, uids)
		if err == nil {
			err = t.remove(b, rows, false)
		}
		if err != nil {
			return err
		}
		return t.orphan(rows)
	})
}

// remove takes messages out of a mailbox; those that are expunged are kept among
// the expunged. Their contents are not looked at.
func (t *tx) remove(b *box, rows []picked, expunged bool) error {
	if b.Outbox {
		if err := t.cancel(rows); err != nil {
			return err
		}
	}
	var kept int64 // first id among the expunged
	err := runs(rows, func(run []picked) error {
		b.next()
		for _, r := range run {
			b.count(r.Flags, r.Size, -1)
			if r.UID >= b.recentFrom {
				b.Recent--
			}
			b.removed = append(b.removed, r.UID)
		}
		first, last := run[0].UID, run[len(run)-1].UID
		if expunged {
			id, err := t.expunge(b, first, last)
			if err != nil {
				return err
			}
			if kept == 0 {
				kept = id
			}
		}
		if err := t.exec(`INSERT INTO vanished (mailbox_id, modseq, first, last) VALUES (?, ?, ?, ?)`, b.ID, int64(b.HighestModSeq), int64(first), int64(last)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ?`, b.ID, int64(first), int64(last))
	})
	if err == nil {
		err = t.forget(b)
	}
	if expunged {
		t.log.uids(rows, 'E', int64(b.ID), kept, t.s.now().Unix())
	} else {
		t.log.uids(rows, 'R', int64(b.ID))
	}
	return err
}

// orphan marks those contents of removed messages that no mailbox holds now.
func (t *tx) orphan(rows []picked) error {
	now := t.s.now().Unix()
	for chunk := range slices.Chunk(rows, 1000) {
		ids := make([]ContentID, len(chunk))
		for i, r := range chunk {
			ids[i] = r.Content
		}
		err := t.exec(`UPDATE content SET orphaned_at = ? WHERE id IN (SELECT value FROM json_each(?))
			AND orphaned_at IS NULL AND NOT EXISTS (SELECT 1 FROM message WHERE content_id = content.id)`, now, list(ids))
		if err != nil {
			return err
		}
	}
	return nil
}
