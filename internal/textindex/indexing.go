package textindex

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/message"
)

// keepUp takes in what is new a second after it came, in small steps; while
// there are commits it pauses after each, so that it takes a fifth of one core. What
// was not reached before Stop is done after the next Start.
func (x *Index) keepUp(ctx context.Context) {
	marks, end := x.store.Watch()
	defer end()
	work := indexing{index: x}
	for {
		began := time.Now()
		more, err := work.step(ctx)
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
			x.log.Debug().Err(err).Msg("text index lags; tried again in a minute")
			work, wait = indexing{index: x}, indexRetry
			x.Renew()
		} else if !more && wait == 0 {
			select {
			case <-marks:
				wait = indexPause
			case <-x.wake:
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

// indexing is the work of keepUp.
type indexing struct {
	index *Index
	build *builder
	todo  []int64 // ids
	last  int64   // all up to here are in a segment, in build or in todo
	age   int     // of the Index at load
	buf   []byte
}

// step does a bounded piece of work. more tells that there is more to do.
func (w *indexing) step(ctx context.Context) (more bool, err error) {
	if w.index.stale.Swap(false) {
		if err := w.load(ctx); err != nil {
			return false, err
		}
	}
	err = w.index.store.After(ctx, w.last, func(id int64, _ Hash) { w.todo, w.last = append(w.todo, id), id })
	if err != nil {
		return false, err
	}
	if w.build == nil {
		w.build = &builder{terms: map[string]*building{}}
	}
	n := min(indexStep, len(w.todo))
	if err := w.index.store.Read(ctx, w.todo[:n], w.take); err != nil {
		return false, err
	}
	w.todo = w.todo[n:]
	if b := w.build; len(b.docs) > 0 && (len(w.todo) == 0 || len(b.docs) >= maxDocs || len(b.terms) >= maxBuilding) {
		g, err := b.write(w.index.dir)
		if err != nil {
			return false, err
		}
		w.index.log.Debug().Int("messages", len(b.docs)).Int64("bytes", g.size).Int("left", len(w.todo)).Msg("text of messages was indexed")
		w.build = nil
		if err := w.index.replace(w.age, nil, []*segment{g}); err != nil {
			return false, err
		}
		return true, w.merge(ctx)
	}
	return len(w.todo) > 0, nil
}

// take adds a content. Whatever is in it, the program goes on: it may match then,
// and so may one whose file is damaged when that is repaired.
func (w *indexing) take(id int64, hash Hash, sum *message.Summary, r io.ReaderAt) {
	defer func() {
		if p := recover(); p != nil {
			w.index.log.Error().Interface("panic", p).Hex("message", hash[:]).Msg("text of a message could not be indexed")
		}
	}()
	w.build.docs = append(w.build.docs, indexed{id: id, hash: hash})
	if w.sound(hash, r) {
		w.build.add(sum, r)
	}
}

// sound reports whether a content is what its hash says.
func (w *indexing) sound(hash Hash, r io.ReaderAt) bool {
	if w.buf == nil {
		w.buf = make([]byte, 32<<10)
	}
	sum := sha256.New()
	_, err := io.CopyBuffer(sum, io.NewSectionReader(r, 0, math.MaxInt64), w.buf)
	return err == nil && Hash(sum.Sum(nil)) == hash
}

// load compares the segments that are there with the store. Contents that are
// gone, or in two of them, are taken out; files that are of no use are removed.
func (w *indexing) load(ctx context.Context) error {
	w.build, w.todo, w.last, w.age = nil, nil, 0, w.index.clear()
	ids := map[Hash]int64{}
	err := w.index.store.After(ctx, 0, func(id int64, hash Hash) { ids[hash], w.last = id, id })
	if err != nil {
		return err
	}
	if err := os.Mkdir(w.index.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	segments, err := openSegments(w.index.dir)
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
		w.todo = append(w.todo, id)
	}
	slices.Sort(w.todo)
	if err := w.index.replace(w.age, nil, segments); err != nil {
		return err
	}
	for _, g := range torn {
		if err := w.join(ctx, []*segment{g}); err != nil {
			return err
		}
	}
	return w.merge(ctx)
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
		if err := atomicfile.Remove(path); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(segments, func(a, b *segment) int { return len(b.docs) - len(a.docs) })
	return segments, nil
}

// merge joins segments of the same order of magnitude, so that there are few.
func (w *indexing) merge(ctx context.Context) error {
	for {
		tiers := map[int][]*segment{}
		var full []*segment
		for _, g := range w.index.open() {
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
		if err := w.join(ctx, full); err != nil {
			return err
		}
	}
}

// join puts one segment into the place of others.
func (w *indexing) join(ctx context.Context, from []*segment) error {
	g, err := merge(ctx, w.index.dir, from)
	if err != nil {
		return err
	}
	var by []*segment
	if g != nil {
		by = append(by, g)
	}
	if err := w.index.replace(w.age, from, by); err != nil {
		return err
	}
	for _, old := range from {
		if err := atomicfile.Remove(old.file.Name()); err != nil {
			return err
		}
	}
	return nil
}
