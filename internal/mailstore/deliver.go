package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/message"
)

// Deliver stores a batch of messages, all or none. When it returns nil, all of
// them are durable and published. It takes over the spooled files and removes them,
// whatever the outcome.
func (s *Store) Deliver(ctx context.Context, deliveries []Delivery) ([]Delivered, error) {
	if len(deliveries) == 0 {
		return nil, nil
	}
	spooled := make([]*contents.Spooled, len(deliveries))
	for i, d := range deliveries {
		spooled[i] = d.Message.Spooled
	}
	b := s.files.NewBatch(spooled)
	allNew, inDoubt := false, false
	defer func() { b.End(allNew, inDoubt) }()
	for _, d := range deliveries {
		if _, _, err := mailflags.Parse(d.Flags); err != nil {
			return nil, err
		}
	}
	if err := b.Place(ctx); err != nil {
		return nil, failure(err, "store messages")
	}
	out := make([]Delivered, len(deliveries))
	var err error
	inDoubt, err = s.commit(ctx, "store messages", func(t *tx) error {
		counts := map[string]int64{}
		for i, d := range deliveries {
			done, err := t.deliver(d)
			if err != nil {
				return err
			}
			if d.Origin != nil && !done.Duplicate {
				counts[d.Origin.Account]++
			}
			out[i] = done
		}
		return t.countStored(counts)
	})
	if err != nil {
		return nil, err
	}
	allNew = !slices.ContainsFunc(out, func(d Delivered) bool { return d.Duplicate })
	_ = s.step("committed") // a crash here must lose nothing; an error has no meaning any more
	return out, nil
}

func (t *tx) deliver(d Delivery) (Delivered, error) {
	if d.Origin != nil {
		known, err := t.returned(d)
		if err != nil || known {
			return Delivered{Duplicate: known}, err
		}
		known, err = t.register(d)
		if err == nil && known {
			err = t.doubt(*d.Origin, d.Doubt)
		}
		if err != nil || known {
			return Delivered{Duplicate: known}, err
		}
	}
	b, err := t.box(d.Mailbox)
	if err != nil {
		return Delivered{}, err
	}
	if b.Outbox {
		return Delivered{}, ErrOutbox
	}
	if d.Replaces != nil {
		if err := t.expungeReplaced(*d.Replaces); err != nil {
			return Delivered{}, err
		}
	}
	sent, err := t.resaved(b, d)
	if err != nil {
		return Delivered{}, err
	}
	uid := sent.same(d)
	if uid == 0 {
		uid, err = t.findDuplicate(d)
	}
	if err != nil {
		return Delivered{}, err
	}
	if uid != 0 {
		return Delivered{UID: uid, UIDValidity: b.UIDValidity, Duplicate: true}, nil
	}
	r, err := t.place(b, d, sent)
	if d.Origin != nil && err == nil {
		t.logEntry(d, d.Message.Hash())
		err = t.doubt(*d.Origin, d.Doubt)
	}
	return Delivered{UID: r.UID, UIDValidity: b.UIDValidity}, err
}

// place adds a message to a mailbox; sent, which may be nil, is what it takes the place
// of in \Sent.
func (t *tx) place(b *box, d Delivery, sent *sentCopy) (row, error) {
	system, words, err := mailflags.Parse(d.Flags)
	if err != nil {
		return row{}, err
	}
	set, err := t.intern(words)
	if errors.Is(err, fault.ErrLimit) { // the mail is worth more than its keywords
		set, err = t.intern(nil)
	}
	if err != nil {
		return row{}, err
	}
	content, err := t.content(d.Message.Hash(), d.Message.Size(), d.Message.summary)
	if err != nil {
		return row{}, err
	}
	received := d.ReceivedAt
	if received.IsZero() {
		received = t.s.now()
	}
	r := row{Content: content, Flags: mailflags.Flags{System: system, Keywords: set}, Received: received.Unix(), Size: d.Message.Size()}
	if sent != nil {
		r.Flags.System |= sent.row.Flags.System
	}
	r, err = t.add(b, r)
	t.logAdded(b, r, d.Message.Hash())
	if sent != nil && err == nil {
		err = t.replaceSent(b, sent, r, d.Message.Hash())
	}
	return r, err
}

// expungeReplaced expunges a message that gives way to another.
func (t *tx) expungeReplaced(p Place) error {
	b, err := t.box(p.Mailbox)
	if err != nil {
		return err
	}
	rows, err := t.pick(b.ID, []UID{p.UID})
	if err == nil && len(rows) == 0 {
		err = errNotThere
	}
	if err == nil {
		err = t.remove(b, rows, true)
	}
	if err == nil {
		err = t.orphan(rows)
	}
	return err
}

var errNotThere = fault.New(fault.NotFound, "the message is not there any more", "")

// findDuplicate returns the UID of the message that a delivery with Once is a copy of,
// or 0.
func (t *tx) findDuplicate(d Delivery) (uid UID, err error) {
	if d.Once == 0 {
		return 0, nil
	}
	h := d.Message.Hash()
	err = t.get(`SELECT uid FROM message WHERE mailbox_id = ? AND content_id = (SELECT id FROM content WHERE hash = ?)
		AND system & ? = 0 AND abs(received_at - ?) <= ? ORDER BY uid LIMIT 1`,
		[]any{d.Mailbox, h[:], int64(mailflags.Deleted), d.ReceivedAt.Unix(), int64(d.Once / time.Second)}, &uid)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err == nil {
		err = t.markPresent(h)
	}
	return uid, err
}

func (t *tx) logAdded(b *box, r row, h Hash) {
	t.log.line('A', int64(b.ID), int64(r.UID), h, r.Size, r.Received, int64(r.Flags.System), int64(r.Flags.Keywords), r.Saved)
}

// logEntry tells the recovery log of the entry that was made for a content. The log has
// the content already.
func (t *tx) logEntry(d Delivery, h Hash) {
	o := d.Origin
	t.log.line('L', o.Account, o.UIDL, int64(o.Dup), short(h), d.Message.Size(), d.ListSize, int64(Stored), t.s.now().Unix(), int64(0))
}

// content returns the row of the content, making it where it is new. An
// orphan is one no more.
func (t *tx) content(h Hash, size int64, summary *message.Summary) (ContentID, error) {
	var id ContentID
	var marked bool
	err := t.get(`SELECT id, orphaned_at IS NOT NULL OR missing FROM content WHERE hash = ?`, []any{h[:]}, &id, &marked)
	if err == nil && marked {
		return id, t.exec(`UPDATE content SET orphaned_at = NULL, missing = 0 WHERE id = ?`, id)
	}
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	res, err := t.result(`INSERT INTO content (hash, size) VALUES (?, ?)`, h[:], size)
	if err != nil {
		return 0, err
	}
	n, err := res.LastInsertId()
	if err != nil {
		return 0, err
	}
	return ContentID(n), t.summarize(ContentID(n), summary)
}

// register enters the origin of a delivery into the ledger. known tells that
// what came from there is stored already, so that nothing is to be added; its
// file is put back where it was missing.
func (t *tx) register(d Delivery) (known bool, err error) {
	o, h, now := d.Origin, d.Message.Hash(), t.s.now().Unix()
	old, err := t.storedHash(o)
	if err != nil {
		return false, err
	}
	if old != nil && *old == h {
		if err := t.markPresent(*old); err != nil {
			return false, err
		}
		return true, t.exec(`UPDATE ledger SET last_listed_at = ?, absent = 0 WHERE account = ? AND uidl = ? AND dup = ?`,
			now, o.Account, o.UIDL, o.Dup)
	}
	// An entry with another content is no obstacle: the server has given the id
	// of one message to another.
	if d.Adopt != nil && d.Adopt.Account == o.Account {
		adopted, err := t.storedHash(d.Adopt)
		if err != nil {
			return false, err
		}
		if adopted != nil && *adopted == h {
			t.log.line('J', o.Account, d.Adopt.UIDL, int64(d.Adopt.Dup), o.UIDL, int64(o.Dup), d.ListSize)
			if err := t.markPresent(*adopted); err != nil {
				return false, err
			}
			return true, t.exec(`UPDATE OR REPLACE ledger SET uidl = ?, dup = ?, list_size = ?, state = ?, last_listed_at = ?, absent = 0
				WHERE account = ? AND uidl = ? AND dup = ?`,
				o.UIDL, o.Dup, d.ListSize, Stored, now, d.Adopt.Account, d.Adopt.UIDL, d.Adopt.Dup)
		}
	}
	if err := t.enter(d, h); err != nil {
		return false, err
	}
	return t.linkRecovered(d)
}

// enter makes the ledger entry of a delivery whose content is h.
func (t *tx) enter(d Delivery, h Hash) error {
	o, now := d.Origin, t.s.now().Unix()
	return t.exec(`INSERT OR REPLACE INTO ledger (account, uidl, dup, hash, size, list_size, state, stored_at, last_listed_at, absent)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`, o.Account, o.UIDL, o.Dup, h[:], d.Message.Size(), d.ListSize, Stored, now, now)
}

// markPresent notes that the file of a content is there again.
func (t *tx) markPresent(h Hash) error {
	return t.exec(`UPDATE content SET missing = 0 WHERE hash = ? AND missing`, h[:])
}

// linkRecovered assigns the origin of a delivery to a content that Repair recovered
// without one, and reports whether it did: then no second copy is wanted. It does so
// once for each content.
func (t *tx) linkRecovered(d Delivery) (bool, error) {
	h := d.Message.Hash()
	n, err := t.changed(`UPDATE content SET found = 0, missing = 0 WHERE hash = ? AND found AND orphaned_at IS NULL`, h[:])
	if n > 0 {
		t.log.line('N', h, false)
		t.logEntry(d, h)
	}
	return n > 0, err
}

// storedHash returns the hash of what is stored from an origin, or nil. An entry
// whose content was lost, not removed, is ignored, so that the message is fetched again.
func (t *tx) storedHash(o *Origin) (*Hash, error) {
	var hash []byte
	err := t.get(`SELECT hash FROM ledger WHERE account = ? AND uidl = ? AND dup = ?
		AND (removed_at IS NOT NULL OR EXISTS (SELECT 1 FROM content WHERE content.hash = ledger.hash))`,
		[]any{o.Account, o.UIDL, o.Dup}, &hash)
	if errors.Is(err, sql.ErrNoRows) || err == nil && len(hash) != len(Hash{}) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return (*Hash)(hash), nil
}

func (t *tx) countStored(counts map[string]int64) error {
	for account, n := range counts {
		t.log.line('C', account, n)
		err := t.exec(`INSERT INTO account (name, stored) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET stored = stored + excluded.stored`, account, n)
		if err != nil {
			return err
		}
	}
	return nil
}
