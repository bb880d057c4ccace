package bridge

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/failpoint"
)

// suspectedLimit is the number of messages refused in a row, after others came,
// that is taken for a limit of the session in words of its own.
const suspectedLimit = 10

// fetching is the state of one run of RETRs.
type fetching struct {
	session   *session
	ctx       context.Context
	committer *committer
	broken    chan struct{}       // closed when the store failed
	byNum     map[int]*plan.Fetch // what has not come yet
	open      []arrival           // not shown to be whole yet
	alone     map[int]bool
	refused   []refusal // since the last message that came
	received  int
	stuffs    bool  // a server that was taken for one that does not byte-stuff does
	storeErr  error // of Spool
}

// refusal is a message that the server did not give, or the store not take.
type refusal struct {
	fetch plan.Fetch
	err   error
}

// fetch retrieves what was planned and makes it durable. limited says that the
// server wants the rest to be asked for in another session.
func (s *session) fetch(ctx context.Context) (limited bool, err error) {
	if len(s.plan.Actions.Fetch) == 0 {
		return false, ctx.Err()
	}
	s.meter.phase(PhaseFetch)
	s.meter.expect(s.plan.Actions.Fetch)
	mailbox, err := s.store.EnsureMailbox(ctx, s.account.Folder)
	if err != nil {
		return false, err
	}
	f := &fetching{session: s, ctx: ctx, broken: make(chan struct{}), byNum: make(map[int]*plan.Fetch, len(s.plan.Actions.Fetch)), alone: make(map[int]bool)}
	requests := make([]pop3.Request, len(s.plan.Actions.Fetch))
	for i, w := range s.plan.Actions.Fetch {
		requests[i] = s.request(w)
		if f.byNum[w.Num] = &s.plan.Actions.Fetch[i]; requests[i].Alone {
			f.alone[w.Num] = true
		}
	}
	f.committer = newCommitter(s.store, mailbox.ID, newContents(s.account.Name, s.plan.Repeated(), s.ledger, s.plan.Actions.Unlisted), s.now, s.log)
	f.committer.deletes = s.account.policy().Deletes()
	f.committer.alone = func(w plan.Fetch) bool { return f.session.memory.suspects[idOf(w.Listed)] }
	f.committer.failed = func(error) { close(f.broken) }

	var committing sync.WaitGroup
	committing.Go(func() { f.committer.run(s.disk) })
	err = s.client.Retr(s.net, requests, s.check(f.passed), f.receive, f.fail)
	f.session.learnCheck(err)
	f.settle(err)
	close(f.committer.queue)
	committing.Wait()
	return f.conclude(err)
}

// receive takes one message off the wire.
func (f *fetching) receive(num int, r io.Reader) error {
	wasted := f.session.wasted
	f.session.wasted = true // unless it comes in full
	select {
	case <-f.ctx.Done():
		return f.ctx.Err()
	case <-f.broken:
		return errBroken
	default:
	}
	w := *f.byNum[num]
	counted := f.session.meter.reader(r, w.Size)
	message, err := f.session.store.Spool(f.session.net, counted)
	if err != nil {
		if counted.err == nil {
			f.storeErr = err
		}
		return err // after an error of the connection Retr looks after the message
	}
	if counted.n == 0 && w.Size > 0 {
		message.Discard()
		f.fail(num, errEmpty)
		return nil
	}
	failpoint.Hit(failpoint.Received)
	a := arrival{received: received{fetch: w, message: message}, lines: counted.lines, alone: f.alone[num]}
	a.dots, a.doubled = pop3.Dots(r)
	f.open = append(f.open, a)
	if !f.session.client.Checkable() {
		f.keepSized() // or all would wait for the end of the session
	}
	f.received++
	f.session.wasted = wasted
	f.recordRefusals()
	f.session.meter.received(w)
	return nil
}

var (
	// errBroken ends Retr when the committer has failed; its own error counts.
	errBroken = errors.New("the store failed")
	errEmpty  = errors.New("the server sent nothing for this message")
)

// fail notes why a message did not come.
func (f *fetching) fail(num int, err error) {
	w := *f.byNum[num]
	switch {
	case errors.Is(err, pop3.ErrPipelining), errors.Is(err, pop3.ErrBareLF):
		// Not the message's fault.
	case errors.Is(err, pop3.ErrOutOfStep):
		f.session.told = f.session.memory.problems.failed(w, err.Error(), f.session.now()) || f.session.told
	case isOfMessage(err):
		f.refused = append(f.refused, refusal{w, err})
	default:
		f.session.memory.problems.cut(w, err.Error(), f.session.now())
	}
}

// isOfMessage reports whether err is about one message while the session goes on.
func isOfMessage(err error) bool {
	return errors.As(err, new(*pop3.ReplyError)) || errors.Is(err, pop3.ErrTooLarge) || errors.Is(err, errEmpty)
}

// recordRefusals turns the refusals so far into problems of their messages.
func (f *fetching) recordRefusals() {
	for _, r := range f.refused {
		if errors.Is(r.err, pop3.ErrTooLarge) {
			f.session.told = f.session.memory.problems.tooLarge(r.fetch, r.err.Error(), f.session.now(), f.session.account.Server.MaxMessage) || f.session.told
			continue
		}
		f.session.memory.problems.failed(r.fetch, r.err.Error(), f.session.now())
	}
	f.refused = f.refused[:0]
}

// conclude sorts out how the fetching ended, once all is committed.
func (f *fetching) conclude(err error) (limited bool, _ error) {
	c, s, m := f.committer, f.session, f.session.memory
	s.result.Stored, s.result.Bytes = c.stored, c.bytes
	s.result.Adopted += c.adopted + c.repaired
	if len(f.refused) >= suspectedLimit && f.received > 0 {
		limited = true
	} else {
		f.recordRefusals()
	}
	rest := make([]plan.Fetch, 0, len(f.byNum))
	for _, w := range f.byNum {
		rest = append(rest, *w)
	}
	s.meter.drop(rest...)
	s.wasted = s.wasted || c.err != nil || len(c.rejected) > 0
	if days, known := s.client.Capabilities().Expire(); c.doubted && known && days == 0 {
		s.wasted = true // with QUIT the original may be gone, RFC 2449 section 6.7
	}
	m.pollState.Relists = m.pollState.Relists || c.relisted
	m.pollState.IDs.Reuses = m.pollState.IDs.Reuses || c.reused
	m.doubting = m.doubting || c.doubted
	f.learnServer()
	if c.undeleted > 0 { // DELE was sent before, and they are there
		m.refusedIDs, s.noEffect = nil, true
		m.pollState.Undeleted.backOff(s.now(), freeAttempts)
	}
	f.planDeletions(c.done)
	// What was compared holds, whatever ends the session: else it is fetched once more.
	if c.err == nil && len(c.seen) > 0 {
		if err := s.store.UpdateLedger(s.disk, s.account.Name, c.seen); err != nil {
			return false, err
		}
	}

	m.suspects = nil
	switch {
	case len(c.suspects) > 0:
		// In the next session each of them is committed alone.
		m.suspects = make(map[problemID]bool)
		for _, w := range c.suspects {
			m.suspects[idOf(w.Listed)] = true
		}
		return false, &retryError{c.err}
	case c.err != nil:
		return false, c.err
	case len(c.rejected) > 0 && c.stored+c.adopted == 0:
		return false, c.rejected[0].err // it is rather the store than the messages
	case f.storeErr != nil:
		return false, f.storeErr
	case f.ctx.Err() != nil:
		return false, f.ctx.Err()
	case errors.Is(err, pop3.ErrSessionLimit):
		limited = true
	case errors.Is(err, pop3.ErrTooSlow):
		return false, err // as it would be in the next session
	case err != nil:
		// What gets the answers out of step, once found, clears the pipelining of it.
		m.noPipelining = (m.noPipelining || errors.Is(err, pop3.ErrPipelining)) && !s.told
		return false, &retryError{err}
	}
	maps.Copy(s.here, c.here)
	for _, r := range c.rejected {
		m.problems.failed(r.fetch, r.err.Error(), s.now())
	}
	if len(c.gone) > 0 {
		return limited, s.store.UpdateLedger(s.disk, s.account.Name, slices.Collect(maps.Values(c.gone)))
	}
	return limited, nil
}

// learnServer notes what is odd about the server, and says it once.
func (f *fetching) learnServer() {
	s, m := f.session, f.session.memory
	bareLF, unstuffed := s.client.Oddities()
	if bareLF && !m.bareLF {
		s.log.Warn().Msg("server ends lines with a bare LF")
	}
	if unstuffed && !m.pollState.Unstuffed {
		s.log.Warn().Msg("server does not byte-stuff messages")
	}
	m.bareLF = m.bareLF || bareLF
	m.pollState.Unstuffed = (m.pollState.Unstuffed || unstuffed) && !f.stuffs
}

// planDeletions plans the deletions once more, with what has just become
// durable.
func (f *fetching) planDeletions(done []committed) {
	if len(done) == 0 {
		return
	}
	for _, d := range done {
		f.session.plan.Arrived(d.num, d.entry)
	}
	f.session.plan.Actions.Delete = f.session.plan.Deletions(f.session.now())
}
