package localimap

import (
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// drawQuery draws a query over three keys: one known at once, one from the
// summary on, one from the file on. It returns with it what it says in full.
func drawQuery(t *rapid.T, depth int) (*query, func(keys [3]bool) bool) {
	q := &query{}
	var says []func([3]bool) bool
	for range rapid.IntRange(0, 2).Draw(t, "tests") {
		k := rapid.IntRange(0, 2).Draw(t, "key")
		q.tests = append(q.tests, func(c *candidate) answer {
			if k == 1 && c.content == nil || k == 2 && c.file == nil {
				return unknown
			}
			return answerOf(c.i>>k&1 == 1)
		})
		says = append(says, func(keys [3]bool) bool { return keys[k] })
	}
	if depth > 0 {
		for range rapid.IntRange(0, 2).Draw(t, "not") {
			sub, say := drawQuery(t, depth-1)
			q.not = append(q.not, sub)
			says = append(says, func(keys [3]bool) bool { return !say(keys) })
		}
		for range rapid.IntRange(0, 2).Draw(t, "or") {
			a, sayA := drawQuery(t, depth-1)
			b, sayB := drawQuery(t, depth-1)
			q.or = append(q.or, [2]*query{a, b})
			says = append(says, func(keys [3]bool) bool { return sayA(keys) || sayB(keys) })
		}
	}
	return q, func(keys [3]bool) bool {
		for _, say := range says {
			if !say(keys) {
				return false
			}
		}
		return true
	}
}

// TestRoundsAgree: an answer given early is the one that the whole message
// gives, and with the whole message there is always an answer.
func TestRoundsAgree(t *testing.T) {
	file, content := openMessage(t, "Subject: x\r\n\r\n")
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		q, say := drawQuery(t, 3)
		for bits := range 8 {
			want := answerOf(say([3]bool{bits&1 != 0, bits&2 != 0, bits&4 != 0}))
			for round, c := range []*candidate{{ctx: ctx, i: bits}, {ctx: ctx, i: bits, content: content}, {ctx: ctx, i: bits, content: content, file: file}} {
				got := q.match(c)
				if got != want && (got != unknown || round == 2) {
					t.Fatalf("round %d answers %d, the whole message %d", round, got, want)
				}
			}
		}
	})
}

func TestQueriesTooDeep(t *testing.T) {
	cr := imap.SearchCriteria{}
	for range maxQueryDepth {
		cr = imap.SearchCriteria{Not: []imap.SearchCriteria{cr}}
	}
	if _, err := compile(&view{store: new(mailstore.Store)}, time.UTC, &cr); err != nil {
		t.Errorf("%d levels: %v", maxQueryDepth, err)
	}
	cr = imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{cr, {}}}}
	if _, err := compile(&view{store: new(mailstore.Store)}, time.UTC, &cr); err == nil {
		t.Error("a deeper query was accepted")
	}
}

func TestSaved(t *testing.T) {
	for _, tt := range []struct {
		name  string
		found []int
		o     imap.SearchOptions
		want  int
		first int
	}{
		{"all", []int{1, 2, 3}, imap.SearchOptions{ReturnAll: true}, 3, 1},
		{"min", []int{1, 2, 3}, imap.SearchOptions{ReturnMin: true}, 1, 1},
		{"max", []int{1, 2, 3}, imap.SearchOptions{ReturnMax: true}, 1, 3},
		{"min max", []int{1, 2, 3}, imap.SearchOptions{ReturnMin: true, ReturnMax: true}, 2, 1},
		{"min max of one", []int{4}, imap.SearchOptions{ReturnMin: true, ReturnMax: true}, 1, 4},
		{"min count", []int{1, 2, 3}, imap.SearchOptions{ReturnMin: true, ReturnCount: true}, 3, 1},
		{"nothing", nil, imap.SearchOptions{ReturnMin: true}, 0, 0},
	} {
		got := toSave(tt.found, &tt.o)
		if len(got) != tt.want || len(got) > 0 && got[0] != tt.first {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestSentDateIsOfItsOwnZone(t *testing.T) {
	// 23:30 on the 5th in New York is the 6th in UTC.
	_, late := openMessage(t, "Date: Mon, 5 Jan 2026 23:30:00 -0500\r\n\r\n")
	_, none := openMessage(t, "Subject: no date\r\n\r\n")
	v := &view{told: columns{received: []int64{epoch.Unix()}, uids: uids{1}, flags: make([]mailstore.Flags, 1), sizes: []int64{1}}}
	day := func(d int) imap.SearchCriteria {
		return imap.SearchCriteria{SentSince: epoch.AddDate(0, 0, d-2).Truncate(24 * 3600e9)}
	}
	for _, tt := range []struct {
		content *mailstore.Content
		since   int
		want    answer
	}{{late, 5, yes}, {late, 6, never}, {none, 2, yes}, {none, 3, never}} {
		cr := day(tt.since)
		q, err := compile(v, time.UTC, &cr)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.match(&candidate{ctx: t.Context(), v: v, content: tt.content}); got != tt.want {
			t.Errorf("SENTSINCE %d of %v: %d", tt.since, tt.content.Summary.Envelope.Date, got)
		}
		if got := q.match(&candidate{ctx: t.Context(), v: v}); got != unknown {
			t.Errorf("without a summary: %d", got)
		}
	}
}

// TestHeaderKeys: with what is kept a key is settled in the second round, with a
// header that is not complete, or a field that is not kept, in the third.
func TestHeaderKeys(t *testing.T) {
	for _, tt := range []struct {
		raw, name, value string
		round            int
		want             answer
	}{
		{"Subject: Hello\r\n\r\n", "subject", "hell", 2, yes},
		{"Subject: Hello\r\n\r\n", "SUBJECT", "help", 2, never},
		{"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n", "Subject", "grü", 2, yes},
		{"To: a@example.com,\r\n b@example.com\r\n\r\n", "To", "com, b", 2, yes},
		{"Message-ID: <a@b>\r\n\r\n", "Message-ID", "", 2, yes},
		{"Subject: x\r\n\r\n", "Message-ID", "", 2, never},
		{"X-Spam: yes\r\n\r\n", "X-Spam", "yes", 3, yes},
		{"Subject: x\r\n\r\n", "X-Spam", "", 3, never},
		{"Subject: x\r\nReferences: " + strings.Repeat("<a@b> ", 1000) + "\r\n\r\n", "Subject", "x", 3, yes},
	} {
		file, content := openMessage(t, tt.raw)
		ctx := t.Context()
		cr := imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: tt.name, Value: tt.value}}}
		q, err := compile(&view{store: new(mailstore.Store)}, time.UTC, &cr)
		if err != nil {
			t.Fatal(err)
		}
		if q.want&mailstore.WantHeader == 0 || tt.round == 3 && content.Summary.Header.Complete() && q.want&mailstore.WantFile == 0 {
			t.Errorf("%s %q wants %b", tt.name, tt.value, q.want)
		}
		for round, c := range []*candidate{{ctx: ctx}, {ctx: ctx, content: content}, {ctx: ctx, content: content, file: file}} {
			want := unknown
			if round+1 >= tt.round {
				want = tt.want
			}
			if got := q.match(c); got != want {
				t.Errorf("%s %q in %.40q: %d in round %d, want %d", tt.name, tt.value, tt.raw, got, round+1, want)
			}
		}
	}
}
