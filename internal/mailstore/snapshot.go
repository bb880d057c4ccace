package mailstore

import (
	"context"
	"database/sql"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/mailflags"
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
	Flags      []mailflags.Flags
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
	messages := int(p.Mailbox.Messages)
	parts := make([]Snapshot, min(readConns, runtime.GOMAXPROCS(0), messages/partMessages+1))
	if len(parts) == 1 {
		return p, s.readRows(ctx, p, id, 1, math.MaxUint32, messages)
	}
	var first, last int64
	err = s.reader.get(ctx, `SELECT coalesce((SELECT min(uid) FROM message WHERE mailbox_id = ?1), 0), coalesce((SELECT max(uid) FROM message WHERE mailbox_id = ?1), 0)`,
		[]any{id}, &first, &last)
	if err != nil {
		return nil, err
	}
	var reading errgroup.Group
	for i := range parts {
		from := first + (last+1-first)*int64(i)/int64(len(parts))
		to := first + (last+1-first)*int64(i+1)/int64(len(parts)) - 1
		reading.Go(func() error { return s.readRows(ctx, &parts[i], id, from, to, messages/len(parts)) })
	}
	if err := reading.Wait(); err != nil {
		return nil, err
	}
	p.grow(messages)
	for i := range parts {
		p.join(&parts[i])
	}
	return p, nil
}

// partMessages are what one connection reads in a few milliseconds.
const partMessages = 4096

// readRows reads the messages from one UID to another, about as many as expected.
func (s *Store) readRows(ctx context.Context, p *Snapshot, id MailboxID, from, to int64, expected int) error {
	p.grow(expected)
	reader := newRowReader()
	return s.reader.rows(ctx, pickQuery, []any{id, from, to}, func(rows *sql.Rows) error {
		r, err := reader.read(rows)
		p.append(r)
		return err
	})
}

// join appends the columns of the snapshot of later messages.
func (p *Snapshot) join(later *Snapshot) {
	p.UIDs = append(p.UIDs, later.UIDs...)
	p.Flags = append(p.Flags, later.Flags...)
	p.ModSeqs = append(p.ModSeqs, later.ModSeqs...)
	p.Sizes = append(p.Sizes, later.Sizes...)
	p.Received = append(p.Received, later.Received...)
	p.Saved = append(p.Saved, later.Saved...)
	p.Contents = append(p.Contents, later.Contents...)
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
