package mailstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keepIndexed takes in what is new a second after it came, in small steps; while
// there are commits it pauses after each, so that it takes a fifth of one core. What
// was not reached when the store is closed is done after the next Open.
func (s *Store) keepIndexed(ctx context.Context) {
	marks, end := s.Watch()
	defer end()
	x := indexing{s: s}
	for {
		began := time.Now()
		more, err := x.step(ctx)
		wait := time.Duration(0)
		select {
		case <-marks:
			wait = indexPause // no small segment for each commit
			if more {
				wait = 4 * time.Since(began)
			}
		default:
		}
		if err != nil && ctx.Err() == nil {
			s.log.Debug().Err(err).Msg("text index lags; tried again in a minute")
			x, wait = indexing{s: s}, indexRetry
			s.text.renew()
		} else if !more && wait == 0 {
			select {
			case <-marks:
				wait = indexPause
			case <-s.text.wake:
			case <-ctx.Done():
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// indexing is the work of keepIndexed.
type indexing struct {
	s     *Store
	build *builder
	todo  []ContentID
	last  ContentID // all up to here are in a segment, in build or in todo
	age   int       // of the textIndex at load
	buf   []byte
}

// step does a bounded piece of work. more tells that there is more to do.
func (x *indexing) step(ctx context.Context) (more bool, err error) {
	if x.s.text.stale.Swap(false) {
		if err := x.load(ctx); err != nil {
			return false, err
		}
	}
	if err := x.look(ctx); err != nil {
		return false, err
	}
	if x.build == nil {
		x.build = &builder{terms: map[string]*building{}}
	}
	n := min(indexStep, len(x.todo))
	if err := x.read(ctx, x.todo[:n]); err != nil {
		return false, err
	}
	x.todo = x.todo[n:]
	if b := x.build; len(b.docs) > 0 && (len(x.todo) == 0 || len(b.docs) >= maxDocs || len(b.terms) >= maxBuilding) {
		g, err := b.write(x.s.textDir())
		if err != nil {
			return false, err
		}
		x.s.log.Debug().Int("messages", len(b.docs)).Int64("bytes", g.size).Int("left", len(x.todo)).Msg("text of messages was indexed")
		x.build = nil
		if err := x.s.text.replace(x.age, nil, []*segment{g}); err != nil {
			return false, err
		}
		return true, x.merge(ctx)
	}
	return len(x.todo) > 0, nil
}

// look finds contents that are new.
func (x *indexing) look(ctx context.Context) error {
	return x.s.reader.rows(ctx, `SELECT id FROM content WHERE id > ? ORDER BY id`, []any{x.last}, func(rows *sql.Rows) error {
		err := rows.Scan(&x.last)
		x.todo = append(x.todo, x.last)
		return err
	})
}

// read takes the text of contents in. One without a file is left out: it may
// match, and whoever looks finds that it cannot be read.
func (x *indexing) read(ctx context.Context, ids []ContentID) error {
	contents, err := x.s.Contents(ctx, ids, WantFile|WantStructure)
	if err != nil {
		return err
	}
	for i := range contents {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := &contents[i]
		if c.Gone {
			continue
		}
		f, err := x.s.OpenContent(c.Hash)
		if err != nil {
			continue
		}
		if c.Cut {
			c.Summary = x.s.Summarize(f, c.Size)
		}
		if x.sound(c.Hash, f) {
			x.take(c, f)
		} else { // whatever is there now, it may match when it is repaired
			x.build.docs = append(x.build.docs, indexed{id: c.ID, hash: c.Hash})
		}
		c.Summary = nil // it may be large
		_ = f.Close()   // only read
	}
	return nil
}

// sound reports whether a file is what its name says.
func (x *indexing) sound(h Hash, f io.ReaderAt) bool {
	if x.buf == nil {
		x.buf = make([]byte, 32<<10)
	}
	sum := sha256.New()
	_, err := io.CopyBuffer(sum, io.NewSectionReader(f, 0, math.MaxInt64), x.buf)
	return err == nil && Hash(sum.Sum(nil)) == h
}

// take adds a content. Whatever is in it, the program goes on: it may match then.
func (x *indexing) take(c *Content, r io.ReaderAt) {
	n := len(x.build.docs)
	defer func() {
		if p := recover(); p != nil {
			x.s.log.Error().Interface("panic", p).Stringer("message", c.Hash).Msg("text of a message could not be indexed")
			x.build.docs = append(x.build.docs[:n], indexed{id: c.ID, hash: c.Hash})
		}
	}()
	x.build.add(c.ID, c.Hash, c.Summary, r)
}

// load compares the segments that are there with the index. Contents that are
// gone, or in two of them, are taken out; files that are of no use are removed.
func (x *indexing) load(ctx context.Context) error {
	x.build, x.todo, x.last, x.age = nil, nil, 0, x.s.text.clear()
	dir := x.s.textDir()
	if err := x.s.present(); err != nil {
		return err // nothing is made in an empty place
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	ids := map[Hash]ContentID{}
	err := x.s.reader.rows(ctx, `SELECT id, hash FROM content`, nil, func(rows *sql.Rows) error {
		var id ContentID
		var raw sql.RawBytes
		err := rows.Scan(&id, &raw)
		var h Hash
		copy(h[:], raw)
		ids[h], x.last = id, max(x.last, id)
		return err
	})
	if err != nil {
		return err
	}
	segments, err := openSegments(dir)
	if err != nil {
		return err
	}
	var torn []*segment
	for _, g := range segments {
		for i := range g.docs {
			d := &g.docs[i]
			if d.id = ids[d.hash]; d.id == 0 && !slices.Contains(torn, g) {
				torn = append(torn, g)
			}
			delete(ids, d.hash)
		}
	}
	for _, id := range ids {
		x.todo = append(x.todo, id)
	}
	slices.Sort(x.todo)
	if err := x.s.text.replace(x.age, nil, segments); err != nil {
		return err
	}
	for _, g := range torn {
		if err := x.join(ctx, []*segment{g}); err != nil {
			return err
		}
	}
	return x.merge(ctx)
}

// openSegments opens what is sound in the folder, the largest first, and removes
// the rest.
func openSegments(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segments []*segment
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		g, err := openSegment(path)
		if err == nil {
			segments = append(segments, g)
			continue
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(segments, func(a, b *segment) int { return len(b.docs) - len(a.docs) })
	return segments, nil
}

// merge joins segments of the same order of magnitude, so that there are few.
func (x *indexing) merge(ctx context.Context) error {
	for {
		tiers := map[int][]*segment{}
		var full []*segment
		for _, g := range x.s.text.open() {
			tier := bits.Len(uint(len(g.docs))) / 3
			if g.size > maxSegment {
				continue
			}
			if tiers[tier] = append(tiers[tier], g); len(tiers[tier]) == mergeAt {
				full = tiers[tier]
			}
		}
		if full == nil {
			return nil
		}
		if err := x.join(ctx, full); err != nil {
			return err
		}
	}
}

// join puts one segment into the place of others.
func (x *indexing) join(ctx context.Context, from []*segment) error {
	g, err := merge(ctx, x.s.textDir(), from)
	if err != nil {
		return err
	}
	var by []*segment
	if g != nil {
		by = append(by, g)
	}
	if err := x.s.text.replace(x.age, from, by); err != nil {
		return err
	}
	for _, old := range from {
		if err := os.Remove(old.file.Name()); err != nil {
			return err
		}
	}
	return nil
}
