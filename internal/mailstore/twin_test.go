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
