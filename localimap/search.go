package localimap

import (
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// searchWorkers read files, for one SEARCH.
const searchWorkers = 4

// searching is one SEARCH under way. The keys are evaluated in three rounds, each
// only for the messages the one before has left open: from the columns in memory and
// the text index, from the summaries, from the files. A key that cannot be told yet
// is unknown, and so is what depends on it (query.go).
type searching struct {
	*session
	v *view
	q *query
}

// all returns the indices of the messages that match.
func (r *searching) all() ([]int, error) {
	var found, open []int
	c := candidate{ctx: r.ctx, v: r.v}
	for i := range r.v.told.uids {
		if i%chunkSize == 0 {
			if err := r.conn.alive(); err != nil {
				return nil, err
			}
		}
		c.i = i
		switch r.q.match(&c) {
		case yes:
			found = append(found, i)
		case unknown:
			open = append(open, i)
		case never:
		}
	}
	err := r.chunked(r.v, open, r.q.want, func(chunk []int, contents []mailstore.Content) error {
		more, err := r.chunk(chunk, contents)
		found = append(found, more...)
		return err
	})
	if err == nil {
		err = r.conn.alive()
	}
	slices.Sort(found)
	return found, err
}

// chunk evaluates messages that need their summary, and perhaps their file.
func (r *searching) chunk(indices []int, contents []mailstore.Content) ([]int, error) {
	var found []int
	var open []*candidate
	for k, i := range indices {
		c := &candidate{ctx: r.ctx, v: r.v, i: i, content: &contents[k]}
		if c.content.Gone {
			continue // it matches nothing
		}
		switch r.q.match(c) {
		case yes:
			found = append(found, i)
		case unknown:
			open = append(open, c)
		case never:
		}
	}
	// Small steps, so that a client that has left does not keep the disk busy.
	for step := range slices.Chunk(open, 64) {
		if err := r.conn.alive(); err != nil {
			return nil, err
		}
		more, err := r.files(step)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// files evaluates messages that have to be read, several at a time.
func (r *searching) files(open []*candidate) ([]int, error) {
	var (
		mu    sync.Mutex
		found []int
		work  errgroup.Group
	)
	work.SetLimit(searchWorkers)
	for _, c := range open {
		work.Go(func() error {
			ok, err := r.read(c)
			if ok {
				mu.Lock()
				found = append(found, c.i)
				mu.Unlock()
			}
			return err
		})
	}
	err := work.Wait()
	return found, err
}

// read evaluates one message with its file. A file that cannot be read matches
// nothing but what the text index knows of it; SEARCH has no way to say more, and
// FETCH of the message does.
func (r *searching) read(c *candidate) (found bool, err error) {
	defer func() {
		if p := recover(); p != nil { // it is in a goroutine of its own, where it would end the program
			r.log.Error().Interface("panic", p).Stringer("message", c.content.Hash).Msg("message was left out of a search")
			found, err = false, nil
		}
	}()
	if err := r.conn.alive(); err != nil {
		return false, err
	}
	file, err := r.store.OpenContent(c.content.Hash)
	if err != nil {
		r.log.Warn().Err(err).Str("user", r.user).Msg("message was left out of a search")
		return false, nil
	}
	defer func() { _ = file.Close() }() // only read
	c.file = fileOfCommand{r.conn, file}
	ok := r.q.match(c) == yes
	c.whole = nil // it may be large
	if err := r.conn.alive(); err != nil {
		return false, err
	}
	if c.err != nil {
		r.log.Warn().Err(c.err).Str("user", r.user).Msg("message was left out of a search")
		return false, nil
	}
	return ok, nil
}
