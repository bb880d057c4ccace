package bridge

import (
	"bytes"
	"context"
	"slices"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// anchored reports whether the listing may be one that the anchor stands for.
func (s *session) anchored() bool {
	return s.complete && s.memory.pollState.Anchor.StandsFor(s.listing)
}

// verifyAnchor reports whether the messages up to the anchor are those stored here. It
// is asked only when it can save something. An anchor that cannot be fetched
// is dropped: it may be a message that breaks every session.
func (s *session) verifyAnchor(ctx context.Context) (bool, error) {
	a := s.memory.pollState.Anchor
	if !s.anchored() || len(s.plan.Actions.Fetch) == 0 || s.plan.Actions.Fetch[0].Num > a.Num {
		return false, nil
	}
	s.meter.phase(PhaseCompare)
	s.memory.pollState.Anchor = nil
	hashes, err := s.hashes(pop3.Request{Num: a.Num, Size: s.listing[a.Num-1].Size})
	h, came := hashes[a.Num]
	switch {
	case ctx.Err() != nil:
		s.memory.pollState.Anchor = a
		return false, ctx.Err()
	case err != nil:
		return false, err
	case !came || !bytes.Equal(a.Hash, h[:]):
		// It is another message: stored in this session, or not yet.
		s.wasted = came && !slices.ContainsFunc(s.plan.Actions.Fetch, func(f plan.Fetch) bool { return f.Num == a.Num })
		return false, nil
	}
	s.memory.pollState.Anchor = a
	s.here[a.Num] = mailstore.Hash(a.Hash)
	return true, nil
}

// chooseAnchor notes the anchor of the next session.
func (s *session) chooseAnchor(deleted []mailstore.LedgerEntry) {
	if s.memory.contentMode && s.complete && len(s.here) > 0 {
		s.memory.pollState.Anchor = s.plan.NextAnchor(s.memory.pollState.Anchor, s.here, deleted)
	}
}
