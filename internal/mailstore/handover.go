package mailstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// An Attempt is what came of one.
type Attempt struct {
	Recipients []OutgoingRecipient // those that changed; one that was accepted stays so
	Next       time.Time           // when to try again for those that are pending; zero: as before
	Counts     bool                // as an attempt: trouble of the network or the account does not
	Error      string              // what a person reads
	Unknown    bool                // the answer to the final dot is not known
}

// change changes a message in the Outbox in one transaction; errNotOutgoing when it is
// not there.
func (s *Store) change(ctx context.Context, doing string, id OutgoingID, do func(*tx, *outgoingRow) error) error {
	return s.write(ctx, doing, func(t *tx) error {
		o, err := t.outgoing(id)
		if err == nil {
			err = do(t, o)
		}
		return err
	})
}

// BeginHandover makes durable that a message is about to be handed over, before the
// final dot is written, and to whom: the pending recipients that the server took become
// Offered. fault.Conflict where it does not wait any more, because a person
// has cancelled or held it: then the dot must not be written. fault.NotFound where it is
// gone.
func (s *Store) BeginHandover(ctx context.Context, id OutgoingID, to []string) error {
	err := s.change(ctx, "hand a message over", id, func(t *tx, o *outgoingRow) error {
		deleted, err := t.isDeleted(o)
		if err != nil {
			return err
		}
		if o.State != Waiting || deleted {
			return fault.New(fault.Conflict, "the message does not wait to be sent any more", hintOutbox)
		}
		o.State, o.NotBefore = Handing, t.s.now() // see giveUpHandovers
		o.tried(t.s.now())
		if err := t.offered(o, to); err != nil {
			return err
		}
		err = t.putOutgoing(o)
		failpoint.Hit(failpoint.Handing)
		return err
	})
	if err == nil {
		failpoint.Hit(failpoint.Handed)
		s.noteHandover()
	}
	return err
}

// tried notes that a message is tried, maybe for the first time. Where it was for the first
// time later than now, the clock was set back since.
func (o *outgoingRow) tried(now time.Time) {
	if o.FirstTry.IsZero() || o.FirstTry.After(now) {
		o.FirstTry = now
	}
}

// offered notes to whom a message is handed over.
func (t *tx) offered(o *outgoingRow, to []string) error {
	n := 0
	err := t.turn(o, func(r *OutgoingRecipient) bool {
		if r.State != Pending || !slices.Contains(to, r.Address) {
			return false
		}
		n++
		r.State = Offered
		return true
	})
	if err == nil && (n == 0 || n != len(to)) { // the dot would send it to someone of whom nothing is known then
		err = fault.New(fault.Internal, "a message is handed over to others than those that wait for it", "")
	}
	return err
}

// noteHandover makes the lease say that the store has come this far: an older copy that
// is put back has the message waiting, and must not send it a second time.
func (s *Store) noteHandover() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if s.extend != nil {
		s.lease = Lease{From: s.generation, To: max(s.lease.To, s.generation)}
		s.extend(formatID(s.id), s.lease)
	}
}

// isDeleted reports whether a message in the Outbox has \Deleted: it stays then, as if
// it were held.
func (t *tx) isDeleted(o *outgoingRow) (deleted bool, err error) {
	r, err := t.inOutbox(o)
	return err == nil && r[0].Flags.System&mailflags.Deleted != 0, err
}

func (t *tx) inOutbox(o *outgoingRow) ([]picked, error) {
	b, err := t.outbox()
	if err != nil {
		return nil, err
	}
	rows, err := t.pick(b.ID, []UID{o.UID})
	if err == nil && len(rows) == 0 {
		err = errNotOutgoing
	}
	return rows, err
}

// Attempted records what came of an attempt, in one transaction. When a recipient was
// accepted for the first time, \Sent gets the copy, or keeps the one that a mail program
// has saved there; the messages that this one answers get \Answered after that. When no
// recipient is pending and none was refused, the message leaves the Outbox; when none is
// pending it is Rejected. A recipient that was offered the message, and is not among those
// that changed, is pending again, unless the message is Unknown. One that was given up while its
// answer was awaited (see giveUpHandovers) is Unknown no more once all that were offered it
// have theirs. fault.NotFound when it was cancelled meanwhile.
func (s *Store) Attempted(ctx context.Context, id OutgoingID, a Attempt) error {
	err := s.change(ctx, "note what came of an attempt", id, func(t *tx, o *outgoingRow) error {
		if a.Counts {
			o.Attempts++
		}
		if a.Unknown || o.State == Handing {
			o.State = Waiting
		}
		if a.Unknown {
			o.State = Unknown
		}
		if a.Counts || a.Unknown || len(a.Recipients) > 0 {
			o.tried(t.s.now())
		}
		if o.LastError = said(a.Error); !a.Next.IsZero() {
			o.NotBefore = later(a.Next, a.Next)
		}
		for _, r := range a.Recipients {
			if err := t.recipient(o, r); err != nil {
				return err
			}
		}
		if o.State == Unknown && !a.Unknown && !o.isOffered() {
			o.State = Waiting
		}
		if o.State != Unknown {
			if err := t.turn(o, become(Pending, Offered)); err != nil {
				return err
			}
		}
		return t.settle(o)
	})
	failpoint.Hit(failpoint.Concluded)
	if err == nil {
		s.markAnswered(ctx)
	}
	return err
}

func (o *outgoingRow) isOffered() bool {
	return slices.ContainsFunc(o.Recipients, func(r OutgoingRecipient) bool { return r.State == Offered })
}

// said bounds what a server or an attempt says, at the start of a character.
func said(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= maxReply {
		return text
	}
	return strings.ToValidUTF8(text[:maxReply], "")
}

// recipient notes what became of one recipient.
func (t *tx) recipient(o *outgoingRow, r OutgoingRecipient) error {
	for i, old := range o.Recipients {
		if old.Address != r.Address || old.State == Accepted {
			continue
		}
		o.Recipients[i] = OutgoingRecipient{old.Address, r.State, said(r.Reply)}
		return t.putRecipient(o, i)
	}
	return nil
}

// settle writes a row after its recipients changed, and does what follows from them.
func (t *tx) settle(o *outgoingRow) error {
	var pending, accepted, refused int
	for _, r := range o.Recipients {
		switch r.State {
		case Pending, Offered:
			pending++
		case Accepted:
			accepted++
		case Refused:
			refused++
		}
	}
	if accepted > 0 && o.sentAt == 0 {
		if err := t.sent(o); err != nil {
			return err
		}
	}
	switch {
	case pending > 0:
	case refused > 0:
		o.State = Rejected
	default:
		return t.leave(o)
	}
	return t.putOutgoing(o)
}

// leave takes a message that was sent out of the Outbox. Where \Sent has it with other
// bytes, these are among the expunged.
func (t *tx) leave(o *outgoingRow) error {
	rows, err := t.inOutbox(o)
	if err != nil {
		return err
	}
	b, err := t.outbox()
	if err == nil {
		err = t.left(o)
	}
	if err == nil {
		err = t.remove(b, rows, o.copy != o.hash)
	}
	if err == nil {
		err = t.orphan(rows)
	}
	failpoint.Hit(failpoint.Left)
	return err
}

// HoldOutgoing keeps a message from leaving until it is called with false, or
// RetryOutgoing. fault.Conflict where it neither waits nor is held.
func (s *Store) HoldOutgoing(ctx context.Context, id OutgoingID, on bool) error {
	return s.change(ctx, "hold a message", id, func(t *tx, o *outgoingRow) error {
		switch {
		case o.State == Handing:
			return errHandedOver
		case o.State != Waiting && o.State != Held:
			return fault.New(fault.Conflict, "the message does not wait to be sent", hintOutbox)
		case on:
			o.State = Held
		default:
			o.State = Waiting
			if err := t.wanted(o); err != nil {
				return err
			}
		}
		return t.putOutgoing(o)
	})
}

// wanted takes \Deleted away.
func (t *tx) wanted(o *outgoingRow) error {
	rows, err := t.inOutbox(o)
	if err != nil {
		return err
	}
	b, err := t.outbox()
	if err == nil {
		_, err = t.setFlags(b, rows, mailflags.Remove, mailflags.Deleted, nil)
	}
	return err
}

// RetryOutgoing lets a message leave now, whatever kept it: recipients that were refused
// or offered it are tried again. Of one that is Unknown that may send it twice: a person has decided.
// fault.Conflict while it is being handed over.
func (s *Store) RetryOutgoing(ctx context.Context, id OutgoingID) error {
	return s.change(ctx, "try a message again", id, func(t *tx, o *outgoingRow) error {
		if o.State == Handing {
			return errHandedOver
		}
		if err := t.turn(o, become(Pending, Refused, Offered)); err != nil {
			return err
		}
		o.State, o.NotBefore, o.FirstTry, o.Attempts = Waiting, t.s.now().Truncate(time.Second), time.Time{}, 0
		if err := t.wanted(o); err != nil {
			return err
		}
		return t.putOutgoing(o)
	})
}

// DropOutgoing cancels or dismisses a message: it goes to the expunged, where Undelete
// finds it. fault.Conflict while it is being handed over.
func (s *Store) DropOutgoing(ctx context.Context, id OutgoingID) error {
	return s.change(ctx, "cancel a message", id, func(t *tx, o *outgoingRow) error {
		rows, err := t.inOutbox(o)
		if err != nil {
			return err
		}
		b, err := t.outbox()
		if err == nil {
			err = t.remove(b, rows, true)
		}
		if err == nil {
			err = t.orphan(rows)
		}
		return err
	})
}

// ConfirmOutgoing says of a message that is Unknown that it was sent, to those that were
// offered it: the same follows as in Attempted, and it waits for those that are pending.
// fault.Conflict of any other.
func (s *Store) ConfirmOutgoing(ctx context.Context, id OutgoingID) error {
	err := s.change(ctx, "take a message for sent", id, func(t *tx, o *outgoingRow) error {
		if o.State != Unknown {
			return fault.New(fault.Conflict, "it is known whether the message was sent", hintOutbox)
		}
		if err := t.turn(o, become(Accepted, Offered)); err != nil {
			return err
		}
		o.State, o.LastError = Waiting, ""
		return t.settle(o)
	})
	if err == nil {
		s.markAnswered(ctx)
	}
	return err
}

const heldText = "the mail was restored or moved: the message may have been sent before"

// hold holds what waits: the store is an older copy, or was elsewhere, and what waits in
// it may have been sent.
func (t *tx) hold() error {
	return t.eachOutgoing(func(o *outgoingRow) { o.State, o.LastError = Held, heldText }, `state = ?`, Waiting)
}
