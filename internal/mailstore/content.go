package mailstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/message"
)

// contentChunk is how many contents one query asks for.
const contentChunk = 512

// Contents returns the contents with the given ids, in their order. It costs
// one query for each 512 ids. A content that is not there any more has a zero
// Hash and, where asked for, the Summary of an empty message.
func (s *Store) Contents(ctx context.Context, ids []ContentID, withSummary bool) ([]Content, error) {
	out := make([]Content, 0, len(ids))
	for chunk := range slices.Chunk(ids, contentChunk) {
		got, err := s.contents(ctx, chunk, withSummary)
		if err != nil {
			return nil, trouble(err, "read message data")
		}
		out = append(out, got...)
	}
	return out, nil
}

func (s *Store) contents(ctx context.Context, ids []ContentID, withSummary bool) ([]Content, error) {
	query := `SELECT id, hash, size, 0, NULL FROM content WHERE id IN (SELECT value FROM json_each(?))`
	if withSummary {
		query = `SELECT id, hash, size, coalesce(version, 0), data FROM content LEFT JOIN summary ON content_id = id
			WHERE id IN (SELECT value FROM json_each(?))`
	}
	found := make(map[ContentID]Content, len(ids))
	var stale []ContentID
	err := s.reader.rows(ctx, query, []any{list(ids)}, func(rows *sql.Rows) error {
		var c Content
		var hash, data sql.RawBytes
		var version int
		if err := rows.Scan(&c.ID, &hash, &c.Size, &version, &data); err != nil {
			return err
		}
		copy(c.Hash[:], hash)
		if withSummary {
			c.Summary = &message.Summary{}
			if version != message.SummaryVersion || c.Summary.UnmarshalBinary(bytes.Clone(data)) != nil {
				stale = append(stale, c.ID)
			}
		}
		found[c.ID] = c
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(stale) > 0 {
		s.renew(ctx, found, stale)
	}
	out := make([]Content, len(ids))
	for i, id := range ids {
		c, ok := found[id]
		if !ok {
			c.ID = id
			if withSummary {
				c.Summary = emptySummary()
			}
		}
		out[i] = c
	}
	return out, nil
}

// renew makes summaries of another version, or damaged ones, again from the
// files, and stores them for the next time.
func (s *Store) renew(ctx context.Context, found map[ContentID]Content, stale []ContentID) {
	var fresh []ContentID
	for _, id := range stale {
		c := found[id]
		f, err := s.OpenContent(c.Hash)
		if err != nil {
			c.Summary = emptySummary()
		} else {
			c.Summary = s.summarize(f, c.Size)
			_ = f.Close() // it was only read
			fresh = append(fresh, id)
		}
		found[id] = c
	}
	err := s.write(ctx, "store summaries", func(t *tx) error {
		for _, id := range fresh {
			var one int
			err := t.get(`SELECT 1 FROM content WHERE id = ?`, []any{id}, &one)
			if errors.Is(err, sql.ErrNoRows) {
				continue // purged meanwhile
			}
			if err == nil {
				err = t.summarize(id, found[id].Summary)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.log.Warn().Err(err).Int("count", len(fresh)).Msg("renewed summaries were not stored")
	}
}

// emptySummary stands for that of a message that cannot be read.
func emptySummary() *message.Summary {
	sum := message.Parse(bytes.NewReader(nil), 0)
	sum.Defects = append(sum.Defects, message.DefectRead)
	return sum
}

var errMessageGone = fault.New(fault.Corrupt, "the file of a message is missing from the mail store",
	"run 'popbridge check --repair': it is fetched again if its server still has it")

// OpenContent opens the file of a content for reading; fault.Corrupt when it is
// missing.
func (s *Store) OpenContent(h Hash) (*os.File, error) {
	f, err := os.Open(s.path(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMessageGone
	}
	return f, trouble(err, "open a message")
}
