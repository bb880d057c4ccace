package localimap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// drawQuery draws a query over three keys: one known at once, one from the
// summary on, one from the file on. It returns with it what it says in full.
func drawQuery(t *rapid.T, depth int) (*query, func(keys [3]bool) bool) {
	q := &query{}
	var says []func([3]bool) bool
	for range rapid.IntRange(0, 2).Draw(t, "tests") {
		k := rapid.IntRange(0, 2).Draw(t, "key")
		q.add(cost(k), 0, func(c *candidate) answer {
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
			q.not(sub)
			says = append(says, func(keys [3]bool) bool { return !say(keys) })
		}
		for range rapid.IntRange(0, 2).Draw(t, "or") {
			a, sayA := drawQuery(t, depth-1)
			b, sayB := drawQuery(t, depth-1)
			q.or(a, b)
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

// compileKeys makes a query of search keys.
func compileKeys(v *view, keys string) (*query, error) {
	k := &compiler{v: v, zone: time.UTC, in: reading(keys)}
	q := k.keys(0)
	return q, k.in.End()
}

func TestQueriesTooDeep(t *testing.T) {
	v := &view{store: new(mailstore.Store)}
	for _, keys := range []string{strings.Repeat("NOT ", maxQueryDepth), strings.Repeat("OR ALL ", maxQueryDepth)} {
		if _, err := compileKeys(v, keys+"ALL"); err != nil {
			t.Errorf("%d levels: %v", maxQueryDepth, err)
		}
		if _, err := compileKeys(v, "NOT "+keys+"ALL"); err == nil {
			t.Error("a deeper query was accepted")
		}
	}
	if _, err := compileKeys(v, strings.Repeat("(", maxQueryDepth+1)+"ALL"+strings.Repeat(")", maxQueryDepth+1)); err == nil {
		t.Error("more parentheses were accepted")
	}
}

func TestSaved(t *testing.T) {
	for _, tt := range []struct {
		name  string
		found []int
		o     returns
		want  int
		first int
	}{
		{"all", []int{1, 2, 3}, returns{all: true}, 3, 1},
		{"nothing else", []int{1, 2, 3}, returns{save: true}, 3, 1},
		{"min", []int{1, 2, 3}, returns{min: true}, 1, 1},
		{"max", []int{1, 2, 3}, returns{max: true}, 1, 3},
		{"min max", []int{1, 2, 3}, returns{min: true, max: true}, 2, 1},
		{"min max of one", []int{4}, returns{min: true, max: true}, 1, 4},
		{"min count", []int{1, 2, 3}, returns{min: true, count: true}, 3, 1},
		{"nothing", nil, returns{min: true}, 0, 0},
	} {
		got := toSave(tt.found, tt.o)
		if len(got) != tt.want || len(got) > 0 && got[0] != tt.first {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestSentDateIsOfItsOwnZone(t *testing.T) {
	// 23:30 on the 5th in New York is the 6th in UTC.
	_, late := openMessage(t, "Date: Mon, 5 Jan 2026 23:30:00 -0500\r\n\r\n")
	_, none := openMessage(t, "Subject: no date\r\n\r\n")
	v := &view{told: columns{received: []int64{epoch.Unix()}, uids: uids{1}, flags: make([]mailflags.Flags, 1), sizes: []int64{1}}}
	for _, tt := range []struct {
		content *mailstore.Content
		keys    string
		want    answer
	}{{late, "SENTSINCE 5-Jan-2026", yes}, {late, "SENTSINCE 6-Jan-2026", never}, {none, "SENTSINCE 2-Jan-2026", yes}, {none, "SENTSINCE 3-Jan-2026", never}} {
		q, err := compileKeys(v, tt.keys)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.match(&candidate{ctx: t.Context(), v: v, content: tt.content}); got != tt.want {
			t.Errorf("%s of %v: %d", tt.keys, tt.content.Summary.Envelope.Date(), got)
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
		v := &view{store: new(mailstore.Store)}
		v.told.contents = []mailstore.ContentID{content.ID}
		q, err := compileKeys(v, fmt.Sprintf("HEADER %s %q", tt.name, tt.value))
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
