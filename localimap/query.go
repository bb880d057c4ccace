package localimap

import (
	"context"
	"io"
	"slices"
	"strings"
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

	numbers bool // there is a set of message numbers

	decode func(text string) (string, bool) // from the charset of the command; nil where that is unknown
}

// text reads a string to search for.
func (k *compiler) text() string {
	k.in.SP()
	text := k.in.AString()
	if k.decode == nil {
		return text
	}
	text, ok := k.decode(text)
	if !ok {
		k.in.Fail(&imapwire.SyntaxError{Text: "A string is not in the charset of the command"})
	}
	return text
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
		q.set(k, false)
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
		return func(k *compiler, q *query, _ int) { q.header(k, name, k.text()) }
	}
	size := func(holds func(size, than int64) bool) reads {
		return func(k *compiler, q *query, _ int) {
			k.in.SP()
			than := k.in.Number64()
			q.add(columnCost, 0, func(c *candidate) answer { return answerOf(holds(c.v.told.sizes[c.i], than)) })
		}
	}
	within := func(holds func(at, ago int64) bool) reads { // RFC 5032
		return func(k *compiler, q *query, _ int) {
			k.in.SP()
			ago := time.Now().Unix() - k.in.NZNumber64()
			k.caps = append(k.caps, imap.CapWithin)
			q.add(columnCost, 0, func(c *candidate) answer { return answerOf(holds(c.v.told.received[c.i], ago)) })
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
			q.header(k, name, k.text())
		},
		"BODY":    func(k *compiler, q *query, _ int) { q.text(k, k.text(), true) },
		"TEXT":    func(k *compiler, q *query, _ int) { q.text(k, k.text(), false) },
		"LARGER":  size(func(size, than int64) bool { return size > than }),
		"SMALLER": size(func(size, than int64) bool { return size < than }),
		"OLDER":   within(func(at, ago int64) bool { return at <= ago }),
		"YOUNGER": within(func(at, ago int64) bool { return at >= ago }),

		"MODSEQ":            func(k *compiler, q *query, _ int) { k.modSeq(q) },
		"SAVEDATESUPPORTED": func(k *compiler, _ *query, _ int) { k.caps = append(k.caps, imap.CapSaveDate) },
		"EMAILID":           func(k *compiler, q *query, _ int) { k.in.SP(); q.emailID(k, k.in.ObjectID()) },
		"THREADID": func(k *compiler, q *query, _ int) { // no message has one
			k.in.SP()
			k.in.ObjectID()
			k.caps = append(k.caps, imap.CapObjectID)
			q.add(columnCost, 0, func(*candidate) answer { return never })
		},

		"UID": func(k *compiler, q *query, _ int) { k.in.SP(); q.set(k, true) },
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
	for of, add := range map[string]func(q *query, k *compiler, since, until time.Time){
		"": (*query).received, "SENT": (*query).sent, "SAVED": (*query).saved,
	} {
		day := func(k *compiler) time.Time { k.in.SP(); return k.in.Date() }
		searchKeys[of+"BEFORE"] = func(k *compiler, q *query, _ int) { add(q, k, time.Time{}, day(k)) }
		searchKeys[of+"SINCE"] = func(k *compiler, q *query, _ int) { add(q, k, day(k), time.Time{}) }
		searchKeys[of+"ON"] = func(k *compiler, q *query, _ int) { on := day(k); add(q, k, on, on.AddDate(0, 0, 1)) }
	}
}
