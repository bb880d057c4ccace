package mailstore

import (
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
	// contentChunk is how many contents one query asks for, which bounds what it
	// takes in memory.
	contentChunk = 128
	// keptPiece is the longest envelope or structure that the index keeps, in
	// bytes. That of ordinary mail has a few hundred.
	keptPiece = 16 << 10
)

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
	var id ContentID
	var hash sql.RawBytes
	var size int64
	where, args := among(batch)
	return s.reader.rows(ctx, `SELECT id, hash, size FROM content WHERE id`+where, args, func(rows *sql.Rows) error {
		err := rows.Scan(&id, &hash, &size)
		for _, c := range withID(batch, id) {
			c.Gone, c.Size = false, size
			copy(c.Hash[:], hash)
		}
		return err
	})
}

// pieces says where the pieces of summaries are, each kind in a table of its own:
// reading one kind touches no page of the others.
var pieces = [...]struct {
	table string
	bits  Want
	of    func(*message.Binary) *[]byte
}{
	{"envelope", WantEnvelope, func(b *message.Binary) *[]byte { return &b.Envelope }},
	{"header", WantHeader, func(b *message.Binary) *[]byte { return &b.Header }},
	{"structure", WantBody | WantStructure, func(b *message.Binary) *[]byte { return &b.Structure }},
}

// summaries sets the summaries of a batch, with the wanted pieces. It leaves out
// those that are not all there in this version, and damaged ones.
func (s *Store) summaries(ctx context.Context, batch []*Content, want Want) error {
	read, found := make([]message.Binary, len(batch)), make([]Want, len(batch))
	var wanted Want
	for _, p := range pieces {
		if want&p.bits == 0 {
			continue
		}
		wanted |= p.bits
		err := s.piece(ctx, batch, p.table, func(k int, data []byte) {
			if len(data) > 0 || p.bits != WantHeader { // that is never too large
				found[k] |= p.bits
			}
			if len(data) > 0 {
				*p.of(&read[k]) = data
			}
		})
		if err != nil {
			return err
		}
	}
	slab := make([]message.Summary, len(batch))
	for k, c := range batch {
		b := read[k]
		if found[k] == wanted && slab[k].Unmarshal(b, want&WantStructure != 0) == nil {
			c.Gone, c.Summary = false, &slab[k]
			c.Cut = want&WantEnvelope != 0 && b.Envelope == nil || want&(WantBody|WantStructure) != 0 && b.Structure == nil
		}
	}
	return nil
}

// piece calls yield with the pieces in one table, empty where they were too large,
// and their places in the batch. All come in one row: rows cost more than what is
// in them.
func (s *Store) piece(ctx context.Context, batch []*Content, table string, yield func(k int, data []byte)) error {
	var ids, sizes string
	var data []byte
	where, args := among(batch)
	query := fmt.Sprintf(`SELECT coalesce(group_concat(content_id), ''), coalesce(group_concat(length(data)), ''), CAST(group_concat(data, '') AS BLOB)
		FROM %s WHERE version = %d AND content_id`, table, message.SummaryVersion)
	if err := s.reader.get(ctx, query+where, args, &ids, &sizes, &data); err != nil {
		return err
	}
	for ids != "" {
		var id, n int
		id, ids = nextNumber(ids)
		n, sizes = nextNumber(sizes)
		for k := firstWithID(batch, ContentID(id)); k < len(batch) && batch[k].ID == ContentID(id); k++ {
			yield(k, data[:n:n])
		}
		data = data[n:]
	}
	return nil
}

// nextNumber splits the first number off a list with commas.
func nextNumber(list string) (n int, rest string) {
	for i := range len(list) {
		if list[i] == ',' {
			return n, list[i+1:]
		}
		n = n*10 + int(list[i]-'0')
	}
	return n, ""
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
func (s *Store) Envelope(c *Content) message.Envelope {
	if !c.Cut {
		return c.Summary.Envelope
	}
	f, err := s.OpenContent(c.Hash)
	if err != nil {
		return emptySummary().Envelope
	}
	defer func() { _ = f.Close() }() // only read
	return s.Summarize(f, c.Size).Envelope
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
	return trouble(err, "open a message")
}
