package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// arrival is a message that has arrived in full, as far as its termination
// tells. It is not committed before it is shown to be whole and what was asked
// for: by a check (see pop3.Check), or where the connection was lost before one,
// by its size.
type arrival struct {
	received
	lines int64 // its line feeds
	dots  int   // that were taken off its lines
	// doubled are lines that begin with two dots, of which none was taken.
	doubled int
	alone   bool // nothing before it in the stream was in doubt
}

// sized reports whether the octets that came are as many as LIST announced,
// which counts a line end as one octet or two.
func (a arrival) sized() bool {
	got := a.message.Size()
	return a.fetch.Size == got || a.fetch.Size == got-a.lines
}

// farShorter reports whether so little came of what LIST announced that it can
// hardly be all. Servers that guess are seldom wrong by more than half, except for
// the smallest messages.
func farShorter(got, listed int64) bool {
	less := listed - got
	return less > 1<<10 && got < listed/4 || less > 4<<10 && got < listed/2
}

// request asks for a message. What went wrong or could not be proven before is asked
// for alone, so that it can be told from the others.
func (s *session) request(w plan.Fetch) pop3.Request {
	id := idOf(w.Listed)
	_, failed := s.memory.problems.byID[id]
	doubted := w.IsAgain() && w.Row.Doubt == mailstore.Doubted
	return pop3.Request{Num: w.Num, Size: w.Size, Alone: failed || doubted || s.memory.careful[id] || s.oversized(w)}
}

// oversized reports whether LIST announces more than is read of a message.
func (s *session) oversized(w plan.Fetch) bool {
	return s.account.Server.MaxMessage > 0 && w.Size > s.account.Server.MaxMessage
}

// check is about the first message that has an id: the oldest, which a
// sender is least likely to know. Commands that the server cannot answer are left out.
func (s *session) check(passed func()) pop3.Check {
	without := s.avoided()
	check := pop3.Check{Passed: passed, First: s.memory.tryCheck, Stat: !slices.Contains(without, "STAT")}
	ids, sizes := !slices.Contains(without, "UIDL n"), !slices.Contains(without, "LIST n")
	for _, l := range s.listing {
		if !sizes {
			l.Size = 0
		}
		if l.UIDL != "" && ids {
			check.Num, check.UIDL, check.Size = l.Num, l.UIDL, l.Size
			return check
		}
		if check.Num == 0 && l.Size > 0 {
			check.Num, check.Size = l.Num, l.Size
		}
	}
	return check
}

// learnCheck notes how the server answers the check. When that goes wrong behind
// messages, the next session asks before them as well: where it goes wrong there
// too, it is not the messages, and the account goes without the command.
func (s *session) learnCheck(err error) {
	failed, ok := errors.AsType[*pop3.CheckError](err)
	if ok && failed.First {
		s.memory.pollState.Without, s.memory.pollState.WithoutAt = append(slices.Clone(s.avoided()), failed.Command), s.now().Unix()
		s.told = true
		s.log.Info().Str("command", failed.Command).Msg("server does not answer a command as it should and goes on without it")
		return
	}
	s.memory.tryCheck = ok && !s.memory.tryCheck // where it was asked first, it was answered well
}

// passed is told that all that has arrived is whole.
func (f *fetching) passed() {
	for _, a := range f.open {
		f.keep(a, mailstore.NoDoubt)
	}
	f.open = f.open[:0]
}

// keepSized keeps, where no check will follow, what its size proves before the first
// message that has not its own.
func (f *fetching) keepSized() {
	for len(f.open) > 0 && f.open[0].sized() {
		f.keep(f.open[0], mailstore.NoDoubt)
		f.open = f.open[1:]
	}
}

// settle decides about what has arrived since the last check that passed, when no
// further one will. A size proves nothing behind a message that has not its own: that
// one may have ended too early, and what came next be a part of it.
func (f *fetching) settle(err error) {
	lost := err != nil && !errors.Is(err, pop3.ErrSessionLimit)
	inStep := true
	for _, a := range f.open {
		inStep = (inStep || a.alone) && a.sized()
		switch {
		case errors.Is(err, pop3.ErrOutOfStep):
			f.drop(a)
		case inStep:
			f.keep(a, mailstore.NoDoubt)
		case !lost || a.alone:
			f.keep(a, mailstore.Doubted)
		default:
			f.drop(a)
		}
	}
	f.open = nil
}

// keep hands a message to the committer.
func (f *fetching) keep(a arrival, doubt mailstore.Doubt) {
	w := a.fetch
	if farShorter(a.message.Size(), w.Size) || f.lacksDots(a) {
		doubt = mailstore.Doubted
	}
	a.doubt = doubt
	if f.committer.push(f.session.disk, a.received) != nil {
		f.session.wasted = true
		return
	}
	f.session.memory.problems.solved(w)
	delete(f.session.memory.careful, idOf(w.Listed))
	delete(f.byNum, w.Num)
}

// lacksDots reports whether a message has not the dots at the start of its lines that
// it should have: they were taken off although the server, which is known for that or
// lists just as many octets more, had put none there; or they were left.
func (f *fetching) lacksDots(a arrival) bool {
	if a.doubled > 0 && a.fetch.Size == a.message.Size()-int64(a.doubled) { // it was one line that lacked a dot
		f.stuffs = true
		return true
	}
	_, unstuffed := f.session.client.Oddities()
	return a.dots > 0 && (unstuffed || a.fetch.Size == a.message.Size()+int64(a.dots))
}

// drop discards a message, which is asked for alone in the next session.
func (f *fetching) drop(a arrival) {
	a.message.Discard()
	f.session.meter.lost(a.fetch)
	f.session.wasted = true
	if f.session.memory.careful == nil {
		f.session.memory.careful = make(map[problemID]bool)
	}
	f.session.memory.careful[idOf(a.fetch.Listed)] = true
}

// again is what becomes of the doubt about a row whose message was fetched once
// more. better is false when that brought no more than what is stored.
func again(row mailstore.LedgerEntry, a received) (doubt mailstore.Doubt, better bool) {
	same := row.Hash == a.message.Hash()
	switch {
	case same && row.Doubt == mailstore.NoDoubt, a.doubt == mailstore.NoDoubt:
		return mailstore.NoDoubt, true
	case row.Doubt == mailstore.NoDoubt:
		return a.doubt, true
	}
	return mailstore.StillLess, same || a.message.Size() > row.Size
}

// maxShownDoubts is how many messages that may not be whole a status names.
const maxShownDoubts = 25

// findDoubts looks for what is stored here, may not be whole, and is on the
// server as far as is known.
func (r *Runner) findDoubts(ctx context.Context) error {
	doubts, err := r.store.Doubts(ctx, r.account.Name)
	if err == nil {
		r.memory.doubts = slices.DeleteFunc(doubts, func(e mailstore.LedgerEntry) bool { return e.Absent > 0 || e.State == mailstore.DeleteAcked })
	}
	return err
}

// clearDoubts takes what is stored here for whole, of these ids or, with nil, all: a person
// says so. It returns how many of them are on the server.
func (r *Runner) clearDoubts(ctx context.Context, ids []string) (int, error) {
	doubts, err := r.store.Doubts(ctx, r.account.Name)
	if err != nil {
		return 0, err
	}
	if ids != nil {
		doubts = slices.DeleteFunc(doubts, func(e mailstore.LedgerEntry) bool { return !slices.Contains(ids, e.UIDL) })
	}
	for i := range doubts {
		doubts[i].Doubt = mailstore.NoDoubt
	}
	before := len(r.memory.doubts)
	if err := r.store.UpdateLedger(ctx, r.account.Name, doubts); err != nil {
		return 0, err
	}
	err = r.findDoubts(ctx)
	return before - len(r.memory.doubts), err
}

// shownDoubts names what may not be whole, and what is odd about the server.
func (r *Runner) shownDoubts(next time.Time) (list []Problem) {
	if r.memory.bareLF {
		list = append(list, Problem{NextTry: next, Reason: "the server ends lines with a bare LF; its messages are stored as they come"})
	}
	if r.memory.pollState.Unstuffed {
		list = append(list, Problem{NextTry: next, Reason: "the server does not byte-stuff its messages (RFC 1939 section 3); one that has a line with a single dot cannot be fetched"})
	}
	for _, e := range r.memory.doubts[:min(len(r.memory.doubts), maxShownDoubts)] {
		list = append(list, Problem{NextTry: next, UIDL: e.UIDL, Size: e.ListSize, Reason: fmt.Sprintf("the message with the id %s may not be whole: %s", fault.Quote(e.UIDL), shortReason(e))})
	}
	return list
}

// shortReason says in words why the original of a row is kept.
func shortReason(e mailstore.LedgerEntry) string {
	if farShorter(e.Size, e.ListSize) {
		return fmt.Sprintf("only %d of the %d octets that the server lists came: it is stored here, and the original stays there", e.Size, e.ListSize)
	}
	return "it could not be made sure that it came as it is: it is stored here, and the original stays there"
}
