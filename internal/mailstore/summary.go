package mailstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/popbridge/popbridge/internal/message"
)

// keptPiece is the longest envelope or structure that the index keeps, in
// bytes. That of ordinary mail has a few hundred.
const keptPiece = 16 << 10

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

func (t *tx) summarize(id ContentID, sum *message.Summary) error {
	b := sum.Marshal()
	for _, piece := range []*[]byte{&b.Envelope, &b.Structure} {
		if len(*piece) > keptPiece {
			*piece = []byte{}
		}
	}
	for _, p := range pieces {
		err := t.exec(`INSERT OR REPLACE INTO `+p.table+` (content_id, version, data) VALUES (?, ?, ?)`, id, message.SummaryVersion, *p.of(&b))
		if err != nil {
			return err
		}
	}
	return nil
}

// Summarize reads a message. A parser that breaks must not stop a delivery, so
// its panic ends here.
func (s *Store) Summarize(r io.ReaderAt, size int64) (sum *message.Summary) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error().Interface("panic", p).Int64("size", size).Msg("message could not be parsed")
			sum = emptySummary()
		}
	}()
	return message.Parse(r, size)
}

// emptySummary stands for that of a message that cannot be read.
func emptySummary() *message.Summary {
	return message.Parse(bytes.NewReader(nil), 0)
}
