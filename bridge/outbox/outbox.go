// Package outbox sends the mail that waits in the queue of the mail store: one
// Runner per account takes what is due, hands it to the account's SMTP server, and
// writes down what came of it.
//
// One message goes through these steps:
//
//	1  the message due that was tried longest ago             plan.Next
//	2  connect and log in, unless that is done                bridge/smtp
//	3  MAIL, RCPT, DATA, the message without Bcc              bridge/smtp, withoutBcc
//	4  durable: the final dot comes next, and for whom        Queue.BeginHandover
//	5  the final dot, and its answer
//	6  what came of it, for each recipient                    plan.Decide, pure
//	7  durable: what came of it                               Queue.Attempted
//
// Invariants, whatever servers and networks do:
//
//   - A recipient for whom the server took a message is never sent it again.
//   - The final dot is written only after BeginHandover returned without error.
//     Whatever ends the program, the connection or the runner from then until the
//     answer has come makes the message Unknown, and a person decides. Whom the server
//     had not taken by then does not count as sent, whatever is decided.
//   - Nothing that is wrong with the account, the network or the computer counts as an
//     attempt of a message; what only one message meets is its own.
//   - One message, or recipient, never holds up another; trouble of the account
//     holds up all of its mail and of no other account.
//   - No Bcc or Resent-Bcc field leaves.
//   - There is one connection per account at most.
//
// A Runner starts no goroutine of its own.
package outbox

import (
	"context"
	"io"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/sasl"
)

// Account is an account that sends.
type Account struct {
	Name   string // as in Outgoing.Account
	Server smtp.Config
	// Credentials is asked before each login. Its error holds the queue, and is
	// reported as it is.
	Credentials func(context.Context) (sasl.Credentials, error)
	// Renew is asked for others where the server refused credentials that are tokens,
	// once for each login. Its error is reported in place of the refusal. nil: there are none.
	Renew func(ctx context.Context, refused sasl.Credentials) (sasl.Credentials, error)
	// SecretEvery is how often Credentials is asked whether the secret is another
	// one while a refused one waits. 0: never.
	SecretEvery time.Duration
	// Sends reports whether mail from an address, "" for MAIL FROM:<>, leaves by the account:
	// what does not stays as it is. It is asked anew each time. nil: all does.
	Sends  func(from string) bool
	Limits plan.Limits // of the provider; without PerMinute 30
	// Changed tells that a person has changed the account: logins that were refused before
	// say nothing.
	Changed bool
}

// perMinute is the messages a minute where no other number is known.
const perMinute = 30

// Queue is the mail store as the runner needs it.
type Queue interface {
	Outgoing(ctx context.Context) ([]mailstore.Outgoing, error)
	FillSubjects(ctx context.Context, list []mailstore.Outgoing) error
	OpenOutgoing(ctx context.Context, id mailstore.OutgoingID) (io.ReadSeekCloser, error)
	BeginHandover(ctx context.Context, id mailstore.OutgoingID, to []string) error
	Attempted(ctx context.Context, id mailstore.OutgoingID, a mailstore.Attempt) error
	OutgoingChanges() <-chan struct{}
	SendingMemory(ctx context.Context, account string) (string, error)
	SetSendingMemory(ctx context.Context, account, memory string) error
}

// Options are what a runner takes from its surroundings. The zero value works.
type Options struct {
	Log  zerolog.Logger
	Now  func() time.Time // the wall clock; timers always use package time
	Rand func() float64   // in [0,1), for jitter
	// Changed is called after each change of Status, outside locks, and must return
	// quickly.
	Changed func(Status)
	// Report takes the report about recipients that a message will not reach: a
	// message for the INBOX of who sent it.
	Report func(ctx context.Context, m mailstore.Outgoing, report []byte) error
	// Delayed takes the notice, as Report does, that a message is still here after an
	// hour, or for good where its file is damaged. It comes once per message.
	Delayed func(ctx context.Context, m mailstore.Outgoing, notice []byte) error
	// Doubted takes the notice, as Report does, that it is not known whether a message was
	// sent. It comes once each time that this happens.
	Doubted func(ctx context.Context, m mailstore.Outgoing, notice []byte) error
	// Elsewhere are the messages that other runners of this process hand over from the same
	// queue: theirs are the answers.
	Elsewhere func() []mailstore.OutgoingID
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Changed == nil {
		o.Changed = func(Status) {}
	}
	nothing := func(context.Context, mailstore.Outgoing, []byte) error { return nil }
	if o.Report == nil {
		o.Report = nothing
	}
	if o.Delayed == nil {
		o.Delayed = nothing
	}
	if o.Doubted == nil {
		o.Doubted = nothing
	}
	if o.Elsewhere == nil {
		o.Elsewhere = func() []mailstore.OutgoingID { return nil }
	}
	return o
}
