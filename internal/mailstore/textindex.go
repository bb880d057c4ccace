package mailstore

import (
	"context"
	"database/sql"
	"io"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/textindex"
)

// indexedStore is the store as its text index sees it.
type indexedStore struct{ s *Store }

func (i indexedStore) Watch() (<-chan struct{}, func()) { return i.s.Watch() }

func (i indexedStore) After(ctx context.Context, id int64, use func(id int64, hash textindex.Hash)) error {
	if id == 0 { // the index begins
		if err := i.s.present(); err != nil {
			return err // nothing is made in an empty place
		}
	}
	return i.s.reader.rows(ctx, `SELECT id, hash FROM content WHERE id > ? ORDER BY id`, []any{id}, func(rows *sql.Rows) error {
		var hash Hash
		if err := rows.Scan(&id, hashInto(&hash)); err != nil {
			return err
		}
		use(id, hash)
		return nil
	})
}

// Read leaves contents without a file out: they may match, and whoever looks finds
// that they cannot be read.
func (i indexedStore) Read(ctx context.Context, ids []int64, use func(id int64, hash textindex.Hash, sum *message.Summary, r io.ReaderAt)) error {
	wanted := make([]ContentID, len(ids))
	for k, id := range ids {
		wanted[k] = ContentID(id)
	}
	contents, err := i.s.Contents(ctx, wanted, WantFile|WantStructure)
	if err != nil {
		return err
	}
	for k := range contents {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := &contents[k]
		if c.Gone {
			continue
		}
		f, err := i.s.OpenContent(c.Hash)
		if err != nil {
			continue
		}
		if c.Cut {
			c.Summary = i.s.Summarize(f, c.Size)
		}
		use(int64(c.ID), c.Hash, c.Summary, f)
		c.Summary = nil // it may be large
		_ = f.Close()   // only read
	}
	return nil
}

// Narrow returns what the text index knows of contents, by their ContentID, and the
// needle, which it looks for in their bodies or in their whole text.
func (s *Store) Narrow(needle string, body bool) textindex.Known { return s.text.Narrow(needle, body) }

func (s *Store) textDir() string { return filepath.Join(s.dir, "search") }
