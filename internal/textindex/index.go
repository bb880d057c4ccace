package textindex

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
)

const (
	maxTerms     = 256 << 10 // bytes of different terms that are kept of one message
	maxBuilding  = 1 << 16   // different terms that become a segment, in memory until then
	maxDocs      = 512       // contents likewise
	mergeAt      = 8         // segments of one order of magnitude, base 8, become one
	maxSegment   = 64 << 20  // bytes of a segment that is merged further
	indexStep    = 64        // messages that are read at a time
	indexPause   = time.Second
	indexRetry   = time.Minute
	scanSegments = 4 // at a time, for one needle
)

// Index is a text index. The zero value knows nothing until it is started. Its
// methods but Start and Stop may be called from several goroutines.
type Index struct {
	dir   string
	store Store
	log   zerolog.Logger

	mu       sync.RWMutex // over segments and their files
	segments []*segment

	age int // how often all was forgotten

	stale  atomic.Bool // the segments have to be compared with the store again
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Hash is the SHA-256 of a content.
type Hash = [sha256.Size]byte

// Store is what a text index needs of the store of the contents that it is
// about.
type Store interface {
	// After calls use with each content whose id is above the given one, in their
	// order. Above 0, with which an index begins, it fails where the folder of the
	// store is not there.
	After(ctx context.Context, id int64, use func(id int64, hash Hash)) error
	// Read calls use with each of the contents that can be read. Summary and reader
	// are good until it returns.
	Read(ctx context.Context, ids []int64, use func(id int64, hash Hash, sum *message.Summary, r io.ReaderAt)) error
	// Watch returns a channel that receives a mark after every commit, and a
	// function that ends it.
	Watch() (marks <-chan struct{}, end func())
}

// Match is what the text index knows of a content and a needle.
type Match uint8

const (
	MayMatch Match = iota
	NoMatch
	Matches
)

// Known is what the text index knows of all contents and one needle, by their id;
// of those beyond its end nothing.
type Known []Match

// Of returns what is known of a content.
func (k Known) Of(id int64) Match {
	if id < 0 || id >= int64(len(k)) {
		return MayMatch
	}
	return k[id]
}

// Narrow returns which contents have the needle in their text: what
// mailtext.Matcher.MatchText says, or MatchBody where body is set.
func (x *Index) Narrow(needle string, body bool) Known {
	pieces, exact := mailtext.Pieces(needle)
	// Few words settle it, and the longest are the rarest.
	slices.SortStableFunc(pieces, func(a, b mailtext.Piece) int { return len(b.Text) - len(a.Text) })
	pieces = pieces[:min(len(pieces), 3)]
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(pieces) == 0 || len(x.segments) == 0 {
		return nil
	}
	found := make([][]Match, len(x.segments))
	var work errgroup.Group
	work.SetLimit(scanSegments)
	for k, g := range x.segments {
		work.Go(func() error {
			hits, err := g.find(pieces, exact, body)
			if err != nil {
				x.log.Warn().Err(err).Msg("file of the text index cannot be used")
				x.Renew()
				return nil // its contents may match
			}
			found[k] = hits
			return nil
		})
	}
	_ = work.Wait() // there are no errors
	var known Known
	for k, hits := range found {
		docs := x.segments[k].docs
		for i, hit := range hits {
			if id := int(docs[i].id); hit != MayMatch {
				if id >= len(known) {
					known = append(known, make([]Match, id+1-len(known))...)
				}
				known[id] = hit
			}
		}
	}
	return known
}

// Renew has the segments compared with the store again, and the text of contents
// that are gone taken out.
func (x *Index) Renew() {
	x.stale.Store(true)
	select {
	case x.wake <- struct{}{}:
	default: // it will look, or was not started
	}
}

// Forget is Renew, and lets go of the segments until then, because the ids of their
// contents may not be those of the store any more.
func (x *Index) Forget() {
	x.clear()
	x.Renew()
}

// clear closes all segments. What was being made of them comes to nothing.
func (x *Index) clear() (age int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closeLocked(func(*segment) bool { return true })
	x.age++
	return x.age
}

// open returns the segments. Only the goroutine that keeps the index up may use
// their files without the lock.
func (x *Index) open() []*segment {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.segments)
}

// replace puts segments into the place of others, whose files it closes. It
// fails when everything was forgotten since age.
func (x *Index) replace(age int, old, by []*segment) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if age != x.age {
		for _, g := range by {
			_ = g.file.Close() // only read
		}
		return errForgotten
	}
	x.closeLocked(func(g *segment) bool { return slices.Contains(old, g) })
	x.segments = append(x.segments, by...)
	return nil
}

func (x *Index) closeLocked(which func(*segment) bool) {
	x.segments = slices.DeleteFunc(x.segments, func(g *segment) bool {
		out := which(g)
		if out {
			_ = g.file.Close() // only read
		}
		return out
	})
}

var errForgotten = errors.New("the index was opened again")

// Start starts the goroutine that keeps the index of a store up, in dir.
func (x *Index) Start(dir string, store Store, log zerolog.Logger) {
	x.dir, x.store, x.log = dir, store, log
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel, x.wake = cancel, make(chan struct{}, 1)
	x.Renew()
	x.done.Go(func() { x.keepUp(ctx) })
}

// Stop ends it, and the use of the index.
func (x *Index) Stop() {
	if x.cancel != nil {
		x.cancel()
	}
	x.done.Wait()
	x.clear()
}
