package mailstore

import (
	"context"
	"io"

	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/message"
)

// Spooled is a message on its way in: in a file of its own, hashed and read,
// not synced yet. It belongs to the caller until it is given to Deliver.
type Spooled struct {
	*contents.Spooled
	summary *message.Summary
}

// Summary is what is known about the message.
func (sp *Spooled) Summary() *message.Summary { return sp.summary }

// Sync makes files of messages durable, several at once, so that Deliver does not
// wait for these. Its error comes from Deliver too.
func Sync(ctx context.Context, messages []*Spooled) error { return contents.Sync(ctx, messages) }

// Spool copies a message from r. An error of r is returned as it is. An empty
// message is stored as one line end, because a client that is told the size 0
// deletes the message.
func (s *Store) Spool(ctx context.Context, r io.Reader) (*Spooled, error) {
	return s.spool(ctx, r, func(src *contents.Source) (*contents.Spooled, error) { return s.files.Spool(src) })
}

// SpoolAnchored is Spool for Submit, which waits for fewer syncs then.
func (s *Store) SpoolAnchored(ctx context.Context, r io.Reader) (*Spooled, error) {
	return s.spool(ctx, r, s.files.SpoolAnchored)
}

func (s *Store) spool(ctx context.Context, r io.Reader, to func(*contents.Source) (*contents.Spooled, error)) (*Spooled, error) {
	src := contents.NewSource(ctx, r)
	sp, err := to(src)
	switch {
	case src.Err() != nil:
		return nil, src.Err()
	case err != nil:
		return nil, failure(err, "spool a message")
	}
	return &Spooled{sp, s.Summarize(sp, sp.Size())}, nil
}
