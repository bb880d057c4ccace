package bridge

import (
	"context"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/bridge/plan"
)

// MailboxName names a mailbox on a server, whatever the account is called.
func MailboxName(username, host string, port int) string {
	if port == 110 || port == 0 { // both ports reach the same mailbox
		port = 995
	}
	return fmt.Sprintf("%s at %s:%d", username, strings.ToLower(host), port)
}

// SameButPort reports whether two names of MailboxName differ in the port at most.
func SameButPort(one, other string) bool {
	return one[:strings.LastIndexByte(one, ':')+1] == other[:strings.LastIndexByte(other, ':')+1]
}

// RememberedMailbox is the MailboxName in what the store remembers of an account
// (mailstore.AccountState.Memory), or "".
func RememberedMailbox(memory string) string { return decodePollState(memory).Mailbox }

// inherit takes up what is remembered of the mailbox, if the account is new and
// had another name before: otherwise all that is there would come once more.
func (s *session) inherit(ctx context.Context, username string) error {
	s.mailbox = MailboxName(username, s.account.Server.Host, s.account.Server.Port)
	if !s.memory.pollState.New {
		return nil
	}
	_, err := s.takeUp(ctx, func(_, memory string) bool { return decodePollState(memory).Mailbox == s.mailbox })
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
		before := s.memory.pollState
		s.memory.state, s.memory.pollState = state, decodePollState(state.Memory)
		s.memory.pollState.Held = s.memory.pollState.Held || before.Held
		s.memory.pollState.LastLogin, s.memory.pollState.Delay, s.memory.pollState.Expire = before.LastLogin, before.Delay, before.Expire
		s.memory.pollState.Refusals, s.memory.pollState.HangUps, s.memory.pollState.IDs.Numbered = 0, 0, s.memory.pollState.IDs.Numbered || before.IDs.Numbered
		s.log.Info().Msg("account goes on under another name")
	}
	return known, err
}

// handleServerChange notes where the account is polled, and what of its rows counts when
// that is elsewhere than before.
func (s *session) handleServerChange(ctx context.Context) (err error) {
	if s.memory.pollState.Mailbox != "" && s.memory.pollState.Mailbox != s.mailbox {
		s.memory.pollState.Anchor, s.memory.pollState.Relists, s.memory.pollState.Unstuffed = nil, false, false
		s.memory.pollState.IDs = plan.IDs{Numbered: s.memory.pollState.IDs.Numbered, Top: s.memory.pollState.IDs.Top}
		s.memory.pollState.Without = nil
		moves, same := plan.Moved(s.listing, s.ledger)
		if err := s.store.Readopt(ctx, s.account.Name, moves); err != nil {
			return err
		}
		s.log.Info().Bool("same_ids", same).Msg("account is polled at another server")
		s.ledger, err = s.store.Ledger(ctx, s.account.Name)
	}
	if err == nil {
		s.memory.pollState.Mailbox = s.mailbox
	}
	return err
}
