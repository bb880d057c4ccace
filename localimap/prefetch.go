package localimap

import (
	"context"
	"slices"
	"sync"

	"github.com/popbridge/popbridge/internal/mailstore"
)

const (
	// chunkSize is how many messages are asked of the store at a time. In
	// between, no query is open.
	chunkSize = 512
	// loadsAhead is how many chunks are being loaded while one is worked on.
	loadsAhead = 2
)

// chunked calls f for the messages at the given indices, in order, a chunk at a
// time, with their contents. The next chunks are loaded meanwhile, so that the
// index and the client are busy at the same time.
func (s *session) chunked(v *view, indices []int, summaries bool, f func(chunk []int, contents []mailstore.Content) error) error {
	ctx, cancel := context.WithCancel(s.ctx)
	var loads sync.WaitGroup
	defer loads.Wait()
	defer cancel()

	type load struct {
		chunk    []int
		contents []mailstore.Content
		err      error
		done     chan struct{}
	}
	var ahead []*load
	begin := func(chunk []int) {
		l := &load{chunk: chunk, done: make(chan struct{})}
		ids := make([]mailstore.ContentID, len(chunk))
		for k, i := range chunk {
			ids[k] = v.told.contents[i]
		}
		loads.Go(func() {
			defer close(l.done)
			l.contents, l.err = s.store.Contents(ctx, ids, summaries)
		})
		ahead = append(ahead, l)
	}
	finish := func() error {
		l := ahead[0]
		ahead = ahead[1:]
		if <-l.done; l.err != nil {
			return l.err
		}
		return f(l.chunk, l.contents)
	}
	for chunk := range slices.Chunk(indices, chunkSize) {
		if begin(chunk); len(ahead) > loadsAhead {
			if err := finish(); err != nil {
				return err
			}
		}
	}
	for len(ahead) > 0 {
		if err := finish(); err != nil {
			return err
		}
	}
	return nil
}
