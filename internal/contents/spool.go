package contents

import (
	"context"
	"crypto/sha256"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Spooled is a message on its way in: in a file of its own and hashed, not
// synced yet. It belongs to the caller until it is given to NewBatch.
type Spooled struct {
	files  *Files
	path   string // empty once the file is gone
	file   File   // nil once it is closed
	size   int64
	hash   Hash
	failed error // of Sync: a second one could succeed although data is lost

	anchored bool // path is durable
}

// Size is the number of bytes, never 0.
func (sp *Spooled) Size() int64 { return sp.size }

// Hash is the SHA-256 of the bytes.
func (sp *Spooled) Hash() Hash { return sp.hash }

// ReadAt reads the message before it is synced or discarded.
func (sp *Spooled) ReadAt(p []byte, off int64) (int, error) { return sp.file.ReadAt(p, off) }

// Discard removes the spool file. It does nothing after Batch.End or a second
// time.
func (sp *Spooled) Discard() {
	if sp.path == "" {
		return
	}
	if sp.file != nil {
		_ = sp.file.Close() // nothing in it is wanted
	}
	_ = sp.files.disk().Remove(sp.path)
	sp.file, sp.path = nil, ""
}

// Sync makes the content of the file durable. It closes it too, so that not too
// many are open. Batch.Place does it, and returns its error, also that of an earlier
// call.
func (sp *Spooled) Sync() error {
	if sp.file == nil {
		return sp.failed
	}
	sp.failed = sp.files.step("sync")
	if sp.failed == nil {
		sp.failed = sp.file.Sync()
	}
	if err := sp.file.Close(); sp.failed == nil {
		sp.failed = err
	}
	sp.file = nil
	return sp.failed
}

// syncers is how many files are synced at once. File systems write one journal
// transaction for many syncs that wait together.
const syncers = 16

// Sync makes messages durable, several at once, so that Batch.Place does not wait
// for these.
func Sync[S interface{ Sync() error }](ctx context.Context, messages []S) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(syncers)
	for _, sp := range messages {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return sp.Sync()
		})
	}
	return g.Wait()
}

var copyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// Spool copies a message from r. An empty message is stored as one line end,
// because a client that is told the size 0 deletes the message.
func (f *Files) Spool(r io.Reader) (*Spooled, error) {
	if err := f.step("spool"); err != nil {
		return nil, err
	}
	file, err := f.disk().CreateTemp(f.tmp(), spoolPattern)
	if err != nil {
		return nil, err
	}
	return f.fill(file, r)
}

func (f *Files) fill(file File, r io.Reader) (_ *Spooled, err error) {
	sp := &Spooled{files: f, path: file.Name(), file: file}
	hash := sha256.New()
	w := io.MultiWriter(file, hash)
	buf := copyBuffers.Get().(*[64 << 10]byte)
	sp.size, err = io.CopyBuffer(w, r, buf[:])
	copyBuffers.Put(buf)
	if err == nil && sp.size == 0 {
		var n int
		n, err = io.WriteString(w, "\r\n")
		sp.size = int64(n)
	}
	if err != nil {
		sp.Discard()
		return nil, err
	}
	hash.Sum(sp.hash[:0])
	return sp, nil
}

// Source tells an error of the reader from one of the disk that it is copied to,
// and ends with the context.
type Source struct {
	ctx context.Context
	r   io.Reader
	err error
}

// NewSource returns a Source of what r has.
func NewSource(ctx context.Context, r io.Reader) *Source { return &Source{ctx: ctx, r: r} }

// Err returns the error of the reader or the context, nil at the end of the file.
func (s *Source) Err() error { return s.err }

// Read reads from the reader until the context ends.
func (s *Source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
