package bridge

import (
	"context"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/bridge/plan"
)

// MailboxName names a mailbox on a server, whatever the account is called.
func MailboxName(username, host string, port int) string {
	if port == 110 || port == 0 { // two doors to one mailbox
		port = 995
	}
	return fmt.Sprintf("%s at %s:%d", username, strings.ToLower(host), port)
}

// RememberedMailbox is the MailboxName in what the store remembers of an account
// (mailstore.AccountState.Memory), or "".
func RememberedMailbox(memory string) string { return recall(memory).Mailbox }

// inherit takes up what is remembered of the mailbox, if the account is new and
// had another name before: otherwise all that is there would come once more.
func (s *session) inherit(ctx context.Context, username string) error {
	s.mailbox = MailboxName(username, s.account.Server.Host, s.account.Server.Port)
	if !s.memory.notes.New {
		return nil
	}
	_, err := s.takeUp(ctx, func(_, memory string) bool { return recall(memory).Mailbox == s.mailbox })
	if err != nil {
		_ = s.client.Close()
	}
	return err
}

// takeUp gives the account the ledger and the memory of the one that same
// names, if there is one.
func (s *session) takeUp(ctx context.Context, same func(name, memory string) bool) (known bool, err error) {
	state, known, err := s.store.Inherit(ctx, s.account.Name, same)
	if known {
		before := s.memory.notes
		s.memory.state, s.memory.notes = state, recall(state.Memory)
		s.memory.notes.Held = s.memory.notes.Held || before.Held
		s.memory.notes.LastLogin, s.memory.notes.Delay, s.memory.notes.Expire = before.LastLogin, before.Delay, before.Expire
		s.memory.notes.Refusals, s.memory.notes.HangUps, s.memory.notes.IDs.Numbered = 0, 0, s.memory.notes.IDs.Numbered || before.IDs.Numbered
		s.log.Info().Msg("account goes on under another name")
	}
	return known, err
}

// settleIn notes where the account is polled, and what of its rows counts when
// that is elsewhere than before.
func (s *session) settleIn(ctx context.Context) (err error) {
	if s.memory.notes.Mailbox != "" && s.memory.notes.Mailbox != s.mailbox {
		s.memory.notes.Anchor, s.memory.notes.Relists, s.memory.notes.Unstuffed = nil, false, false
		s.memory.notes.IDs = plan.IDs{Numbered: s.memory.notes.IDs.Numbered, Top: s.memory.notes.IDs.Top}
		s.memory.notes.Without = nil
		moves, same := plan.Moved(s.listing, s.ledger)
		if err := s.store.Readopt(ctx, s.account.Name, moves); err != nil {
			return err
		}
		s.log.Info().Bool("same_ids", same).Msg("account is polled at another server")
		s.ledger, err = s.store.Ledger(ctx, s.account.Name)
	}
	if err == nil {
		s.memory.notes.Mailbox = s.mailbox
	}
	return err
}
