package mailstore

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/message"
)

const (
	// contentChunk is how many contents one query asks for.
	contentChunk = 512
	// keptPiece is the longest envelope or structure that the index keeps, in
	// bytes of its compact form. That of ordinary mail has a few hundred.
	keptPiece = 16 << 10
	// chunkPieces bounds those of one query: in memory they are up to thirty times
	// as large.
	chunkPieces = 1 << 20
)

// Want says what of a content is wanted.
type Want uint8

const (
	WantFile      Want = 1 << iota // Hash and Size
	WantEnvelope                   // Summary.Envelope and Received
	WantHeader                     // Summary.Header; Hash and Size too where it is not complete
	WantStructure                  // Summary.Root
	WantHash                       // Hash and Size

	wantSummary = WantEnvelope | WantHeader | WantStructure
)

// Contents returns the contents with the given ids, in their order, with no less
// than what is wanted, but where they are Cut. It costs one or two queries for each 512 ids. A content
// that is not there any more is Gone, with the Summary of an empty message.
func (s *Store) Contents(ctx context.Context, ids []ContentID, want Want) ([]Content, error) {
	out, sorted := make([]Content, len(ids)), make([]*Content, len(ids))
	for i, id := range ids {
		out[i] = Content{ID: id, Gone: true}
		sorted[i] = &out[i]
	}
	slices.SortFunc(sorted, func(a, b *Content) int { return cmp.Compare(a.ID, b.ID) })
	for batch := range slices.Chunk(sorted, contentChunk) {
		if err := s.contents(ctx, batch, want); err != nil {
			return nil, trouble(err, "read message data")
		}
	}
	return out, nil
}

// ContentsOf is Contents by hash.
func (s *Store) ContentsOf(ctx context.Context, hashes []Hash, want Want) ([]Content, error) {
	at := make(map[Hash][]int, len(hashes))
	hex := make([]string, len(hashes))
	for i, h := range hashes {
		at[h], hex[i] = append(at[h], i), h.String()
	}
	ids := make([]ContentID, len(hashes)) // 0 is none
	for batch := range slices.Chunk(hex, contentChunk) {
		err := s.reader.rows(ctx, `SELECT id, hash FROM content WHERE hash IN (SELECT unhex(value) FROM json_each(?))`, []any{list(batch)},
			func(rows *sql.Rows) error {
				var id ContentID
				var raw sql.RawBytes
				err := rows.Scan(&id, &raw)
				var h Hash
				copy(h[:], raw)
				for _, i := range at[h] {
					ids[i] = id
				}
				return err
			})
		if err != nil {
			return nil, trouble(err, "look up messages")
		}
	}
	return s.Contents(ctx, ids, want)
}

// contents completes a batch, sorted by ID, of contents that have only that.
func (s *Store) contents(ctx context.Context, batch []*Content, want Want) error {
	files := batch
	if want&wantSummary != 0 {
		if err := s.summaries(ctx, batch, want); err != nil {
			return err
		}
		if want&(WantFile|WantHash) == 0 {
			files = slices.DeleteFunc(slices.Clone(batch), func(c *Content) bool {
				return c.Summary != nil && !c.Cut && (want&WantHeader == 0 || c.Summary.Header.Complete())
			})
		}
	}
	if len(files) == 0 {
		return nil
	}
	if err := s.hashes(ctx, files); err != nil || want&wantSummary == 0 {
		return err
	}
	var stale []*Content
	for _, c := range files {
		switch {
		case c.Gone:
			c.Summary = emptySummary()
		case c.Summary == nil:
			stale = append(stale, c)
		}
	}
	if len(stale) > 0 {
		s.renew(ctx, stale)
	}
	return nil
}

func (s *Store) hashes(ctx context.Context, batch []*Content) error {
	var hash sql.RawBytes
	var size int64
	return s.rowsOf(ctx, batch, `SELECT id, hash, size FROM content WHERE id`, func(c *Content) {
		c.Gone, c.Size = false, size
		copy(c.Hash[:], hash)
	}, &hash, &size)
}

// summaries reads the wanted pieces of summaries. It leaves out those of
// another version and damaged ones, and pieces that are too large.
func (s *Store) summaries(ctx context.Context, batch []*Content, want Want) error {
	var envelope, header, structure sql.RawBytes
	var dest []any
	query := `SELECT content_id`
	for _, piece := range []struct {
		bit    Want
		column string
		dest   *sql.RawBytes
	}{{WantStructure, `, ` + kept(`structure`), &structure}, {WantEnvelope, `, ` + kept(`envelope`), &envelope}, {WantHeader, `, header`, &header}} {
		if want&piece.bit != 0 {
			query, dest = query+piece.column, append(dest, piece.dest)
		}
	}
	slab := make([]message.Summary, len(batch))
	room := chunkPieces
	query += fmt.Sprintf(` FROM summary WHERE version = %d AND content_id`, message.SummaryVersion)
	return s.rowsOf(ctx, batch, query, func(c *Content) {
		sum := &slab[0]
		b := message.Binary{Envelope: envelope, Header: header, Structure: structure}
		cut := want&WantEnvelope != 0 && len(envelope) == 0 || want&WantStructure != 0 && len(structure) == 0
		if room -= len(envelope) + len(structure); cut || room < 0 {
			b.Envelope, b.Structure, cut = nil, nil, true
		}
		if sum.Unmarshal(b) == nil {
			c.Gone, c.Summary, c.Cut, slab = false, sum, cut, slab[1:]
		}
	}, dest...)
}

// kept is the SQL for a piece of a summary, empty where it is too large. An
// index made by an earlier version has such.
func kept(column string) string {
	return fmt.Sprintf(`CASE WHEN length(%[1]s) <= %[2]d THEN %[1]s ELSE x'' END`, column, keptPiece)
}

// rowsOf runs a query that ends where the ids belong, and calls use for each
// content that a row is about, with the columns after its id in dest.
func (s *Store) rowsOf(ctx context.Context, batch []*Content, query string, use func(c *Content), dest ...any) error {
	first, last := batch[0].ID, batch[len(batch)-1].ID
	args := []any{first, last}
	if int(last-first) < 2*len(batch) {
		query += ` BETWEEN ? AND ?`
	} else {
		ids := make([]ContentID, len(batch))
		for i, c := range batch {
			ids[i] = c.ID
		}
		query, args = query+` IN (SELECT value FROM json_each(?))`, []any{list(ids)}
	}
	var id ContentID
	dest = append([]any{&id}, dest...)
	return s.reader.rows(ctx, query, args, func(rows *sql.Rows) error {
		err := rows.Scan(dest...)
		k, _ := slices.BinarySearchFunc(batch, id, func(c *Content, id ContentID) int { return cmp.Compare(c.ID, id) })
		for ; err == nil && k < len(batch) && batch[k].ID == id; k++ {
			use(batch[k])
		}
		return err
	})
}

// renew makes summaries of another version, or damaged ones, again from the
// files, and stores them for the next time.
func (s *Store) renew(ctx context.Context, stale []*Content) {
	var fresh []*Content
	for _, c := range stale {
		f, err := s.OpenContent(c.Hash)
		if err != nil {
			c.Summary = emptySummary()
			continue
		}
		c.Summary = s.Summarize(f, c.Size)
		_ = f.Close() // it was only read
		fresh = append(fresh, c)
	}
	err := s.write(ctx, "store summaries", func(t *tx) error {
		for _, c := range fresh {
			var one int
			err := t.get(`SELECT 1 FROM content WHERE id = ?`, []any{c.ID}, &one)
			if errors.Is(err, sql.ErrNoRows) {
				continue // purged meanwhile
			}
			if err == nil {
				err = t.summarize(c.ID, c.Summary)
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

// Envelope returns the envelope of a content that was asked for with
// WantEnvelope, from its file where it is Cut.
func (s *Store) Envelope(c *Content) *message.Envelope {
	if !c.Cut {
		return &c.Summary.Envelope
	}
	f, err := s.OpenContent(c.Hash)
	if err != nil {
		return &emptySummary().Envelope
	}
	defer func() { _ = f.Close() }() // only read
	return &s.Summarize(f, c.Size).Envelope
}

// emptySummary stands for that of a message that cannot be read.
func emptySummary() *message.Summary {
	return message.Parse(bytes.NewReader(nil), 0)
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
	if errors.Is(err, fs.ErrPermission) {
		path := s.path(h)
		s.unreadable.Store(&path)
	}
	return f, trouble(err, "open a message")
}
