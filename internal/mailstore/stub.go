// Package mailstore keeps the mail of one user durably.
package mailstore

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/message"
)

var errTodo = errors.New("not written yet")

type System uint8

const (
	Seen System = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

type KeywordSet uint32

type Flags struct {
	System   System
	Keywords KeywordSet
}

type Options struct {
	Log     zerolog.Logger
	Now     func() time.Time // nil: time.Now
	NoSweep bool             // another process may have the store open: leave its unfinished files alone
}

type Store struct{}

func Open(ctx context.Context, dir string, o Options) (*Store, error) { return nil, errTodo }
func (s *Store) Close() error                                         { return errTodo }
func (s *Store) FlagNames(f Flags) []string                           { return nil }

func (s *Store) Mailboxes(ctx context.Context) ([]Mailbox, error)          { return nil, errTodo }
func (s *Store) Mailbox(ctx context.Context, name string) (Mailbox, error) { return Mailbox{}, errTodo }
func (s *Store) CreateMailbox(ctx context.Context, name, specialUse string) (Mailbox, error) {
	return Mailbox{}, errTodo
}
func (s *Store) EnsureMailbox(ctx context.Context, name string) (Mailbox, error) {
	return Mailbox{}, errTodo
}
func (s *Store) DeleteMailbox(ctx context.Context, name string) error      { return errTodo }
func (s *Store) RenameMailbox(ctx context.Context, from, to string) error  { return errTodo }
func (s *Store) Subscribe(ctx context.Context, name string, on bool) error { return errTodo }
func (s *Store) Subscriptions(ctx context.Context) ([]string, error)       { return nil, errTodo }

type Spooled struct{}

func (sp *Spooled) Size() int64               { return 0 }
func (sp *Spooled) Hash() Hash                { return Hash{} }
func (sp *Spooled) Summary() *message.Summary { return nil }
func (sp *Spooled) Discard()                  {}

func (s *Store) Spool(ctx context.Context, r io.Reader) (*Spooled, error) { return nil, errTodo }
func (s *Store) Deliver(ctx context.Context, batch []Delivery) ([]Delivered, error) {
	return nil, errTodo
}
func (s *Store) Ledger(ctx context.Context, account string) ([]LedgerEntry, error) {
	return nil, errTodo
}
func (s *Store) UpdateLedger(ctx context.Context, account string, changes []LedgerEntry) error {
	return errTodo
}
func (s *Store) AccountState(ctx context.Context, account string) (AccountState, error) {
	return AccountState{}, errTodo
}
func (s *Store) SetAccountState(ctx context.Context, account string, st AccountState) error {
	return errTodo
}

type Snapshot struct {
	Mailbox    Mailbox
	UIDs       []UID
	Flags      []Flags
	ModSeqs    []ModSeq
	Sizes      []int64
	Received   []int64 // Unix seconds
	Contents   []ContentID
	RecentFrom UID
}

type View struct{}

func (s *Store) OpenView(ctx context.Context, id MailboxID) (*View, error) { return nil, errTodo }
func (v *View) Snapshot() *Snapshot                                        { return nil }
func (v *View) Gone() bool                                                 { return false }
func (v *View) Changed() <-chan struct{}                                   { return nil }
func (v *View) ClaimRecent(ctx context.Context) (UID, error)               { return 0, errTodo }
func (v *View) Close()                                                     {}
func (s *Store) Watch() (<-chan struct{}, func())                          { return nil, nil }

func (s *Store) SetFlags(ctx context.Context, id MailboxID, uids []UID, op FlagOp, names []string) ([]FlagChange, error) {
	return nil, errTodo
}
func (s *Store) Copy(ctx context.Context, src MailboxID, uids []UID, dst MailboxID) (CopyResult, error) {
	return CopyResult{}, errTodo
}
func (s *Store) Move(ctx context.Context, src MailboxID, uids []UID, dst MailboxID) (CopyResult, error) {
	return CopyResult{}, errTodo
}
func (s *Store) Expunge(ctx context.Context, id MailboxID, uids []UID) ([]UID, error) {
	return nil, errTodo
}
func (s *Store) Contents(ctx context.Context, ids []ContentID, withSummary bool) ([]Content, error) {
	return nil, errTodo
}
func (s *Store) OpenContent(h Hash) (*os.File, error) { return nil, errTodo }

func (s *Store) AddDevice(ctx context.Context, name, password string, readOnly bool) error {
	return errTodo
}
func (s *Store) Devices(ctx context.Context) ([]Device, error)       { return nil, errTodo }
func (s *Store) RevokeDevice(ctx context.Context, name string) error { return errTodo }
func (s *Store) Authenticate(ctx context.Context, password string) (Device, error) {
	return Device{}, errTodo
}
func (s *Store) Check(ctx context.Context, o CheckOptions) ([]Problem, error) { return nil, errTodo }
