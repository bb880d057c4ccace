package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/message"
)

// What is sent is in \Sent once: docs/decisions/0010-sent-saved-twice.md says how the
// copies are recognised that mail programs save, and those that a provider lists.

// sent does what follows from the first recipient that is accepted.
func (t *tx) sent(o *outgoingRow) error {
	b, err := t.special(`\Sent`, "Sent")
	if err != nil {
		return err
	}
	saved, err := t.findSaved(b, o)
	if err != nil {
		return err
	}
	o.sentAt = t.s.now().Unix()
	if o.saved = saved.uid != 0; o.saved {
		o.copy, o.copyAt = saved.hash, Place{b.ID, saved.uid}
	} else {
		rows, err := t.inOutbox(o)
		if err != nil {
			return err
		}
		r, err := t.add(b, row{Content: rows[0].Content, Flags: mailflags.Flags{System: mailflags.Seen}, Received: o.sentAt, Size: rows[0].Size})
		if err != nil {
			return err
		}
		t.logAdded(b, r, o.hash)
		o.copy, o.copyAt = o.hash, Place{b.ID, r.UID}
	}
	failpoint.Hit(failpoint.Copied)
	return nil
}

// special returns the mailbox with a special use. Where there is none, that of the name that
// has it in a new store gets it again, and is made where it is missing.
func (t *tx) special(use, name string) (*box, error) {
	var id MailboxID
	err := t.get(`SELECT id FROM mailbox WHERE special_use = ?`, []any{use}, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return t.ensure(name)
	}
	if err != nil {
		return nil, err
	}
	return t.box(id)
}

// Where a mail program saves a message itself, it does so at most this long before it
// hands it over, and among so many others at most.
const (
	savedBefore = 24 * time.Hour
	savedAmong  = 500
)

// savedCopy is a message that a mail program has saved to \Sent.
type savedCopy struct {
	uid  UID
	hash Hash
}

// findSaved returns the copy of a message that a mail program has saved, and that is the
// copy of no other; uid 0 for none. One with \Deleted is about to go.
func (t *tx) findSaved(b *box, o *outgoingRow) (found savedCopy, err error) {
	if o.marks.head == (Hash{}) {
		return found, nil
	}
	type candidate struct {
		savedCopy
		size   int64
		header []byte
	}
	var list []candidate
	err = t.rows(`SELECT uid, hash, m.size, coalesce(h.data, '') FROM (SELECT * FROM message WHERE mailbox_id = ? ORDER BY uid DESC LIMIT ?) m
		JOIN content c ON c.id = m.content_id LEFT JOIN header h ON h.content_id = c.id AND version = ?
		WHERE saved_at >= ? AND system & ? = 0 AND NOT missing AND uid NOT IN (SELECT copy_uid FROM outgoing WHERE copy_box = ?) ORDER BY uid`,
		[]any{b.ID, savedAmong, message.SummaryVersion, o.QueuedAt.Add(-savedBefore).Unix(), int64(mailflags.Deleted), b.ID},
		into(&list, func(c *candidate) []any { return []any{&c.uid, hashInto(&c.hash), &c.size, &c.header} }))
	if err != nil || len(list) == 0 {
		return found, err
	}
	own := t.s.asSent(o)
	for _, c := range list {
		if c.hash == o.hash || t.s.same(c.hash, c.size, c.header, o, own) {
			return c.savedCopy, nil
		}
	}
	return found, nil
}

// same reports whether a content is the same mail as one on its way out: it has the same
// From, Date, To, Cc and Subject, and the same Message-ID or body; or it is dated anew. header is
// that of its summary, own that of the one on its way out. What cannot be read is another one.
func (s *Store) same(h Hash, size int64, header []byte, o *outgoingRow, own *sentHeader) bool {
	f := &lazyFile{s: s, hash: h}
	defer f.close()
	sum := &message.Summary{}
	if len(header) == 0 || sum.Unmarshal(message.Binary{Header: header}, false) != nil {
		sum = s.Summarize(f, size)
	}
	head, err := headerOf(f, sum)
	if err != nil {
		return false
	}
	exact := headMark(head) == o.marks.head
	if exact && sameID(head, o.MessageID) {
		return true
	}
	if !exact && !own.redated(head, o) {
		return false
	}
	m, err := readMarks(f, sum, size)
	return err == nil && m.body == o.marks.body
}

// sentHeader is the header of a message on its way out, or that has left, and which of its
// fields were added because the mail program wrote none.
type sentHeader struct {
	*message.Header
	addedDate, addedID bool
}

// addedFields is what package submission adds, at the start of a message. A program that
// itself begins with such a field, and saves its copy without it, has changed only that.
var addedFields = regexp.MustCompile(`^(Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [-+]\d{4}\r\n)?(Message-ID: <[a-z2-7]{26}@[^>\r\n]+>\r\n)?`)

// asSent reads the header of a message; nil where it cannot be read.
func (s *Store) asSent(o *outgoingRow) *sentHeader {
	f := &lazyFile{s: s, hash: o.hash}
	defer f.close()
	h, err := message.ReadHeader(io.NewSectionReader(f, 0, math.MaxInt64))
	if err != nil {
		return nil
	}
	start := make([]byte, 512)
	n, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	m := addedFields.FindSubmatch(start[:n])
	return &sentHeader{h, m[1] != nil, m[2] != nil}
}

// redatedWithin is how far the dates are apart that a program gives a message and the copy
// that it saves of it: neomutt takes the time for each when it writes it.
const redatedWithin = 5 * time.Minute

// redated reports whether a header has the From, To, Cc, Subject and Message-ID of a message,
// and nearly its Date. What was added to the message may be missing, and an id another one.
func (own *sentHeader) redated(h *message.Header, o *outgoingRow) bool {
	if own == nil || !slices.Equal(undated(h), undated(own.Header)) {
		return false
	}
	if !(sameID(h, o.MessageID) || own.addedID || own.addedDate && words(h, "Message-ID") == "") {
		return false
	}
	if words(h, "Date") == "" {
		return own.addedDate
	}
	a, ok := h.Date()
	b, too := own.Date()
	return ok && too && a.Sub(b).Abs() <= redatedWithin
}

// rememberSent is how long a message that was sent is recognised when it comes back: the
// providers that list what was sent do so at once, or for 30 days.
const rememberSent = 40 * 24 * time.Hour

// forgetSent removes the rows of messages that were sent long ago.
func (s *Store) forgetSent(ctx context.Context) error {
	const due = `uid = 0 AND sent_at < ?`
	before := s.now().Add(-rememberSent).Unix()
	var found bool
	err := s.reader.get(ctx, `SELECT EXISTS (SELECT 1 FROM outgoing WHERE `+due+`)`, []any{before}, &found)
	if err != nil || !found {
		return failure(err, "look for messages that were sent")
	}
	return s.write(ctx, "forget messages that were sent", func(t *tx) error {
		list, err := t.outgoingWhere(due, before)
		for _, o := range list {
			if err == nil {
				err = t.forgetOutgoing(o.ID)
			}
		}
		return err
	})
}

// sentCopy is a copy in \Sent that popbridge has made and no mail program has saved.
type sentCopy struct {
	o   *outgoingRow
	row picked
}

// same returns the UID of the copy where a delivery has the same bytes, 0 otherwise.
func (c *sentCopy) same(d Delivery) UID {
	if c == nil || c.o.copy != d.Message.Hash() {
		return 0
	}
	return c.row.UID
}

// resavedFor is how long after a message was sent a mail program saves it to \Sent.
const resavedFor = 24 * time.Hour

// resaved returns the copy in \Sent of what a mail program saves there; nil where there
// is none. The first time only: what comes then is not that of the program that has sent
// the message.
func (t *tx) resaved(b *box, d Delivery) (*sentCopy, error) {
	if d.Once == 0 {
		return nil, nil
	}
	list, m, h, err := t.sentLike(d, true, `copy_box = ? AND NOT saved AND sent_at >= ?`, b.ID, t.s.now().Add(-resavedFor).Unix())
	for _, o := range list {
		var rows []picked
		if err == nil {
			rows, err = t.pick(b.ID, []UID{o.copyAt.UID})
		}
		if err != nil {
			break
		}
		exact, sameID := o.marks.head == m.head, sameID(h, o.MessageID)
		if len(rows) == 0 || rows[0].Flags.System&mailflags.Deleted != 0 || !(exact && sameID) && m.body != o.marks.body || !exact && !t.s.asSent(o).redated(h, o) {
			continue
		}
		o.saved = true
		if o.copy == d.Message.Hash() {
			err = t.markPresent(o.copy)
		}
		return &sentCopy{o, rows[0]}, errors.Join(err, t.putOutgoing(o))
	}
	return nil, err
}

// replaceSent takes a copy in \Sent for the one that a mail program has saved with other
// bytes: it may have Bcc, which was not sent, or be the one that the program goes on with.
func (t *tx) replaceSent(b *box, sent *sentCopy, r row, h Hash) error {
	rows := []picked{sent.row}
	if err := t.remove(b, rows, true); err != nil {
		return err
	}
	sent.o.copy, sent.o.copyAt.UID = h, r.UID
	return errors.Join(t.orphan(rows), t.putOutgoing(sent.o))
}

// arrivals are fields that a message gets on its way to its recipients: of its delivery (RFC
// 5321 section 4.4, RFC 9228), of what the last server has checked (RFC 7208, RFC 8601, RFC
// 8617), and of a list.
var arrivals = regexp.MustCompile(`(?i)^(.*Deliver.*|X-Original-To|.*Envelope-To|X-Apparently-To|.*Authentication-Results.*|.*Received-SPF|X-Received|ARC-.*|X-DKIM.*|X-MS-Exchange-Organization-.*|List-Id|List-Post|Mailing-List|X-BeenThere)$`)

// byGmail is the only Received of what Gmail was handed with a login (RFC 3848). It keeps that
// with a Return-Path, and lists it.
var byGmail = regexp.MustCompile(`(?i)\bby smtp\.gmail\.com with ESMTPSA\b`)

// arrived reports whether a message shows that it was delivered. The server that it was handed
// to adds one Received; a second one is that of a server behind it.
func (s *Store) arrived(m *Spooled) (bool, error) {
	f := &lazyFile{s: s, hash: m.Hash()}
	defer f.close()
	h, err := message.ReadHeader(io.NewSectionReader(f, 0, m.summary.Header.Size)) // the summary keeps some fields only
	if err != nil {
		return false, err
	}
	received, returnPath := 0, false
	for f := range h.Fields() {
		if f.Is("Received") {
			received++
		}
		returnPath = returnPath || f.Is("Return-Path")
		if received > 1 || arrivals.Match(f.Name) {
			return true, nil
		}
	}
	return returnPath && !byGmail.MatchString(h.Text("Received")), nil
}

// returned recognises what was sent from the account, and that its provider lists among
// the mail that has come: it is entered into the ledger with the copy in \Sent for its
// content, and not delivered. Whatever is in doubt is delivered: what has not the body,
// From, Date, To, Cc and Subject that were sent, what was sent to oneself or shows that it has
// arrived somewhere, and that of which the copy is no longer here.
func (t *tx) returned(d Delivery) (bool, error) {
	list, m, _, err := t.sentLike(d, false, `account = ? AND NOT to_self AND EXISTS (SELECT 1 FROM content WHERE content.hash = copy AND orphaned_at IS NULL AND NOT missing)`,
		d.Origin.Account)
	if err != nil || len(list) == 0 {
		return false, err
	}
	if delivered, err := t.s.arrived(d.Message); err != nil || delivered {
		return false, err
	}
	i := slices.IndexFunc(list, func(o *outgoingRow) bool { return o.marks == m })
	old, err := t.storedHash(d.Origin)
	if err != nil || i < 0 || old != nil && *old == d.Message.Hash() { // it was delivered
		return false, err
	}
	// Where the bridge compared it with the copy, it took it for another message: one
	// that is delivered has its own bytes in the ledger.
	var other bool
	err = t.get(`SELECT EXISTS (SELECT 1 FROM ledger WHERE account = ? AND uidl = ? AND dup = ? AND state = ?)`,
		[]any{d.Origin.Account, d.Origin.UIDL, d.Origin.Dup, DeleteAcked}, &other)
	if err != nil || other {
		return false, err
	}
	t.logEntry(d, list[i].copy)
	return true, t.enter(d, list[i].copy)
}

// sentLike returns the messages that were sent with the From, Date, To, Cc and Subject
// of a delivery, then, where orBody is set, others with its body; and its marks and header
// where there are any.
func (t *tx) sentLike(d Delivery, orBody bool, condition string, args ...any) (list []*outgoingRow, m marks, h *message.Header, err error) {
	var some bool
	if err = t.get(`SELECT EXISTS (SELECT 1 FROM outgoing WHERE sent_at <> 0)`, nil, &some); err != nil || !some {
		return nil, m, nil, err
	}
	f := &lazyFile{s: t.s, hash: d.Message.Hash()}
	defer f.close()
	h, err = headerOf(f, d.Message.summary)
	if err != nil {
		return nil, m, nil, err
	}
	head := headMark(h)
	if head != (Hash{}) {
		list, err = t.outgoingWhere(`head = ? AND sent_at <> 0 AND `+condition, append([]any{head[:]}, args...)...)
	}
	if err == nil && (orBody || len(list) > 0) {
		m, err = readMarks(f, d.Message.summary, d.Message.Size())
	}
	if err == nil && orBody {
		var others []*outgoingRow
		others, err = t.outgoingWhere(`body = ? AND head <> ? AND sent_at <> 0 AND `+condition, append([]any{m.body[:], head[:]}, args...)...)
		list = append(list, others...)
	}
	return list, m, h, err
}
