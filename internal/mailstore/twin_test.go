package mailstore

import (
	"strings"
	"testing"
	"time"
)

func TestATwinIsQueuedOnce(t *testing.T) {
	r := newStore(t)
	id := r.submit(r.submission(1, "a@example.com", "b@example.com"))
	again := func(what string, want bool, sub Submission) {
		t.Helper()
		got, twin, err := r.Submit(t.Context(), sub)
		must(t, err)
		if twin != want || twin != (got == id) {
			t.Errorf("%s: %d, twin %v", what, got, twin)
		}
	}
	again("the same", true, r.submission(1, "b@example.com", "a@example.com"))
	again("to others", false, r.submission(1, "a@example.com"))
	other := r.submission(1, "a@example.com", "b@example.com")
	other.Message.Discard()
	other.Message = r.spool(letter(1) + "PS\r\n")
	again("other bytes", false, other)
	r.handover(id)
	again("while it is handed over", true, r.submission(1, "a@example.com", "b@example.com"))
	r.attempted(id, accepted("a@example.com", "b@example.com"))
	again("when it was sent", true, r.submission(1, "a@example.com", "b@example.com"))
	r.clock.t = start.Add(4*time.Hour + time.Second)
	again("the next day", false, r.submission(1, "a@example.com", "b@example.com"))
}

// TestWhatWasRefusedIsTriedAgain: as a new one would be, and only for those that do not have it.
func TestWhatWasRefusedIsTriedAgain(t *testing.T) {
	r := newStore(t)
	id := r.submit(r.submission(1, "a@example.com", "n@example.com"))
	r.handover(id)
	r.attempted(id, Attempt{Counts: true, Recipients: []OutgoingRecipient{{"a@example.com", Accepted, "250"}, {"n@example.com", Refused, "550 no"}}})
	equal(t, "queue", r.queue(), "1 5/1 a=2 n=3")
	r.clock.t = start.Add(time.Hour)
	sub := r.submission(1, "a@example.com", "n@example.com")
	sub.NotBefore = start.Add(2 * time.Hour)
	if got, twin, err := r.Submit(t.Context(), sub); got != id || !twin || err != nil {
		t.Fatalf("submitted as %d, twin %v: %v", got, twin, err)
	}
	equal(t, "queue", r.queue(), "1 1/0 a=2 n=1")
	list, err := r.Outgoing(t.Context())
	must(t, err)
	if o := list[0]; !o.FirstTry.IsZero() || !o.NotBefore.Equal(sub.NotBefore) {
		t.Errorf("tried first at %v, and next at %v", o.FirstTry, o.NotBefore)
	}
	r.handover(id, "n@example.com")
	r.attempted(id, accepted("n@example.com"))
	equal(t, "queue", r.queue(), "")
	r.want("Sent", "1 \\Seen letter 1")
}

// TestWhatIsSubmittedAgainLeaves: an answer of 250 is a promise, whatever became of the
// first one.
func TestWhatIsSubmittedAgainLeaves(t *testing.T) {
	a, b := "a@example.com", "b@example.com"
	toA, notB := accepted(a), accepted(a)
	notB.Recipients = append(notB.Recipients, OutgoingRecipient{b, Refused, "550 no"})
	for what, c := range map[string]struct {
		do    func(r *rig, id OutgoingID)
		queue string
		twin  bool
	}{
		"cancelled": {func(r *rig, id OutgoingID) { must(r.t, r.DropOutgoing(r.t.Context(), id)) }, "1 1/0 a=1 b=1", false},
		"cancelled when a has it": {func(r *rig, id OutgoingID) {
			r.handover(id)
			r.attempted(id, toA)
			must(r.t, r.DropOutgoing(r.t.Context(), id))
		}, "1 1/0 a=1 b=1", false},
		"deleted when a has it": {func(r *rig, id OutgoingID) { r.handover(id); r.attempted(id, toA); r.expunge("Outbox", 1) }, "1 1/0 a=1 b=1", false},
		"a has it":              {func(r *rig, id OutgoingID) { r.handover(id); r.attempted(id, toA) }, "1 1/1 a=2 b=1", true},
		"held by a person":      {func(r *rig, id OutgoingID) { must(r.t, r.HoldOutgoing(r.t.Context(), id, true)) }, "1 1/0 a=1 b=1", true},
		"held after a rebuild":  {func(r *rig, _ OutgoingID) { r.lose(removeIndex) }, "1 1/0 a=1 b=1", true},
		"marked as deleted":     {func(r *rig, _ OutgoingID) { r.mark("Outbox", 1, `\Deleted`) }, "1 1/0 a=1 b=1", true},
		"marked, not known": {func(r *rig, id OutgoingID) {
			r.handover(id)
			r.attempted(id, Attempt{Unknown: true, Error: "cut"})
			r.mark("Outbox", 1, `\Deleted`)
		}, "1 3/0 a=4 b=4 cut", true},
		"refused for b, a waits":  {func(r *rig, id OutgoingID) { r.handover(id); r.attempted(id, Attempt{Recipients: notB.Recipients[1:]}) }, "1 1/0 a=1 b=1", true},
		"refused for b, a has it": {func(r *rig, id OutgoingID) { r.handover(id); r.attempted(id, notB) }, "1 1/0 a=2 b=1", true},
		"refused, dismissed, a has it": {func(r *rig, id OutgoingID) {
			r.handover(id)
			r.attempted(id, notB)
			must(r.t, r.DropOutgoing(r.t.Context(), id))
		}, "1 1/0 a=1 b=1", false},
		"the clock is set back": {func(r *rig, id OutgoingID) {
			r.handover(id)
			r.attempted(id, accepted(a, b))
			r.clock.t = start.Add(-8 * 24 * time.Hour)
		}, "1 1/0 a=1 b=1", false},
		"the clock is set back by an hour": {func(r *rig, id OutgoingID) {
			r.handover(id)
			r.attempted(id, accepted(a, b))
			r.clock.t = start.Add(-time.Hour)
		}, "", true},
	} {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			id := r.submit(r.submission(1, a, b))
			c.do(r, id)
			got, twin, err := r.Submit(t.Context(), r.submission(1, b, a))
			must(t, err)
			if twin != c.twin || twin != (got == id) {
				t.Errorf("submitted as %d after %d, twin %v", got, id, twin)
			}
			equal(t, "queue", strings.ReplaceAll(r.queue(), "b=1 a=1", "a=1 b=1"), c.queue)
			if strings.HasSuffix(c.queue, "1/0 a=1 b=1") {
				r.handover(got)
			}
			if strings.Contains(r.lines("Outbox"), "Deleted") {
				t.Error("the next EXPUNGE cancels it")
			}
		})
	}
}

// undated is a message of a program that writes no Date, as it is once that was added.
func (r *rig) undated(added, rest string, to ...string) Submission {
	sub := r.submission(1, to...)
	sub.Message.Discard()
	sub.Message, sub.Added = r.spool(added+rest), len(added)
	_, id, _ := strings.Cut(added+rest, "Message-ID: ")
	sub.MessageID, _, _ = strings.Cut(id, "\r\n")
	return sub
}

// TestWhatWasAddedMakesNoOtherMail: what came first, and what comes in a minute or later, has
// been given another Date or Message-ID each.
func TestWhatWasAddedMakesNoOtherMail(t *testing.T) {
	const (
		date1, date2 = "Date: Tue, 03 Nov 2026 09:00:00 +0000\r\n", "Date: Tue, 03 Nov 2026 09:01:00 +0000\r\n"
		id1, id2     = "Message-ID: <aaaaaaaaaaaaaaaaaaaaaaaaaa@example.com>\r\n", "Message-ID: <bbbbbbbbbbbbbbbbbbbbbbbbbb@example.com>\r\n"
		from         = "From: Ann <ann@example.com>\r\nTo: eva@example.com\r\nSubject: letter 1\r\n"
		text         = "\r\ndear\r\n"
		owned        = "Message-ID: <l1@example.com>\r\n" + from + text
		dated        = date2 + from + text
		neither      = from + text
	)
	waits := func(*rig, OutgoingID) {}
	sent := func(r *rig, id OutgoingID) { r.handover(id); r.attempted(id, accepted("eva@example.com")) }
	unknown := func(r *rig, id OutgoingID) { r.handover(id); r.attempted(id, Attempt{Unknown: true}) }
	refused := func(r *rig, id OutgoingID) {
		r.handover(id)
		r.attempted(id, Attempt{Counts: true, Recipients: []OutgoingRecipient{{"eva@example.com", Refused, "550 no"}}})
	}
	for what, c := range map[string]struct {
		added, rest string
		do          func(*rig, OutgoingID)
		after       time.Duration
		again, text string
		twin        bool
	}{
		"no Date, waits":                  {date1, owned, waits, 3 * time.Hour, date2, owned, true},
		"no Date, sent":                   {date1, owned, sent, 3 * time.Hour, date2, owned, true},
		"no Date, in doubt":               {date1, owned, unknown, 3 * time.Hour, date2, owned, true},
		"no Date, a day later":            {date1, owned, waits, 24 * time.Hour, date2, owned, false},
		"no Date, other bytes":            {date1, owned, waits, time.Minute, date2, "X-Other: 1\r\n" + owned, false},
		"no Date, other text":             {date1, owned, waits, time.Minute, date2, owned + "PS\r\n", false},
		"no Message-ID, waits":            {id1, dated, waits, time.Minute, id2, dated, false},
		"no Message-ID, in doubt":         {id1, dated, unknown, 3 * time.Hour, id2, dated, false},
		"no Message-ID, sent":             {id1, dated, sent, time.Hour, id2, dated, false},
		"no Message-ID, another Date":     {id1, dated, waits, time.Minute, id2, date1 + from + text, false},
		"neither, waits":                  {date1 + id1, neither, waits, time.Minute, date2 + id2, neither, false},
		"neither, in doubt":               {date1 + id1, neither, unknown, 3 * time.Hour, date2 + id2, neither, false},
		"neither, refused":                {date1 + id1, neither, refused, time.Minute, date2 + id2, neither, false},
		"neither, sent":                   {date1 + id1, neither, sent, time.Minute, date2 + id2, neither, false},
		"neither, then its own Date":      {date1 + id1, neither, waits, time.Minute, id2, dated, false},
		"no Date, then neither":           {date1, owned, waits, time.Minute, date2 + id2, neither, false},
		"neither, and no header, waits":   {date1 + id1 + "\r\n", "dear\r\n", waits, time.Minute, date2 + id2 + "\r\n", "dear\r\n", false},
		"neither, and a header, then not": {date1 + id1, neither, waits, time.Minute, date2 + id2 + "\r\n", "dear\r\n", false},
	} {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			id := r.submit(r.undated(c.added, c.rest))
			c.do(r, id)
			r.clock.t = start.Add(c.after)
			if got, twin, err := r.Submit(t.Context(), r.undated(c.again, c.text)); err != nil || twin != c.twin || twin != (got == id) {
				t.Errorf("submitted as %d after %d, twin %v: %v", got, id, twin, err)
			}
			if _, twin, err := r.Submit(t.Context(), r.undated(c.again, c.text, "bob@example.com")); twin || err != nil {
				t.Errorf("to another, twin %v: %v", twin, err)
			}
		})
	}
}
