package localimap

import (
	"cmp"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/textindex"
)

// set adds a set of numbers, or $.
func (q *query) set(k *compiler, byUID bool) {
	set := k.in.Set()
	if k.in.Err() != nil {
		return
	}
	v := k.v
	if set.Saved {
		k.caps = append(k.caps, imap.CapSearchRes)
		q.add(columnCost, 0, func(c *candidate) answer {
			_, ok := slices.BinarySearch(v.saved, v.told.uids[c.i])
			return answerOf(ok)
		})
		return
	}
	k.numbers = k.numbers || !byUID
	spans, _ := v.spans(set, byUID) // numbers of no message match none, as with Dovecot
	q.add(columnCost, 0, func(c *candidate) answer {
		i := sort.Search(len(spans), func(i int) bool { return spans[i].To > c.i })
		return answerOf(i < len(spans) && spans[i].From <= c.i)
	})
}

// flagTest tests a flag or keyword. Combinations of flags are few, so a
// keyword, whose name has no regard to case, is looked up once for each.
func flagTest(v *view, flag imap.Flag, want bool) test {
	bits := map[imap.Flag]mailflags.System{
		imap.FlagSeen: mailflags.Seen, imap.FlagAnswered: mailflags.Answered, imap.FlagFlagged: mailflags.Flagged,
		imap.FlagDeleted: mailflags.Deleted, imap.FlagDraft: mailflags.Draft,
	}
	if bit, ok := bits[flag]; ok {
		return func(c *candidate) answer {
			return answerOf((v.told.flags[c.i].System&bit != 0) == want)
		}
	}
	if flag == flagRecent {
		return func(c *candidate) answer { return answerOf(v.isRecent(v.told.uids[c.i]) == want) }
	}
	known := make(map[mailflags.KeywordSet]bool)
	for i := range v.told.flags {
		set := v.told.flags[i].Keywords
		if _, ok := known[set]; !ok {
			known[set] = slices.ContainsFunc(v.store.FlagNames(mailflags.Flags{Keywords: set}), func(name string) bool {
				return strings.EqualFold(name, string(flag))
			})
		}
	}
	return func(c *candidate) answer { return answerOf(known[v.told.flags[c.i].Keywords] == want) }
}

// received adds that the internal date is not before since, and before a day; a
// zero one does not matter.
func (q *query) received(k *compiler, since, until time.Time) {
	q.between(k, since, until, func(c *candidate) int64 { return c.v.told.received[c.i] })
}

func (q *query) between(k *compiler, since, until time.Time, at func(*candidate) int64) {
	zone := k.zone
	q.add(columnCost, 0, func(c *candidate) answer {
		t := at(c)
		return answerOf((since.IsZero() || !before(t, since, zone)) && (until.IsZero() || before(t, until, zone)))
	})
}

// sent does so for the Date field, in the time zone it is written in (RFC 9051
// section 6.4.4). Without a date, that of the arrival is taken, as in RFC 5256
// section 2.2.
func (q *query) sent(k *compiler, since, until time.Time) {
	zone := k.zone
	q.add(summaryCost, mailstore.WantEnvelope, func(c *candidate) answer {
		sum := c.summary()
		if sum == nil {
			return unknown
		}
		date := sum.Envelope.Date()
		if date.IsZero() {
			date = internalDate(c.v.told.received[c.i], zone)
		}
		day := dayOf(date)
		return answerOf((since.IsZero() || !day.Before(since)) && (until.IsZero() || day.Before(until)))
	})
}

// header adds that a field has a text.
func (q *query) header(k *compiler, name, text string) {
	m := mailtext.NewMatcher(text)
	if message.Keeps([]string{name}) {
		q.add(summaryCost, mailstore.WantHeader, k.narrowed(text, false, false, headerTest(name, m, true)))
		return
	}
	q.add(fileCost, mailstore.WantFile|mailstore.WantHeader, k.narrowed(text, false, false, headerTest(name, m, false)))
}

// text adds that the body has a text, or the message.
func (q *query) text(k *compiler, text string, body bool) {
	m := mailtext.NewMatcher(text)
	t := fileTest(func(c *candidate) (bool, error) {
		if body {
			return m.MatchBody(c.summary(), c.file)
		}
		return m.MatchText(c.summary(), c.file)
	})
	q.add(fileCost, mailstore.WantFile|mailstore.WantStructure, k.narrowed(text, body, true, t))
}

// narrowed is t where the text index does not rule the message out, or know that it
// matches where that is enough: then nothing of the message is needed. The index is
// asked when the first message gets here.
func (k *compiler) narrowed(text string, body, enough bool, t test) test {
	if k.asked++; k.asked > maxNarrowed {
		return t
	}
	v := k.v
	var once sync.Once
	var known textindex.Known
	return func(c *candidate) answer {
		once.Do(func() { known = v.store.Narrow(text, body) })
		switch match := known.Of(int64(v.told.contents[c.i])); {
		case match == textindex.NoMatch:
			return never
		case match == textindex.Matches && enough:
			return yes
		}
		return t(c)
	}
}

// headerTest tests the fields of one name, from the index where it keeps them.
// An empty value asks whether there is such a field at all.
func headerTest(name string, m *mailtext.Matcher, kept bool) test {
	fromFile := fileTest(func(c *candidate) (bool, error) {
		h, err := message.ReadHeader(io.NewSectionReader(c.file, 0, c.content.Summary.Header.Size))
		return err == nil && m.MatchHeader(h, name), err
	})
	return func(c *candidate) answer {
		if kept && c.content != nil && c.content.Summary.Header.Complete() {
			return answerOf(m.MatchHeader(&c.content.Summary.Header, name))
		}
		return fromFile(c)
	}
}

func fileTest(holds func(c *candidate) (bool, error)) test {
	return func(c *candidate) answer {
		if c.file == nil {
			return unknown
		}
		ok, err := holds(c)
		if err != nil {
			c.err = err
		}
		return answerOf(ok)
	}
}

// saved adds that the save date, or the internal date where that is not known, is not
// before since, and before a day (RFC 8514 section 4.3).
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
	since := mailstore.ModSeq(r.Number64()) // not negative
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
