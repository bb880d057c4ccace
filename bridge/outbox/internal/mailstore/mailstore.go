// Package mailstore has the shapes of the queue that the runner needs.
package mailstore

import "time"

// OutgoingID names a message on its way out.
type OutgoingID int64

// UID is that of the Outbox.
type UID uint32

// OutgoingState is where a message on its way out stands.
type OutgoingState uint8

// The states of a message.
const (
	Waiting  OutgoingState = 1
	Handing  OutgoingState = 2
	Unknown  OutgoingState = 3
	Held     OutgoingState = 4
	Rejected OutgoingState = 5
)

// RecipientState is where one recipient of it stands.
type RecipientState uint8

// The states of a recipient.
const (
	Pending  RecipientState = 1
	Accepted RecipientState = 2
	Refused  RecipientState = 3
)

// OutgoingRecipient is one recipient.
type OutgoingRecipient struct {
	Address string
	State   RecipientState
	Reply   string
}

// Outgoing is a message in the queue.
type Outgoing struct {
	ID                                        OutgoingID
	UID                                       UID
	Account, Device, From, MessageID, Subject string
	EightBit, UTF8                            bool
	Size                                      int64
	QueuedAt, NotBefore                       time.Time
	FirstTry                                  time.Time
	Attempts                                  int
	State                                     OutgoingState
	LastError                                 string
	Recipients                                []OutgoingRecipient
}

// Attempt is what came of one.
type Attempt struct {
	Recipients []OutgoingRecipient
	Next       time.Time
	Counts     bool
	Error      string
	Unknown    bool
}
