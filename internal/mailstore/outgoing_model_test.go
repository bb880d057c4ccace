package mailstore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// modelOutgoing is what a message that was submitted must be, kept in the simplest way.
type modelOutgoing struct {
	id      OutgoingID
	n       int
	at      time.Time
	state   OutgoingState // 0: it has left
	to      []RecipientState
	sent    bool // for a recipient at least
	deleted bool // has \Deleted
}

// queueModel compares the Outbox with a list.
type queueModel struct {
	*rig
	all      []*modelOutgoing
	expunged int
	sent     int
}

// TestModelOutgoing: every message that was acknowledged is in the Outbox, in Sent or
// among the expunged; what was accepted is never tried again; what was handed over waits
// again only when a person says so.
func TestModelOutgoing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		must(t, err)
		m := &queueModel{rig: &rig{t: t, clock: &clock{start}, dir: filepath.Join(dir, "ann")}}
		m.open()
		defer func() { must(t, m.Close()) }()
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(rt *rapid.T) { m.compare(rt) },
			"submit":  m.submitOne,
			"begin":   func(rt *rapid.T) { m.act(rt, "begin") },
			"attempt": m.attempt,
			"hold":    func(rt *rapid.T) { m.act(rt, "hold") },
			"release": func(rt *rapid.T) { m.act(rt, "release") },
			"retry":   func(rt *rapid.T) { m.act(rt, "retry") },
			"drop":    func(rt *rapid.T) { m.act(rt, "drop") },
			"confirm": func(rt *rapid.T) { m.act(rt, "confirm") },
			"mark":    m.markOne,
			"expunge": func(rt *rapid.T) { m.expungeMarked(rt) },
			"reopen":  func(*rapid.T) { m.reopen(); m.doubt() },
			"rebuild": func(*rapid.T) { m.lose(removeIndex); m.hold() },
			"restore": func(*rapid.T) { m.restore() },
			"earlier": func(*rapid.T) { m.clock.t = m.clock.t.Add(-5 * time.Hour) },
			"later":   func(*rapid.T) { m.clock.t = m.clock.t.Add(2 * time.Hour) },
		})
		m.clean()
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

func (m *queueModel) submitOne(rt *rapid.T) {
	n, k := rapid.IntRange(1, 4).Draw(rt, "n"), rapid.IntRange(1, 3).Draw(rt, "recipients")
	to := []string{"a@example.com", "b@example.com", "c@example.com"}[:k]
	want := slices.IndexFunc(m.all, func(o *modelOutgoing) bool {
		return o.n == n && len(o.to) == k && m.clock.t.Sub(o.at).Abs() <= twinFor &&
			(o.state != 0 || !slices.ContainsFunc(o.to, func(s RecipientState) bool { return s != Accepted }))
	})
	id, twin, err := m.Submit(m.t.Context(), m.submission(n, to...))
	must(m.t, err)
	if twin != (want >= 0) || twin && m.all[want].id != id {
		rt.Fatalf("submitted as %d, twin %v, want the twin of %d", id, twin, want)
	}
	if twin {
		o := m.all[want]
		if o.state == Held || o.state == Rejected {
			o.state = Waiting
		}
		o.deleted = false
		o.turn(Refused, Pending)
	} else {
		m.all = append(m.all, &modelOutgoing{id: id, n: n, at: m.clock.t, state: Waiting, to: slices.Repeat([]RecipientState{Pending}, k)})
	}
}

// pick draws one of all messages ever submitted, or of those that are forgotten.
func (m *queueModel) pick(rt *rapid.T) *modelOutgoing {
	if i := rapid.IntRange(-1, len(m.all)-1).Draw(rt, "message"); i >= 0 {
		return m.all[i]
	}
	return &modelOutgoing{id: 1 << 40}
}

func (m *queueModel) act(rt *rapid.T, what string) {
	o, ctx := m.pick(rt), m.t.Context()
	var err error
	var taken []int
	var to []string
	ok := false
	switch what {
	case "begin":
		for i, s := range o.to {
			if s == Pending && rapid.Bool().Draw(rt, "taken") {
				taken = append(taken, i)
				to = append(to, string(rune('a'+i))+"@example.com")
			}
		}
		if o.state == Waiting && len(to) == 0 {
			return
		}
		err, ok = m.BeginHandover(ctx, o.id, to), o.state == Waiting && !o.deleted
	case "hold":
		err, ok = m.HoldOutgoing(ctx, o.id, true), o.state == Waiting || o.state == Held
	case "release":
		err, ok = m.HoldOutgoing(ctx, o.id, false), o.state == Waiting || o.state == Held
	case "retry":
		err, ok = m.RetryOutgoing(ctx, o.id), o.state != 0 && o.state != Handing
	case "drop":
		err, ok = m.DropOutgoing(ctx, o.id), o.state != 0 && o.state != Handing
	case "confirm":
		err, ok = m.ConfirmOutgoing(ctx, o.id), o.state == Unknown
	}
	want := map[bool]fault.Kind{true: fault.NotFound, false: fault.Conflict}[o.state == 0]
	if ok != (err == nil) || !ok && !fault.Is(err, want) {
		rt.Fatalf("%s of %+v: %v", what, o, err)
	}
	if !ok {
		return
	}
	switch what {
	case "begin":
		o.state = Handing
		for _, i := range taken {
			o.to[i] = Offered
		}
	case "hold":
		o.state = Held
	case "release", "retry":
		o.state, o.deleted = Waiting, false
		for i, s := range o.to {
			if what == "retry" && (s == Refused || s == Offered) {
				o.to[i] = Pending
			}
		}
	case "drop":
		m.dropped(o)
	case "confirm":
		o.turn(Offered, Accepted)
		o.state = Waiting
		m.settle(o)
	}
}

func (o *modelOutgoing) turn(from, to RecipientState) {
	for i, s := range o.to {
		if s == from {
			o.to[i] = to
		}
	}
}

func (m *queueModel) attempt(rt *rapid.T) {
	o := m.pick(rt)
	a := Attempt{Counts: true, Unknown: rapid.IntRange(0, 3).Draw(rt, "unknown") == 0, Next: m.clock.t}
	for i := range o.to {
		if s := RecipientState(rapid.IntRange(0, 3).Draw(rt, "outcome")); s != 0 {
			a.Recipients = append(a.Recipients, OutgoingRecipient{Address: string(rune('a'+i)) + "@example.com", State: s})
		}
	}
	err := m.Attempted(m.t.Context(), o.id, a)
	if (err == nil) != (o.state != 0) {
		rt.Fatalf("attempt of %+v: %v", o, err)
	}
	if err != nil {
		return
	}
	for _, r := range a.Recipients {
		if i := int(r.Address[0] - 'a'); o.to[i] != Accepted {
			o.to[i] = r.State
		}
	}
	switch {
	case a.Unknown:
		o.state = Unknown
	case o.state == Handing, o.state == Unknown && !slices.Contains(o.to, Offered):
		o.state = Waiting
	}
	if o.state != Unknown {
		o.turn(Offered, Pending)
	}
	m.settle(o)
}

// settle does what follows from the recipients.
func (m *queueModel) settle(o *modelOutgoing) {
	if slices.Contains(o.to, Accepted) && !o.sent {
		o.sent = true
		m.sent++
	}
	switch {
	case slices.Contains(o.to, Pending), slices.Contains(o.to, Offered):
	case slices.Contains(o.to, Refused):
		o.state = Rejected
	default:
		o.state = 0
	}
}

// dropped forgets a message, unless it was sent to somebody.
func (m *queueModel) dropped(o *modelOutgoing) {
	o.state = 0
	m.expunged++
	if !o.sent {
		m.all = slices.DeleteFunc(m.all, func(other *modelOutgoing) bool { return other == o })
	}
}

func (m *queueModel) markOne(rt *rapid.T) {
	list, err := m.Outgoing(m.t.Context())
	must(m.t, err)
	if len(list) == 0 {
		return
	}
	o := list[rapid.IntRange(0, len(list)-1).Draw(rt, "message")]
	_, err = m.SetFlags(m.t.Context(), m.id("Outbox"), []UID{o.UID}, mailflags.Add, []string{`\Deleted`})
	must(m.t, err)
	m.all[slices.IndexFunc(m.all, func(e *modelOutgoing) bool { return e.id == o.ID })].deleted = true
}

func (m *queueModel) expungeMarked(rt *rapid.T) {
	if len(m.all) == 0 {
		return
	}
	box, err := m.Mailbox(m.t.Context(), "Outbox")
	if err != nil {
		return
	}
	refused := false
	for _, o := range slices.Clone(m.all) {
		switch {
		case o.state == 0 || !o.deleted:
		case o.state == Handing:
			refused = true
		default:
			m.dropped(o)
		}
	}
	if _, err := m.Expunge(m.t.Context(), box.ID, nil); (err != nil) != refused {
		rt.Fatalf("expunged: %v, refused %v", err, refused)
	}
}

// doubt is what a start makes of what was being handed over.
func (m *queueModel) doubt() {
	for _, o := range m.all {
		if o.state == Handing {
			o.state = Unknown
		}
	}
}

// hold is what becomes of what waits when it is not certain that it does.
func (m *queueModel) hold() {
	m.doubt()
	for _, o := range m.all {
		if o.state == Waiting {
			o.state = Held
		}
	}
}

func (m *queueModel) restore() {
	backup := filepath.Join(filepath.Dir(m.dir), "backup")
	_, err := m.Backup(m.t.Context(), backup, BackupOptions{})
	must(m.t, err)
	must(m.t, m.Close())
	must(m.t, os.RemoveAll(m.dir))
	_, err = Restore(m.t.Context(), backup, m.dir, RestoreOptions{})
	must(m.t, err)
	m.open()
	m.hold()
}

func (m *queueModel) compare(rt *rapid.T) {
	list, err := m.Outgoing(m.t.Context())
	must(m.t, err)
	must(m.t, m.FillSubjects(m.t.Context(), list))
	var got, want []string
	for _, o := range list {
		to := ""
		for _, r := range o.Recipients {
			to += fmt.Sprint(r.State)
		}
		got = append(got, fmt.Sprint(o.ID, o.State, to, o.Subject))
	}
	for _, o := range m.all {
		to := ""
		for _, s := range o.to {
			to += fmt.Sprint(s)
		}
		state := o.state
		if state == Waiting && o.deleted {
			state = Held
		}
		if state != 0 {
			want = append(want, fmt.Sprint(o.id, state, to, "letter ", o.n))
		}
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("Outbox\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := m.box("Sent").Messages; int(n) != m.sent {
		rt.Fatalf("%d in Sent, want %d", n, m.sent)
	}
	if gone, err := m.Expunged(m.t.Context(), ExpungedQuery{}); err != nil || len(gone) != m.expunged {
		rt.Fatalf("%d expunged, want %d, %v", len(gone), m.expunged, err)
	}
}
