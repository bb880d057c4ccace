package outbox

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// putOffFor is when a message is tried again that could not be handed over from here.
const putOffFor = 15 * time.Minute

// putOff has a message tried again later for a reason that is none of the server's.
func (r *Runner) putOff(ctx context.Context, m *mailstore.Outgoing, why error) {
	r.note(ctx, func(ctx context.Context) error { return r.later(ctx, m, why) })
}

func (r *Runner) later(ctx context.Context, m *mailstore.Outgoing, why error) error {
	r.log.Warn().Err(why).Int64("msg", int64(m.ID)).Msg("message put off")
	return r.queue.Attempted(ctx, m.ID, mailstore.Attempt{Next: r.o.Now().Add(putOffFor), Error: why.Error()})
}

// stick puts off a message that this computer keeps from leaving: its file cannot be read, or
// the store does not let it go. Who sent it is told once: at once where that does not pass by
// itself, else when it is late.
func (r *Runner) stick(ctx context.Context, m *mailstore.Outgoing, why error) {
	now := r.o.Now()
	r.note(ctx, func(ctx context.Context) error {
		if err := r.later(ctx, m, why); err != nil {
			return err
		}
		if !slices.Contains(r.stuck, m.ID) {
			r.stuck = append(r.stuck, m.ID)
		}
		if !slices.Contains(r.late, m.ID) && (fault.Is(why, fault.Corrupt) || now.Sub(m.QueuedAt) >= noticeAfter) {
			if r.tell(ctx, r.o.Delayed, report{Message: *m, Recipients: pending(m), About: delay, Reason: reasonOf(why), Now: now}, r.headerOf(ctx, m.ID)) {
				r.late = append(r.late, m.ID)
			}
		}
		return nil
	})
}

func (r *Runner) unstick(id mailstore.OutgoingID) {
	r.stuck = slices.DeleteFunc(r.stuck, func(o mailstore.OutgoingID) bool { return o == id })
}

// reasonOf says what happened, and what to do about it.
func reasonOf(err error) string {
	if hint := fault.Hint(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

// conclude writes down what came of a message, and tells who sent it that it is late. Of
// whom it will not reach the next round tells, also after a restart.
func (r *Runner) conclude(ctx context.Context, m *mailstore.Outgoing, body io.ReadSeeker, d plan.Decision) {
	r.unstick(m.ID)
	d.Delayed = d.Delayed && !slices.Contains(r.late, m.ID)
	var header []byte
	if d.Delayed {
		if _, err := body.Seek(0, io.SeekStart); err == nil {
			header = readHeader(body)
		}
	}
	now := r.o.Now()
	r.note(ctx, func(ctx context.Context) error {
		if err := r.queue.Attempted(ctx, m.ID, d.Attempt); err != nil {
			return err
		}
		r.logAttempt(m, d)
		if d.Delayed && r.tell(ctx, r.o.Delayed, report{Message: *m, Recipients: pending(m), About: delay, Reason: d.Attempt.Error, Now: now}, header) {
			r.late = append(r.late, m.ID)
		}
		return nil
	})
	if accepted(d) {
		r.update(func(s *Status) { s.LastSent = now })
	}
}

func accepted(d plan.Decision) bool { return acceptedBy(d) > 0 }

// acceptedBy is for how many recipients the server took the message.
func acceptedBy(d plan.Decision) (n int) {
	for _, rcpt := range d.Attempt.Recipients {
		if rcpt.State == mailstore.Accepted {
			n++
		}
	}
	return n
}

func (r *Runner) logAttempt(m *mailstore.Outgoing, d plan.Decision) {
	event, text := r.log.Info(), "message sent"
	switch {
	case d.Attempt.Unknown:
		event, text = r.log.Warn(), "message handed over without an answer"
	case len(d.Refused) > 0:
		event, text = r.log.Warn(), "message refused"
	case !accepted(d):
		event, text = r.log.Debug(), "message not taken yet"
	}
	event.Int64("msg", int64(m.ID)).Int64("size", m.Size).Int("attempt", m.Attempts+1).Int("refused", len(d.Refused)).
		Time("next", d.Attempt.Next).Str("err", d.Attempt.Error).Msg(text)
}

// note writes something down, now or, where the store cannot, before anything else is
// done.
func (r *Runner) note(ctx context.Context, write func(context.Context) error) {
	r.unrecorded = write
	if err := r.record(ctx); err != nil {
		r.log.Error().Err(err).Msg("what came of a message could not be written down")
	}
}

// record writes down what could not be written down before.
func (r *Runner) record(ctx context.Context) error {
	if r.unrecorded == nil {
		return nil
	}
	ctx, cancel := supervise.Outlive(ctx, stopStore)
	defer cancel()
	if err := r.unrecorded(ctx); err != nil && !gone(err) { // gone: a person has dropped the message
		return err
	}
	r.unrecorded = nil
	r.hands(0)
	return nil
}

// tell hands a report over, and reports whether nothing is left to be told. No one is told
// about a message without a sender, which is itself a report or a receipt (RFC 5321 section
// 6.1).
func (r *Runner) tell(ctx context.Context, deliver func(context.Context, mailstore.Outgoing, []byte) error, about report, header []byte) bool {
	if about.Message.From == "" {
		return true
	}
	named := []mailstore.Outgoing{about.Message}
	if err := r.queue.FillSubjects(ctx, named); err != nil {
		r.log.Warn().Err(err).Int64("msg", int64(about.Message.ID)).Msg("report without the subject")
	}
	about.Message = named[0]
	if err := deliver(ctx, about.Message, about.bytes(header)); err != nil {
		r.log.Error().Err(err).Int64("msg", int64(about.Message.ID)).Msg("report not delivered")
		r.untold = true
		return false
	}
	return true
}

// headerOf reads the header of a message for a report, as far as it can be read.
func (r *Runner) headerOf(ctx context.Context, id mailstore.OutgoingID) []byte {
	body, err := r.queue.OpenOutgoing(ctx, id)
	if err != nil {
		return nil
	}
	defer func() { _ = body.Close() }() // it was only read
	return readHeader(body)
}

// show tells how the queue stands. at is when it goes on.
func (r *Runner) show(queue []mailstore.Outgoing, at time.Time, paused bool) {
	r.update(func(s *Status) {
		s.State, s.Next = Waiting, at
		s.Waiting, s.Stuck, s.Unknown, s.Held, s.Rejected, s.Reported = 0, 0, 0, 0, 0, 0
		for _, m := range queue {
			if m.State == mailstore.Waiting && slices.Contains(r.stuck, m.ID) {
				s.Stuck++
			}
			switch m.State {
			case mailstore.Waiting, mailstore.Handing:
				s.Waiting++
			case mailstore.Unknown:
				s.Unknown++
			case mailstore.Held:
				s.Held++
			case mailstore.Rejected:
				s.Rejected++
				if r.hasReport(m) {
					s.Reported++
				}
			}
		}
		switch {
		case paused:
			if s.State = Paused; s.Err == nil { // it was met before this message came
				s.setErr(r.restsFor)
			}
		case s.Waiting == 0:
			s.State = Idle
			s.setErr(nil) // no one waits for that to end
		case r.session != nil || !at.After(r.o.Now()):
			s.State = Sending
		}
	})
}

func (s *Status) setErr(err error) {
	s.Err, s.LastError, s.Hint, s.Kind = err, "", "", fault.Internal
	if err != nil {
		s.LastError, s.Hint, s.Kind = err.Error(), fault.Hint(err), fault.KindOf(err)
	}
}

// update changes the status, and tells about it where it is another then.
func (r *Runner) update(change func(*Status)) {
	r.mu.Lock()
	before := r.status
	change(&r.status)
	s := r.status
	r.mu.Unlock()
	before.Err, s.Err = nil, nil // told apart by their text
	if before != s {
		r.o.Changed(r.Status())
	}
}
