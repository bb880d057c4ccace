package outbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// testQueue is a queue that a person can look into, and that can crash.
type testQueue interface {
	Queue
	set() *hooks
	submit(account, from string, body []byte, to ...string) mailstore.OutgoingID
	get(id mailstore.OutgoingID) mailstore.Outgoing
	drop(id mailstore.OutgoingID)
	retry(id mailstore.OutgoingID)
	confirm(id mailstore.OutgoingID)
	reopen()
}

// storeQueue is that of a mail store.
type storeQueue struct {
	*mailstore.Store
	hooks
	t   testing.TB
	dir string
	now func() time.Time
}

func newStoreQueue(t testing.TB, now func() time.Time) *storeQueue {
	q := &storeQueue{t: t, dir: t.TempDir(), now: now}
	q.open()
	t.Cleanup(func() {
		problems, err := q.Check(context.Background(), nil)
		q.must(err)
		for _, p := range problems {
			t.Errorf("store: %s: %s", p.Code, p.Text)
		}
		q.must(q.Close())
	})
	return q
}

func (q *storeQueue) must(err error) {
	q.t.Helper()
	if err != nil {
		q.t.Fatal(err)
	}
}

func (q *storeQueue) open() {
	store, err := mailstore.Open(context.Background(), q.dir, mailstore.Options{Now: q.now})
	q.must(err)
	q.Store, q.hooks = store, hooks{}
}

func (q *storeQueue) reopen() {
	q.must(q.Close())
	q.open()
}

func (q *storeQueue) Outgoing(ctx context.Context) ([]mailstore.Outgoing, error) {
	if err := q.call(ctx, "Outgoing"); err != nil {
		return nil, err
	}
	return q.Store.Outgoing(ctx)
}

func (q *storeQueue) OpenOutgoing(ctx context.Context, id mailstore.OutgoingID) (io.ReadSeekCloser, error) {
	if err := q.call(ctx, "OpenOutgoing"); err != nil {
		return nil, err
	}
	return q.Store.OpenOutgoing(ctx, id)
}

func (q *storeQueue) BeginHandover(ctx context.Context, id mailstore.OutgoingID, to []string) error {
	if err := q.call(ctx, "BeginHandover"); err != nil {
		return err
	}
	defer q.done("BeginHandover")
	return q.Store.BeginHandover(ctx, id, to)
}

func (q *storeQueue) Attempted(ctx context.Context, id mailstore.OutgoingID, a mailstore.Attempt) error {
	if err := q.call(ctx, "Attempted"); err != nil {
		return err
	}
	defer q.done("Attempted")
	return q.Store.Attempted(ctx, id, a)
}

func (q *storeQueue) submit(account, from string, body []byte, to ...string) mailstore.OutgoingID {
	ctx := context.Background()
	spooled, err := q.Spool(ctx, bytes.NewReader(body))
	q.must(err)
	id, _, err := q.Submit(ctx, mailstore.Submission{Message: spooled, Account: account, Device: "test", From: from, Recipients: to, MessageID: fmt.Sprintf("<%s@example.org>", to[0])})
	q.must(err)
	return id
}

func (q *storeQueue) get(id mailstore.OutgoingID) mailstore.Outgoing {
	all, err := q.Store.Outgoing(context.Background())
	q.must(err)
	for _, m := range all {
		if m.ID == id {
			return m
		}
	}
	return mailstore.Outgoing{}
}

func (q *storeQueue) drop(id mailstore.OutgoingID) { q.must(q.DropOutgoing(context.Background(), id)) }
func (q *storeQueue) retry(id mailstore.OutgoingID) {
	q.must(q.RetryOutgoing(context.Background(), id))
}
func (q *storeQueue) confirm(id mailstore.OutgoingID) {
	q.must(q.ConfirmOutgoing(context.Background(), id))
}
