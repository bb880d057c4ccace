package bridge

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A batch is committed when it has one of these. Syncing many files and their
// folders together costs a disk little more than a few; what waits is not safe
// yet.
const (
	batchMessages = 1024
	batchBytes    = 16 << 20
	batchAge      = time.Second / 2 // likewise that of a group
)

// What may wait, spooled. The files of a group are synced while the next one
// arrives and batches are committed, so that neither waits for the other.
const (
	groupMessages = 64
	queueBytes    = 4 * batchBytes // of all that waits
)

// received is a message that has arrived in full, not durable yet.
type received struct {
	fetch   plan.Fetch
	message *mailstore.Spooled
	doubt   mailstore.Doubt
}

// room is what it takes of the queue's bytes; one message always fits.
func (m received) room() int64 { return min(m.message.Size(), queueBytes) }

// committed is a message that is durable, with its number in this session.
type committed struct {
	num   int
	entry mailstore.LedgerEntry
}

// committer takes the messages of one session off its queue and makes them
// durable in batches. After an error it takes and discards, so that the
// sender is never stuck.
type committer struct {
	store    Mail
	mailbox  mailstore.MailboxID
	contents *contents
	now      func() time.Time
	log      zerolog.Logger
	alone    func(plan.Fetch) bool // to be committed in a batch of its own
	deletes  bool                  // done is wanted, for the deletions
	failed   func(error)           // called once, with err

	queue chan received
	room  *semaphore.Weighted

	// Results, for the time after run.
	stored, adopted, repaired int
	bytes                     int64
	done                      []committed
	here                      map[int]mailstore.Hash                     // by number, of messages without UIDL
	seen                      []mailstore.LedgerEntry                    // rows found again by content, without an id to adopt
	rejected                  []refusal                                  // alone in a batch that failed
	doubted                   bool                                       // a message came of which it is in doubt whether it is all
	gone                      map[mailstore.Origin]mailstore.LedgerEntry // rows in whose place another message is listed
	relisted                  bool                                       // a message was there whose deletion was confirmed
	reused                    bool                                       // another message had the id of a row
	undeleted                 int                                        // messages that were to be deleted before and are there
	suspects                  []plan.Fetch                               // in the batch that ended with err, one of them perhaps its cause
	err                       error
}

func newCommitter(store Mail, mailbox mailstore.MailboxID, known *contents, now func() time.Time, log zerolog.Logger) *committer {
	return &committer{
		store: store, mailbox: mailbox, contents: known, now: now, log: log,
		queue: make(chan received, groupMessages),
		room:  semaphore.NewWeighted(queueBytes),
		here:  make(map[int]mailstore.Hash),
		gone:  make(map[mailstore.Origin]mailstore.LedgerEntry),
	}
}

// push hands over a message. It waits while the queue is full, and discards
// the message when ctx ends first.
func (c *committer) push(ctx context.Context, m received) error {
	if err := c.room.Acquire(ctx, m.room()); err != nil {
		m.message.Discard()
		return err
	}
	c.queue <- m // run takes until the queue is closed
	return nil
}

// run commits until the queue is closed. ctx must outlive the session's, as
// what was received is committed however the session ends.
func (c *committer) run(ctx context.Context) {
	synced := make(chan received, batchMessages)
	go func() {
		defer close(synced)
		collect(c.queue, groupMessages, c.alone, func(group []received) {
			messages := make([]*mailstore.Spooled, len(group))
			for i, m := range group {
				messages[i] = m.message
			}
			_ = mailstore.Sync(ctx, messages) // Deliver tells it
			for _, m := range group {
				synced <- m
			}
		})
	}()
	collect(synced, batchMessages, c.alone, func(batch []received) { c.commit(ctx, batch) })
}

// collect takes messages off a queue, until that is closed, and flushes them in
// batches of so many at most.
func collect(queue <-chan received, most int, alone func(plan.Fetch) bool, flush func([]received)) {
	var batch []received
	var size int64
	age := time.NewTimer(batchAge)
	defer age.Stop()
	next := func() {
		if len(batch) > 0 {
			flush(batch)
		}
		batch, size = nil, 0
	}
	for {
		var due <-chan time.Time
		if len(batch) > 0 {
			due = age.C
		}
		select {
		case m, open := <-queue:
			if !open {
				next()
				return
			}
			alone := alone(m.fetch)
			if alone {
				next()
			}
			if len(batch) == 0 {
				age.Reset(batchAge)
			}
			batch = append(batch, m)
			size += m.message.Size()
			if alone || len(batch) >= most || size >= batchBytes {
				next()
			}
		case <-due:
			next()
		}
	}
}

// commit makes a batch durable, or discards it after an error.
func (c *committer) commit(ctx context.Context, batch []received) {
	defer func() {
		for _, m := range batch {
			c.room.Release(m.room())
			m.message.Discard() // nothing to discard in what was delivered
		}
	}()
	items := make([]item, 0, len(batch))
	for _, m := range batch {
		if i, ok := c.item(m); ok {
			items = append(items, i)
		}
	}
	if c.err != nil || len(items) == 0 {
		return
	}
	err := c.deliver(ctx, items)
	switch {
	case err == nil:
		return
	case ctx.Err() != nil || systemic(err):
	case len(items) == 1:
		c.rejected = append(c.rejected, refusal{items[0].fetch, err})
		return
	default:
		for _, i := range items {
			c.suspects = append(c.suspects, i.fetch)
		}
	}
	c.err = err
	c.failed(err)
}

// systemic reports whether err says by itself that no message can be stored.
func systemic(err error) bool {
	switch fault.KindOf(err) {
	case fault.Full, fault.Denied, fault.Temporary:
		return true
	default:
		return false
	}
}

func (c *committer) deliver(ctx context.Context, items []item) error {
	batch := make([]mailstore.Delivery, len(items))
	for n, i := range items {
		batch[n] = i.delivery
	}
	results, err := c.store.Deliver(ctx, batch)
	if err != nil {
		return err
	}
	for n, i := range items {
		c.delivered(i, results[n])
	}
	return nil
}

// delivered counts a message that is durable now.
func (c *committer) delivered(i item, result mailstore.Delivered) {
	size := i.message.Size()
	entry := mailstore.LedgerEntry{
		Origin: i.origin, Hash: i.message.Hash(), Size: size, ListSize: i.fetch.Size,
		State: mailstore.Stored, Doubt: i.delivery.Doubt, StoredAt: c.now(), LastListedAt: c.now(),
	}
	c.bytes += size
	switch {
	case !result.Duplicate:
		c.stored++
	case i.fetch.IsRow(entry.Hash):
		c.repaired++
		i.fetch.Row.Doubt = i.delivery.Doubt
		entry = c.confirm(*i.fetch.Row)
		entry.Wanted = false
	case i.known != nil:
		c.adopted++
		entry.StoredAt, entry.RemovedAt = i.known.StoredAt, i.known.RemovedAt
	default:
		// The id was taken, by whatever message: no ground for a deletion.
		c.log.Debug().Str("uidl", fault.Quote(i.origin.UIDL)).Msg("message known already")
		return
	}
	if i.fetch.UIDL == "" {
		c.here[i.fetch.Num] = entry.Hash
	}
	c.finish(i.fetch.Num, entry)
}

// finish notes that a message is durable.
func (c *committer) finish(num int, entry mailstore.LedgerEntry) {
	if c.deletes {
		c.done = append(c.done, committed{num, entry})
	}
}
