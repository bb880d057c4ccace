package sending

import (
	"context"

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
	var accounts []string // in the order of their mail
	for _, m := range queue {
		switch {
		case s.Stranded(user, m.Account) != nil:
			if stranded[m.Account]++; stranded[m.Account] == 1 {
				accounts = append(accounts, m.Account)
			}
		case m.HeldByRestore():
			held++
		}
	}
	command := s.users.Command("outbox list")
	for _, account := range accounts {
		list = append(list, health.SendNoAccount(user, s.Stranded(user, account), stranded[account], command))
	}
	if held > 0 {
		list = append(list, health.SendHeld(user, held, command))
	}
	return list
}

// Stranded is why no mail of a user leaves by an account of that name; nil where it does.
func (s *Set) Stranded(user, account string) error {
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
		return nil
	}
	return fault.New(fault.Config, "there is no account "+account+" any more",
		"add it again by that name: "+s.users.Command("account add")+"; or send the message anew from the folder Outbox, and take it out there")
}

func (s *Set) noWay(account string) error {
	return fault.New(fault.Denied, "the outgoing server of account "+account+" is not known", "name it: "+s.users.Command("account set "+fault.ShellQuote(account)+" send.host=HOST"))
}
