package localimap

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

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

// query is a SearchCriteria made ready: all tests must hold, none of not, and
// one of each pair in or. Tests stand in the order of their cost.
type query struct {
	tests []test
	not   []*query
	or    [][2]*query
	want  mailstore.Want // what the keys need, those of not and or included
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
	for _, n := range q.not {
		if result = min(result, yes-n.match(c)); result == never {
			return never
		}
	}
	for _, pair := range q.or {
		a := pair[0].match(c)
		if a != yes {
			a = max(a, pair[1].match(c))
		}
		if result = min(result, a); result == never {
			return never
		}
	}
	return result
}

// compiler makes one query.
type compiler struct {
	v     *view
	zone  *time.Location
	asked int // of the text index
	keys  int
}

func compile(v *view, zone *time.Location, criteria *imap.SearchCriteria) (*query, error) {
	return (&compiler{v: v, zone: zone}).query(criteria, 0)
}

func (k *compiler) query(cr *imap.SearchCriteria, depth int) (*query, error) {
	if depth > maxQueryDepth {
		return nil, no(imap.ResponseCodeLimit, fmt.Sprintf("Search keys are nested too deep, at most %d", maxQueryDepth))
	}
	k.keys += len(cr.SeqNum) + len(cr.UID) + len(cr.Flag) + len(cr.NotFlag) + len(cr.Header) + len(cr.Body) + len(cr.Text) +
		len(cr.Not) + 2*len(cr.Or)
	if k.keys > maxSearchKeys {
		return nil, no(imap.ResponseCodeLimit, fmt.Sprintf("Too many search keys, at most %d", maxSearchKeys))
	}
	q := &query{}
	if err := q.addSets(k.v, cr); err != nil {
		return nil, err
	}
	for _, f := range cr.Flag {
		q.tests = append(q.tests, flagTest(k.v, f, true))
	}
	for _, f := range cr.NotFlag {
		q.tests = append(q.tests, flagTest(k.v, f, false))
	}
	q.addColumns(cr, k.zone)
	q.addSummaries(k, cr)
	q.addFiles(k, cr)
	for i := range cr.Not {
		sub, err := k.query(&cr.Not[i], depth+1)
		if err != nil {
			return nil, err
		}
		q.not, q.want = append(q.not, sub), q.want|sub.want
	}
	for i := range cr.Or {
		a, err := k.query(&cr.Or[i][0], depth+1)
		if err != nil {
			return nil, err
		}
		b, err := k.query(&cr.Or[i][1], depth+1)
		if err != nil {
			return nil, err
		}
		q.or, q.want = append(q.or, [2]*query{a, b}), q.want|a.want|b.want
	}
	return q, nil
}

// addSets adds sequence sets, UID sets and $.
func (q *query) addSets(v *view, cr *imap.SearchCriteria) error {
	add := func(set imap.NumSet) error {
		if imap.IsSearchRes(set) {
			q.tests = append(q.tests, func(c *candidate) answer {
				_, ok := slices.BinarySearch(v.saved, v.told.uids[c.i])
				return answerOf(ok)
			})
			return nil
		}
		spans, err := v.spans(set)
		q.tests = append(q.tests, func(c *candidate) answer {
			k := sort.Search(len(spans), func(k int) bool { return spans[k].to > c.i })
			return answerOf(k < len(spans) && spans[k].from <= c.i)
		})
		return err
	}
	for _, set := range cr.SeqNum {
		if err := add(set); err != nil {
			return err
		}
	}
	for _, set := range cr.UID {
		if err := add(set); err != nil {
			return err
		}
	}
	return nil
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

// addColumns adds the keys on sizes and internal dates.
func (q *query) addColumns(cr *imap.SearchCriteria, zone *time.Location) {
	if cr.Larger > 0 {
		q.tests = append(q.tests, func(c *candidate) answer { return answerOf(c.v.told.sizes[c.i] > cr.Larger) })
	}
	if cr.Smaller > 0 {
		q.tests = append(q.tests, func(c *candidate) answer { return answerOf(c.v.told.sizes[c.i] < cr.Smaller) })
	}
	if !cr.Since.IsZero() {
		q.tests = append(q.tests, func(c *candidate) answer { return answerOf(!before(c.v.told.received[c.i], cr.Since, zone)) })
	}
	if !cr.Before.IsZero() {
		q.tests = append(q.tests, func(c *candidate) answer { return answerOf(before(c.v.told.received[c.i], cr.Before, zone)) })
	}
}

// addSummaries adds the keys that the summary answers.
func (q *query) addSummaries(k *compiler, cr *imap.SearchCriteria) {
	if !cr.SentSince.IsZero() {
		q.add(mailstore.WantEnvelope, sentTest(k.zone, func(day time.Time) bool { return !day.Before(cr.SentSince) }))
	}
	if !cr.SentBefore.IsZero() {
		q.add(mailstore.WantEnvelope, sentTest(k.zone, func(day time.Time) bool { return day.Before(cr.SentBefore) }))
	}
	for _, h := range cr.Header {
		if message.Keeps([]string{h.Key}) {
			q.add(mailstore.WantHeader, k.narrowed(h.Value, false, headerTest(h.Key, message.NewMatcher(h.Value), true)))
		}
	}
}

func (q *query) add(want mailstore.Want, t test) {
	q.tests, q.want = append(q.tests, t), q.want|want
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

// sentTest tests the day of the Date field, in the time zone it is written in
// (RFC 9051 section 6.4.4). Without a date, that of the arrival is taken, as in
// RFC 5256 section 2.2.
func sentTest(zone *time.Location, holds func(day time.Time) bool) test {
	return func(c *candidate) answer {
		sum := c.summary()
		if sum == nil {
			return unknown
		}
		date := sum.Envelope.Date
		if date.IsZero() {
			date = internalDate(c.v.told.received[c.i], zone)
		}
		return answerOf(holds(dayOf(date)))
	}
}

// addFiles adds the keys for which the message has to be read.
func (q *query) addFiles(k *compiler, cr *imap.SearchCriteria) {
	for _, h := range cr.Header {
		if !message.Keeps([]string{h.Key}) {
			t := headerTest(h.Key, message.NewMatcher(h.Value), false)
			q.add(mailstore.WantFile|mailstore.WantHeader, k.narrowed(h.Value, false, t))
		}
	}
	for _, text := range cr.Body {
		m := message.NewMatcher(text)
		t := fileTest(func(c *candidate) (bool, error) { return c.summary().MatchBody(c.file, m) })
		q.add(wantText, k.narrowed(text, true, t))
	}
	for _, text := range cr.Text {
		m := message.NewMatcher(text)
		t := fileTest(func(c *candidate) (bool, error) { return c.summary().MatchText(c.file, m) })
		q.add(wantText, k.narrowed(text, false, t))
	}
}

const wantText = mailstore.WantFile | mailstore.WantStructure

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
