package mailstore

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// OutgoingID names a message on its way out for the life of its store.
type OutgoingID int64

// A Submission is a message that a mail program hands over to be sent.
type Submission struct {
	Message    *Spooled          // as it will be in Sent: with Bcc, Date and Message-ID
	Account    string            // by whose server it leaves
	Device     string            // that handed it over
	From       string            // envelope sender as it leaves; "" for MAIL FROM:<>
	Recipients []string          // envelope, each once, at least one, without brackets
	ToSelf     bool              // one of them is an address of this user: what comes back by POP is mail
	DSN        map[string]string // parameters of RFC 3461 section 4 by recipient, those of MAIL by ""
	EightBit   bool              // the content has bytes above 127
	UTF8       bool              // it needs SMTPUTF8 (RFC 6531)
	MessageID  string            // of the header, with its brackets
	// Added are the bytes at the start of the message that the mail program did not write:
	// Date, Message-ID, or both, a line each, and the end of a header where there was none.
	Added int
	// InReplyTo are the ids, with their brackets, of the messages that become \Answered
	// when this one was sent, the first 10 of them; empty where that is switched off.
	InReplyTo []string
	NotBefore time.Time // zero: at once
}

// OutgoingState is how far a message on its way out has come.
type OutgoingState uint8

// The states of a message in the Outbox. The values are stored; that of a message that
// has left it is 0.
const (
	Waiting  OutgoingState = 1 // leaves when NotBefore has come
	Handing  OutgoingState = 2 // durable before the final dot is written, at NotBefore; found when the store is opened, or half an hour later, it becomes Unknown
	Unknown  OutgoingState = 3 // handed over up to the final dot, the answer is not known (RFC 1047): a person decides
	Held     OutgoingState = 4 // by a person, a restored backup, or \Deleted in the Outbox
	Rejected OutgoingState = 5 // no recipient is left to try and one at least was refused for good; stays until it is dropped
)

// RecipientState is what became of one recipient.
type RecipientState uint8

// The states of a recipient. The values are stored.
const (
	Pending  RecipientState = 1 // does not have the message
	Accepted RecipientState = 2
	Refused  RecipientState = 3
	Offered  RecipientState = 4 // taken by the server in the transaction whose final dot comes next, or is not answered
)

// OutgoingRecipient is one recipient of a message on its way out.
type OutgoingRecipient struct {
	Address string
	State   RecipientState
	Reply   string // the server's words
}

// Outgoing is a message in the Outbox.
type Outgoing struct {
	ID                                        OutgoingID
	UID                                       UID // in the Outbox; 0: it has left
	Account, Device, From, MessageID, Subject string
	EightBit, UTF8                            bool
	Size                                      int64
	QueuedAt, NotBefore                       time.Time
	FirstTry                                  time.Time // zero: never tried, or not since a person asked for another try
	Attempts                                  int
	State                                     OutgoingState
	LastError                                 string // of the last attempt, for a person
	Recipients                                []OutgoingRecipient
	DSN                                       map[string]string // see Submission; nil: nothing is asked

	content ContentID
}

// What may wait at once, and how long a message that is handed over a second time is
// taken for the first one.
const (
	maxOutgoing      = 1000
	maxOutgoingBytes = 2 << 30
	twinFor          = 4 * time.Hour
	maxReply         = 500 // bytes of what a server or an attempt says
)

// Submit makes a message durable in the Outbox: file and row are synced when it returns
// nil. It takes over the spooled file and removes it, whatever the outcome. A message
// with the Message-ID, recipients and bytes, without a Date that was added to these, of one
// that was handed over less than 4 hours ago, and was sent to all of them or is in the Outbox,
// is that one: twin is true then, and nothing is queued. One without a Message-ID of its own
// never is: programs send the same text often. Where that one is held, was refused, or has
// \Deleted, it waits again, and recipients that were refused are tried again with those that
// wait; one that is Unknown stays so.
// fault.Full when 1,000 messages or 2 GiB wait, or the disk is full.
func (s *Store) Submit(ctx context.Context, sub Submission) (id OutgoingID, twin bool, err error) {
	b := s.files.NewBatch([]*contents.Spooled{sub.Message.Spooled})
	inDoubt := false
	defer func() { b.End(err == nil && !twin, inDoubt) }()
	if len(sub.Recipients) == 0 {
		return 0, false, fault.New(fault.Config, "a message has no recipients", "")
	}
	marks, err := spooledMarks(sub.Message)
	if err == nil {
		err = b.Place(ctx)
	}
	if err != nil {
		return 0, false, failure(err, "queue a message")
	}
	inDoubt, err = s.commit(ctx, "queue a message", func(t *tx) (err error) {
		if id, err = t.twin(&sub, marks); err != nil || id != 0 {
			twin = true
			return err
		}
		id, err = t.submit(&sub, marks)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	_ = s.step("committed") // a crash here must lose nothing; an error has no meaning any more
	return id, twin, nil
}

// twin returns the message that a submission repeats, 0 for none: one that all its
// recipients have, or that is in the Outbox. There it leaves for all that do not have it.
func (t *tx) twin(sub *Submission, m marks) (id OutgoingID, err error) {
	h, now := sub.Message.Hash(), t.s.now() // the clock may have been set back since
	list, err := t.outgoingWhere(`message_id = ? AND (hash = ? OR ? > 0 AND body = ?) AND account = ? AND queued_at BETWEEN ? AND ?`,
		sub.MessageID, h[:], sub.Added, m.body[:], sub.Account, now.Add(-twinFor).Unix(), now.Add(twinFor).Unix())
	want := slices.Sorted(slices.Values(sub.Recipients))
	for _, o := range list {
		if err = errors.Join(err, t.readRecipients(o)); err != nil {
			return 0, err
		}
		var had []string
		all := true
		for _, r := range o.Recipients {
			had = append(had, r.Address)
			all = all && r.State == Accepted
		}
		slices.Sort(had)
		if !slices.Equal(want, had) || o.UID == 0 && !all || // cancelled before all had it
			o.hash != h && !t.s.repeats(o, sub) {
			continue
		}
		if o.UID != 0 {
			err = t.again(o, sub.NotBefore)
		}
		return o.ID, errors.Join(err, t.markPresent(h)) // where it has the same bytes
	}
	return 0, err
}

// repeats reports whether a submission that something was added to has the bytes of an
// earlier one, without what was added to both. What cannot be read is another one.
func (s *Store) repeats(o *outgoingRow, sub *Submission) bool {
	mine, old := &lazyFile{s: s, hash: sub.Message.Hash()}, &lazyFile{s: s, hash: o.hash}
	defer mine.close()
	defer old.close()
	added := make([]byte, sub.Added)
	if _, err := mine.ReadAt(added, 0); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	rest := bufio.NewReader(io.NewSectionReader(old, 0, math.MaxInt64))
	for line := range bytes.Lines(added) {
		line = line[:cmp.Or(bytes.IndexByte(line, ':')+1, len(line))] // the field, whatever its value
		if got, err := rest.ReadSlice('\n'); err != nil || !bytes.HasPrefix(got, line) {
			return false
		}
	}
	a, err := digest(io.NewSectionReader(mine, int64(sub.Added), math.MaxInt64))
	b, oldErr := digest(rest)
	return err == nil && oldErr == nil && a == b
}

func digest(r io.Reader) (h Hash, err error) {
	sum := sha256.New()
	_, err = io.Copy(sum, r)
	sum.Sum(h[:0])
	return h, err
}

// again has a message in the Outbox that is submitted once more leave as it would have
// then: what holds it means nothing any more, nor what refused it for some.
func (t *tx) again(o *outgoingRow, notBefore time.Time) error {
	deleted, err := t.isDeleted(o)
	if err != nil {
		return err
	}
	if o.State == Held || o.State == Rejected || deleted && o.State == Waiting {
		if o.State == Rejected { // it is tried for as long as a new one
			o.FirstTry, o.Attempts = time.Time{}, 0
		}
		o.State, o.LastError, o.NotBefore = Waiting, "", later(notBefore, t.s.now())
	}
	if err := t.turn(o, become(Pending, Refused)); err != nil {
		return err
	}
	return errors.Join(t.wanted(o), t.putOutgoing(o))
}

func (t *tx) submit(sub *Submission, m marks) (OutgoingID, error) {
	b, err := t.outbox()
	if err != nil {
		return 0, err
	}
	size := sub.Message.Size()
	if b.Messages >= maxOutgoing || b.Size+size > maxOutgoingBytes {
		return 0, fault.New(fault.Full, "the Outbox is full", "wait until some of its messages are sent, or delete those that cannot be")
	}
	content, err := t.content(sub.Message.Hash(), size, sub.Message.summary)
	if err != nil {
		return 0, err
	}
	now := t.s.now()
	r, err := t.add(b, row{Content: content, Flags: mailflags.Flags{System: mailflags.Seen}, Received: now.Unix(), Size: size})
	if err != nil {
		return 0, err
	}
	t.logAdded(b, r, sub.Message.Hash())
	o := &outgoingRow{
		Outgoing: Outgoing{UID: r.UID, Account: sub.Account, Device: sub.Device, From: sub.From, MessageID: sub.MessageID,
			EightBit: sub.EightBit, UTF8: sub.UTF8, QueuedAt: now, NotBefore: later(sub.NotBefore, now), State: Waiting},
		hash: sub.Message.Hash(), marks: m, inReplyTo: sub.InReplyTo[:min(len(sub.InReplyTo), maxAnswered)], toSelf: sub.ToSelf,
	}
	for _, address := range sub.Recipients {
		o.toSelf = o.toSelf || strings.EqualFold(address, sub.From)
		o.Recipients = append(o.Recipients, OutgoingRecipient{Address: address, State: Pending})
	}
	err = t.get(`SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outgoing'), 0) + 1`, nil, &o.ID)
	if err == nil {
		err = t.putOutgoing(o)
	}
	if err == nil {
		err = t.putDSN(o.ID, 0, sub.DSN[""])
	}
	for i, r := range o.Recipients {
		if err == nil {
			err = errors.Join(t.putRecipient(o, i), t.putDSN(o.ID, i+1, sub.DSN[r.Address]))
		}
	}
	return o.ID, err
}

// later returns the later of two times as full seconds, rounded up.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b.Truncate(time.Second)
	}
	return a.Add(time.Second - 1).Truncate(time.Second)
}

// Outgoing returns what is in the Outbox as of one commit, the oldest first, without the
// subjects, for which messages are read.
func (s *Store) Outgoing(ctx context.Context) ([]Outgoing, error) {
	list, err := s.outgoing(ctx)
	if err != nil {
		return nil, failure(s.reader.explain(err), "list the Outbox")
	}
	return list, nil
}

// FillSubjects reads the subjects of what Outgoing has returned.
func (s *Store) FillSubjects(ctx context.Context, list []Outgoing) error {
	ids := make([]ContentID, len(list))
	for i := range list {
		ids[i] = list[i].content
	}
	all, err := s.Contents(ctx, ids, WantEnvelope)
	for i := range all {
		list[i].Subject = s.Envelope(&all[i]).Subject()
	}
	return err
}

func (s *Store) outgoing(ctx context.Context) (list []Outgoing, err error) {
	t, err := s.reader.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.Rollback() }() // it only read
	at := map[OutgoingID]int{}
	err = query(ctx, t, `SELECT `+outgoingColumns+`, m.content_id, m.size, m.system FROM outgoing
		JOIN message m ON m.uid = outgoing.uid AND m.mailbox_id = `+outboxID+` ORDER BY id`, func(rows *sql.Rows) error {
		var o outgoingRow
		var system mailflags.System
		err := rows.Scan(append(o.columns(), &o.content, &o.Size, &system)...)
		o.scanned()
		if o.State == Waiting && system&mailflags.Deleted != 0 {
			o.State = Held
		}
		at[o.ID] = len(list)
		list = append(list, o.Outgoing)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = query(ctx, t, `SELECT outgoing_id, address, r.state, reply FROM outgoing_recipient r JOIN outgoing ON id = outgoing_id
		WHERE uid <> 0 ORDER BY outgoing_id, place`, func(rows *sql.Rows) error {
		var id OutgoingID
		var r OutgoingRecipient
		err := rows.Scan(&id, &r.Address, &r.State, &r.Reply)
		if i, ok := at[id]; ok {
			list[i].Recipients = append(list[i].Recipients, r)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, query(ctx, t, `SELECT d.outgoing_id, coalesce(address, ''), asked FROM outgoing_dsn d JOIN outgoing ON id = d.outgoing_id AND uid <> 0
		LEFT JOIN outgoing_recipient r ON r.outgoing_id = d.outgoing_id AND r.place = d.place - 1`, func(rows *sql.Rows) error {
		var id OutgoingID
		var address, asked string
		err := rows.Scan(&id, &address, &asked)
		if i, ok := at[id]; ok {
			if list[i].DSN == nil {
				list[i].DSN = map[string]string{}
			}
			list[i].DSN[address] = asked
		}
		return err
	})
}

func query(ctx context.Context, t *sql.Tx, text string, scan func(*sql.Rows) error) error {
	st, err := t.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }() // the transaction ends anyway
	return each(st, ctx, nil, scan)
}

// OpenOutgoing opens a message in the Outbox, after it has read all of it: the bytes are
// those that were submitted. fault.NotFound when it is not there any more, fault.Corrupt
// when its file is missing or damaged.
func (s *Store) OpenOutgoing(ctx context.Context, id OutgoingID) (io.ReadSeekCloser, error) {
	var h Hash
	err := s.reader.get(ctx, `SELECT hash FROM outgoing WHERE id = ? AND uid <> 0`, []any{id}, hashInto(&h))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNotOutgoing
	}
	if err != nil {
		return nil, failure(err, "open a message in the Outbox")
	}
	f, err := s.OpenContent(h)
	switch {
	case errors.Is(err, errMessageGone):
		return nil, fault.New(fault.Corrupt, "the file of the message is missing", hintDamaged)
	case err != nil:
		return nil, err
	}
	got, err := contents.HashFile(ctx, f.Name())
	if err == nil && got != h {
		err = fault.New(fault.Corrupt, "the file of the message is damaged", hintDamaged)
	}
	if err != nil {
		return nil, errors.Join(failure(err, "open a message in the Outbox"), f.Close())
	}
	return f, nil
}

// hintDamaged is what to do about a message that cannot leave: no server has it.
const hintDamaged = "run 'popbridge check --repair', and send the message again"

// hintOutbox is what to do about a decision that comes too late, or is about another message.
const hintOutbox = "`popbridge outbox list` shows the messages, their numbers and what is known of each"

var errNotOutgoing = fault.New(fault.NotFound, "the message is not in the Outbox", hintOutbox)

// OutgoingChanges returns a channel of capacity one that receives a value after each
// change of what Outgoing returns. Each call makes another one, for the life of the store.
func (s *Store) OutgoingChanges() <-chan struct{} {
	ch := make(chan struct{}, 1)
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.feed.outgoing = append(s.feed.outgoing, ch)
	return ch
}
