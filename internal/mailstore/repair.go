package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/message"
)

// recovered is the mailbox for messages of which only the file was left.
const recovered = "Recovered"

// RepairOptions are what Repair may be given.
type RepairOptions struct {
	Progress func(done, total int) // called for each content; may be nil
}

// RepairReport is what was found and what became of it. The codes are those of
// Check, and "damaged-log" for a recovery log that could not be read in full.
type RepairReport struct {
	Mended    []Problem // wrong before, right now
	Left      []Problem // cannot be mended here; a file that is wanted comes with the next poll where the server still has it
	Wanted    int       // contents whose files are missing or were moved aside
	Recovered int       // messages of which only the file was left, in the mailbox Recovered now
	Aside     string    // folder with the damaged files that were moved aside; empty: none
	Rebuilt   bool      // the index was rebuilt
}

// Repair mends what Check finds, as far as it can be mended. It may run while
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
func (s *Store) Repair(ctx context.Context, o RepairOptions) (RepairReport, error) {
	r := &repair{s: s, o: o, files: &check{s: s}}
	err := r.run(ctx)
	return r.report, trouble(err, "repair the mail store")
}

type repair struct {
	s           *Store
	o           RepairOptions
	report      RepairReport
	files       *check // what it says about files that belong to others
	done, total int
}

func (r *repair) run(ctx context.Context) error {
	before := &check{s: r.s, o: CheckOptions{Hashes: true}}
	if err := before.index(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(before.problems, func(p Problem) bool { return p.Code == "index-damaged" }) {
		return fault.New(fault.Corrupt, "the index of the mail store is damaged", repairHint)
	}
	r.total = before.total
	for i := range 256 {
		if err := r.folder(ctx, byte(i)); err != nil {
			return err
		}
	}
	r.report.Left = append(append(r.report.Left, r.files.problems...), r.s.foreignOwner(r.files.foreign)...)
	// The files first: a row that tells a wrong size is mended by its file.
	if err := r.s.write(ctx, "repair the index", r.index); err != nil {
		return err
	}
	after := &check{s: r.s}
	if err := after.index(ctx); err != nil {
		return err
	}
	for _, p := range before.problems {
		if !slices.Contains(after.problems, p) {
			r.report.Mended = append(r.report.Mended, p)
		}
	}
	r.report.Left = append(r.report.Left, after.problems...)
	if err := r.s.refresh(ctx); err != nil {
		return err
	}
	return r.s.reader.get(ctx, `SELECT count(*) FROM content WHERE missing`, nil, &r.report.Wanted)
}

func (r *repair) mended(code, format string, args ...any) {
	r.report.Mended = append(r.report.Mended, Problem{code, fmt.Sprintf(format, args...)})
}

func (r *repair) left(code, format string, args ...any) {
	r.report.Left = append(r.report.Left, Problem{code, fmt.Sprintf(format, args...)})
}

// folder mends the files of one of the 256 folders.
func (r *repair) folder(ctx context.Context, prefix byte) error {
	found, err := r.s.files.List(prefix)
	if errors.Is(err, fs.ErrPermission) {
		r.files.unreadableFolder(prefix, err)
		return nil
	}
	if err != nil {
		return err // also when the folder is not there: then its drive is not, not the mail
	}
	expected, err := r.s.reader.contentsOf(ctx, prefix)
	if err != nil {
		return err
	}
	for _, c := range expected {
		delete(found, c.Hash)
		if err := r.file(ctx, c); err != nil {
			return err
		}
		if r.done++; r.o.Progress != nil {
			r.o.Progress(r.done, max(r.total, r.done))
		}
	}
	return r.adopt(ctx, found)
}

// file compares the file of a content with its row.
func (r *repair) file(ctx context.Context, c knownContent) error {
	path := r.s.files.Path(c.Hash)
	info, err := os.Lstat(path)
	foreign := err == nil && r.files.foreign.see(path)
	var h Hash
	if err == nil && info.Mode().IsRegular() {
		h, err = contents.HashFile(ctx, path)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		r.left("missing-file", "the file of message %s is missing; it comes with the next poll if its server still has it", c.Hash)
		return r.s.write(ctx, "mark a message", func(t *tx) error { return t.missing(c.Hash) })
	case foreign && errors.Is(err, fs.ErrPermission): // one problem for all of them
		return nil
	case err != nil:
		r.left("unreadable-file", "the file of message %s cannot be read: %v", c.Hash, err)
		return nil
	case h != c.Hash:
		return r.aside(ctx, c.Hash)
	case c.missing || info.Size() != c.Size:
		r.mended("missing-file", "the file of message %s is there again", c.Hash)
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
			r.left("changed-file", "the file of message %s is damaged, but in use just now", h)
			return nil
		}
		if again, err := contents.HashFile(ctx, path); err == nil && again == h {
			return nil // a batch has replaced it just now
		}
		dir, err := r.s.files.SetAside(path)
		if err != nil {
			r.left("changed-file", "the file of message %s is damaged and cannot be moved aside: %v", h, err)
			return nil
		}
		r.report.Aside = dir
		r.left("changed-file", "the file of message %s was damaged and is in %s now; it comes with the next poll if its server still has it", h, dir)
		return r.s.write(ctx, "mark a message", func(t *tx) error { return t.missing(h) })
	})
}

// stray is a sound message file that is in no index.
type stray struct {
	hash     Hash
	size     int64
	received time.Time
	summary  *message.Summary
}

// adopt takes files without a row into the index. No batch can make a row for them
// at the same time.
func (r *repair) adopt(ctx context.Context, found map[Hash]bool) error {
	if len(found) == 0 {
		return nil
	}
	return r.s.files.Exclusive(func(inUse func(Hash) bool) error {
		if err := r.s.files.Strays(found); err != nil {
			return err
		}
		maps.DeleteFunc(found, func(h Hash, _ bool) bool { return inUse(h) })
		strays, err := r.strays(ctx, found)
		if err != nil || len(strays) == 0 {
			return err
		}
		if err := atomicfile.SyncDir(filepath.Dir(r.s.files.Path(strays[0].hash))); err != nil {
			return err
		}
		return r.s.write(ctx, "take in found messages", func(t *tx) error { return r.take(t, strays) })
	})
}

// strays returns the sound ones of the files found, by the time of their messages.
func (r *repair) strays(ctx context.Context, found map[Hash]bool) (strays []stray, err error) {
	for h := range found {
		st, err := r.s.stray(ctx, h)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // its batch ended just now
		case err != nil:
			r.left("orphan-file", "the file of message %s is in no index and cannot be read: %v", h, err)
		case st.hash != h:
			if r.report.Aside, err = r.s.files.SetAside(r.s.files.Path(h)); err != nil {
				return nil, err
			}
			r.mended("orphan-file", "the file of message %s was damaged, in no index, and is in %s now", h, r.report.Aside)
		default:
			strays = append(strays, st)
		}
	}
	slices.SortFunc(strays, func(a, b stray) int { return a.received.Compare(b.received) })
	return strays, nil
}

// stray reads a file and makes it durable: who wrote it is not known.
func (s *Store) stray(ctx context.Context, h Hash) (st stray, err error) {
	path := s.files.Path(h)
	if st.hash, err = contents.HashFile(ctx, path); err != nil {
		return st, err
	}
	if err := atomicfile.SyncFile(path); err != nil {
		return st, err
	}
	f, err := os.Open(path)
	if err != nil {
		return st, err
	}
	defer f.Close() // it was only read
	info, err := f.Stat()
	if err != nil {
		return st, err
	}
	st.size, st.summary = info.Size(), s.Summarize(f, info.Size())
	if st.received = st.summary.Received; st.received.IsZero() {
		st.received = info.ModTime()
	}
	return st, nil
}

func (r *repair) take(t *tx, strays []stray) error {
	for _, st := range strays {
		var entries, removed int
		err := t.get(`SELECT count(*), count(removed_at) FROM ledger WHERE hash = ?`, []any{st.hash[:]}, &entries, &removed)
		if err != nil {
			return err
		}
		id, err := t.content(st.hash, st.size, st.summary)
		if err != nil {
			return err
		}
		if removed > 0 {
			r.mended("orphan-file", "the file of message %s was in no index; it had been expunged and can be undeleted", st.hash)
			if err := t.bury(id, st); err != nil {
				return err
			}
			continue
		}
		r.mended("orphan-file", "the file of message %s was in no index and is in mailbox %s now", st.hash, recovered)
		r.report.Recovered++
		if err := t.recover(row{Content: id, Size: st.size, Received: st.received.Unix()}, st.hash); err != nil {
			return err
		}
		if entries == 0 {
			t.log.line('N', st.hash, true)
		}
		if err := t.exec(`UPDATE content SET found = ? WHERE id = ?`, entries == 0, id); err != nil {
			return err
		}
	}
	return nil
}

// recover adds a content to the mailbox for found ones.
func (t *tx) recover(r row, h Hash) error {
	b, err := t.ensure(recovered)
	if err != nil {
		return err
	}
	r, err = t.add(b, r)
	t.logAdded(b, r, h)
	return err
}

// bury enters a content among the expunged messages, as if it had been in the
// mailbox for found ones.
func (t *tx) bury(id ContentID, st stray) error {
	now := t.s.now().Unix()
	err := t.exec(`UPDATE content SET orphaned_at = ? WHERE id = ?`, now, id)
	if err != nil {
		return err
	}
	res, err := t.result(`INSERT INTO expunged (mailbox, mailbox_id, uidvalidity, uid, content_id, system, keywords, received_at, size, expunged_at)
		VALUES (?, 0, 0, 0, ?, 0, 0, ?, ?, ?)`, recovered, id, st.received.Unix(), st.size, now)
	if err != nil {
		return err
	}
	row, err := res.LastInsertId()
	zero := int64(0)
	t.log.line('X', row, zero, zero, zero, st.hash, st.size, st.received.Unix(), zero, zero, now, recovered)
	return err
}

// index mends what SQL can see.
func (r *repair) index(t *tx) error {
	for _, query := range []string{
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
	} {
		if err := t.exec(query); err != nil {
			return err
		}
	}
	if _, err := t.ensure(inbox); err != nil {
		return err
	}
	if err := r.counts(t); err != nil {
		return err
	}
	return r.lost(t)
}

// counts makes the counts of all mailboxes what a count gives. UIDNEXT and the
// modification sequence only rise.
func (r *repair) counts(t *tx) error {
	var ids []MailboxID
	err := t.rows(`SELECT id FROM mailbox ORDER BY id`, nil, func(rows *sql.Rows) error {
		var id MailboxID
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
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
			err = t.mendHistory(b)
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

// lost brings back contents that no message row has although nobody removed
// them.
func (r *repair) lost(t *tx) error {
	type lost struct {
		row
		hash Hash
	}
	var contents []lost
	err := t.rows(`SELECT id, size, hash FROM content WHERE orphaned_at IS NULL AND NOT EXISTS (SELECT 1 FROM message WHERE content_id = content.id)`,
		nil, func(rows *sql.Rows) error {
			c := lost{row: row{Received: t.s.now().Unix()}}
			var hash sql.RawBytes
			err := rows.Scan(&c.Content, &c.Size, &hash)
			copy(c.hash[:], hash)
			contents = append(contents, c)
			return err
		})
	if err != nil {
		return err
	}
	for _, c := range contents {
		if err := t.recover(c.row, c.hash); err != nil {
			return err
		}
		r.report.Recovered++
	}
	return nil
}
