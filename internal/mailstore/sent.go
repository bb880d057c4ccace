package mailstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/message"
)

// marks are by what a message is recognised when it comes a second time with other bytes.
type marks struct {
	head Hash // of From, Date, To and Cc, as they read; zeros where From or Date is missing
	body Hash // of what follows the header, with any line ends, but for blank lines at the end
}

// spooledMarks reads the marks of a message that is not synced yet.
func spooledMarks(sp *Spooled) (marks, error) { return readMarks(sp, sp.summary, sp.Size()) }

// readMarks reads the marks of a message.
func readMarks(r io.ReaderAt, sum *message.Summary, size int64) (m marks, err error) {
	h := &sum.Header
	if !h.Complete() {
		if h, err = message.ReadHeader(io.NewSectionReader(r, 0, sum.Header.Size)); err != nil {
			return m, err
		}
	}
	m.head = headMark(h)
	w := &bodyHash{hash: sha256.New()}
	if _, err = io.Copy(w, io.NewSectionReader(r, sum.Header.Size, size-sum.Header.Size)); err != nil && !errors.Is(err, io.EOF) {
		return m, err
	}
	w.hash.Sum(m.body[:0])
	return m, nil
}

func headMark(h *message.Header) (mark Hash) {
	var text strings.Builder
	for _, name := range []string{"From", "Date", "To", "Cc"} {
		value := strings.Join(strings.Fields(h.Text(name)), " ")
		if value == "" && (name == "From" || name == "Date") {
			return Hash{}
		}
		text.WriteString(value + "\n")
	}
	return sha256.Sum256([]byte(text.String()))
}

// bodyHash hashes without carriage returns and without the line feeds at the end.
type bodyHash struct {
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	ends int // line feeds that are hashed when something follows
	buf  []byte
}

func (w *bodyHash) Write(p []byte) (int, error) {
	w.buf = w.buf[:0]
	for _, c := range p {
		switch c {
		case '\r':
		case '\n':
			w.ends++
		default:
			for ; w.ends > 0; w.ends-- {
				w.buf = append(w.buf, '\n')
			}
			w.buf = append(w.buf, c)
		}
	}
	_, err := w.hash.Write(w.buf)
	return len(p), err
}

// sent does what follows from the first recipient that is accepted.
func (t *tx) sent(o *outgoingRow, answers []ContentID) error {
	b, err := t.sentBox()
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
	return t.answered(answers)
}

// sentBox returns the mailbox with the use \Sent, making it where there is none.
func (t *tx) sentBox() (*box, error) {
	var id MailboxID
	err := t.get(`SELECT id FROM mailbox WHERE special_use = '\Sent'`, nil, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return t.ensure("Sent")
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
	var list []savedCopy
	var sizes []int64
	err = t.rows(`SELECT uid, hash, m.size FROM (SELECT * FROM message WHERE mailbox_id = ? ORDER BY uid DESC LIMIT ?) m JOIN content c ON c.id = content_id
		WHERE saved_at >= ? AND system & ? = 0 AND NOT missing AND NOT EXISTS (SELECT 1 FROM outgoing WHERE copy_box = mailbox_id AND copy_uid = m.uid) ORDER BY uid`,
		[]any{b.ID, savedAmong, o.QueuedAt.Add(-savedBefore).Unix(), int64(mailflags.Deleted)}, func(rows *sql.Rows) error {
			var c savedCopy
			var size int64
			err := rows.Scan(&c.uid, hashInto(&c.hash), &size)
			list, sizes = append(list, c), append(sizes, size)
			return err
		})
	for i, c := range list {
		if c.hash == o.hash || t.s.same(c.hash, sizes[i], o) {
			return c, err
		}
	}
	return found, err
}

// same reports whether a content is the same mail as one on its way out: it has the same
// From, Date, To and Cc, and the same Message-ID or body.
func (s *Store) same(h Hash, size int64, o *outgoingRow) bool {
	f, err := s.OpenContent(h)
	if err != nil {
		return false // in doubt it is another one
	}
	defer f.Close() // it was only read
	header, err := message.ReadHeader(f)
	if err != nil || headMark(header) != o.marks.head {
		return false
	}
	if sameID(header, o.MessageID) {
		return true
	}
	m, err := readMarks(f, s.Summarize(f, size), size)
	return err == nil && m == o.marks
}

func sameID(h *message.Header, id string) bool {
	ids := h.MessageIDs("Message-ID")
	return len(ids) == 1 && "<"+ids[0]+">" == id
}

// originals returns the contents that a message on its way out answers: of each
// Message-ID the newest. It looks through the envelopes, from the newest on.
func (s *Store) originals(ctx context.Context, id OutgoingID) (out []ContentID, err error) {
	var text string
	err = s.reader.get(ctx, `SELECT in_reply_to FROM outgoing WHERE id = ? AND sent_at = 0`, []any{id}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	for _, id := range strings.Fields(text) {
		if err != nil || strings.ContainsAny(id, `"\`) || len(id) < 4 {
			continue
		}
		var found ContentID
		end := []byte(` "` + id + `")`) // the last field of an envelope
		err = s.reader.get(ctx, `SELECT content_id FROM envelope WHERE substr(data, -?) = ? ORDER BY content_id DESC LIMIT 1`, []any{len(end), end}, &found)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		} else {
			out = append(out, found)
		}
	}
	return out, err
}

// answered sets \Answered on contents, in whatever mailboxes they are.
func (t *tx) answered(contents []ContentID) error {
	for _, content := range contents {
		var places []Place
		err := t.rows(`SELECT mailbox_id, uid FROM message WHERE content_id = ?`, []any{content},
			into(&places, func(p *Place) []any { return []any{&p.Mailbox, &p.UID} }))
		for _, p := range places {
			var b *box
			var rows []picked
			if err == nil {
				b, err = t.box(p.Mailbox)
			}
			if err == nil {
				rows, err = t.pick(p.Mailbox, []UID{p.UID})
			}
			if err == nil {
				_, err = t.setFlags(b, rows, mailflags.Add, mailflags.Answered, nil)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
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
