package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailtext"
)

// ExpungedQuery says which expunged messages are asked for.
type ExpungedQuery struct {
	Mailbox string `json:"mailbox,omitempty"` // where they were; empty: anywhere
	Match   string `json:"match,omitempty"`   // a piece of From or Subject, in any case; empty: all
	Limit   int    `json:"limit,omitempty"`   // at most so many; 0: all
}

// ExpungedMessage is a message that was expunged and can be restored.
type ExpungedMessage struct {
	ID         int64     `json:"id"`      // for Undelete; never used again
	Mailbox    string    `json:"mailbox"` // where it was, by its present name
	UID        UID       `json:"-"`       // that it had there
	Size       int64     `json:"size"`
	Received   time.Time `json:"received"`
	ExpungedAt time.Time `json:"expunged_at"`
	From       string    `json:"from"`
	Subject    string    `json:"subject"`
}

// Restored is where Undelete put a message.
type Restored struct {
	ID      int64  `json:"id"` // of ExpungedMessage
	Mailbox string `json:"mailbox"`
	UID     UID    `json:"uid"` // a new one
}

// expungedRow is an expunged message as the index has it.
type expungedRow struct {
	ExpungedMessage
	mailboxID MailboxID // may be gone, or 0
	content   ContentID
	flags     mailflags.Flags
}

const expungedColumns = `e.id, coalesce(m.name, e.mailbox), e.mailbox_id, e.uid, e.content_id, e.system, e.keywords, e.received_at, e.size, e.expunged_at
	FROM expunged e LEFT JOIN mailbox m ON m.id = e.mailbox_id`

func (r *expungedRow) scan(rows *sql.Rows) error {
	var received, expunged int64
	err := rows.Scan(&r.ID, &r.Mailbox, &r.mailboxID, &r.UID, &r.content, &r.flags.System, &r.flags.Keywords, &received, &r.Size, &expunged)
	r.Received, r.ExpungedAt = time.Unix(received, 0), time.Unix(expunged, 0)
	return err
}

// Expunged returns the messages that were expunged and can be restored, the last
// expunged first.
func (s *Store) Expunged(ctx context.Context, q ExpungedQuery) ([]ExpungedMessage, error) {
	name := ""
	if q.Mailbox != "" {
		var err error
		if name, err = canonical(q.Mailbox); err != nil {
			return nil, nil // nothing was ever in a mailbox of that name
		}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = math.MaxInt
	}
	match := mailtext.NewMatcher(q.Match)
	var out []ExpungedMessage
	for next := int64(math.MaxInt64); ; {
		chunk, err := s.expunged(ctx, name, next)
		if err != nil || len(chunk) == 0 {
			return out, err
		}
		next = chunk[len(chunk)-1].ID
		for _, r := range chunk {
			if q.Match != "" && !match.Match(r.From) && !match.Match(r.Subject) {
				continue
			}
			if out = append(out, r.ExpungedMessage); len(out) == limit {
				return out, nil
			}
		}
	}
}

// expunged returns the next chunk of expunged messages with ids below next.
func (s *Store) expunged(ctx context.Context, mailbox string, next int64) ([]expungedRow, error) {
	var out []expungedRow
	var ids []ContentID
	err := s.reader.rows(ctx, `SELECT `+expungedColumns+` WHERE e.id < ? AND (? = '' OR coalesce(m.name, e.mailbox) = ?)
		ORDER BY e.id DESC LIMIT ?`, []any{next, mailbox, mailbox, contentChunk}, func(rows *sql.Rows) error {
		var r expungedRow
		err := r.scan(rows)
		out, ids = append(out, r), append(ids, r.content)
		return err
	})
	if err != nil {
		return nil, failure(err, "list expunged messages")
	}
	contents, err := s.Contents(ctx, ids, WantEnvelope)
	if err != nil {
		return nil, err
	}
	for i := range contents {
		e := s.Envelope(&contents[i])
		out[i].Subject, out[i].From = e.Subject(), e.From()
	}
	return out, nil
}

// Undelete puts expunged messages back into the mailboxes they came from, with
// new UIDs and with the flags they had but \Deleted. A mailbox that was deleted
// is made again. What was in the Outbox becomes a draft. Ids that are not there any more are passed over.
func (s *Store) Undelete(ctx context.Context, ids []int64) ([]Restored, error) {
	var out []Restored
	err := s.write(ctx, "restore expunged messages", func(t *tx) error {
		out = nil
		for chunk := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(ids))), 1000) {
			rows, err := t.expunged(chunk)
			if err != nil {
				return err
			}
			for _, r := range rows {
				to, err := t.undelete(r)
				if err != nil {
					return err
				}
				out = append(out, to)
			}
		}
		return nil
	})
	return out, err
}

func (t *tx) expunged(ids []int64) ([]expungedRow, error) {
	var out []expungedRow
	err := t.rows(`SELECT `+expungedColumns+` WHERE e.id IN (SELECT value FROM json_each(?)) ORDER BY e.id`, []any{list(ids)},
		func(rows *sql.Rows) error {
			var r expungedRow
			err := r.scan(rows)
			out = append(out, r)
			return err
		})
	return out, err
}

func (t *tx) undelete(r expungedRow) (Restored, error) {
	var b *box
	err := errNoMailbox
	if r.mailboxID != 0 { // it was in none, see Repair
		b, err = t.box(r.mailboxID)
	}
	if errors.Is(err, errNoMailbox) {
		b, err = t.ensure(r.Mailbox)
	}
	if err == nil && b.Outbox { // what was cancelled does not leave after all
		b, err = t.special(`\Drafts`, "Drafts")
	}
	if err != nil {
		return Restored{}, err
	}
	r.flags.System &^= mailflags.Deleted
	added, err := t.add(b, row{Content: r.content, Flags: r.flags, Received: r.Received.Unix(), Size: r.Size})
	if err == nil {
		err = t.exec(`UPDATE content SET orphaned_at = NULL WHERE id = ? AND orphaned_at IS NOT NULL`, r.content)
	}
	if err == nil {
		err = t.exec(`DELETE FROM expunged WHERE id = ?`, r.ID)
	}
	t.log.line('U', r.ID, int64(b.ID), int64(added.UID), added.Saved)
	return Restored{ID: r.ID, Mailbox: b.Name, UID: added.UID}, err
}

// expunge keeps a run of messages that is about to be removed, and returns the
// first of their ids, which follow each other.
func (t *tx) expunge(b *box, first, last UID) (int64, error) {
	res, err := t.result(`INSERT INTO expunged (mailbox, mailbox_id, uidvalidity, uid, content_id, system, keywords, received_at, size, expunged_at)
		SELECT ?, mailbox_id, ?, uid, content_id, system, keywords, received_at, size, ?
		FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid`,
		b.Name, int64(b.UIDValidity), t.s.now().Unix(), b.ID, int64(first), int64(last))
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	return id - n + 1, err
}
