package bridge

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// list asks for the listings, and reads the ledger while the server answers. With
// skip it reads none where the session has nothing to do: asBefore says so.
func (s *session) list(ctx context.Context, skip bool) error {
	s.meter.phase(PhaseList)
	s.changes = s.store.Changes()
	var reading errgroup.Group
	read := func() (err error) {
		s.ledger, err = s.store.Ledger(ctx, s.account.Name)
		return err
	}
	if !skip || !s.mayBeAsBefore() {
		reading.Go(read)
		return cmp.Or(s.join(ctx), reading.Wait())
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	if s.asBefore = s.isAsBefore(); s.asBefore {
		return nil
	}
	return read()
}

// join joins STAT, LIST and UIDL. A number that one of them leaves out makes
// the listing incomplete, so that nothing is taken for absent.
func (s *session) join(ctx context.Context) error {
	count, _, err := s.client.Stat(ctx)
	if err != nil {
		count = 0 // if that ended the connection, LIST says so too
	}
	s.listing = make([]plan.Listed, 0, min(count, 1<<16))
	if _, err := s.client.List(ctx, func(num int, size int64) { s.listing = append(s.listing, plan.Listed{Num: num, Size: size}) }); err != nil {
		return err
	}
	s.listing = plan.ByNumber(s.listing)
	s.here = make(map[int]mailstore.Hash)
	lines := 0
	var unsized []plan.Listed
	if err = pop3.ErrNoUIDL; !slices.Contains(s.avoided(), "UIDL") {
		_, err = s.client.UIDL(ctx, func(num int, uidl string) {
			n, known := lines, lines < len(s.listing) && s.listing[lines].Num == num
			if !known {
				n, known = plan.Find(s.listing, num)
			}
			if lines++; known {
				s.listing[n].UIDL = uidl
			} else {
				unsized = append(unsized, plan.Listed{Num: num, UIDL: uidl})
			}
		})
	}
	refused := errors.Is(err, pop3.ErrNoUIDL)
	switch {
	case refused && s.memory.state.HadUIDL:
		return fault.Wrap(err, fault.Temporary, "the server gives no message ids although it did before", "it is tried again by itself; another program may be connected to the mailbox")
	case err != nil && !refused:
		return err
	}
	if len(unsized) > 0 {
		s.listing = plan.ByNumber(append(s.listing, unsized...))
	}
	s.complete = len(s.listing) >= count && (refused || lines >= len(s.listing))
	s.memory.pollState.IDs.Check(s.listing, s.complete)
	hasID := slices.ContainsFunc(s.listing, func(l plan.Listed) bool { return l.UIDL != "" })
	s.memory.state.HadUIDL = s.memory.state.HadUIDL || hasID
	s.memory.contentMode = !hasID && len(s.listing) > 0
	return nil
}

// listed returns what was listed under a number.
func (s *session) listed(num int) plan.Listed {
	if n, listed := plan.Find(s.listing, num); listed {
		return s.listing[n]
	}
	return plan.Listed{}
}
