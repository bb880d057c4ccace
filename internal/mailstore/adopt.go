package mailstore

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/message"
)

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
			r.check.add("orphan-file", "the file of message %s is in no index and cannot be read: %v", h, err)
		case st.hash != h:
			if r.report.Aside, err = r.s.files.SetAside(r.s.files.Path(h)); err != nil {
				return nil, err
			}
			r.repaired("orphan-file", "the file of message %s was damaged, in no index, and is in %s now", h, r.report.Aside)
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
	f, err := atomicfile.Open(path)
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
			r.repaired("orphan-file", "the file of message %s was in no index; it had been expunged and can be undeleted", st.hash)
			if err := t.insertAsExpunged(id, st); err != nil {
				return err
			}
			continue
		}
		r.repaired("orphan-file", "the file of message %s was in no index and is in mailbox %s now", st.hash, recovered)
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

// recover adds a content to the mailbox Recovered.
func (t *tx) recover(r row, h Hash) error {
	b, err := t.ensure(recovered)
	if err != nil {
		return err
	}
	r, err = t.add(b, r)
	t.logAdded(b, r, h)
	return err
}

// insertAsExpunged enters a content among the expunged messages, as if it had been in the
// mailbox Recovered.
func (t *tx) insertAsExpunged(id ContentID, st stray) error {
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
