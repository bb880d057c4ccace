package localimap

import (
	"context"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// answer is what is known of a key for a message.
type answer uint8

const (
	never answer = iota
	unknown
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return never
}

// candidate is a message during a search, with as much of it as is at hand.
type candidate struct {
	ctx     context.Context // of the command
	v       *view
	i       int
	content *mailstore.Content // nil in the first round
	file    io.ReaderAt        // nil until the last round
	whole   *message.Summary   // of content, where that is Cut, once it was read
	err     error              // reading the file failed
}

// summary returns the summary, nil where it cannot be had in this round.
func (c *candidate) summary() *message.Summary {
	switch {
	case c.content == nil:
		return nil
	case !c.content.Cut:
		return c.content.Summary
	case c.whole == nil && c.file != nil:
		c.whole = c.v.store.Summarize(c.file, c.content.Size)
	}
	return c.whole
}

// test is one key. It answers unknown where c has not got what it needs.
type test func(c *candidate) answer

// cost is in which order the tests of a query are made.
type cost uint8

const (
	columnCost cost = iota
	summaryCost
	fileCost
)

// query is a list of keys that must all hold, those of the least cost first.
type query struct {
	tests []test
	costs []cost         // of tests
	want  mailstore.Want // what the keys need
}

func (q *query) add(c cost, want mailstore.Want, t test) {
	i := len(q.costs)
	for i > 0 && q.costs[i-1] > c {
		i--
	}
	q.tests, q.costs, q.want = slices.Insert(q.tests, i, t), slices.Insert(q.costs, i, c), q.want|want
}

// match answers for one message. Something unknown does not keep a key that
// fails from settling the matter. When the command has ended, the answer means
// nothing.
func (q *query) match(c *candidate) answer {
	result := yes
	for _, t := range q.tests {
		if c.ctx.Err() != nil {
			return never
		}
		if result = min(result, t(c)); result == never {
			return never
		}
	}
	return result
}

// compiler makes a query of what it reads.
type compiler struct {
	v     *view
	zone  *time.Location
	in    *imapwire.Reader
	asked int // of the text index
	caps  []imap.Cap
	read  int // keys so far
}

// keys reads keys up to the end of the command, or of a parenthesis.
func (k *compiler) keys(depth int) *query {
	q := &query{}
	for {
		k.key(q, depth)
		if k.in.Err() != nil || k.in.AtEnd() || k.in.Peek() == ')' {
			return q
		}
		k.in.SP()
	}
}

// key reads a key (RFC 9051 section 6.4.4) and adds it to q.
func (k *compiler) key(q *query, depth int) {
	r := k.in
	if k.read++; k.read > maxSearchKeys {
		r.Fail(limited("Too many search keys, at most %d", maxSearchKeys))
		return
	}
	if depth > maxQueryDepth {
		r.Fail(limited("Search keys are nested too deep, at most %d", maxQueryDepth))
		return
	}
	switch c := r.Peek(); {
	case c == '(':
		r.Expect('(')
		k.read--
		sub := k.keys(depth + 1)
		r.Expect(')')
		q.and(sub)
		return
	case c >= '0' && c <= '9', c == '*', c == '$':
		q.set(k, r.Set(), false)
		return
	}
	name := strings.ToUpper(r.Atom())
	if r.Err() != nil {
		return
	}
	if f, ok := flagKeys[name]; ok {
		q.add(columnCost, 0, flagTest(k.v, f.flag, f.want))
		return
	}
	if read, ok := searchKeys[name]; ok {
		read(k, q, depth)
		return
	}
	r.Fail(&imapwire.SyntaxError{Text: "Unknown search key"})
}

// and adds the keys in parentheses.
func (q *query) and(sub *query) {
	for i, t := range sub.tests {
		q.add(sub.costs[i], 0, t)
	}
	q.want |= sub.want
}

// not adds that a query does not hold.
func (q *query) not(sub *query) {
	q.add(sub.dearest(), sub.want, func(c *candidate) answer { return yes - sub.match(c) })
}

// or adds that one of two queries holds.
func (q *query) or(a, b *query) {
	q.add(max(a.dearest(), b.dearest()), a.want|b.want, func(c *candidate) answer {
		first := a.match(c)
		if first == yes {
			return yes
		}
		return max(first, b.match(c))
	})
}

// dearest is the cost of a query as one test.
func (q *query) dearest() cost {
	if n := len(q.costs); n > 0 {
		return q.costs[n-1]
	}
	return columnCost
}

// flagKeys are the keys without an argument that test flags.
var flagKeys = map[string]struct {
	flag imap.Flag
	want bool
}{
	"ANSWERED": {imap.FlagAnswered, true}, "DELETED": {imap.FlagDeleted, true}, "DRAFT": {imap.FlagDraft, true},
	"FLAGGED": {imap.FlagFlagged, true}, "SEEN": {imap.FlagSeen, true}, "RECENT": {flagRecent, true},
	"UNANSWERED": {imap.FlagAnswered, false}, "UNDELETED": {imap.FlagDeleted, false}, "UNDRAFT": {imap.FlagDraft, false},
	"UNFLAGGED": {imap.FlagFlagged, false}, "UNSEEN": {imap.FlagSeen, false}, "OLD": {flagRecent, false},
}

var searchKeys map[string]func(k *compiler, q *query, depth int)

func init() {
	type reads = func(k *compiler, q *query, depth int)
	header := func(name string) reads {
		return func(k *compiler, q *query, _ int) { k.in.SP(); q.header(k, name, k.in.AString()) }
	}
	day := func(add func(q *query, k *compiler, day time.Time)) reads {
		return func(k *compiler, q *query, _ int) { k.in.SP(); add(q, k, k.in.Date()) }
	}
	size := func(holds func(size, than int64) bool) reads {
		return func(k *compiler, q *query, _ int) {
			k.in.SP()
			than := k.in.Number64()
			q.add(columnCost, 0, func(c *candidate) answer { return answerOf(holds(c.v.told.sizes[c.i], than)) })
		}
	}
	keyword := func(want bool) reads {
		return func(k *compiler, q *query, _ int) {
			k.in.SP()
			q.add(columnCost, 0, flagTest(k.v, imap.Flag(k.in.Flag()), want))
		}
	}
	searchKeys = map[string]reads{
		"ALL": func(*compiler, *query, int) {},
		"NEW": func(k *compiler, q *query, _ int) {
			q.add(columnCost, 0, flagTest(k.v, flagRecent, true))
			q.add(columnCost, 0, flagTest(k.v, imap.FlagSeen, false))
		},
		"KEYWORD": keyword(true), "UNKEYWORD": keyword(false),
		"BCC": header("Bcc"), "CC": header("Cc"), "FROM": header("From"), "SUBJECT": header("Subject"), "TO": header("To"),
		"HEADER": func(k *compiler, q *query, _ int) {
			k.in.SP()
			name := k.in.AString()
			k.in.SP()
			q.header(k, name, k.in.AString())
		},
		"BODY":       func(k *compiler, q *query, _ int) { k.in.SP(); q.text(k, k.in.AString(), true) },
		"TEXT":       func(k *compiler, q *query, _ int) { k.in.SP(); q.text(k, k.in.AString(), false) },
		"LARGER":     size(func(size, than int64) bool { return size > than }),
		"SMALLER":    size(func(size, than int64) bool { return size < than }),
		"BEFORE":     day(func(q *query, k *compiler, day time.Time) { q.received(k, time.Time{}, day) }),
		"SINCE":      day(func(q *query, k *compiler, day time.Time) { q.received(k, day, time.Time{}) }),
		"ON":         day(func(q *query, k *compiler, day time.Time) { q.received(k, day, day.AddDate(0, 0, 1)) }),
		"SENTBEFORE": day(func(q *query, k *compiler, day time.Time) { q.sent(k, time.Time{}, day) }),
		"SENTSINCE":  day(func(q *query, k *compiler, day time.Time) { q.sent(k, day, time.Time{}) }),
		"SENTON":     day(func(q *query, k *compiler, day time.Time) { q.sent(k, day, day.AddDate(0, 0, 1)) }),

		"MODSEQ":            func(k *compiler, q *query, _ int) { k.modSeq(q) },
		"SAVEDBEFORE":       day(func(q *query, k *compiler, day time.Time) { q.saved(k, time.Time{}, day) }),
		"SAVEDSINCE":        day(func(q *query, k *compiler, day time.Time) { q.saved(k, day, time.Time{}) }),
		"SAVEDON":           day(func(q *query, k *compiler, day time.Time) { q.saved(k, day, day.AddDate(0, 0, 1)) }),
		"SAVEDATESUPPORTED": func(k *compiler, _ *query, _ int) { k.caps = append(k.caps, imap.CapSaveDate) },
		"EMAILID":           func(k *compiler, q *query, _ int) { k.in.SP(); q.emailID(k, k.in.AString()) },
		"THREADID": func(k *compiler, q *query, _ int) { // no message has one
			k.in.SP()
			k.in.AString()
			k.caps = append(k.caps, imap.CapObjectID)
			q.add(columnCost, 0, func(*candidate) answer { return never })
		},

		"UID": func(k *compiler, q *query, _ int) { k.in.SP(); q.set(k, k.in.Set(), true) },
		"NOT": func(k *compiler, q *query, depth int) {
			k.in.SP()
			var sub query
			k.key(&sub, depth+1)
			q.not(&sub)
		},
		"OR": func(k *compiler, q *query, depth int) {
			var a, b query
			k.in.SP()
			k.key(&a, depth+1)
			k.in.SP()
			k.key(&b, depth+1)
			q.or(&a, &b)
		},
	}
}

// set adds a set of numbers, or $.
func (q *query) set(k *compiler, set imapwire.Set, byUID bool) {
	if k.in.Err() != nil {
		return
	}
	v := k.v
	if set.Saved {
		q.add(columnCost, 0, func(c *candidate) answer {
			_, ok := slices.BinarySearch(v.saved, v.told.uids[c.i])
			return answerOf(ok)
		})
		return
	}
	spans, err := v.spans(set, byUID)
	if err != nil {
		k.in.Fail(err)
	}
	q.add(columnCost, 0, func(c *candidate) answer {
		i := sort.Search(len(spans), func(i int) bool { return spans[i].To > c.i })
		return answerOf(i < len(spans) && spans[i].From <= c.i)
	})
}

// flagTest tests a flag or keyword. Combinations of flags are few, so a
// keyword, whose name has no regard to case, is looked up once for each.
func flagTest(v *view, flag imap.Flag, want bool) test {
	bits := map[imap.Flag]mailstore.System{
		imap.FlagSeen: mailstore.Seen, imap.FlagAnswered: mailstore.Answered, imap.FlagFlagged: mailstore.Flagged,
		imap.FlagDeleted: mailstore.Deleted, imap.FlagDraft: mailstore.Draft,
	}
	if bit, ok := bits[flag]; ok {
		return func(c *candidate) answer {
			return answerOf((v.told.flags[c.i].System&bit != 0) == want)
		}
	}
	if flag == flagRecent {
		return func(c *candidate) answer { return answerOf(v.isRecent(v.told.uids[c.i]) == want) }
	}
	known := make(map[mailstore.KeywordSet]bool)
	for i := range v.told.flags {
		set := v.told.flags[i].Keywords
		if _, ok := known[set]; !ok {
			known[set] = slices.ContainsFunc(v.store.FlagNames(mailstore.Flags{Keywords: set}), func(name string) bool {
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
		date := sum.Envelope.Date
		if date.IsZero() {
			date = internalDate(c.v.told.received[c.i], zone)
		}
		day := dayOf(date)
		return answerOf((since.IsZero() || !day.Before(since)) && (until.IsZero() || day.Before(until)))
	})
}

// header adds that a field has a text.
func (q *query) header(k *compiler, name, text string) {
	m := message.NewMatcher(text)
	if message.Keeps([]string{name}) {
		q.add(summaryCost, mailstore.WantHeader, k.narrowed(text, false, headerTest(name, m, true)))
		return
	}
	q.add(fileCost, mailstore.WantFile|mailstore.WantHeader, k.narrowed(text, false, headerTest(name, m, false)))
}

// text adds that the body has a text, or the message.
func (q *query) text(k *compiler, text string, body bool) {
	m := message.NewMatcher(text)
	t := fileTest(func(c *candidate) (bool, error) {
		if body {
			return c.summary().MatchBody(c.file, m)
		}
		return c.summary().MatchText(c.file, m)
	})
	q.add(fileCost, mailstore.WantFile|mailstore.WantStructure, k.narrowed(text, body, t))
}

// narrowed is t where the text index does not rule the message out, which needs
// nothing of the message. The index is asked when the first message gets here.
func (k *compiler) narrowed(text string, body bool, t test) test {
	if k.asked++; k.asked > maxNarrowed {
		return t
	}
	v := k.v
	var once sync.Once
	var may func(mailstore.ContentID) bool
	return func(c *candidate) answer {
		once.Do(func() { may = v.store.Narrow(text, body) })
		if may != nil && !may(v.told.contents[c.i]) {
			return never
		}
		return t(c)
	}
}

// headerTest tests the fields of one name, from the index where it keeps them.
// An empty value asks whether there is such a field at all.
func headerTest(name string, m *message.Matcher, kept bool) test {
	fromFile := fileTest(func(c *candidate) (bool, error) {
		return message.HeaderMatches(io.NewSectionReader(c.file, 0, c.content.Summary.Header.Size), name, m)
	})
	return func(c *candidate) answer {
		if kept && c.content != nil && c.content.Summary.Header.Complete() {
			return answerOf(c.content.Summary.Header.Matches(name, m))
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
