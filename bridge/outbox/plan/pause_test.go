package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestRetry(t *testing.T) {
	want := []time.Duration{1, 1, 2, 5, 15, 30, 30, 30}
	for n, minutes := range want {
		d := minutes * time.Minute
		if got := Retry(n, 0.5); got != d {
			t.Errorf("attempt %d: %v, want %v", n, got, d)
		}
		if low, high := Retry(n, 0), Retry(n, 0.999); low != d*8/10 || high <= d*119/100 || high > d*12/10 {
			t.Errorf("attempt %d: from %v to %v", n, low, high)
		}
	}
}

// How long an account rests after the n-th trouble in a row.
func TestPause(t *testing.T) {
	const m, h = time.Minute, time.Hour
	for _, tt := range []struct {
		trouble Trouble
		want    []time.Duration
	}{
		{Offline, []time.Duration{m, 2 * m, 5 * m, 15 * m, 30 * m, 30 * m}},
		{Busy, []time.Duration{m, 2 * m, 5 * m, 15 * m, 30 * m, 30 * m}},
		{Login, []time.Duration{m, 2 * m, h, 2 * h, 4 * h, 8 * h, 16 * h, 24 * h, 24 * h}},
		{Barred, []time.Duration{m, 2 * m, h, 2 * h, 4 * h, 8 * h, 16 * h, 24 * h, 24 * h}},
		{Quota, []time.Duration{24 * h, 24 * h}},
	} {
		var p Pause
		at := now
		for n, want := range tt.want {
			p.Met(tt.trouble, at, 0.5)
			if got := p.Until.Sub(at); got != want || !p.Rests(at) || p.Rests(at.Add(want)) {
				t.Errorf("trouble %d, %d in a row: %v, want %v", tt.trouble, n+1, got, want)
			}
			at = p.Until
		}
		p.Worked()
		p.Met(tt.trouble, at, 0.5)
		if got := p.Until.Sub(at); got != tt.want[0] {
			t.Errorf("trouble %d, after it worked: %v", tt.trouble, got)
		}
	}
}

func TestPauseWakes(t *testing.T) {
	for _, tt := range []struct {
		trouble       Trouble
		times         int
		woken, resume time.Duration // from the last trouble to the next attempt
	}{
		{Offline, 6, 5 * time.Second, 5 * time.Second}, {Busy, 6, 30 * time.Minute, 30 * time.Minute},
		{Quota, 1, 24 * time.Hour, 24 * time.Hour}, {Barred, 3, time.Hour, time.Hour},
		{Login, 1, time.Minute, time.Minute}, {Login, 3, time.Hour, 15 * time.Minute}, {Login, 9, 24 * time.Hour, 15 * time.Minute},
	} {
		var p Pause
		for range tt.times {
			p.Met(tt.trouble, now, 0.5)
		}
		p.Wake()
		if got := p.Until.Sub(now); got != tt.woken {
			t.Errorf("trouble %d, %d times: %v, want %v", tt.trouble, tt.times, got, tt.woken)
		}
		p.Resume()
		if got := p.Until.Sub(now); got != tt.resume {
			t.Errorf("resumed at trouble %d, %d times: %v, want %v", tt.trouble, tt.times, got, tt.resume)
		}
		p.End()
		if p.Rests(now) {
			t.Errorf("trouble %d: it rests on", tt.trouble)
		}
	}
	var none Pause
	if none.Wake(); none.Rests(now) {
		t.Error("a pause that is none rests")
	}
}

// Another secret ends a rest for a refused login, and no other. A token that was only renewed
// has to wait for a quarter of it, and the rests grow on.
func TestNewSecret(t *testing.T) {
	const m, h = time.Minute, time.Hour
	for _, tt := range []struct {
		trouble Trouble
		renewed bool
		after   time.Duration
		rests   bool
		next    time.Duration // the rest after that, where it is met again
	}{
		{Login, false, 0, false, m}, {Barred, false, 0, false, m},
		{Login, true, 15*m - 1, true, 2 * h}, {Login, true, 15 * m, false, 2 * h}, {Barred, true, 15 * m, false, 2 * h},
		{Busy, false, m, true, 15 * m}, {Quota, false, h, true, 24 * h}, {Offline, false, m, true, 15 * m},
	} {
		var p Pause
		for range 3 {
			p.Met(tt.trouble, now, 0.5)
		}
		at := now.Add(tt.after)
		p.NewSecret(tt.renewed, at)
		if got := p.Rests(at); got != tt.rests {
			t.Errorf("%+v: rests %v", tt, got)
		}
		p.Met(tt.trouble, at, 0.5)
		if got := p.Until.Sub(at); got != tt.next {
			t.Errorf("%+v: the next rest is %v", tt, got)
		}
	}
}

var stalled = Decision{Stalled: true}

// A login that goes through ends trouble of the network and of the login, not that of a
// server that puts everything off.
func TestPauseLoggedIn(t *testing.T) {
	var p Pause
	p.Met(Login, now, 0.5)
	p.Met(Offline, now, 0.5)
	if !p.LoggedIn() || p.Rests(now) || p.Trouble != None {
		t.Errorf("after a login %+v", p)
	}
	for n := range 3 {
		if got := p.Tried(stalled, false); got != map[bool]Trouble{true: Busy}[n == patience] {
			t.Errorf("stalled %d times: trouble %d", n+1, got)
		}
	}
	p.Met(Busy, now, 0.5)
	if p.LoggedIn() || !p.Rests(now) || p.Trouble != Busy || p.Tried(stalled, false) != Busy {
		t.Errorf("after a login at a busy server %+v", p)
	}
	if p.Met(Login, now, 0.5); p.Until.Sub(now) != time.Minute {
		t.Errorf("a refused login rests until %v", p.Until)
	}
	if p.Met(Busy, now, 0.5); p.Until.Sub(now) != 2*time.Minute {
		t.Errorf("a busy server rests until %v", p.Until)
	}
	p.Worked()
	if p.Tried(stalled, false) != None {
		t.Error("stalled after it worked")
	}
}

// A clock that was wrong stops nothing for long.
func TestClockSetBack(t *testing.T) {
	var p Pause
	p.Met(Quota, now.AddDate(3, 0, 0), 0.5)
	if p.Rests(now) {
		t.Error("rests for three years")
	}
	far := *waiting("a")
	far.NotBefore = now.AddDate(3, 0, 0)
	if due, _ := Next([]mailstore.Outgoing{far}, now); due == nil {
		t.Error("a message waits for three years")
	}
	var kept Pause
	for _, trouble := range []Trouble{Login, Quota} {
		kept.Met(trouble, now.Add(20*time.Hour), 0.5)
		if kept = kept.Lasting().Pause(); kept.Rests(now) {
			t.Errorf("trouble %d of tomorrow: it rests", trouble)
		}
	}
	const m, h = time.Minute, time.Hour
	for _, tt := range []struct {
		what              string
		queued, notBefore time.Duration // from now
		wait              time.Duration
	}{
		{"queued three days ahead", 72 * h, 72 * h, 0},
		{"queued an hour ahead", h, h, 0},
		{"queued and tried an hour ahead", h, h + m, 0},
		{"queued an hour ahead, tried now", h, m, m},
		{"queued three days ahead, tried now", 72 * h, 30 * m, 30 * m},
		{"tried three days ahead", -h, 72 * h, 0},
		{"with a delay", 0, h + time.Second, h + time.Second},
		{"with a delay, before a step back", m, m + 10*time.Second, m + 10*time.Second},
		{"tried last before a step back", -h, 37 * m, 37 * m},
	} {
		due := Due(&mailstore.Outgoing{QueuedAt: now.Add(tt.queued), NotBefore: now.Add(tt.notBefore)}, now)
		if wait := due.Sub(now); wait != tt.wait {
			t.Errorf("%s: due in %v, want %v", tt.what, wait, tt.wait)
		}
	}
}

func TestNext(t *testing.T) {
	message := func(id mailstore.OutgoingID, attempts int, in time.Duration, state mailstore.OutgoingState) mailstore.Outgoing {
		return mailstore.Outgoing{ID: id, Attempts: attempts, NotBefore: now.Add(in), State: state}
	}
	for _, tt := range []struct {
		name  string
		queue []mailstore.Outgoing
		due   mailstore.OutgoingID
		at    time.Duration // -1: never
	}{
		{"nothing", nil, 0, -1},
		{"what met trouble of the account comes behind", []mailstore.Outgoing{{ID: 1, NotBefore: now, LastError: "530", State: mailstore.Waiting}, message(2, 0, 0, mailstore.Waiting)}, 2, -1},
		{"what was tried longest ago", []mailstore.Outgoing{{ID: 1, NotBefore: now, LastError: "530", State: mailstore.Waiting}, message(2, 3, -time.Minute, mailstore.Waiting)}, 2, -1},
		{"first in, first out", []mailstore.Outgoing{message(1, 0, 0, mailstore.Waiting), message(2, 0, -time.Hour, mailstore.Waiting)}, 1, -1},
		{"a message that sticks comes last", []mailstore.Outgoing{message(1, 3, 0, mailstore.Waiting), message(2, 1, -1, mailstore.Waiting), message(3, 0, 0, mailstore.Waiting)}, 3, -1},
		{"only what waits", []mailstore.Outgoing{message(1, 0, 0, mailstore.Handing), message(2, 0, 0, mailstore.Unknown), message(3, 0, 0, mailstore.Held), message(4, 0, 0, mailstore.Rejected)}, 0, -1},
		{"not yet", []mailstore.Outgoing{message(1, 0, time.Hour, mailstore.Waiting), message(2, 0, time.Minute, mailstore.Waiting), message(3, 0, time.Second, mailstore.Held)}, 0, time.Minute},
		{"one of them", []mailstore.Outgoing{message(1, 0, time.Hour, mailstore.Waiting), message(2, 9, 0, mailstore.Waiting)}, 2, time.Hour},
	} {
		due, at := Next(tt.queue, now)
		id, in := mailstore.OutgoingID(0), at.Sub(now)
		if due != nil {
			id = due.ID
		}
		if at.IsZero() {
			in = -1
		}
		if id != tt.due || in != tt.at {
			t.Errorf("%s: message %d, the next in %v", tt.name, id, in)
		}
	}
}

func TestRecipients(t *testing.T) {
	m := waiting("a", "b", "c", "d")
	m.Recipients[0].State = mailstore.Accepted
	m.Recipients[1].Reply = busyR
	m.Recipients[3].State = mailstore.Refused
	if got := Recipients(m, 0); !slices.Equal(got, []string{"c"}) {
		t.Errorf("recipients %v", got)
	}
	for range 300 {
		m.Recipients = append(m.Recipients, mailstore.OutgoingRecipient{Address: "x", State: mailstore.Pending})
	}
	turns := map[string]bool{}
	m.Recipients[2].Reply = busyR
	for n := range 300 {
		m.Recipients[4+n] = mailstore.OutgoingRecipient{Address: fmt.Sprint(n), State: mailstore.Pending, Reply: busyR}
	}
	for range 5 {
		for _, address := range Recipients(m, 0) {
			turns[address] = true
		}
		m.Attempts++
	}
	if len(turns) != 302 {
		t.Errorf("%d recipients have had their turn", len(turns))
	}
	for i := range m.Recipients {
		if i != 1 {
			m.Recipients[i].Reply = ""
		}
	}
	if got := Recipients(m, 0); len(got) != maxRecipients || got[0] != "c" || slices.Contains(got, "b") {
		t.Errorf("%d recipients, from %s on", len(got), got[0])
	}
}
