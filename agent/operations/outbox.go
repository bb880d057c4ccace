package operations

import (
	"context"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox"
	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Sending is about the mail that waits to leave.
type Sending interface {
	// Outbox lists what has not left, the oldest first.
	Outbox(ctx context.Context) ([]OutboxMessage, error)
	// DecideOutgoing does what a person wants of messages there, and says of each what came
	// of that. However many are tried again, an account is tried once: each time may count
	// towards locking it.
	DecideOutgoing(ctx context.Context, ask Decide) ([]Decided, error)
}

// OutboxMessage is a message that has not left, or not for all recipients. Its ID is of this user.
type OutboxMessage struct {
	User       string      `json:"user"`
	ID         int64       `json:"id"`
	Account    string      `json:"account"`
	State      string      `json:"state"` // "waiting", "sending", "unknown", "held" or "refused"
	From       string      `json:"from"`
	Subject    string      `json:"subject"`
	Size       int64       `json:"size"`
	Queued     time.Time   `json:"queued"`
	Next       *time.Time  `json:"next"`       // when it is tried; null: not by itself, not known, or no agent runs
	Attempts   int         `json:"attempts"`   // that the server had to do with this message, since a person asked for another last
	Error      string      `json:"error"`      // of the last attempt, or what keeps the account's mail
	OfAccount  bool        `json:"of_account"` // Error is what keeps all mail of the account
	Recipients []Recipient `json:"recipients"`
}

// Recipient is one of a message that has not left.
type Recipient struct {
	Address string `json:"address"`
	State   string `json:"state"` // "waiting", "offered" (the server took the address, and it is not known whether the message), "sent" or "refused"
	Reply   string `json:"reply"` // of the server
}

// Decide says what becomes of messages that have not left.
type Decide struct {
	User string  `json:"user,omitempty"` // may be empty where there is one only
	IDs  []int64 `json:"ids"`
	// Do is "retry" (now, also where it is not known whether it was sent), "hold",
	// "drop" (it is not sent; undelete brings it back) or "sent" (it is known that
	// the server took it).
	Do string `json:"do"`
}

// Decided is what came of that for a message.
type Decided struct {
	ID    int64  `json:"id"`
	Error string `json:"error"`          // "": it is done
	Kind  string `json:"kind,omitempty"` // of the error: fault.Kind
	Hint  string `json:"hint"`
}

var outgoingStates = map[mailstore.OutgoingState]string{mailstore.Waiting: "waiting", mailstore.Handing: "sending", mailstore.Unknown: "unknown",
	mailstore.Held: "held", mailstore.Rejected: "refused"}

var recipientStates = map[mailstore.RecipientState]string{mailstore.Pending: "waiting", mailstore.Accepted: "sent", mailstore.Refused: "refused",
	mailstore.Offered: "offered"}

func (l *Local) Outbox(ctx context.Context) ([]OutboxMessage, error) {
	users, err := l.users.Names()
	if err != nil {
		return nil, err
	}
	list := []OutboxMessage{}
	for _, user := range users {
		store, err := l.users.Store(ctx, user)
		if err != nil {
			return nil, err
		}
		queue, err := store.Outgoing(ctx)
		if err == nil {
			err = store.FillSubjects(ctx, queue)
		}
		if err != nil {
			return nil, err
		}
		for _, m := range queue {
			o := l.outgoing(user, m)
			if m.State == mailstore.Waiting && !l.running() && !o.OfAccount {
				kept, err := store.SendingMemory(ctx, m.Account)
				if err != nil {
					return nil, err
				}
				if lasting := outbox.LastingError(kept); lasting != "" {
					o.Error, o.OfAccount = lasting, true
				}
			}
			list = append(list, o)
		}
	}
	slices.SortStableFunc(list, func(x, y OutboxMessage) int { return x.Queued.Compare(y.Queued) })
	return list, nil
}

func (l *Local) outgoing(user string, m mailstore.Outgoing) OutboxMessage {
	o := OutboxMessage{User: user, ID: int64(m.ID), Account: m.Account, State: outgoingStates[m.State], From: m.From, Subject: m.Subject, Size: m.Size, Queued: m.QueuedAt,
		Attempts: m.Attempts, Error: m.LastError, Recipients: []Recipient{}}
	stranded := l.sending.Stranded(user, m.Account, m.From)
	switch {
	case stranded != nil:
		o.Error, o.OfAccount = stranded.Error()+": "+fault.Hint(stranded), true
	case m.State == mailstore.Waiting && l.running():
		next, held := l.sending.Next(m.Account)
		if held != "" {
			o.Error, o.OfAccount = held, true
		}
		if due := plan.Due(&m, time.Now()); next.Before(due) {
			next = due
		}
		o.Next = &next
	}
	for _, r := range m.Recipients {
		o.Recipients = append(o.Recipients, Recipient{r.Address, recipientStates[r.State], r.Reply})
	}
	return o
}

// unsent is how many messages leave by themselves once an agent runs.
func (l *Local) unsent(ctx context.Context) (n int) {
	list, _ := l.Outbox(ctx) // what is wrong with a store is a condition
	for _, m := range list {
		if m.State == outgoingStates[mailstore.Waiting] && l.sending.Stranded(m.User, m.Account, m.From) == nil {
			n++
		}
	}
	return n
}

// retryOutgoing lets a message leave now, where there is a way for it, and returns the
// account that is to be tried.
func (l *Local) retryOutgoing(ctx context.Context, user string, store *mailstore.Store, id mailstore.OutgoingID) (account string, err error) {
	queue, err := store.Outgoing(ctx)
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(queue, func(m mailstore.Outgoing) bool { return m.ID == id }); i >= 0 { // else the store says that there is none
		account = queue[i].Account
		if err := l.sending.Stranded(user, account, queue[i].From); err != nil {
			return "", err
		}
	}
	return account, store.RetryOutgoing(ctx, id)
}

func (l *Local) DecideOutgoing(ctx context.Context, ask Decide) ([]Decided, error) {
	user, err := l.users.Only(ask.User, "it is not said whose message this is")
	if err != nil {
		return nil, err
	}
	store, err := l.users.Store(ctx, user)
	if err != nil {
		return nil, err
	}
	tried := map[string]bool{}
	does := map[string]func(id mailstore.OutgoingID) error{
		"retry": func(id mailstore.OutgoingID) error {
			account, err := l.retryOutgoing(ctx, user, store, id)
			tried[account] = tried[account] || err == nil
			return err
		},
		"hold": func(id mailstore.OutgoingID) error { return store.HoldOutgoing(ctx, id, true) },
		"drop": func(id mailstore.OutgoingID) error { return store.DropOutgoing(ctx, id) },
		"sent": func(id mailstore.OutgoingID) error { return store.ConfirmOutgoing(ctx, id) },
	}
	do, ok := does[ask.Do]
	if !ok {
		return nil, fault.New(fault.Config, fault.Quote(ask.Do)+" is nothing that can be done with a message", "retry, hold, drop or sent")
	}
	list := []Decided{}
	for _, id := range ask.IDs {
		err := do(mailstore.OutgoingID(id))
		d := Decided{ID: id, Kind: kindOf(err)}
		d.Error, d.Hint = said(err)
		list = append(list, d)
	}
	for account, now := range tried {
		if now {
			l.sending.Retry(account)
		}
	}
	l.sending.Look(ctx)
	return list, ctx.Err()
}
