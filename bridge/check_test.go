package bridge

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// wrongAnswers are what servers do with the number behind UIDL and LIST.
var wrongAnswers = map[string]func(p *popSession, command string, n int) (open bool){
	"all":      func(p *popSession, command string, _ int) bool { return p.handle(command, "") },
	"size":     func(p *popSession, _ string, n int) bool { p.line("+OK %d 77777", n); return true },
	"nonsense": func(p *popSession, _ string, _ int) bool { p.line("+OK"); return true },
	"hangs up": func(*popSession, string, int) bool { return false },
	"refuses":  func(p *popSession, _ string, _ int) bool { p.line("-ERR no arguments"); return true },
	"silent":   func(*popSession, string, int) bool { return true },
}

// A server that cannot answer UIDL or LIST with a number gives all its mail, once
// each and in few sessions, and what is certain to be whole is deleted there.
func TestAServerThatCannotAnswerTheCheck(t *testing.T) {
	for name, wrong := range wrongAnswers {
		for _, commands := range []string{"UIDL", "LIST", "UIDL LIST"} {
			for _, kind := range []string{"pipelined", "one at a time", "without ids"}[:rounds.Of(1, 3)] {
				t.Run(name+"/"+commands+"/"+kind, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { testUncheckable(t, wrong, commands, kind) })
				})
			}
		}
	}
}

func testUncheckable(t *testing.T, wrong func(*popSession, string, int) bool, commands, kind string) {
	g := newRig(t, plan.KeepNever())
	switch kind {
	case "one at a time":
		g.pop.caps = []string{"UIDL"}
	case "without ids":
		g.pop.trouble.noUIDL = true
	}
	g.pop.one = func(p *popSession, command string, n int) bool {
		if command == commands || commands == "UIDL LIST" {
			return wrong(p, command, n)
		}
		return p.listed(command, n)
	}
	const most = 4 // one that goes wrong, one for each of the two commands, one that goes well
	g.fill(0, 5)
	g.pop.messages[3].size = int64(len(g.pop.messages[3].data)) + 7
	if r := g.poll(); r.Sessions > most || r.Failed > 0 {
		t.Errorf("%d sessions, %d failed", r.Sessions, r.Failed)
	}
	g.wantMail(0, 5)
	for n := 5; n < 8; n++ { // one message at each poll
		g.fill(n, n+1)
		g.restartIfOdd(n)
		if r := g.poll(); r.Sessions > most || r.Failed > 0 {
			t.Errorf("message %d: %d sessions, %d failed", n, r.Sessions, r.Failed)
		}
		g.wantMail(0, n+1)
	}
	g.fill(8, 9)
	if r := g.poll(); r.Sessions != 1 || r.Stored != 1 {
		t.Errorf("once it is known: %+v", r)
	}
	g.wantMail(0, 9)
	// The message of the wrong size stays where nothing tells that it is whole.
	if n := g.pop.count(); n > 1 || n == 1 && g.pop.messages[0].size == 0 {
		t.Errorf("%d messages are left on the server", n)
	}
	g.clock.advance(withoutFor + time.Hour)
	g.fill(9, 10)
	g.poll()
	g.wantMail(0, 10)
}

func (g *rig) restartIfOdd(n int) {
	if n%2 == 1 {
		g.restart(plan.KeepNever())
	}
}

// A server without ids guesses a size until it has sent the message. That costs no
// session, and the message is taken for whole.
func TestAServerThatKnowsASizeOnceItHasSentTheMessage(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.pop.trouble.noUIDL = true
	g.pop.one = func(p *popSession, command string, n int) bool {
		if command == "LIST" && p.had[n] {
			p.line("+OK %d %d", n, len(p.mailbox[n-1].data))
			return true
		}
		return p.listed(command, n)
	}
	g.fill(0, 3)
	for _, m := range g.pop.messages {
		m.size = int64(len(m.data)) + 700
	}
	if r := g.poll(); r.Sessions != 1 || r.Stored != 3 || r.Failed > 0 {
		t.Errorf("%+v", r)
	}
	g.wantMail(0, 3)
	if n := g.pop.count(); n > 0 {
		t.Errorf("%d messages are left on the server", n)
	}
}

// A server that does not byte-stuff refuses what comes behind its limit, and one
// of these answers stands where that of the check should: nothing that a sender has
// forged is taken for a message, and the others come.
func TestARefusalAtTheCheckShowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.pop.trouble = trouble{unstuffed: true, limit: 3, limitText: "-ERR Download exceed. msg=3"}
		g.pop.one = func(p *popSession, command string, n int) bool {
			if command == "UIDL" {
				return wrongAnswers["refuses"](p, command, n)
			}
			return p.listed(command, n)
		}
		var want []string
		for n := range 6 {
			data := fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", n, strings.Repeat("x", n*n))
			if n == 1 {
				g.pop.add("forges", []byte(data+".\r\n+OK\r\nSubject: forged\r\n\r\nforged\r\n"))
				continue
			}
			g.pop.add(uidl(n), []byte(data))
			want = append(want, data)
		}
		g.poll()
		g.wantExactly(want)
		if p := g.runner.Status().Problems; len(p) != 1 || p[0].Num != 2 {
			t.Errorf("problems: %v", p)
		}
	})
}

// A server that refuses a check now and then, or each one behind a message, gives all
// its mail in the first poll: STAT says as much.
func TestAServerThatRefusesChecks(t *testing.T) {
	for name, refuses := range map[string]func(asked int) bool{
		"the first":  func(asked int) bool { return asked == 1 },
		"the second": func(asked int) bool { return asked == 2 },
		"each":       func(int) bool { return true },
	} {
		for _, ids := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", ids ", ids), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig(t, plan.KeepNever())
					g.pop.trouble.noUIDL = !ids
					asked := make(map[*popSession]int)
					g.pop.one = func(p *popSession, command string, n int) bool {
						if asked[p]++; p.retrs > 0 && refuses(asked[p]) {
							p.line("-ERR busy")
							return true
						}
						return p.listed(command, n)
					}
					g.fill(0, 150)
					for _, m := range g.pop.messages {
						m.size = int64(len(m.data)) + 1234
					}
					if r := g.poll(); r.Stored != 150 || r.Sessions > 2 || r.Failed > 0 || g.runner.Status().Doubtful > 0 {
						t.Errorf("%+v, %d doubtful", r, g.runner.Status().Doubtful)
					}
					g.poll()
					g.wantMail(0, 150)
					if n := g.pop.count(); n > 0 {
						t.Errorf("%d messages are left on the server", n)
					}
				})
			})
		}
	}
}
