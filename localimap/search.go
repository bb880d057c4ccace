package localimap

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// searchWorkers read files, for one SEARCH.
const searchWorkers = 4

// Search answers SEARCH. The keys are evaluated in three rounds, each only for
// the messages the one before has left open: from the columns in memory and the
// text index, from the summaries, from the files. A key that cannot be told yet is unknown, and
// so is what depends on it (query.go).
func (s *session) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions) (*imap.SearchData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.selectedLocked()
	if err != nil {
		return nil, err
	}
	var found []int
	q, err := compile(v, s.srv.opt.Zone(), criteria)
	if err == nil {
		ctx, stop := s.watch()
		defer stop()
		run := &search{session: s, ctx: ctx, v: v, q: q}
		found, err = run.all()
	}
	if err != nil {
		err = s.response(err)
		if answer, ok := errors.AsType[*imap.Error](err); options.ReturnSave && (!ok || answer.Type != imap.StatusResponseTypeBad) {
			v.saved = nil // RFC 5182 section 2.1: after a NO, not after a BAD
		}
		return nil, err
	}
	if options.ReturnSave {
		v.saved = v.uidsOf(toSave(found, options))
	}
	return searchData(v, kind, found), nil
}

// toSave returns what $ will stand for (RFC 5182 section 2.4): with MIN and MAX
// only those, unless ALL or COUNT is asked for too.
func toSave(found []int, o *imap.SearchOptions) []int {
	if len(found) == 0 || o.ReturnAll || o.ReturnCount {
		return found
	}
	var ends []int
	if o.ReturnMin {
		ends = append(ends, found[0])
	}
	if o.ReturnMax && (len(ends) == 0 || len(found) > 1) {
		ends = append(ends, found[len(found)-1])
	}
	return ends
}

func searchData(v *view, kind imapserver.NumKind, found []int) *imap.SearchData {
	data := &imap.SearchData{Count: uint32(len(found))}
	number := func(i int) uint32 { return uint32(i + 1) }
	if kind == imapserver.NumKindUID {
		data.All = uidSet(v.uidsOf(found))
		number = func(i int) uint32 { return uint32(v.told.uids[i]) }
	} else {
		data.All = seqSet(found)
	}
	if len(found) > 0 {
		data.Min, data.Max = number(found[0]), number(found[len(found)-1])
	}
	return data
}

// search is one SEARCH under way.
type search struct {
	*session
	ctx context.Context // of the command
	v   *view
	q   *query
}

// all returns the indices of the messages that match.
func (r *search) all() ([]int, error) {
	var found, open []int
	c := candidate{ctx: r.ctx, v: r.v}
	for i := range r.v.told.uids {
		if i%chunkSize == 0 {
			if err := r.check(); err != nil {
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
		err = r.check()
	}
	slices.Sort(found)
	return found, err
}

// chunk evaluates messages that need their summary, and perhaps their file.
func (r *search) chunk(indices []int, contents []mailstore.Content) ([]int, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
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
		if err := r.check(); err != nil {
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
func (r *search) files(open []*candidate) ([]int, error) {
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
// nothing; SEARCH has no way to say more, and FETCH of the message does.
func (r *search) read(c *candidate) (found bool, err error) {
	defer func() {
		if p := recover(); p != nil { // it is in a goroutine of its own, where it would end the program
			r.log.Error().Interface("panic", p).Stringer("message", c.content.Hash).Msg("message was left out of a search")
			found, err = false, nil
		}
	}()
	if err := r.check(); err != nil {
		return false, err
	}
	file, err := r.store.OpenContent(c.content.Hash)
	if err != nil {
		r.log.Warn().Err(err).Str("user", r.user).Msg("message was left out of a search")
		return false, nil
	}
	defer func() { _ = file.Close() }() // only read
	c.file = watchedFile{r.ctx, file}
	ok := r.q.match(c) == yes
	c.whole = nil // it may be large
	if err := r.check(); err != nil {
		return false, err
	}
	if c.err != nil {
		r.log.Warn().Err(c.err).Str("user", r.user).Msg("message was left out of a search")
		return false, nil
	}
	return ok, nil
}

// check ends a search whose client has gone.
func (r *search) check() error { return context.Cause(r.ctx) }
