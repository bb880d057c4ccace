package bridge

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit"
)

// TestModel lets a server do at random what servers do, polls in between, and
// then asks: is every message that a clean poll has seen here, once?
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, rt)
		defer m.end()
		rt.Repeat(map[string]func(*rapid.T){
			"arrive":   m.arrive,
			"remove":   m.remove,
			"renumber": m.renumber,
			"reuse":    m.reuse,
			"trouble":  m.trouble,
			"restart":  m.restart,
			"time":     m.time,
			"poll":     m.poll,
			"stop":     m.stop,
			"":         m.check,
		})
		m.settle()
	})
}

type model struct {
	*rig
	rt   *rapid.T
	keep plan.Keep
	next int            // number of the next message
	ids  int            // number of the next UIDL
	had  map[string]int // what arrived, by content: how often
	owed map[string]bool
}

func newModel(t *testing.T, rt *rapid.T) *model {
	m := &model{rt: rt, had: make(map[string]int), owed: make(map[string]bool)}
	m.rig = &rig{t: rapidTB{t, rt}, clock: new(clock)}
	store, err := mailstore.Open(context.Background(), t.TempDir(), mailstore.Options{Now: m.clock.now})
	if err != nil {
		rt.Fatal(err)
	}
	m.store = store
	m.pop = newPopServer(t)
	m.pop.numbered = rapid.IntRange(0, 3).Draw(rt, "numbered") == 0
	m.restart(rt)
	return m
}

// rapidTB reports to the running example; it is asked for nothing else.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (t rapidTB) Helper()                   {}
func (t rapidTB) Fatal(args ...any)         { t.rt.Fatal(args...) }
func (t rapidTB) Fatalf(f string, a ...any) { t.rt.Fatalf(f, a...) }
func (t rapidTB) Errorf(f string, a ...any) { t.rt.Errorf(f, a...) }

func (m *model) end() {
	m.pop.close()
	problems, err := m.store.Check(context.Background(), nil)
	if err != nil || len(problems) > 0 {
		m.rt.Errorf("store: %v %v", problems, err)
	}
	if err := m.store.Close(); err != nil {
		m.rt.Error(err)
	}
}

func (m *model) id() string {
	m.ids++
	return fmt.Sprint("id", m.ids)
}

func (m *model) arrive(rt *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(rt, "messages") {
		data := testkit.Message(m.next)
		if rapid.IntRange(0, 9).Draw(rt, "forges") == 0 {
			data = append(data, ".\r\n+OK\r\nSubject: forged\r\n\r\nforged\r\n"...)
		}
		m.next++
		message := m.pop.add(m.id(), data)
		m.had[string(data)]++
		switch rapid.IntRange(0, 19).Draw(rt, "kind") {
		case 0:
			message.err = "-ERR not now"
		case 1:
			message.cut = true
		case 2:
			message.void = true
		case 3:
			message.size = int64(rapid.IntRange(1, 9000).Draw(rt, "size"))
		case 4:
			message.uidl = ""
		case 5:
			message.uidl = fmt.Sprint("same", rapid.IntRange(0, 1).Draw(rt, "same"))
		}
	}
}

// remove is another program, or the provider, that deletes messages.
func (m *model) remove(rt *rapid.T) {
	m.pop.change(func() {
		m.pop.messages = slices.DeleteFunc(m.pop.messages, func(p *popMessage) bool {
			return !m.unpolled(p) && rapid.IntRange(0, 3).Draw(rt, "remove") == 0
		})
	})
}

// unpolled reports whether no clean poll has seen a message. Such a message
// may be lost to us when the server loses it, so the model leaves it there.
func (m *model) unpolled(p *popMessage) bool { return !m.owed[string(p.data)] }

func (m *model) renumber(rt *rapid.T) {
	whole := rapid.Bool().Draw(rt, "whole")
	m.pop.change(func() {
		for _, p := range m.pop.messages {
			if whole || rapid.Bool().Draw(rt, "renumber") {
				p.uidl = m.id()
			}
		}
	})
}

// reuse gives an id that was used before to another message.
func (m *model) reuse(rt *rapid.T) {
	m.pop.change(func() {
		if len(m.pop.messages) == 0 || m.ids == 0 {
			return
		}
		p := m.pop.messages[rapid.IntRange(0, len(m.pop.messages)-1).Draw(rt, "message")]
		old := fmt.Sprint("id", rapid.IntRange(1, m.ids).Draw(rt, "id"))
		if !slices.ContainsFunc(m.pop.messages, func(o *popMessage) bool { return o.uidl == old }) {
			p.uidl = old
		}
	})
}

func (m *model) trouble(rt *rapid.T) {
	tr := trouble{limitText: "-ERR Download exceed. msg=3"}
	switch rapid.IntRange(0, 4).Draw(rt, "trouble") {
	case 0:
		tr.cutRetr = rapid.IntRange(1, 8).Draw(rt, "cut at")
		tr.cutAfter = rapid.IntRange(0, 3000).Draw(rt, "cut after")
	case 1:
		tr.limit = 3
	case 2:
		tr.hide = rapid.IntRange(1, 4).Draw(rt, "hide")
	}
	tr.unstuffed = rapid.IntRange(0, 3).Draw(rt, "unstuffed") == 0
	var refuse func(bool) bool
	switch rapid.IntRange(0, 5).Draw(rt, "DELE") {
	case 0:
		refuse = func(retrieved bool) bool { return !retrieved }
	case 1:
		refuse = func(bool) bool { return true }
	}
	tr.expire = rapid.Bool().Draw(rt, "expire")
	tr.quit = quitTrouble(rapid.IntRange(0, 4).Draw(rt, "quit"))
	m.pop.change(func() { m.pop.trouble, m.pop.refuseDele = tr, refuse })
}

func (m *model) restart(rt *rapid.T) {
	m.keep = rapid.SampledFrom([]plan.Keep{plan.KeepForever(), plan.KeepNever(), plan.KeepFor(3 * day), plan.KeepNewest(3), plan.KeepBelow(50, 20_000)}).Draw(rt, "keep")
	m.rig.restart(m.keep)
}

func (m *model) time(rt *rapid.T) {
	m.clock.advance(rapid.SampledFrom([]time.Duration{time.Hour, 2 * day, 40 * day, -40 * day}).Draw(rt, "time"))
}

func (m *model) poll(*rapid.T) {
	var healthy []string
	m.pop.change(func() {
		for _, p := range m.pop.messages {
			if p.err == "" && !p.cut && !p.void {
				healthy = append(healthy, string(p.data))
			}
		}
	})
	_, err := m.runner.Poll(context.Background(), nil)
	if err == nil && len(m.runner.Status().Problems) == 0 {
		for _, data := range healthy {
			m.owed[data] = true
		}
	}
}

// stop ends the program in the middle of a poll.
func (m *model) stop(rt *rapid.T) {
	at := rapid.IntRange(1, 5).Draw(rt, "stop at")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.pop.change(func() {
		m.pop.trouble.retr = func(n int) {
			if n == at {
				cancel()
			}
		}
	})
	_, _ = m.runner.Poll(ctx, nil)
	m.pop.change(func() { m.pop.trouble.retr = nil })
	m.rig.restart(m.keep)
}

// check: what is here is what arrived, once each, and nothing owed is missing.
func (m *model) check(*rapid.T) {
	here := make(map[string]int)
	for _, data := range mail(m.t, m.store, "INBOX") {
		here[data]++
	}
	for data, n := range here {
		if n > m.had[data] {
			m.rt.Fatalf("%d times here, %d times on the server: %.60q", n, m.had[data], subject(data))
		}
	}
	for data := range m.owed {
		if here[data] == 0 {
			m.rt.Fatalf("not here: %.60q", subject(data))
		}
	}
	// What the server has lost must be here: nothing else removes the unpolled.
	left := make(map[string]bool)
	m.pop.change(func() {
		for _, p := range m.pop.messages {
			left[string(p.data)] = true
		}
	})
	for data := range m.had {
		if here[data] == 0 && !left[data] {
			m.rt.Fatalf("neither here nor on the server: %.60q", subject(data))
		}
	}
}

func subject(data string) string {
	_, after, _ := bytes.Cut([]byte(data), []byte("Subject: "))
	line, _, _ := bytes.Cut(after, []byte("\r\n"))
	return string(line)
}

// settle: when the trouble is over, everything comes.
func (m *model) settle() {
	m.pop.change(func() {
		m.pop.trouble, m.pop.refuseDele = trouble{}, nil
		for _, p := range m.pop.messages {
			p.err, p.cut, p.void = "", false, false
		}
	})
	for range 3 {
		m.clock.advance(2 * day)
		m.rig.poll()
	}
	m.check(nil)
	var want []string
	for data := range m.had {
		want = append(want, data)
	}
	m.wantExactly(want)
}
