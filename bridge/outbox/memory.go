package outbox

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// memory is what a runner remembers over a restart, as JSON in the store.
type memory struct {
	Told  []mailstore.OutgoingID `json:"told,omitempty"`  // of which a person was told that they are Unknown
	Late  []mailstore.OutgoingID `json:"late,omitempty"`  // that they are still here
	Stuck []mailstore.OutgoingID `json:"stuck,omitempty"` // see Status
	// Reported are the places of the refused recipients of which a person was told. Without
	// it, as former versions wrote it, all were reported.
	Reported map[mailstore.OutgoingID][]int `json:"reported,omitzero"`

	// Address is the server that the rest is about, as host:port.
	Address string `json:"address,omitempty"`

	Pause plan.Lasting `json:"pause,omitzero"`
	Error string       `json:"error,omitempty"` // what the account rests for, in words
	Hint  string       `json:"hint,omitempty"`

	Hours   []plan.Hour  `json:"hours,omitempty"` // what was sent in the last day
	Learned plan.Learned `json:"learned,omitzero"`

	Server *smtp.Extensions `json:"server,omitempty"` // what it announced last

	Ailing  time.Time `json:"ailing,omitzero"` // see Runner
	Noticed bool      `json:"noticed,omitempty"`
}

// parseMemory reads what the store keeps. What cannot be read is as if there had been none.
func parseMemory(text string) (m memory) {
	if json.Unmarshal([]byte(text), &m) != nil {
		return memory{}
	}
	return m
}

// encode returns what the store keeps: "" where there is nothing to remember.
func (m memory) encode(address string) (string, error) {
	text, err := json.Marshal(m)
	if err != nil || string(text) == "{}" {
		return "", err
	}
	m.Address = address
	text, err = json.Marshal(m)
	return string(text), err
}

// load goes on where an earlier run ended.
func (r *Runner) load(ctx context.Context) error {
	if r.loaded {
		return nil
	}
	text, err := r.queue.SendingMemory(ctx, r.account.Name)
	if err != nil {
		return err
	}
	m := parseMemory(text)
	r.loaded, r.saved, r.toldOf, r.late, r.stuck, r.reported = true, text, m.Told, m.Late, m.Stuck, m.Reported
	if m.Address != r.address() { // one server says nothing about another
		m = memory{}
	}
	r.pace.Hours, r.learned = m.Hours, m.Learned
	r.mu.Lock()
	if r.extensions == nil {
		r.extensions = m.Server
	}
	if r.account.Changed || r.asked {
		r.mu.Unlock()
		return nil
	}
	r.pause = m.Pause.Pause()
	rests := r.pause.Rests(r.o.Now())
	r.mu.Unlock()
	r.ailing, r.noticed = m.Ailing, m.Noticed
	if rests {
		r.byMessage = m.Pause.Trouble == plan.Barred
		kind := map[plan.Trouble]fault.Kind{plan.Login: fault.Auth, plan.Quota: fault.Temporary, plan.Barred: fault.Temporary, plan.Silent: fault.Temporary}[m.Pause.Trouble]
		r.restsFor = fault.New(kind, m.Error, m.Hint)
		r.update(func(s *Status) { s.setErr(r.restsFor) })
	}
	return nil
}

// address is the server of the account.
func (r *Runner) address() string {
	return net.JoinHostPort(r.account.Server.Host, strconv.Itoa(r.account.Server.Port))
}

// LastingError is what an account rested for when its runner ended, by what the store keeps
// of it; "" for nothing.
func LastingError(kept string) string { return parseMemory(kept).Error }

// remember writes down what has changed of it.
func (r *Runner) remember(ctx context.Context) error {
	if !r.loaded {
		return nil
	}
	r.mu.Lock()
	m := memory{Pause: r.pause.Lasting(), Told: r.toldOf, Late: r.late, Stuck: r.stuck, Reported: r.reported, Ailing: r.ailing.Round(0), Noticed: r.noticed, Hours: r.pace.Hours, Learned: r.learned, Server: r.extensions}
	if m.Pause.Trouble != plan.None && r.restsFor != nil {
		m.Error, m.Hint = r.restsFor.Error(), fault.Hint(r.restsFor)
	}
	r.mu.Unlock()
	text, err := m.encode(r.address())
	if err == nil && text != r.saved {
		if err = r.queue.SetSendingMemory(ctx, r.account.Name, text); err == nil {
			r.saved = text
		}
	}
	return err
}

// doubt tells who sent them of messages of which it is not known whether they were sent,
// of each once.
func (r *Runner) doubt(ctx context.Context, queue []mailstore.Outgoing) {
	var now []mailstore.OutgoingID
	for _, m := range queue {
		if m.State != mailstore.Unknown {
			continue
		}
		if slices.Contains(r.toldOf, m.ID) {
			now = append(now, m.ID)
			continue
		}
		offered := slices.DeleteFunc(slices.Clone(m.Recipients), func(rcpt mailstore.OutgoingRecipient) bool { return rcpt.State != mailstore.Offered })
		if r.tell(ctx, r.o.Doubted, report{Message: m, Recipients: offered, About: doubtful, Now: r.o.Now()}, r.headerOf(ctx, m.ID)) {
			now = append(now, m.ID)
		}
	}
	r.toldOf = now
}

// refusals tells who sent them of the recipients that messages will not reach, of each once.
func (r *Runner) refusals(ctx context.Context, queue []mailstore.Outgoing) {
	if r.reported == nil && len(queue) == 0 { // nothing to write down
		return
	}
	now := make(map[mailstore.OutgoingID][]int)
	for _, m := range queue {
		var told []int
		var left []mailstore.OutgoingRecipient
		refused := refusedOf(m)
		for _, place := range refused {
			if r.reported == nil || slices.Contains(r.reported[m.ID], place) {
				told = append(told, place)
			} else {
				left = append(left, m.Recipients[place])
			}
		}
		if len(left) > 0 && r.tell(ctx, r.o.Report, report{Message: m, Recipients: left, Now: r.o.Now()}, r.headerOf(ctx, m.ID)) {
			told = refused
		}
		if len(told) > 0 {
			now[m.ID] = told
		}
	}
	r.reported = now
}

// refusedOf are the places of the recipients that a message will not reach.
func refusedOf(m mailstore.Outgoing) (places []int) {
	for place, rcpt := range m.Recipients {
		if rcpt.State == mailstore.Refused {
			places = append(places, place)
		}
	}
	return places
}

// hasReport reports whether who sent a message was told of all that it will not reach.
func (r *Runner) hasReport(m mailstore.Outgoing) bool {
	return m.From != "" && len(refusedOf(m)) == len(r.reported[m.ID])
}
