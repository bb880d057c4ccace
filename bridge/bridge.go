// Package bridge brings the mail of POP3 accounts into the local mail store:
// one Runner per account decides when to poll, what to fetch and what to
// delete, and moves each message from the socket into the store.
//
// One poll is one or more POP3 sessions, each of which goes through these
// steps, of which docs/ARCHITECTURE.md has more:
//
//	1  dial, TLS, CAPA, authenticate                  bridge/pop3
//	2  LIST and UIDL, joined into a listing           session.list
//	3  listing x ledger x policy -> actions           bridge/plan, pure
//	   new ids of a renumbered mailbox                session.readopt
//	4  RETR, in a window where the server pipelines   bridge/pop3
//	5  spool, hash and summary                        Store.Spool
//	6  mailbox, date, new or known by its content     committer, contents
//	7  batch: durable in one transaction              Store.Deliver
//	8  DELE what is due, QUIT, mark what it confirmed session.delete, session.quit
//
// Steps 4 and 5 run on the goroutine of the session and read the socket; 6 and
// 7 on the committer's. Between them is a queue bounded in messages and bytes.
//
// Invariants, whatever servers and networks do:
//
//   - DELE is sent only for a message that the ledger says is stored, or whose
//     Deliver returned without error in this session. The row says
//     DeleteIntended before DELE is sent and DeleteAcked after QUIT answered
//     +OK (RFC 1939 section 6).
//   - DELE is sent at one place, never for an account in Shadow, never under a
//     policy that waits for Confirm, never for a message whose file is damaged
//     here or that was recognised by its size alone.
//   - QUIT is sent only when all that was retrieved is stored: with it a server
//     may delete that (RFC 2449 section 6.7).
//   - A message is delivered once. It is known by UIDL and LIST size, and when
//     these are new, by the hash of its content.
//   - What a session has received in full is committed, however it ends. What
//     it has received in part is never delivered.
//   - An error of one message does not end the session; a connection that is
//     lost in the middle of a message puts that message last in the next one.
//   - There is at most one session for an account at any time. Logins keep the
//     interval that the server announced or that was learned from its refusals;
//     a poll that a person asks for does not wait for it.
//
// A Runner starts no goroutine before Serve or Poll, and both return only when
// all they started has ended.
package bridge

import (
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Account is one POP3 mailbox and where its mail goes.
type Account struct {
	Name   string // its id in the ledger, in logs and in commands
	Server pop3.Config
	// Credentials is asked before each login. Its error ends the poll and is
	// reported as it is.
	Credentials func(context.Context) (pop3.Credentials, error)
	// Renew is asked for others where the server refused credentials that are tokens,
	// once for each login. Its error is reported in place of the refusal. nil: there are none.
	Renew func(ctx context.Context, refused pop3.Credentials) (pop3.Credentials, error)
	// SecretEvery is how often Credentials is asked whether the secret is another
	// one while a refused one waits. 0: never.
	SecretEvery time.Duration
	// Configured tells whether there is an account of that name. A new account
	// inherits the ledger of an account that is no longer configured, when both
	// prove to be the same mailbox. nil: it never does.
	Configured func(name string) bool
	PollEvery  time.Duration
	Keep       plan.Keep
	Folder     string

	// Shadow guarantees that DELE is never sent.
	Shadow bool
	// ConfirmDeletes makes the first deletions under a policy that goes further
	// than the one before wait for Confirm. What was in force before the first
	// poll that went through needs none.
	ConfirmDeletes bool
	// DeleteExpunged deletes on the server what has been removed from all
	// mailboxes here for ExpungeGrace, of 7 days when it is 0.
	DeleteExpunged bool
	ExpungeGrace   time.Duration
	// Moved tells that the account has polled into another store before: where
	// this one does not know it, nothing is deleted before Confirm.
	Moved bool
}

// expungeGrace is the default of Account.ExpungeGrace.
const expungeGrace = 7 * 24 * time.Hour

// policy is what the account wants done on the server, Shadow aside.
func (a *Account) policy() plan.Policy {
	p := plan.Policy{Keep: a.Keep, Expunged: a.DeleteExpunged}
	if p.Expunged {
		p.Grace = cmp.Or(a.ExpungeGrace, expungeGrace)
	}
	return p
}

// granted is what the account may do on the server once it is confirmed.
func (a *Account) granted() plan.Permit {
	if a.Shadow {
		return plan.Policy{}.Permit()
	}
	return a.policy().Permit()
}

// Store is the mail store as the bridge needs it; *mailstore.Store is one. It
// is safe for concurrent use by several runners.
type Store interface {
	Mail
	Ledger
}

// Mail is where messages go.
type Mail interface {
	EnsureMailbox(ctx context.Context, name string) (mailstore.Mailbox, error)
	Spool(ctx context.Context, r io.Reader) (*mailstore.Spooled, error)
	Deliver(ctx context.Context, batch []mailstore.Delivery) ([]mailstore.Delivered, error)
	Changes() uint64
}

// Ledger is what is remembered of each account: which messages of its server are
// stored, and how the polls went.
type Ledger interface {
	Ledger(ctx context.Context, account string) ([]mailstore.LedgerEntry, error)
	Doubts(ctx context.Context, account string) ([]mailstore.LedgerEntry, error)
	UpdateLedger(ctx context.Context, account string, changes []mailstore.LedgerEntry) error
	Readopt(ctx context.Context, account string, moves []mailstore.Readoption) error
	AccountState(ctx context.Context, account string) (mailstore.AccountState, error)
	SetAccountState(ctx context.Context, account string, state mailstore.AccountState) error
	Inherit(ctx context.Context, account string, same func(name, memory string) bool) (mailstore.AccountState, bool, error)
}

// Options are what a runner takes from its surroundings. The zero value works.
type Options struct {
	Log  zerolog.Logger
	Now  func() time.Time // the wall clock; timers always use package time
	Rand func() float64   // in [0,1), for jitter
	// Changed is called after each change of Status other than its counters,
	// outside locks, and must return quickly. It may be called concurrently.
	Changed func(Status)
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
	return o
}
