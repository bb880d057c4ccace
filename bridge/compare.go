package bridge

import (
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// newFirst moves what is fetched only to be compared to the end, so that new
// messages come first where the server limits a session to a few. Of messages without
// an id these are the ones of a size that is stored.
func (s *session) newFirst(fetch []plan.Fetch) []plan.Fetch {
	stored := make(map[int64]bool)
	if s.memory.contentMode {
		for _, e := range s.ledger {
			stored[e.ListSize] = true
		}
	}
	compared := func(f plan.Fetch) int {
		if f.Row != nil && !f.Row.Wanted || f.Row == nil && f.UIDL == "" && stored[f.Size] {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(fetch, func(a, b plan.Fetch) int { return compared(a) - compared(b) })
	return fetch
}

// hashes retrieves messages only to compare them. One that did not come in full
// has no hash. An error has ended the connection.
func (s *session) hashes(requests ...pop3.Request) (map[int]mailstore.Hash, error) {
	out := make(map[int]mailstore.Hash, len(requests))
	err := s.client.Retr(s.net, requests, s.check(nil), func(num int, r io.Reader) error {
		h := sha256.New()
		_, err := io.Copy(h, r)
		if err == nil {
			out[num] = mailstore.Hash(h.Sum(nil))
		}
		return err
	}, func(num int, _ error) { delete(out, num) })
	s.learnCheck(err)
	if err != nil && !errors.Is(err, pop3.ErrSessionLimit) {
		return out, &retryError{err}
	}
	return out, nil
}
