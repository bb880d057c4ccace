package mailstore

import (
	"context"
	"database/sql"
	"math"
	"slices"
)

// Snapshot is a mailbox as of one commit, in columns of equal length with
// ascending UIDs. It never changes and must not be changed.
//
// A snapshot shares the columns that a commit left alone with the one before
// it. New messages are appended behind the end of the older one, in the same
// memory where there is room; that works because only the newest snapshot of a
// mailbox is ever continued.
type Snapshot struct {
	Mailbox    Mailbox
	UIDs       []UID
	Flags      []Flags
	ModSeqs    []ModSeq
	Sizes      []int64
	Received   []int64 // Unix seconds
	Saved      []int64 // when they came into this mailbox, Unix seconds; 0: not known
	Contents   []ContentID
	RecentFrom UID // messages from here on were not selected by any session yet
}

// load reads a mailbox. The caller holds the mutex of the writer, so that no
// commit is missed between this and the publishing of the next one.
func (s *Store) loadLocked(ctx context.Context, id MailboxID) (*Snapshot, error) {
	p := &Snapshot{}
	err := s.reader.get(ctx, `SELECT `+mailboxColumns+` FROM mailbox WHERE id = ?`, []any{id}, p.Mailbox.scanned(&p.RecentFrom)...)
	if err != nil {
		return nil, noMailbox(err)
	}
	p.grow(int(p.Mailbox.Messages))
	reader := newRowReader()
	err = s.reader.rows(ctx, pickQuery, []any{id, 1, int64(math.MaxUint32)}, func(rows *sql.Rows) error {
		r, err := reader.read(rows)
		p.append(r)
		return err
	})
	return p, err
}

func (p *Snapshot) grow(n int) {
	p.UIDs = slices.Grow(p.UIDs, n)
	p.Flags = slices.Grow(p.Flags, n)
	p.ModSeqs = slices.Grow(p.ModSeqs, n)
	p.Sizes = slices.Grow(p.Sizes, n)
	p.Received = slices.Grow(p.Received, n)
	p.Saved = slices.Grow(p.Saved, n)
	p.Contents = slices.Grow(p.Contents, n)
}

func (p *Snapshot) append(r row) {
	p.UIDs = append(p.UIDs, r.UID)
	p.Flags = append(p.Flags, r.Flags)
	p.ModSeqs = append(p.ModSeqs, r.ModSeq)
	p.Sizes = append(p.Sizes, r.Size)
	p.Received = append(p.Received, r.Received)
	p.Saved = append(p.Saved, r.Saved)
	p.Contents = append(p.Contents, r.Content)
}

// next returns the snapshot after the changes in b.
func (p *Snapshot) next(b *box) *Snapshot {
	n := *p
	n.Mailbox, n.RecentFrom = b.Mailbox, b.recentFrom
	if len(b.flagged) > 0 {
		n.patch(b.flagged)
	}
	if len(b.removed) > 0 {
		n.cut(b.removed)
	}
	for _, r := range b.added {
		n.append(r)
	}
	return &n
}

// patch replaces the two columns that flags change.
func (p *Snapshot) patch(changes []FlagChange) {
	p.Flags, p.ModSeqs = slices.Clone(p.Flags), slices.Clone(p.ModSeqs)
	at := 0
	for _, c := range changes {
		i, ok := slices.BinarySearch(p.UIDs[at:], c.UID)
		at += i
		if ok {
			p.Flags[at], p.ModSeqs[at] = c.Flags, c.ModSeq
		}
	}
}

// cut makes columns without the given messages.
func (p *Snapshot) cut(uids []UID) {
	old := *p
	*p = Snapshot{Mailbox: old.Mailbox, RecentFrom: old.RecentFrom}
	p.grow(max(0, len(old.UIDs)-len(uids)))
	for i, uid := range old.UIDs {
		for len(uids) > 0 && uids[0] < uid {
			uids = uids[1:]
		}
		if len(uids) > 0 && uids[0] == uid {
			continue
		}
		p.append(row{uid, old.Contents[i], old.Flags[i], old.ModSeqs[i], old.Received[i], old.Sizes[i], old.Saved[i]})
	}
}
