package localimap

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Modification sequences, and what a client has missed (RFC 7162). A client is told
// [HIGHESTMODSEQ n] only where it has been told all changes up to n, removals too.

// needs refuses what belongs to a capability that is switched off for the device. All
// that has to do with modification sequences enables CONDSTORE (RFC 7162 section 3.1).
func (s *session) needs(caps ...imap.Cap) {
	for _, c := range caps {
		if err := s.store.available(c); err != nil {
			s.in.Fail(err)
		} else if c == imap.CapCondStore && s.in.Err() == nil {
			s.useModSeqs()
		}
	}
}

func (s *session) useModSeqs() {
	if s.condstore {
		return
	}
	s.condstore = true
	if s.view != nil {
		s.conn.tellHighestModSeq(s.view.settled)
	}
}

// modSeqCode says in a tagged OK how far the client has been told everything: after
// removals (RFC 7162 sections 3.2.7 to 3.2.9), and as long as some may not be told, so
// that the client does not go by the modification sequences of FETCH responses.
func (s *session) modSeqCode() string {
	v := s.view
	if v == nil || !v.condstore || !v.removed && !v.behind() {
		return ""
	}
	v.removed = false
	return fmt.Sprintf("[HIGHESTMODSEQ %d] ", v.settled)
}

// behind reports whether there are removals that may not be told yet.
func (v *view) behind() bool { return len(v.told.uids) > len(v.seen.UIDs) }

// resync is the parameter QRESYNC of SELECT (RFC 7162 section 3.2.5).
type resync struct {
	validity uint32
	since    mailstore.ModSeq
	known    []imapwire.Span // UIDs
	// Message numbers and UIDs of some messages that the client has.
	numbers, uids []imapwire.Span
}

// selectParams reads the parameters of SELECT, where there are any.
func (s *session) selectParams() (condstore bool, q *resync) {
	r := s.in
	if r.AtEnd() {
		return false, nil
	}
	r.SP()
	r.Params(func(name string) {
		switch name {
		case "CONDSTORE":
			condstore = true
		case "QRESYNC":
			r.SP()
			q = readResync(r)
			if !s.qresync {
				r.Fail(bad("QRESYNC is to be enabled before"))
			}
		default:
			r.Fail(&imapwire.SyntaxError{Text: "Unknown parameter of SELECT"})
		}
	})
	if err := s.store.available(imap.CapCondStore); err != nil {
		r.Fail(err)
	}
	return condstore, q
}

var everyUID = []imapwire.Span{{From: 1, To: math.MaxUint32}}

func readResync(r *imapwire.Reader) *resync {
	q := &resync{known: everyUID}
	r.Expect('(')
	q.validity = r.NZNumber()
	r.SP()
	q.since = mailstore.ModSeq(r.Number64()) // not negative
	if r.Take(' ') && r.Peek() != '(' {
		q.known = knownSet(r)
		if !r.Take(' ') {
			r.Expect(')')
			return q
		}
	}
	if r.Take('(') {
		q.numbers = knownSet(r)
		r.SP()
		if q.uids = knownSet(r); count(q.numbers) != count(q.uids) {
			r.Fail(&imapwire.SyntaxError{Text: "Expected as many message numbers as UIDs"})
		}
		r.Expect(')')
	}
	r.Expect(')')
	return q
}

// knownSet reads a set without * or $.
func knownSet(r *imapwire.Reader) []imapwire.Span {
	set := r.Set()
	if set.Saved || slices.ContainsFunc(set.Ranges, imapwire.Range.Starred) {
		r.Fail(&imapwire.SyntaxError{Text: "* and $ are not allowed here"})
	}
	return set.Numbers(0)
}

func count(spans []imapwire.Span) (n int) {
	for _, s := range spans {
		n += s.To - s.From
	}
	return n
}

// tellMissed tells what has changed since the client had the mailbox open. A
// modification sequence that was never given is from an index that is lost, of which
// nothing is known.
func (s *session) tellMissed(q *resync) error {
	v := s.view
	if q.validity != v.seen.Mailbox.UIDValidity {
		return nil
	}
	if q.since > v.seen.Mailbox.HighestModSeq {
		q.since = 0
	}
	gone, whole, err := v.vanished(s.ctx, q.known, q.since, v.matched(q))
	if err != nil {
		return err
	}
	s.conn.tellVanished(true, gone)
	if !whole { // messages that the client saw go may be back, from a backup
		q.known = everyUID
	}
	for _, span := range imapwire.Positions(q.known, v.told.uids) {
		for i := span.From; i < span.To; i++ {
			if v.told.modseqs[i] > q.since {
				s.tellFlags(i, true, true)
			}
		}
	}
	return s.conn.alive()
}

// matched returns the highest UID that has the message number which the client knows
// it by, 0 where there is none: up to that, the client has missed no removal. After a
// restore that says nothing, as a message that is back may stand for one that has gone.
func (v *view) matched(q *resync) (uid mailstore.UID) {
	if mailstore.MayBeRestored(q.since, v.seen.Mailbox.HighestModSeq) {
		return 0
	}
	numbers, uids := q.numbers, q.uids
	for len(numbers) > 0 && len(uids) > 0 {
		n := min(numbers[0].To-numbers[0].From, uids[0].To-uids[0].From)
		for k := range n {
			if i := numbers[0].From + k - 1; i >= len(v.told.uids) {
				return uid
			} else if v.told.uids[i] == mailstore.UID(uids[0].From+k) {
				uid = v.told.uids[i]
			}
		}
		numbers, uids = behind(numbers, n), behind(uids, n)
	}
	return uid
}

// behind returns spans without their first n numbers, which are of the first span.
func behind(spans []imapwire.Span, n int) []imapwire.Span {
	if spans[0].From += n; spans[0].From == spans[0].To {
		return spans[1:]
	}
	return spans
}

// vanished returns those of some UIDs, below UIDNEXT, whose messages were removed
// after a modification sequence. Where that is not known any more, it is all that are
// not there (RFC 7162 section 3.2.5.1), but those up to matched. A message that the
// client has been told of is never among them.
func (v *view) vanished(ctx context.Context, asked []imapwire.Span, since mailstore.ModSeq, matched mailstore.UID) (gone []imapwire.Span, known bool, err error) {
	box := v.seen.Mailbox
	runs, known, err := v.store.Vanished(ctx, v.id, since, box.HighestModSeq)
	if err != nil {
		return nil, false, err
	}
	if !known {
		runs = []mailstore.Run{{First: matched + 1, Last: math.MaxUint32}}
	}
	spans := make([]imapwire.Span, len(runs))
	for k, r := range runs {
		spans[k] = imapwire.Span{From: int(r.First), To: int(r.Last) + 1}
	}
	absent, next := []imapwire.Span{}, 1
	for _, uid := range append(v.told.uids[:len(v.told.uids):len(v.told.uids)], box.UIDNext) {
		if next < int(uid) {
			absent = append(absent, imapwire.Span{From: next, To: int(uid)})
		}
		next = max(next, int(uid)+1)
	}
	return imapwire.Overlap(imapwire.Overlap(asked, imapwire.Merge(spans)), absent), known, nil
}

// asked are the UIDs that a command with a set asks for, gone ones too; * is the
// highest that was given.
func (v *view) asked(set imapwire.Set) []imapwire.Span {
	if set.Saved {
		return imapwire.SpansOf(v.saved)
	}
	return set.Numbers(uint32(max(v.seen.Mailbox.UIDNext-1, 1)))
}

// changedSince keeps the indices of messages that have changed after a modification
// sequence.
func (v *view) changedSince(indices []int, since mailstore.ModSeq) []int {
	now, j := v.newest(), 0
	return slices.DeleteFunc(indices, func(i int) bool {
		for j < len(now.UIDs) && now.UIDs[j] < v.told.uids[i] {
			j++
		}
		if j < len(now.UIDs) && now.UIDs[j] == v.told.uids[i] {
			return now.ModSeqs[j] <= since
		}
		return v.told.modseqs[i] <= since
	})
}

// tellGone tells of messages that are gone, by their indices in told, which still has
// them.
func (v *view) tellGone(c *conn, gone []int) {
	v.removed = v.removed || len(gone) > 0
	if !v.qresync {
		// From the highest down, so that no number is changed by another.
		for _, i := range slices.Backward(gone) {
			c.tellExpunged(i)
		}
		return
	}
	c.tellVanished(false, imapwire.SpansOf(v.uidsOf(gone)))
}

// unasked returns what a FETCH response that no one asked for tells beside the flags
// of the i-th message.
func (v *view) unasked(i int) (uid mailstore.UID, modseq mailstore.ModSeq) {
	if v.rev2 || v.condstore || v.tellsUIDs { // RFC 7162 section 3.2.4
		uid = v.told.uids[i]
	}
	if v.condstore {
		modseq = v.told.modseqs[i]
	}
	return uid, modseq
}

// vanishedAtOnce is how many runs of UIDs one line tells: clients have limits.
const vanishedAtOnce = 500

// tellVanished tells that messages are gone, earlier or just now (RFC 7162 section
// 3.2.10).
func (c *conn) tellVanished(earlier bool, uids []imapwire.Span) {
	for chunk := range slices.Chunk(uids, vanishedAtOnce) {
		c.out = append(c.out, "* VANISHED "...)
		if earlier {
			c.out = append(c.out, "(EARLIER) "...)
		}
		c.out = append(imapwire.AppendSpans(c.out, chunk), "\r\n"...)
		_ = c.overflow() // kept in c.err
	}
}

func (c *conn) tellHighestModSeq(n mailstore.ModSeq) { c.line("* OK [HIGHESTMODSEQ %d] Highest", n) }
