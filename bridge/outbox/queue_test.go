package outbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing/iotest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// memQueue is a queue in memory that does as the mail store promises.
type memQueue struct {
	delay   time.Duration // before what is submitted may leave
	mu      sync.Mutex
	last    mailstore.OutgoingID
	all     []mailstore.Outgoing
	bodies  map[mailstore.OutgoingID][]byte
	left    []mailstore.Outgoing // those that have left the Outbox
	changes chan struct{}
	now     func() time.Time

	hooks
	memory     map[string]string // of accounts
	unreadable map[mailstore.OutgoingID]bool
}

// hooks are called around the calls of a runner, where they are set.
type hooks struct {
	before func(call string)
	broken func(call string) error // the call fails with its error
	after  func(call string)       // that changed the queue
}

func (h *hooks) set() *hooks { return h }

func newMemQueue(now func() time.Time) *memQueue {
	return &memQueue{bodies: make(map[mailstore.OutgoingID][]byte), memory: make(map[string]string), changes: make(chan struct{}, 1), now: now}
}

func (q *memQueue) submit(account, from string, body []byte, to ...string) mailstore.OutgoingID {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	id := q.last
	m := mailstore.Outgoing{ID: id, Account: account, From: from, State: mailstore.Waiting, Size: int64(len(body)), QueuedAt: q.now(), NotBefore: q.now().Add(q.delay), MessageID: "<m@example.org>"}
	for _, a := range to {
		m.Recipients = append(m.Recipients, mailstore.OutgoingRecipient{Address: a, State: mailstore.Pending})
	}
	q.all = append(q.all, m)
	q.bodies[id] = body
	q.changedLocked()
	return id
}

func (q *memQueue) changedLocked() {
	select {
	case q.changes <- struct{}{}:
	default:
	}
}

// call begins a call.
func (h *hooks) call(ctx context.Context, name string) error {
	if h.before != nil {
		h.before(name)
	}
	if h.broken != nil {
		if err := h.broken(name); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (h *hooks) done(name string) {
	if h.after != nil {
		h.after(name)
	}
}

func (q *memQueue) Outgoing(ctx context.Context) ([]mailstore.Outgoing, error) {
	if err := q.call(ctx, "Outgoing"); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	out := slices.Clone(q.all)
	for i := range out {
		out[i].Recipients = slices.Clone(out[i].Recipients)
	}
	return out, nil
}

// FillSubjects finds the subjects in the index of a store, not in the files.
func (q *memQueue) FillSubjects(ctx context.Context, list []mailstore.Outgoing) error {
	if err := q.call(ctx, "FillSubjects"); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range list {
		h, err := message.ReadHeader(bytes.NewReader(q.bodies[list[i].ID]))
		if err != nil {
			return err
		}
		list[i].Subject = h.Text("Subject")
	}
	return nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

func (q *memQueue) OpenOutgoing(ctx context.Context, id mailstore.OutgoingID) (io.ReadSeekCloser, error) {
	if err := q.call(ctx, "OpenOutgoing"); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	body, ok := q.bodies[id]
	if !ok {
		return nil, fault.New(fault.NotFound, "no such message", "")
	}
	if q.unreadable[id] {
		return nopCloser{struct {
			io.Reader
			io.Seeker
		}{iotest.ErrReader(errors.New("disk on fire")), bytes.NewReader(body)}}, nil
	}
	return nopCloser{bytes.NewReader(body)}, nil
}

// getLocked returns the message of an id, nil where there is none.
func (q *memQueue) getLocked(id mailstore.OutgoingID) *mailstore.Outgoing {
	for i := range q.all {
		if q.all[i].ID == id {
			return &q.all[i]
		}
	}
	return nil
}

func (q *memQueue) get(id mailstore.OutgoingID) mailstore.Outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.getLocked(id); m != nil {
		return *m
	}
	return mailstore.Outgoing{}
}

func (q *memQueue) BeginHandover(ctx context.Context, id mailstore.OutgoingID, to []string) error {
	if err := q.call(ctx, "BeginHandover"); err != nil {
		return err
	}
	defer q.done("BeginHandover")
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.getLocked(id)
	if m == nil {
		return fault.New(fault.NotFound, "no such message", "")
	}
	if m.State != mailstore.Waiting {
		return fault.New(fault.Conflict, "the message does not wait", "")
	}
	m.State = mailstore.Handing
	for i, r := range m.Recipients {
		if slices.Contains(to, r.Address) {
			m.Recipients[i].State = mailstore.Offered
		}
	}
	q.changedLocked()
	return nil
}

func (q *memQueue) Attempted(ctx context.Context, id mailstore.OutgoingID, a mailstore.Attempt) error {
	if err := q.call(ctx, "Attempted"); err != nil {
		return err
	}
	defer q.done("Attempted")
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.getLocked(id)
	if m == nil {
		return fault.New(fault.NotFound, "no such message", "")
	}
	for _, c := range a.Recipients {
		for i := range m.Recipients {
			if m.Recipients[i].Address == c.Address {
				m.Recipients[i] = c
			}
		}
	}
	if a.Counts {
		m.Attempts++
		if m.FirstTry.IsZero() {
			m.FirstTry = q.now()
		}
	}
	m.LastError, m.NotBefore = a.Error, a.Next
	if !a.Unknown {
		turn(m, mailstore.Pending, mailstore.Offered)
	}
	q.settleLocked(m, a.Unknown)
	return nil
}

// turn changes the recipients that are in a state.
func turn(m *mailstore.Outgoing, to mailstore.RecipientState, from ...mailstore.RecipientState) {
	for i, r := range m.Recipients {
		if slices.Contains(from, r.State) {
			m.Recipients[i].State = to
		}
	}
}

// settleLocked does what follows from the recipients.
func (q *memQueue) settleLocked(m *mailstore.Outgoing, unknown bool) {
	has := func(s mailstore.RecipientState) bool {
		return slices.ContainsFunc(m.Recipients, func(r mailstore.OutgoingRecipient) bool { return r.State == s })
	}
	switch {
	case unknown:
		m.State = mailstore.Unknown
	case has(mailstore.Pending):
		m.State = mailstore.Waiting
	case has(mailstore.Refused):
		m.State = mailstore.Rejected
	default:
		q.left = append(q.left, *m)
		q.all = slices.DeleteFunc(q.all, func(o mailstore.Outgoing) bool { return o.ID == m.ID })
	}
	q.changedLocked()
}

func (q *memQueue) SendingMemory(ctx context.Context, account string) (string, error) {
	if err := q.call(ctx, "SendingMemory"); err != nil {
		return "", err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.memory[account], nil
}

func (q *memQueue) SetSendingMemory(ctx context.Context, account, memory string) error {
	if err := q.call(ctx, "SetSendingMemory"); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.memory[account] = memory
	return nil
}

func (q *memQueue) OutgoingChanges() <-chan struct{} { return q.changes }

// change changes a message as a person does.
func (q *memQueue) change(id mailstore.OutgoingID, change func(*mailstore.Outgoing)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.getLocked(id); m != nil {
		change(m)
	}
	q.changedLocked()
}

// drop cancels a message.
func (q *memQueue) drop(id mailstore.OutgoingID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = slices.DeleteFunc(q.all, func(o mailstore.Outgoing) bool { return o.ID == id })
	delete(q.bodies, id)
	q.changedLocked()
}

// retry is what a person says about a message in doubt, or refused.
func (q *memQueue) retry(id mailstore.OutgoingID) {
	q.change(id, func(m *mailstore.Outgoing) {
		m.State, m.NotBefore = mailstore.Waiting, q.now()
		turn(m, mailstore.Pending, mailstore.Refused, mailstore.Offered)
	})
}

// confirm is what a person says about a message in doubt that was sent.
func (q *memQueue) confirm(id mailstore.OutgoingID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.getLocked(id)
	turn(m, mailstore.Accepted, mailstore.Offered)
	q.settleLocked(m, false)
}

// reopen is what opening the store does after a crash.
func (q *memQueue) reopen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.all {
		if q.all[i].State == mailstore.Handing {
			q.all[i].State = mailstore.Unknown
		}
	}
	q.hooks = hooks{}
}

func (q *memQueue) states() (out []mailstore.OutgoingState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.all {
		out = append(out, m.State)
	}
	return out
}
