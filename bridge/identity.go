package bridge

import (
	"context"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// inherit takes up what is remembered of the mailbox, if the account is new and
// had another name before: otherwise all that is there would come once more.
func (s *session) inherit(ctx context.Context, username string) error {
	server := s.account.Server
	if server.Port == 110 || server.Port == 0 { // two doors to one mailbox
		server.Port = 995
	}
	s.mailbox = fmt.Sprintf("%s at %s:%d", username, strings.ToLower(server.Host), server.Port)
	if !s.notes.New {
		return nil
	}
	state, known, err := s.store.Inherit(ctx, s.account.Name, func(memory string) bool { return recall(memory).Mailbox == s.mailbox })
	if err != nil {
		_ = s.client.Close()
		return err
	}
	if known {
		login := s.notes.LastLogin
		s.state, s.notes = state, recall(state.Memory)
		s.notes.LastLogin = login
		s.log.Info().Msg("account goes on under another name")
	}
	return nil
}

// settleIn notes where the account is polled. When that is elsewhere than before
// a message there may have the id and the size of another one: it is compared
// before it is deleted.
func (s *session) settleIn(ctx context.Context) (err error) {
	if s.notes.Mailbox != "" && s.notes.Mailbox != s.mailbox {
		s.notes.Anchor, s.notes.Relists = nil, false
		var moves []mailstore.Readoption
		for _, e := range s.ledger {
			if e.State == mailstore.Stored || e.State == mailstore.DeleteIntended && e.Absent == 0 {
				moves = append(moves, mailstore.Readoption{From: e.Origin, To: e.Origin, ListSize: e.ListSize})
			}
		}
		if err := s.store.Readopt(ctx, s.account.Name, moves); err != nil {
			return err
		}
		s.log.Info().Msg("account is polled at another server")
		s.ledger, err = s.store.Ledger(ctx, s.account.Name)
	}
	if err == nil {
		s.notes.Mailbox = s.mailbox
	}
	return err
}
