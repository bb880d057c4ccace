package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits are what a provider takes of an account. 0 is no limit that is known.
type Limits struct {
	PerMinute        int // messages
	PerDay           int // messages in 24 hours
	RecipientsPerDay int
	Recipients       int // of one message
}

// String says the limits of a day, for a person.
func (l Limits) String() string {
	var parts []string
	if l.PerDay > 0 {
		parts = append(parts, fmt.Sprintf("%d messages", l.PerDay))
	}
	if l.RecipientsPerDay > 0 {
		parts = append(parts, fmt.Sprintf("%d recipients", l.RecipientsPerDay))
	}
	return strings.Join(parts, ", ")
}

// Learned is what a server has said of its limits, as JSON. It counts for a day.
type Learned struct {
	PerMinute  int       `json:"per_minute,omitempty"`
	Recipients int       `json:"recipients,omitempty"`
	At         time.Time `json:"at,omitzero"`
}

const learnedFor = 24 * time.Hour

// With returns the limits with what was learned since.
func (l Limits) With(k Learned, now time.Time) Limits {
	if age := now.Sub(k.At); age < 0 || age >= learnedFor {
		return l
	}
	l.PerMinute, l.Recipients = least(l.PerMinute, k.PerMinute), least(l.Recipients, k.Recipients)
	return l
}

func least(a, b int) int {
	if a <= 0 || b > 0 && b < a {
		return max(b, 0)
	}
	return a
}

// Learn draws from a decision by these limits what the next transactions keep to: half of
// the rate where that was too fast, and as many recipients as were taken of too many.
func (k *Learned) Learn(d Decision, l Limits, now time.Time) {
	l = l.With(*k, now)
	next := Learned{PerMinute: k.PerMinute, Recipients: k.Recipients, At: now.Round(0)}
	if age := now.Sub(k.At); age < 0 || age >= learnedFor {
		next = Learned{At: next.At}
	}
	if d.TooFast {
		next.PerMinute = max(l.PerMinute/2, 1)
	}
	if d.Took > 0 {
		next.Recipients = least(l.Recipients, d.Took)
	}
	if d.TooFast || d.Took > 0 {
		*k = next
	}
}

// An Hour is what was sent in one, as JSON.
type Hour struct {
	Hour       int64 `json:"hour"` // since 1970
	Messages   int   `json:"messages"`
	Recipients int   `json:"recipients"`
}

// Pace is what was sent lately. The zero value is nothing.
type Pace struct {
	Hours  []Hour // of the last day
	minute []time.Time
}

// Began notes a transaction.
func (p *Pace) Began(now time.Time) { p.minute = append(p.minute, now) }

// Sent notes a message that was taken for so many recipients.
func (p *Pace) Sent(now time.Time, recipients int) {
	at := hourOf(now)
	i := slices.IndexFunc(p.Hours, func(h Hour) bool { return h.Hour == at })
	if i < 0 {
		p.Hours = append(p.Hours, Hour{Hour: at})
		i = len(p.Hours) - 1
	}
	p.Hours[i].Messages++
	p.Hours[i].Recipients += recipients
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// Free is when the next message may be sent, and whether the limit of a day decides that.
// What the clock says is in the future was sent before it was set back, and counts no more.
func (p *Pace) Free(l Limits, now time.Time) (at time.Time, daily bool) {
	p.minute = slices.DeleteFunc(p.minute, func(t time.Time) bool { return now.Sub(t) >= time.Minute || t.After(now) })
	// The last of an hour may be of its end, and counts for a day from then.
	p.Hours = slices.DeleteFunc(p.Hours, func(h Hour) bool { return hourOf(now)-h.Hour > 24 || h.Hour > hourOf(now) })
	slices.SortFunc(p.Hours, func(a, b Hour) int { return int(a.Hour - b.Hour) })
	messages, recipients := 0, 0
	for _, h := range p.Hours {
		messages, recipients = messages+h.Messages, recipients+h.Recipients
	}
	at = now
	for _, h := range p.Hours {
		if (l.PerDay <= 0 || messages < l.PerDay) && (l.RecipientsPerDay <= 0 || recipients < l.RecipientsPerDay) {
			break
		}
		messages, recipients = messages-h.Messages, recipients-h.Recipients
		at, daily = time.Unix((h.Hour+25)*3600, 0), true
	}
	if n := len(p.minute); !daily && l.PerMinute > 0 && n >= l.PerMinute {
		at = p.minute[n-l.PerMinute].Add(time.Minute)
	}
	return at, daily
}
