package localimap

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/popbridge/popbridge/internal/mailstore"
)

const (
	// chunkSize is how many messages are asked of the store at a time. In
	// between, no query is open.
	chunkSize = 128
	// chunksAhead is how many are being read, the one that is being worked on
	// included.
	chunksAhead = 3
)

// ahead calls load for 0 to n-1, up to width of them at the same time, and use
// in order, one at a time, with what load returned. It stops at the first error
// of use; drop gets what was loaded and is not used. All loads have ended when it
// returns. A panic of load is one of its caller, which can recover from it.
func ahead[T any](n, width int, load func(k int) T, use func(k int, loaded T) error, drop func(T)) error {
	type outcome struct {
		loaded   T
		panicked error
	}
	slots := make([]chan outcome, width)
	for i := range slots {
		slots[i] = make(chan outcome, 1)
	}
	begun := 0
	for k := range n {
		for ; begun < min(n, k+width); begun++ {
			go func(b int) {
				var o outcome
				defer func() {
					if p := recover(); p != nil {
						o.panicked = fmt.Errorf("%v in %s", p, debug.Stack())
					}
					slots[b%width] <- o
				}()
				o.loaded = load(b)
			}(begun)
		}
		o := <-slots[k%width]
		err := o.panicked
		if err == nil {
			err = use(k, o.loaded)
		}
		if err == nil {
			continue
		}
		for k++; k < begun; k++ {
			if late := <-slots[k%width]; late.panicked == nil {
				drop(late.loaded)
			}
		}
		if o.panicked != nil {
			panic(o.panicked)
		}
		return err
	}
	return nil
}

// chunked calls f for the messages at the given indices, in order, a chunk at a
// time, with what is wanted of their contents. The next chunks are loaded meanwhile,
// so that the index and the client are busy at the same time.
func (s *session) chunked(v *view, indices []int, want mailstore.Want, f func(chunk []int, contents []mailstore.Content) error) error {
	type loaded struct {
		contents []mailstore.Content
		err      error
	}
	chunk := func(k int) []int {
		return indices[k*chunkSize : min(len(indices), (k+1)*chunkSize)]
	}
	// A query is short; watching for the end of the context costs a tenth of it.
	ctx := context.WithoutCancel(s.ctx)
	load := func(k int) (l loaded) {
		ids := make([]mailstore.ContentID, len(chunk(k)))
		for j, i := range chunk(k) {
			ids[j] = v.told.contents[i]
		}
		l.contents, l.err = s.store.Contents(ctx, ids, want)
		return l
	}
	use := func(k int, l loaded) error {
		if l.err != nil {
			return l.err
		}
		return f(chunk(k), l.contents)
	}
	return ahead((len(indices)+chunkSize-1)/chunkSize, chunksAhead, load, use, func(loaded) {})
}
