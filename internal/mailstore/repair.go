package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
)

// recovered is the mailbox for messages of which only the file was left.
const recovered = "Recovered"

// RepairReport is what was found and what became of it. The codes are those of
// Check, and "damaged-log" for a recovery log that could not be read in full.
type RepairReport struct {
	Repaired  []Problem `json:"-"`         // wrong before, right now
	Left      []Problem `json:"-"`         // cannot be repaired here; a file that is wanted comes with the next poll where the server still has it
	Wanted    int       `json:"wanted"`    // contents whose files are missing or were moved aside
	Recovered int       `json:"recovered"` // messages of which only the file was left, in the mailbox Recovered now
	Aside     string    `json:"aside"`     // folder with the damaged files that were moved aside; empty: none
	Rebuilt   bool      `json:"rebuilt"`   // the index was rebuilt
}

// Repair repairs what Check finds, as far as it can. It may run while
// the store is in use by this program, not by another one. No UID and no
// UIDVALIDITY changes, and no message row goes, with or without its file.
// fault.Corrupt when the index itself is damaged: close the store then and call
// Rebuild.
//
// A file that is not what its name says is moved aside, and wanted from then
// on: see LedgerEntry. A file without a row is
//
//   - a message in Recovered when nothing says that it was removed. Its origin
//     may be unknown here and yet on the server; the first delivery from there
//     with the same bytes is taken for it and not added a second time.
//   - an expunged message when the ledger says that it was removed and purged:
//     it can be undeleted, and goes for good when its time is over.
//
// progress, which may be nil, is called for each content.
func (s *Store) Repair(ctx context.Context, progress func(done, total int)) (RepairReport, error) {
	r := &repair{s: s, check: &check{s: s, progress: progress, repairs: true}}
	err := r.run(ctx)
	return r.report, failure(err, "repair the mail store")
}

type repair struct {
	s      *Store
	report RepairReport
	check  *check // what is wrong now, as far as it cannot be repaired here
}

func (r *repair) run(ctx context.Context) error {
	before := &check{s: r.s}
	if err := before.index(ctx, fullIntegrity); err != nil {
		return err
	}
	if slices.ContainsFunc(before.problems, func(p Problem) bool { return p.Code == "index-damaged" }) {
		return fault.New(fault.Corrupt, "the index of the mail store is damaged", repairHint)
	}
	r.check.total = before.total
	for i := range 256 {
		if err := r.check.folder(ctx, byte(i), r.file, r.adopt); err != nil {
			return err
		}
	}
	// The files first: a row that tells a wrong size is corrected by its file.
	if err := r.s.write(ctx, "repair the index", r.index); err != nil {
		return err
	}
	after := &check{s: r.s}
	if err := after.index(ctx, fastIntegrity); err != nil {
		return err
	}
	for _, p := range before.problems {
		if !slices.Contains(after.problems, p) {
			r.report.Repaired = append(r.report.Repaired, p)
		}
	}
	r.report.Left = slices.Concat(r.check.problems, r.s.foreignOwner(r.check.foreign), after.problems)
	if err := r.s.refresh(ctx); err != nil {
		return err
	}
	return r.s.reader.get(ctx, `SELECT count(*) FROM content WHERE missing`, nil, &r.report.Wanted)
}

func (r *repair) repaired(code, format string, args ...any) {
	r.report.Repaired = append(r.report.Repaired, Problem{code, fmt.Sprintf(format, args...)})
}

// file compares the file of a content with its row.
func (r *repair) file(ctx context.Context, c knownContent) error {
	info, h, err := r.check.read(ctx, c.Hash)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errForeign):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		r.check.add("missing-file", "the file of message %s is missing; it comes with the next poll if its server still has it", c.Hash)
		return r.s.write(ctx, "mark a message", func(t *tx) error { return t.missing(c.Hash) })
	case err != nil:
		r.check.add("unreadable-file", "the file of message %s cannot be read: %v", c.Hash, err)
		return nil
	case h != c.Hash:
		return r.aside(ctx, c.Hash)
	case c.missing || info.Size() != c.Size:
		r.repaired("missing-file", "the file of message %s is there again", c.Hash)
		return r.s.write(ctx, "mark a message", func(t *tx) error {
			return t.exec(`UPDATE content SET missing = 0, size = ? WHERE hash = ?`, info.Size(), c.Hash[:])
		})
	}
	return nil
}

// missing marks a content whose file has to come again.
func (t *tx) missing(h Hash) error {
	return t.exec(`UPDATE content SET missing = 1 WHERE hash = ? AND NOT missing`, h[:])
}

// aside moves a damaged file out of the way. No batch can rely on it meanwhile.
func (r *repair) aside(ctx context.Context, h Hash) error {
	return r.s.files.Exclusive(func(inUse func(Hash) bool) error {
		path := r.s.files.Path(h)
		if inUse(h) {
			r.check.add("changed-file", "the file of message %s is damaged, but in use just now", h)
			return nil
		}
		if again, err := contents.HashFile(ctx, path); err == nil && again == h {
			return nil // a batch has replaced it just now
		}
		dir, err := r.s.files.SetAside(path)
		if err != nil {
			r.check.add("changed-file", "the file of message %s is damaged and cannot be moved aside: %v", h, err)
			return nil
		}
		r.report.Aside = dir
		r.check.add("changed-file", "the file of message %s was damaged and is in %s now; it comes with the next poll if its server still has it", h, dir)
		return r.s.write(ctx, "mark a message", func(t *tx) error { return t.missing(h) })
	})
}

// index repairs what SQL can see.
func (r *repair) index(t *tx) error {
	err := t.execAll([]string{
		`DELETE FROM envelope WHERE content_id NOT IN (SELECT id FROM content)`,
		`DELETE FROM header WHERE content_id NOT IN (SELECT id FROM content)`,
		`DELETE FROM structure WHERE content_id NOT IN (SELECT id FROM content)`,
		`DELETE FROM expunged WHERE content_id NOT IN (SELECT id FROM content)`,
		`UPDATE meta SET value = value + 1 WHERE key = 'generation'`, // of the modification sequences below
		`UPDATE mailbox SET modseq = modseq + 1 WHERE id IN (SELECT mailbox_id FROM message WHERE keywords <> 0 AND keywords NOT IN (SELECT id FROM keyword_set))`,
		`UPDATE message SET keywords = 0, modseq = (SELECT modseq FROM mailbox WHERE id = mailbox_id) WHERE keywords <> 0 AND keywords NOT IN (SELECT id FROM keyword_set)`,
		`UPDATE expunged SET keywords = 0 WHERE keywords <> 0 AND keywords NOT IN (SELECT id FROM keyword_set)`,
		`UPDATE message SET size = c.size FROM content c WHERE c.id = content_id AND c.size <> message.size`,
		`UPDATE content SET orphaned_at = NULL WHERE orphaned_at IS NOT NULL AND EXISTS (SELECT 1 FROM message WHERE content_id = content.id)`,
		`UPDATE content SET orphaned_at = (SELECT max(expunged_at) FROM expunged WHERE content_id = content.id) WHERE orphaned_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM message WHERE content_id = content.id) AND EXISTS (SELECT 1 FROM expunged WHERE content_id = content.id)`,
		`INSERT OR REPLACE INTO meta (key, value) SELECT 'uidvalidity', max(coalesce((SELECT value FROM meta WHERE key = 'uidvalidity'), 0),
			coalesce(max(uidvalidity), 0)) FROM mailbox`,
	})
	if err != nil {
		return err
	}
	if _, err := t.ensure(inbox); err != nil {
		return err
	}
	if err := r.counts(t); err != nil {
		return err
	}
	if err := t.repairOutbox(); err != nil {
		return err
	}
	return r.lost(t)
}

// counts makes the counts of all mailboxes what a count gives. UIDNEXT and the
// modification sequence only rise.
func (r *repair) counts(t *tx) error {
	var ids []MailboxID
	err := t.rows(`SELECT id FROM mailbox ORDER BY id`, nil, into(&ids, column))
	if err != nil {
		return err
	}
	for _, id := range ids {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		was, from := b.Mailbox, b.recentFrom
		var last UID
		err = t.get(`SELECT count(*), coalesce(sum(system & 1 = 0), 0), coalesce(sum(system & 8 <> 0), 0), coalesce(sum(size), 0),
			coalesce(max(uid), 0) FROM message WHERE mailbox_id = ?`, []any{id}, &b.Messages, &b.Unseen, &b.Deleted, &b.Size, &last)
		if err == nil {
			err = t.repairHistory(b)
		}
		if err != nil {
			return err
		}
		b.UIDNext = max(b.UIDNext, last+1)
		b.recentFrom = min(b.recentFrom, b.UIDNext)
		err = t.get(`SELECT count(*) FROM message WHERE mailbox_id = ? AND uid >= ?`, []any{id, int64(b.recentFrom)}, &b.Recent)
		if err != nil {
			return err
		}
		b.touched = b.touched || b.Mailbox != was || b.recentFrom != from
	}
	return nil
}

// lost brings back contents that no message row has although no one removed
// them.
func (r *repair) lost(t *tx) error {
	var contents []knownContent
	err := t.rows(`SELECT id, size, hash FROM content WHERE orphaned_at IS NULL AND NOT EXISTS (SELECT 1 FROM message WHERE content_id = content.id)`,
		nil, into(&contents, func(c *knownContent) []any { return []any{&c.ID, &c.Size, hashInto(&c.Hash)} }))
	if err != nil {
		return err
	}
	for _, c := range contents {
		if err := t.recover(row{Content: c.ID, Size: c.Size, Received: t.s.now().Unix()}, c.Hash); err != nil {
			return err
		}
		r.report.Recovered++
	}
	return nil
}
