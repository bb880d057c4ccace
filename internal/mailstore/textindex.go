package mailstore

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/mailtext"
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

// textIndex narrows full-text searches: in the folder search, beside the index
// of everything else, files say which terms (mailtext.Terms) the contents have.
// It is about contents by their hash, so it stays right whatever happens to the
// index, and may be removed at any time: a content that is in no segment is one
// that may match. One goroutine, from Open to Close, keeps it up.
type textIndex struct {
	mu       sync.RWMutex // over segments and their files
	segments []*segment

	age int // how often all was forgotten

	stale  atomic.Bool // the segments have to be compared with the index again
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Match is what the text index knows of a content and a needle.
type Match uint8

const (
	MayMatch Match = iota
	NoMatch
	Matches
)

// Narrow returns which contents have the needle in their text: what Matcher.MatchText
// says, or MatchBody where body is set. nil says that nothing is known.
func (s *Store) Narrow(needle string, body bool) func(ContentID) Match {
	pieces, exact := mailtext.Pieces(needle)
	// Few words settle it, and the longest are the rarest.
	slices.SortStableFunc(pieces, func(a, b mailtext.Piece) int { return len(b.Text) - len(a.Text) })
	pieces = pieces[:min(len(pieces), 3)]
	x := &s.text
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
				s.log.Warn().Err(err).Msg("file of the text index cannot be used")
				x.renew()
				return nil // its contents may match
			}
			found[k] = hits
			return nil
		})
	}
	_ = work.Wait()   // there are no errors
	var known []Match // by id
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
	if len(known) == 0 {
		return nil
	}
	return func(id ContentID) Match {
		if id < 0 || int(id) >= len(known) {
			return MayMatch
		}
		return known[id]
	}
}

// renew has the segments compared with the index again.
func (x *textIndex) renew() {
	x.stale.Store(true)
	mark(x.wake)
}

// forget lets go of the segments until then, because the ids of their contents
// may not be those of the index any more.
func (x *textIndex) forget() {
	x.clear()
	x.renew()
}

// clear closes all segments. What was being made of them comes to nothing.
func (x *textIndex) clear() (age int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closeLocked(func(*segment) bool { return true })
	x.age++
	return x.age
}

// open returns the segments. Only the goroutine that keeps the index up may use
// their files without the lock.
func (x *textIndex) open() []*segment {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.segments)
}

// replace puts segments into the place of others, whose files it closes. It
// fails when everything was forgotten since age.
func (x *textIndex) replace(age int, old, by []*segment) error {
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

func (x *textIndex) closeLocked(which func(*segment) bool) {
	x.segments = slices.DeleteFunc(x.segments, func(g *segment) bool {
		out := which(g)
		if out {
			_ = g.file.Close() // only read
		}
		return out
	})
}

var errForgotten = errors.New("the index was opened again")

func (s *Store) textDir() string { return filepath.Join(s.dir, "search") }

// startIndexing starts the goroutine that keeps the text index up.
func (s *Store) startIndexing() {
	ctx, cancel := context.WithCancel(context.Background())
	s.text.cancel, s.text.wake = cancel, make(chan struct{}, 1)
	s.text.renew()
	s.text.done.Go(func() { s.keepIndexed(ctx) })
}

// stopIndexing ends it, and the use of the index.
func (s *Store) stopIndexing() {
	if s.text.cancel != nil {
		s.text.cancel()
	}
	s.text.done.Wait()
	s.text.clear()
}
