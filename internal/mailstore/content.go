package mailstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/popbridge/popbridge/internal/fault"
)

// contentChunk is how many contents one query asks for, which bounds what it
// takes in memory.
const contentChunk = 128

// Want says what of a content is wanted.
type Want uint8

const (
	WantFile      Want = 1 << iota // Hash and Size
	WantEnvelope                   // Summary.Envelope
	WantHeader                     // Summary.Header; Hash and Size too where it is not complete
	WantBody                       // Summary.Structure
	WantStructure                  // Summary.Root and Structure
	WantHash                       // Hash and Size

	wantSummary = WantEnvelope | WantHeader | WantBody | WantStructure
)

// Contents returns the contents with the given ids, in their order, with no less
// than what is wanted, but where they are Cut. It costs a query for each 128 ids and
// kind, and perhaps one more. A content that is not there any more is Gone, with the
// Summary of an empty message.
func (s *Store) Contents(ctx context.Context, ids []ContentID, want Want) ([]Content, error) {
	out, sorted := make([]Content, len(ids)), make([]*Content, len(ids))
	for i, id := range ids {
		out[i] = Content{ID: id, Gone: true}
		sorted[i] = &out[i]
	}
	slices.SortFunc(sorted, func(a, b *Content) int { return cmp.Compare(a.ID, b.ID) })
	for batch := range slices.Chunk(sorted, contentChunk) {
		if err := s.contents(ctx, batch, want); err != nil {
			return nil, failure(err, "read message data")
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
				var h Hash
				err := rows.Scan(&id, hashInto(&h))
				for _, i := range at[h] {
					ids[i] = id
				}
				return err
			})
		if err != nil {
			return nil, failure(err, "look up messages")
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
	var id ContentID
	var hash Hash
	var size int64
	where, args := among(batch)
	return s.reader.rows(ctx, `SELECT id, hash, size FROM content WHERE id`+where, args, func(rows *sql.Rows) error {
		err := rows.Scan(&id, hashInto(&hash), &size)
		for _, c := range withID(batch, id) {
			c.Gone, c.Hash, c.Size = false, hash, size
		}
		return err
	})
}

// among is the SQL for being one of the ids of a batch.
func among(batch []*Content) (where string, args []any) {
	first, last := batch[0].ID, batch[len(batch)-1].ID
	if int(last-first) < 2*len(batch) {
		return ` BETWEEN ? AND ?`, []any{first, last}
	}
	ids := make([]ContentID, len(batch))
	for i, c := range batch {
		ids[i] = c.ID
	}
	return ` IN (SELECT value FROM json_each(?))`, []any{list(ids)}
}

// withID returns the contents of a batch that have this id.
func withID(batch []*Content, id ContentID) []*Content {
	k := firstWithID(batch, id)
	n := k
	for n < len(batch) && batch[n].ID == id {
		n++
	}
	return batch[k:n]
}

func firstWithID(batch []*Content, id ContentID) int {
	k, _ := slices.BinarySearchFunc(batch, id, func(c *Content, id ContentID) int { return cmp.Compare(c.ID, id) })
	return k
}

var errMessageGone = fault.New(fault.Corrupt, "the file of a message is missing from the mail store",
	"run 'popbridge check --repair': it is fetched again if its server still has it")

// OpenContent opens the file of a content for reading; fault.Corrupt when it is
// missing.
func (s *Store) OpenContent(h Hash) (*os.File, error) {
	f, err := s.files.Open(h)
	return f, unopened(err)
}

// ReadContent reads the file of a content into buf, of which it fills no more, and
// returns how many octets there are; the errors are those of OpenContent.
func (s *Store) ReadContent(h Hash, buf []byte) (int, error) {
	n, err := s.files.Read(h, buf)
	return n, unopened(err)
}

func unopened(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errMessageGone
	}
	return failure(err, "open a message")
}

// knownContent is a row of content.
type knownContent struct {
	Content
	missing bool
}

// contentsOf returns the contents that belong into one of the 256 folders.
func (r *reader) contentsOf(ctx context.Context, prefix byte) (out []knownContent, err error) {
	first, last := Hash{prefix}, Hash{}
	for i := range last {
		last[i] = 0xff
	}
	last[0] = prefix
	err = r.rows(ctx, `SELECT hash, size, missing FROM content WHERE hash BETWEEN ? AND ? ORDER BY hash`, []any{first[:], last[:]},
		into(&out, func(e *knownContent) []any { return []any{hashInto(&e.Hash), &e.Size, &e.missing} }))
	return out, err
}

// knows reports whether there is a row for the content.
func (s *Store) knows(ctx context.Context, h Hash) (bool, error) {
	var one int
	err := s.reader.get(ctx, `SELECT 1 FROM content WHERE hash = ?`, []any{h[:]}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
