package bridge

import (
	"context"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/internal/mailstore"
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
	if !s.notes.New {
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
		before := s.notes
		s.state, s.notes = state, recall(state.Memory)
		s.notes.Held = s.notes.Held || before.Held
		s.notes.LastLogin, s.notes.Delay, s.notes.Expire = before.LastLogin, before.Delay, before.Expire
		s.notes.Refusals, s.notes.HangUps, s.notes.Numbered = 0, 0, s.notes.Numbered || before.Numbered
		s.log.Info().Msg("account goes on under another name")
	}
	return known, err
}

// settleIn notes where the account is polled. When that is elsewhere than before
// a message there may have the id and the size of another one. Where most of what
// is listed is known by both, it is the same server by another name, and only what
// is to be deleted is compared. Otherwise no id counts any more: all is fetched,
// and known by its content.
func (s *session) settleIn(ctx context.Context) (err error) {
	if s.notes.Mailbox != "" && s.notes.Mailbox != s.mailbox {
		s.notes.Anchor, s.notes.Relists, s.notes.Reuses, s.notes.Unstuffed = nil, false, false, false
		s.notes.Proven, s.notes.First = false, ""
		s.notes.Without = nil
		same := s.familiar()*2 > len(s.listing)
		var moves []mailstore.Readoption
		for _, e := range s.ledger {
			if e.State == mailstore.Stored || e.State == mailstore.Presumed || e.State == mailstore.DeleteIntended && e.Absent == 0 {
				if !same {
					e.ListSize = 0 // of no message that is listed (see Plan)
				}
				moves = append(moves, mailstore.Readoption{From: e.Origin, To: e.Origin, ListSize: e.ListSize})
			}
		}
		if err := s.store.Readopt(ctx, s.account.Name, moves); err != nil {
			return err
		}
		s.log.Info().Bool("same_ids", same).Msg("account is polled at another server")
		s.ledger, err = s.store.Ledger(ctx, s.account.Name)
	}
	if err == nil {
		s.notes.Mailbox = s.mailbox
	}
	return err
}

// familiar counts the listed messages with the id and the size of a row.
func (s *session) familiar() (n int) {
	p := newPlanner(s.listing, s.ledger, s.account.policy(), s.now())
	p.pairByUIDL()
	for _, row := range p.rowOf {
		if row >= 0 {
			n++
		}
	}
	return n
}
