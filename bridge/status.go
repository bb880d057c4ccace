package bridge

import (
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// State is what a runner is doing.
type State string

// The states of a runner.
const (
	Idle    State = "idle"    // waiting for the next poll
	Polling State = "polling" // a poll is running
	Paused  State = "paused"  // not polled before a person has done something; no runner is so by itself
	Backoff State = "backoff" // the last poll did not go through; waiting longer
)

// Status is what a runner says about itself.
type Status struct {
	Account     string
	State       State
	LastSuccess time.Time // zero: never
	NextPoll    time.Time // zero: none planned
	Stored      int64     // messages ever stored
	OnServer    int       // messages on the server after the last listing
	LastError   string    // of the last poll; empty when it went through
	Hint        string    // what to do about LastError
	Kind        fault.Kind
	Err         error     // the last error itself
	Problems    []Problem // bounded by maxShownProblems
	// LoginDelay is the least time between two logins that the server asks
	// for; 0: none.
	LoginDelay time.Duration
	// MinInterval is the least time between two logins that is kept: LoginDelay
	// or, where that is longer, what was learned from refusals.
	MinInterval time.Duration
	Doubtful    int    // messages stored here that may not be whole, kept on the server until ConfirmIncomplete
	Expire      string // how long the server keeps mail, in words; empty: it does not say
	Awaiting    int    // deletions on the server that wait for Confirm
	Held        bool   // nothing is deleted before Confirm: see Account.Moved
	// Undeleted is the number of deletions that the server refuses, UndeletedSaid
	// what it says; they are tried again, more and more rarely.
	Undeleted     int
	UndeletedSaid string
	// Deletes is what would be deleted on the server at the next poll, by what
	// is known since the last one: those that wait for Confirm, else those due by
	// then. It names the first maxShownDeletes of DeletesTotal.
	Deletes      []PreviewDelete
	DeletesTotal int
	Progress     *Progress // of the poll that runs; nil: none does
}

// Problem is a message, or a wish, that waits while the rest goes on.
type Problem struct {
	Num      int    // its number in the last session; 0: not about one message
	UIDL     string // empty where the server gives none
	Size     int64
	Reason   string
	Attempts int
	NextTry  time.Time
	Limit    int64 // the size that it is over; 0: that is not the reason
}

// Result is what one poll did.
type Result struct {
	Stored   int   // messages new here
	Adopted  int   // messages known here that have a new id, or a good file again
	Bytes    int64 // of the messages fetched
	Deleted  int   // deletions the server confirmed
	OnServer int
	Failed   int // messages that could not be fetched, now or lately
	Sessions int
}

// changed reports whether a poll did anything worth a line in the log.
func (r Result) changed() bool { return r.Stored+r.Adopted+r.Deleted > 0 }

// add counts what a further session of the same poll did.
func (r *Result) add(o Result) {
	r.Stored += o.Stored
	r.Adopted += o.Adopted
	r.Bytes += o.Bytes
	r.Deleted += o.Deleted
	r.OnServer = o.OnServer
	r.Sessions += o.Sessions
}

// The phases of a poll.
const (
	PhaseConnect = "connecting"
	PhaseList    = "listing"
	PhaseCompare = "comparing" // a mailbox whose ids were all renumbered
	PhaseFetch   = "fetching"
	PhaseDelete  = "deleting"
	PhaseWait    = "waiting" // for the next session the server allows
	PhaseDone    = "done"
)

// Progress is where a poll stands. Messages never exceeds TotalMessages, nor
// Bytes TotalBytes; both totals grow when a further session finds more.
type Progress struct {
	Account       string `json:"account,omitempty"`
	Phase         string `json:"phase,omitempty"`
	Messages      int    `json:"messages"` // received in full
	TotalMessages int    `json:"total"`
	Bytes         int64  `json:"bytes"` // in units of the LIST sizes
	TotalBytes    int64  `json:"all_bytes"`
	Err           string `json:"-"`    // with Done: why the poll did not go through
	Done          bool   `json:"done"` // the last one of this poll
}
