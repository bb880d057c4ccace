package sending

import (
	"context"
	"slices"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Look makes conditions of what is in the outboxes and never leaves by itself: mail that no
// account sends, and mail that a restore holds.
func (s *Set) Look(ctx context.Context) {
	names, _ := s.users.Names() // those of the config at least
	var list []health.Condition
	for _, user := range names {
		store, err := s.users.Store(ctx, user)
		if err != nil {
			continue // a condition of this user
		}
		queue, err := store.Outgoing(ctx)
		if err != nil {
			continue
		}
		list = append(list, s.lookAt(user, queue)...)
	}
	if ctx.Err() == nil {
		s.users.Health.Report("outbox", list...)
	}
}

func (s *Set) lookAt(user string, queue []mailstore.Outgoing) (list []health.Condition) {
	stranded, held := map[string]int{}, 0
	var reasons []error // in the order of their mail
	for _, m := range queue {
		switch why := s.Stranded(user, m.Account, m.From); {
		case why != nil:
			if stranded[why.Error()]++; stranded[why.Error()] == 1 {
				reasons = append(reasons, why)
			}
		case m.HeldByRestore():
			held++
		}
	}
	command := s.users.Command("outbox list")
	for _, why := range reasons {
		list = append(list, health.SendNoAccount(user, why, stranded[why.Error()], command))
	}
	if held > 0 {
		list = append(list, health.SendHeld(user, held, command))
	}
	return list
}

// Stranded is why mail of a user from an address, "" for MAIL FROM:<>, does not leave by an
// account of that name; nil where it does.
func (s *Set) Stranded(user, account, from string) error {
	for _, a := range s.users.Config().Accounts {
		if a.Name != account {
			continue
		}
		if a.User != user {
			return fault.New(fault.Config, "account "+account+" is that of user "+a.User+" now, and this is mail of "+user,
				"give it back: "+s.users.Command("account set "+fault.ShellQuote(account)+" user="+fault.ShellQuote(user))+"; or send the message anew from the folder Outbox, and take it out there")
		}
		if _, ok := WayOf(a); !ok {
			return s.noWay(account)
		}
		if from != "" && !slices.ContainsFunc(a.Addresses, func(own string) bool { return match(from, own) > 0 }) {
			return fault.New(fault.Config, "mail from "+fault.Quote(from)+" does not leave by account "+account+" any more",
				"give it the address again: "+s.users.Command("account set "+fault.ShellQuote(account)+" "+fault.ShellQuote(withAddress(a, from)))+"; or send the message anew from the folder Outbox, and take it out there")
		}
		return nil
	}
	return fault.New(fault.Config, "there is no account "+account+" any more",
		"add it again by that name: "+s.users.Command("account add")+"; or send the message anew from the folder Outbox, and take it out there")
}

func (s *Set) noWay(account string) error {
	return fault.New(fault.Denied, "the outgoing server of account "+account+" is not known", "name it: "+s.users.Command("account set "+fault.ShellQuote(account)+" send.host=HOST"))
}
