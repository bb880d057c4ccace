package outbox

import (
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// State is what a runner is doing.
type State string

// The states of a runner.
const (
	Idle    State = "idle"    // no mail of the account waits to be sent
	Sending State = "sending" // a session runs
	Waiting State = "waiting" // for the time at which a message may be tried
	Paused  State = "paused"  // the account, its server or the network has a problem
)

// Status is what a runner says about itself.
type Status struct {
	Account string
	State   State
	// Next is when something is tried next; zero: nothing waits. What a message
	// waits for by itself is in its NotBefore.
	Next     time.Time
	LastSent time.Time // zero: not since the runner was made

	Err       error  // what holds the account's mail, nil where nothing does
	LastError string // its text
	Hint      string // what to do about it
	Kind      fault.Kind

	Waiting  int // messages that leave by themselves, and the one that is being sent
	Stuck    int // of these, that this computer keeps from leaving: their files cannot be read, say
	Unknown  int // that a person has to decide about
	Held     int
	Rejected int
	Reported int // of these, of which who sent them was told; the others have no sender, or that failed so far
}
