package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// The Outbox is a mailbox with the messages on their way out, made with the first of
// them. Only Submit adds to it. What is taken out of it by any way but having been sent
// is cancelled, which is refused while it is being handed over.

// ErrOutbox refuses what would change the Outbox.
var ErrOutbox = fault.New(fault.Denied, "the Outbox holds the messages on their way out, and changes only with them", "")

var errHandedOver = fault.New(fault.Conflict, "the message is being handed to the mail server at this moment", "wait until that is decided; it shows in the Outbox")

// outbox returns the Outbox, making it where there is none. A mailbox of its name that
// ever had mail in it stays what it is.
func (t *tx) outbox() (*box, error) {
	var id MailboxID
	err := t.get(`SELECT id FROM mailbox WHERE id = `+outboxID, nil, &id)
	if !errors.Is(err, sql.ErrNoRows) {
		if err != nil {
			return nil, err
		}
		return t.box(id)
	}
	var b *box
	for n, name := 1, "Outbox"; b == nil; n, name = n+1, fmt.Sprint("Outbox ", n+1) {
		found, err := t.named(name)
		if errors.Is(err, errNoMailbox) {
			found, err = t.create(name, "")
		}
		if err != nil {
			return nil, err
		}
		if found.UIDNext == 1 && found.SpecialUse == "" { // otherwise mail may come into it
			b = found
		}
	}
	if err := t.subscribe(b); err != nil {
		return nil, err
	}
	b.Outbox, b.touched = true, true
	t.log.line('o', int64(b.ID))
	return b, t.exec(`INSERT OR REPLACE INTO meta (key, value) VALUES ('outbox', ?)`, b.ID)
}

// outgoingRow is a message on its way out, or one that has left, as the index has it.
type outgoingRow struct {
	Outgoing
	hash      Hash
	inReplyTo []string
	toSelf    bool
	marks     marks
	copy      Hash  // what is in \Sent of it; zeros: nothing
	copyAt    Place // and where it was put
	sentAt    int64 // when it was first accepted for a recipient, Unix seconds
	saved     bool  // a mail program has saved it to \Sent itself

	answers                       string // the columns of the fields that have another form
	queuedAt, notBefore, firstTry int64
}

const outgoingColumns = `id, outgoing.uid, hash, account, device, sender, message_id, in_reply_to, eight_bit, utf8, to_self,
	queued_at, not_before, first_try, attempts, outgoing.state, last_error, head, body, copy, copy_box, copy_uid, sent_at, saved`

// columns are what the columns are scanned into, before scanned is called.
func (o *outgoingRow) columns() []any {
	return []any{&o.ID, &o.UID, hashInto(&o.hash), &o.Account, &o.Device, &o.From, &o.MessageID, &o.answers, &o.EightBit, &o.UTF8, &o.toSelf,
		&o.queuedAt, &o.notBefore, &o.firstTry, &o.Attempts, &o.State, &o.LastError, hashInto(&o.marks.head), hashInto(&o.marks.body),
		hashInto(&o.copy), &o.copyAt.Mailbox, &o.copyAt.UID, &o.sentAt, &o.saved}
}

func (o *outgoingRow) scanned() {
	o.inReplyTo = strings.Fields(o.answers)
	o.QueuedAt, o.NotBefore = time.Unix(o.queuedAt, 0), time.Unix(o.notBefore, 0)
	if o.firstTry != 0 {
		o.FirstTry = time.Unix(o.firstTry, 0)
	}
}

// outgoing returns a row with its recipients; errNotOutgoing when it is not in the
// Outbox.
func (t *tx) outgoing(id OutgoingID) (*outgoingRow, error) {
	list, err := t.outgoingWhere(`id = ? AND uid <> 0`, id)
	if err == nil && len(list) == 0 {
		err = errNotOutgoing
	}
	if err != nil {
		return nil, err
	}
	return list[0], t.readRecipients(list[0])
}

func (t *tx) readRecipients(o *outgoingRow) error {
	return t.rows(`SELECT address, state, reply FROM outgoing_recipient WHERE outgoing_id = ? ORDER BY place`, []any{o.ID},
		into(&o.Recipients, func(r *OutgoingRecipient) []any { return []any{&r.Address, &r.State, &r.Reply} }))
}

// outgoingWhere returns rows, without recipients.
func (t *tx) outgoingWhere(condition string, args ...any) (list []*outgoingRow, err error) {
	err = t.rows(`SELECT `+outgoingColumns+` FROM outgoing WHERE `+condition+` ORDER BY id`, args, func(rows *sql.Rows) error {
		o := &outgoingRow{}
		err := rows.Scan(o.columns()...)
		o.scanned()
		list = append(list, o)
		return err
	})
	return list, err
}

// eachOutgoing changes rows.
func (t *tx) eachOutgoing(change func(*outgoingRow), condition string, args ...any) error {
	list, err := t.outgoingWhere(condition, args...)
	for _, o := range list {
		if err == nil {
			change(o)
			err = t.putOutgoing(o)
		}
	}
	return err
}

// putOutgoing writes a row.
func (t *tx) putOutgoing(o *outgoingRow) error {
	t.queue = true
	first := int64(0)
	if !o.FirstTry.IsZero() {
		first = o.FirstTry.Unix()
	}
	values := []any{int64(o.ID), int64(o.UID), o.hash, o.Account, o.Device, o.From, o.MessageID, strings.Join(o.inReplyTo, " "), o.EightBit, o.UTF8, o.toSelf,
		o.QueuedAt.Unix(), o.NotBefore.Unix(), first, int64(o.Attempts), int64(o.State), o.LastError, o.marks.head, o.marks.body,
		o.copy, int64(o.copyAt.Mailbox), int64(o.copyAt.UID), o.sentAt, o.saved}
	t.log.line('q', values...)
	for i, v := range values {
		if h, ok := v.(Hash); ok {
			values[i] = h[:]
		}
	}
	return t.exec(insertOutgoing, values...)
}

const insertOutgoing = `INSERT OR REPLACE INTO outgoing (id, uid, hash, account, device, sender, message_id, in_reply_to, eight_bit, utf8, to_self,
	queued_at, not_before, first_try, attempts, state, last_error, head, body, copy, copy_box, copy_uid, sent_at, saved)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

const insertRecipient = `INSERT OR REPLACE INTO outgoing_recipient (outgoing_id, place, address, state, reply) VALUES (?, ?, ?, ?, ?)`

// putRecipient writes the i-th recipient of a row.
func (t *tx) putRecipient(o *outgoingRow, i int) error {
	r := o.Recipients[i]
	values := []any{int64(o.ID), int64(i), r.Address, int64(r.State), r.Reply}
	t.log.line('r', values...)
	return t.exec(insertRecipient, values...)
}

const insertDSN = `INSERT OR REPLACE INTO outgoing_dsn (outgoing_id, place, asked) VALUES (?, ?, ?)`

// putDSN writes what is asked of a recipient, counted from 1 on, or of the message, 0.
func (t *tx) putDSN(id OutgoingID, place int, asked string) error {
	if asked == "" {
		return nil
	}
	values := []any{int64(id), int64(place), asked}
	t.log.line('n', values...)
	return t.exec(insertDSN, values...)
}

// turn changes recipients, and writes those for which change reports that it did.
func (t *tx) turn(o *outgoingRow, change func(*OutgoingRecipient) bool) error {
	for i := range o.Recipients {
		if change(&o.Recipients[i]) {
			if err := t.putRecipient(o, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// become is a change to a state from some others. What was said before means nothing then.
func become(to RecipientState, from ...RecipientState) func(*OutgoingRecipient) bool {
	return func(r *OutgoingRecipient) bool {
		if !slices.Contains(from, r.State) {
			return false
		}
		r.State, r.Reply = to, ""
		return true
	}
}

// forgetOutgoing removes a row and its recipients.
func (t *tx) forgetOutgoing(id OutgoingID) error {
	t.queue = true
	t.log.line('d', int64(id))
	return t.execAll(deleteOutgoing, id)
}

var deleteOutgoing = []string{`DELETE FROM outgoing_dsn WHERE outgoing_id = ?`, `DELETE FROM outgoing_recipient WHERE outgoing_id = ?`, `DELETE FROM outgoing WHERE id = ?`}

// cancel ends what is on its way with the messages that are about to be taken out of the
// Outbox. What was accepted for some recipients is remembered.
func (t *tx) cancel(rows []picked) error {
	for _, r := range rows {
		list, err := t.outgoingWhere(`uid = ?`, int64(r.UID)) // none where it was sent just now
		for _, o := range list {
			switch {
			case o.State == Handing:
				return errHandedOver
			case o.sentAt == 0:
				err = t.forgetOutgoing(o.ID)
			default:
				err = t.left(o)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// notHandedOver returns those messages in the Outbox that are not being handed over, and
// a refusal where that is not all of them.
func (t *tx) notHandedOver(rows []picked) (_ []picked, refused, err error) {
	list, err := t.outgoingWhere(`state = ?`, Handing)
	return those(rows, func(r picked) bool {
		handing := slices.ContainsFunc(list, func(o *outgoingRow) bool { return o.UID == r.UID })
		if handing {
			refused = errHandedOver
		}
		return !handing
	}), refused, err
}

// left notes that a message of which something was sent is no longer in the Outbox.
func (t *tx) left(o *outgoingRow) error {
	o.UID, o.State = 0, 0
	return t.putOutgoing(o)
}

// doubtHandovers makes what was being handed over when the program ended Unknown. Open
// does it.
func (s *Store) doubtHandovers(ctx context.Context) error {
	return s.doubt(ctx, "popbridge ended while the message was handed over: it may have been sent", math.MaxInt64)
}

// handingFor is longer than a handover takes: the server has 10 minutes for its answer, and
// who waits for that writes it down within a minute of the time at which the store can.
const handingFor = 30 * time.Minute

// giveUpHandovers makes what nobody hands over any more Unknown: the account was removed
// while the store could not take what came of it. Purge does it.
func (s *Store) giveUpHandovers(ctx context.Context) error {
	return s.doubt(ctx, "what came of the message could not be written down: it may have been sent", s.now().Add(-handingFor).Unix())
}

// doubt makes what is being handed over since a time, in Unix seconds, or longer Unknown.
func (s *Store) doubt(ctx context.Context, why string, since int64) error {
	const due = `state = ? AND not_before <= ?`
	var found bool
	err := s.reader.get(ctx, `SELECT EXISTS (SELECT 1 FROM outgoing WHERE `+due+`)`, []any{Handing, since}, &found)
	if err != nil || !found {
		return failure(err, "look through the Outbox")
	}
	return s.write(ctx, "look through the Outbox", func(t *tx) error {
		return t.eachOutgoing(func(o *outgoingRow) { o.State, o.LastError = Unknown, why }, due, Handing, since)
	})
}

// What Check finds and Repair mends in the Outbox.
const (
	outboxID      = `(SELECT value FROM meta WHERE key = 'outbox')`
	wrongOutgoing = `uid <> 0 AND NOT (EXISTS (SELECT 1 FROM message WHERE mailbox_id = ` + outboxID + ` AND message.uid = outgoing.uid)
		AND EXISTS (SELECT 1 FROM outgoing_recipient WHERE outgoing_id = outgoing.id))`
	unknownOutgoing = `mailbox_id = ` + outboxID + ` AND uid NOT IN (SELECT uid FROM outgoing)`
)

// repairOutbox forgets what is on its way out without a message, and takes messages of
// which it is not known where they go to the mailbox Recovered: they never leave.
func (t *tx) repairOutbox() error {
	list, err := t.outgoingWhere(wrongOutgoing)
	for _, o := range list {
		if err == nil {
			err = t.forgetOutgoing(o.ID)
		}
	}
	var uids []UID
	if err == nil {
		const gone = ` WHERE outgoing_id NOT IN (SELECT id FROM outgoing)`
		err = errors.Join(t.exec(`DELETE FROM outgoing_recipient`+gone), t.exec(`DELETE FROM outgoing_dsn`+gone))
	}
	if err == nil {
		err = t.rows(`SELECT uid FROM message WHERE `+unknownOutgoing, nil, into(&uids, column))
	}
	if err != nil || len(uids) == 0 {
		return err
	}
	from, err := t.outbox()
	if err != nil {
		return err
	}
	to, err := t.ensure(recovered)
	if err == nil {
		_, err = t.transfer(from, uids, to, true)
	}
	return err
}
