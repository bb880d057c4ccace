package localimap

import (
	"cmp"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Search keys of CONDSTORE, SAVEDATE and OBJECTID.

// saved adds that the save date is not before since, and before a day, or the internal date where that is not known (RFC
// 8514 section 4.3).
func (q *query) saved(k *compiler, since, until time.Time) {
	k.caps = append(k.caps, imap.CapSaveDate)
	q.between(k, since, until, func(c *candidate) int64 { return cmp.Or(c.v.told.saved[c.i], c.v.told.received[c.i]) })
}

// modSeq reads [entry-name entry-type] n (RFC 7162 section 3.1.5). There is one
// modification sequence for all flags of a message.
func (k *compiler) modSeq(q *query) {
	r := k.in
	r.SP()
	if r.Peek() == '"' {
		if entry := r.String(); r.Err() == nil && !strings.HasPrefix(entry, "/flags/") {
			r.Fail(&imapwire.SyntaxError{Text: "Expected the name of an entry such as \"/flags/\\\\Seen\""})
		}
		r.SP()
		if kind := strings.ToLower(r.Atom()); r.Err() == nil && kind != "all" && kind != "priv" && kind != "shared" {
			r.Fail(&imapwire.SyntaxError{Text: "Expected all, priv or shared"})
		}
		r.SP()
	}
	since := mailstore.ModSeq(r.Number64()) //nolint:gosec // not negative
	k.caps = append(k.caps, imap.CapCondStore)
	q.add(columnCost, 0, func(c *candidate) answer { return answerOf(c.v.told.modseqs[c.i] >= since) })
}

// emailID adds that a message has an EMAILID (RFC 8474 section 6).
func (q *query) emailID(k *compiler, id string) {
	k.caps = append(k.caps, imap.CapObjectID)
	q.add(summaryCost, mailstore.WantHash, func(c *candidate) answer {
		if c.content == nil {
			return unknown
		}
		return answerOf(emailID(c.content.Hash) == id)
	})
}
