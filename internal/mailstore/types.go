package mailstore

import (
	"cmp"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/message"
)

// MailboxID names a mailbox for its whole life, whatever it is called. Never
// used again after the mailbox is deleted.
type MailboxID int64

// UID is the IMAP unique identifier of a message in its mailbox.
type UID uint32

// ModSeq is the modification sequence of RFC 7162, one sequence per mailbox.
type ModSeq uint64

// ContentID names a content: the bytes of a message, however many mailboxes
// hold it.
type ContentID int64

// Hash is the SHA-256 of a content. It names the file.
type Hash = contents.Hash

// Mailbox is a mailbox with its counts, as of one commit.
type Mailbox struct {
	ID            MailboxID
	Name          string // UTF-8 in normal form C, '/' separates, INBOX in upper case
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	SpecialUse    string // `\Drafts`, or empty
	Subscribed    bool
	Messages      uint32
	Unseen        uint32
	Deleted       uint32 // messages with \Deleted
	Recent        uint32 // messages no session has selected yet
	Size          int64  // sum of the sizes of the messages
	Outbox        bool   // it has the messages on their way out
}

// Origin is where a message came from: an account and the id its server gave.
type Origin struct {
	Account string
	UIDL    string
	Dup     int // n-th occurrence of the same UIDL in one listing, from 0
}

// Compare orders origins as Ledger does.
func (o Origin) Compare(other Origin) int {
	return cmp.Or(strings.Compare(o.Account, other.Account), strings.Compare(o.UIDL, other.UIDL), cmp.Compare(o.Dup, other.Dup))
}

// Place is where a message is.
type Place struct {
	Mailbox MailboxID
	UID     UID
}

// Delivery is one message on its way into a mailbox.
type Delivery struct {
	Mailbox    MailboxID
	Message    *Spooled
	Flags      []string
	ReceivedAt time.Time
	Origin     *Origin // nil for a message that comes from a client (APPEND)
	ListSize   int64   // as LIST announced it, for the ledger; 0: unknown
	Doubt      Doubt   // for the ledger

	// Adopt is a ledger entry that is gone from the server and whose content
	// this is: the server renumbered its ids. Nothing is delivered then, the
	// entry gets the id in Origin. When the entry is not there or has another
	// content, the message is delivered as if Adopt were nil.
	Adopt *Origin

	// Replaces is a message that is expunged in the same step, whether or not it has
	// \Deleted. Nothing is delivered where it is not there: fault.NotFound.
	Replaces *Place

	// Once, where it is not 0, delivers nothing when the mailbox has the same
	// bytes already, without \Deleted and received at most this much earlier or
	// later.
	Once time.Duration
}

// Delivered is what became of a Delivery.
type Delivered struct {
	UID         UID
	UIDValidity uint32
	Duplicate   bool // nothing was added: what came from this origin is stored already, or Once
}

// LedgerState is how far a message on the POP server has come.
type LedgerState uint8

// The states of a ledger entry. The values are stored; 0 is kept free for a
// message that was seen and not fetched yet.
const (
	Stored         LedgerState = 1 // durable here, wanted or not yet deleted on the server
	DeleteIntended LedgerState = 2 // DELE may have been sent
	DeleteAcked    LedgerState = 3 // QUIT after DELE answered +OK
	Gone           LedgerState = 4 // only for UpdateLedger: forget the entry
	Presumed       LedgerState = 5 // stored; taken for the listed message by its size alone (see Readopt)
)

// Doubt says whether what is stored may be less than what the server has. The
// values are stored.
type Doubt uint8

// The doubts about a ledger entry. Each is a reason to keep the original.
const (
	NoDoubt   Doubt = 0
	Doubted   Doubt = 1 // to be fetched once more
	StillLess Doubt = 2 // and that brought no more
)

// LedgerEntry is the durable life of one message on a POP server. It stays when
// the message is expunged here.
type LedgerEntry struct {
	Origin
	Hash         Hash
	Size         int64
	ListSize     int64 // as LIST announced it, on many servers not Size; 0: unknown
	State        LedgerState
	Doubt        Doubt
	StoredAt     time.Time
	LastListedAt time.Time // or counted as absent
	Absent       int       // successful listings in a row without it, one a day

	// RemovedAt is when the last copy left the last mailbox of this store; zero
	// while there is one. Copying, moving or undeleting one back makes it zero
	// again. UpdateLedger ignores it.
	RemovedAt time.Time
	// Wanted tells that the file is missing or damaged here: fetched again and
	// delivered under the same origin, it takes its old place. UpdateLedger
	// ignores it.
	Wanted bool
}

// AccountState is what is remembered of an account between two runs.
type AccountState struct {
	Stored      int64 // messages ever stored; maintained by Deliver
	OnServer    int
	LastSuccess time.Time
	LastError   string
	HadUIDL     bool   // the server answered UIDL once, so its absence is a passing fault
	Memory      string // what the POP side wants to remember, in its own form
}

// FlagChange is the state of a message after SetFlags.
type FlagChange struct {
	UID    UID
	Flags  mailflags.Flags
	ModSeq ModSeq
}

// CopyResult is what COPYUID tells (RFC 4315): From[i] became To[i].
type CopyResult struct {
	UIDValidity uint32
	From, To    []UID
}

// Content is a stored content.
type Content struct {
	ID      ContentID
	Gone    bool // it is not there any more
	Hash    Hash // this and the others as far as they are wanted
	Size    int64
	Summary *message.Summary
	// Cut says that the envelope or the structure is too large for the index, and
	// not in Summary: Summarize reads the file. Hash and Size are set then.
	Cut bool
}

// Device is one IMAP login.
type Device struct {
	Name     string
	ReadOnly bool
	// Folders are the mailboxes it sees, with those below them, whatever they
	// are called by now. nil: all; empty: those it saw are deleted.
	Folders    []MailboxID
	Without    []string // capabilities that are switched off for it
	Generated  bool     // its password was made by popbridge, at random
	Send       Sending  // whether it may send mail
	LAN        bool     // it may come from the local network, too; only with Generated
	CreatedAt  time.Time
	LastUsedAt time.Time // to the hour; zero when it was never used
}

// Sending says whether a device may send mail. The values are stored.
type Sending uint8

// What a device may.
const (
	SendByRule Sending = 0 // as long as it may change mail, and sees all of it
	SendYes    Sending = 1
	SendNo     Sending = 2
)

// MaySend reports whether a device may send mail.
func (d Device) MaySend() bool {
	return d.Send == SendYes || d.Send == SendByRule && !d.ReadOnly && d.Folders == nil
}

// Problem is something Check found.
type Problem struct {
	Code string // stable, for scripts: "missing-file"
	Text string
}
