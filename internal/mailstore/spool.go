package mailstore

import (
	"context"
	"crypto/sha256"
	"io"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/message"
)

const spoolPattern = "spool-*"

// Spooled is a message on its way in: in a file of its own, hashed and read,
// not synced yet. It belongs to the caller until it is given to Deliver.
type Spooled struct {
	s       *Store
	path    string // empty once the file is gone
	file    file   // nil once it is closed
	size    int64
	hash    Hash
	summary *message.Summary
	failed  error // of sync: a second one could succeed although data is lost
}

// Size is the number of bytes, never 0.
func (sp *Spooled) Size() int64 { return sp.size }

// Hash is the SHA-256 of the bytes.
func (sp *Spooled) Hash() Hash { return sp.hash }

// Summary is what is known about the message.
func (sp *Spooled) Summary() *message.Summary { return sp.summary }

// Discard removes the spool file. It does nothing after Deliver or a second
// time.
func (sp *Spooled) Discard() {
	if sp.path == "" {
		return
	}
	if sp.file != nil {
		_ = sp.file.Close() // nothing in it is wanted
	}
	_ = sp.s.disk.Remove(sp.path)
	sp.file, sp.path = nil, ""
}

// Sync makes files of messages durable, several at once, so that Deliver does not
// wait for these. Its error comes from Deliver too.
func Sync(ctx context.Context, messages []*Spooled) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(syncers)
	for _, sp := range messages {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return sp.sync()
		})
	}
	return g.Wait()
}

// sync closes the file too, so that not too many are open.
func (sp *Spooled) sync() error {
	if sp.file == nil {
		return sp.failed
	}
	sp.failed = sp.s.step("sync")
	if sp.failed == nil {
		sp.failed = sp.file.Sync()
	}
	if err := sp.file.Close(); sp.failed == nil {
		sp.failed = err
	}
	sp.file = nil
	return sp.failed
}

var copyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// Spool copies a message from r. An error of r is returned as it is. An empty
// message is stored as one line end, because a client that is told the size 0
// deletes the message.
func (s *Store) Spool(ctx context.Context, r io.Reader) (*Spooled, error) {
	if err := s.step("spool"); err != nil {
		return nil, trouble(err, "spool a message")
	}
	f, err := s.disk.CreateTemp(filepath.Join(s.dir, "tmp"), spoolPattern)
	if err != nil {
		return nil, trouble(err, "spool a message")
	}
	sp := &Spooled{s: s, path: f.Name(), file: f}
	src := &source{ctx: ctx, r: r}
	hash := sha256.New()
	w := io.MultiWriter(f, hash)
	buf := copyBuffers.Get().(*[64 << 10]byte)
	sp.size, err = io.CopyBuffer(w, src, buf[:])
	copyBuffers.Put(buf)
	if err == nil && sp.size == 0 {
		var n int
		n, err = io.WriteString(w, "\r\n")
		sp.size = int64(n)
	}
	if err != nil {
		sp.Discard()
		if src.err != nil {
			return nil, src.err
		}
		return nil, trouble(err, "spool a message")
	}
	hash.Sum(sp.hash[:0])
	sp.summary = s.Summarize(f, sp.size)
	return sp, nil
}

// source tells an error of the reader from one of the disk, and ends with the
// context.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
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
