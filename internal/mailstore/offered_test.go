package mailstore

import (
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// TestWhoWasOfferedAMessage: what a person says about a message of which the answer is not
// known is about those that were offered it, and nobody else.
func TestWhoWasOfferedAMessage(t *testing.T) {
	const why = " popbridge ended while the message was handed over: it may have been sent"
	a, b, c := "a@example.com", "b@example.com", "c@example.com"
	begin := func(t *testing.T) (*rig, OutgoingID) {
		r := newStore(t)
		id := r.submit(r.submission(1, a, b, c))
		for _, to := range [][]string{nil, {"d@example.com"}, {a, "d@example.com"}} {
			wantKind(t, r.BeginHandover(t.Context(), id, to), fault.Internal)
		}
		equal(t, "not begun", r.queue(), "1 1/0 a=1 b=1 c=1")
		r.handover(id, a)
		equal(t, "begun", r.queue(), "1 2/0 a=4 b=1 c=1")
		return r, id
	}
	t.Run("the program ends", func(t *testing.T) {
		r, id := begin(t)
		r.reopen()
		equal(t, "in doubt", r.queue(), "1 3/0 a=4 b=1 c=1"+why)
		must(t, r.ConfirmOutgoing(t.Context(), id))
		equal(t, "for the others", r.queue(), "1 1/0 a=2 b=1 c=1")
		r.want("Sent", `1 \Seen letter 1`)
		wantKind(t, r.BeginHandover(t.Context(), id, []string{a, b}), fault.Internal)
		r.handover(id, b, c)
		r.attempted(id, accepted(b, c))
		equal(t, "sent", r.queue(), "")
		r.want("Sent", `1 \Seen letter 1`)
	})
	t.Run("a person sends it again", func(t *testing.T) {
		r, id := begin(t)
		r.reopen()
		must(t, r.RetryOutgoing(t.Context(), id))
		equal(t, "waits", r.queue(), "1 1/0 a=1 b=1 c=1"+why)
	})
	t.Run("the answer is lost", func(t *testing.T) {
		r, id := begin(t)
		r.attempted(id, Attempt{Unknown: true, Counts: true, Recipients: []OutgoingRecipient{{b, Refused, "550"}, {c, Pending, "450"}}})
		equal(t, "in doubt", r.queue(), "1 3/1 a=4 b=3 c=1")
		r.attempted(id, Attempt{Recipients: []OutgoingRecipient{{c, Refused, "550"}}})
		equal(t, "still in doubt", r.queue(), "1 3/1 a=4 b=3 c=3")
		must(t, r.ConfirmOutgoing(t.Context(), id))
		equal(t, "nobody is left", r.queue(), "1 5/1 a=2 b=3 c=3")
	})
	t.Run("it was not handed over", func(t *testing.T) {
		r, id := begin(t)
		r.attempted(id, Attempt{Error: "cut"})
		equal(t, "waits", r.queue(), "1 1/0 a=1 b=1 c=1 cut")
	})
}

// TestAnAnswerThatComesLate: the computer slept while the server answered, and the message
// was given up before the answer was read. With it all is known, and it goes on by itself.
func TestAnAnswerThatComesLate(t *testing.T) {
	a, b, c := "a@example.com", "b@example.com", "c@example.com"
	const given = " what came of the message could not be written down: it may have been sent"
	for what, tt := range map[string]struct {
		answer Attempt
		queue  string
	}{
		"not now":           {Attempt{Counts: true, Recipients: []OutgoingRecipient{{a, Pending, "451"}, {b, Pending, "451"}}, Error: "451"}, "1 1/1 a=1 b=1 c=1 451"},
		"taken, for some":   {accepted(a, b), "1 1/1 a=2 b=2 c=1"},
		"refused, for some": {Attempt{Counts: true, Recipients: []OutgoingRecipient{{a, Refused, "550"}, {b, Refused, "550"}}}, "1 1/1 a=3 b=3 c=1"},
		"of one":            {accepted(a), "1 3/1 a=2 b=4 c=1"},
		"no answer":         {Attempt{Counts: true, Unknown: true, Error: "cut"}, "1 3/1 a=4 b=4 c=1 cut"},
		"nothing is known":  {Attempt{Error: "cut"}, "1 3/0 a=4 b=4 c=1 cut"},
	} {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			id := r.submit(r.submission(1, a, b, c))
			r.handover(id, a, b)
			r.clock.t = start.Add(time.Hour)
			must(t, r.Purge(t.Context()))
			equal(t, "given up", r.queue(), "1 3/0 a=4 b=4 c=1"+given)
			r.attempted(id, tt.answer)
			equal(t, "queue", r.queue(), tt.queue)
		})
	}
}
