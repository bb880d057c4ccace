package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

var errLost = errors.New("the connection was lost")

// waiting is a message with pending recipients.
func waiting(to ...string) *mailstore.Outgoing {
	m := &mailstore.Outgoing{ID: 1, State: mailstore.Waiting, QueuedAt: now, NotBefore: now}
	for _, a := range to {
		m.Recipients = append(m.Recipients, mailstore.OutgoingRecipient{Address: a, State: mailstore.Pending})
	}
	return m
}

// states are those of the recipients after a decision, a letter for each: accepted,
// refused, pending.
func states(m *mailstore.Outgoing, a mailstore.Attempt) string {
	var b strings.Builder
	for _, r := range m.Recipients {
		state := r.State
		for _, c := range a.Recipients {
			if c.Address == r.Address {
				state = c.State
			}
		}
		b.WriteByte(" par"[state])
	}
	return b.String()
}

const (
	ok    = "250 2.1.5 ok"
	gone  = "550 5.1.1 no such user"
	busyR = "450 4.2.1 busy"
	many  = "452 4.5.3 too many recipients"
	limit = "550 5.4.5 daily limit"
	never = "!" // Try.Never
)

func TestDecide(t *testing.T) {
	tests := []struct {
		name    string
		rcpts   []string // for a, b, c in turn
		final   string
		phase   smtp.Phase
		command string // of the *ReplyError in err
		err     string // its reply, "lost", never, or nothing
		states  string
		flags   string // counts, unknown, stalled
		account Trouble
		next    time.Duration // -1: none
		text    string        // of the error, a part of it
	}{
		{"all taken", []string{ok, ok, ok}, "250 2.0.0 queued", smtp.Answered, "", "", "aaa", "counts", None, -1, ""},
		{"one refused", []string{ok, gone, ok}, "250 - ok", smtp.Answered, "", "", "ara", "counts", None, -1, "b: the server answered 550 5.1.1 no such user"},
		{"one later", []string{ok, busyR, ok}, "250 - ok", smtp.Answered, "", "", "apa", "counts", None, time.Minute, "b: the server answered 450 4.2.1 busy"},
		{"one of each", []string{ok, busyR, gone}, "250 - ok", smtp.Answered, "", "", "apr", "counts", None, time.Minute, "b: the server answered 450 4.2.1 busy; c:"},
		{"all refused", []string{gone, gone, gone}, "", smtp.Rcpt, "", "", "rrr", "counts", None, -1, "c: the server"},
		{"all later", []string{busyR, busyR, busyR}, "", smtp.Rcpt, "", "", "ppp", "counts", None, time.Minute, "a: the server"},
		{"all refused and DATA as well", []string{gone, gone, gone}, "", smtp.Data, "DATA", "554 5.5.1 no valid recipients", "rrr", "counts", None, -1, "no such user"},
		{"too many for one transaction", []string{ok, ok, many}, "250 - ok", smtp.Answered, "", "", "aap", "counts", None, 0, "too many"},
		{"too many, in the old form", []string{ok, ok, "552 - too many recipients"}, "250 - ok", smtp.Answered, "", "", "aap", "counts", None, 0, "552"},
		{"too many from the first on", []string{many, many, many}, "", smtp.Rcpt, "", "", "ppp", "counts", None, time.Minute, "too many"},

		{"250 at RCPT and 5yz at the dot", []string{ok, ok, ok}, "554 5.7.1 spam", smtp.Answered, "", "", "rrr", "counts", None, -1, "the server answered 554 5.7.1 spam"},
		{"4yz at the dot", []string{ok, gone, ok}, "451 4.3.0 later", smtp.Answered, "", "", "prp", "counts stalled", None, time.Minute, "the server answered 451"},
		{"421 at the dot", []string{ok, ok, ok}, "421 4.3.2 closing", smtp.Answered, "", "", "ppp", "counts stalled", None, time.Minute, "421"},
		{"too large, at the dot", []string{ok, ok, ok}, "552 5.3.4 too large", smtp.Answered, "", "", "rrr", "counts", None, -1, "too large"},
		{"no answer to the dot", []string{ok, ok, ok}, "", smtp.AfterDot, "", "lost", "ppp", "counts unknown stalled", None, -1, "not known"},
		{"no answer, one refused", []string{ok, gone, ok}, "", smtp.AfterDot, "", "lost", "prp", "counts unknown stalled", None, -1, "not known"},
		{"no answer, one later", []string{ok, busyR, ok}, "", smtp.AfterDot, "", "lost", "ppp", "counts unknown stalled", None, -1, "not known"},
		{"nonsense for an answer", []string{ok, ok, ok}, "354 - go ahead", smtp.AfterDot, "", "lost", "ppp", "counts unknown stalled", None, -1, "not known"},

		{"MAIL refused", nil, "", smtp.Mail, "MAIL FROM:<x@y>", "550 5.7.60 SendAsDenied", "rrr", "counts", None, -1, "SendAsDenied"},
		{"MAIL refused, RCPT pipelined", []string{"503 5.5.1 no MAIL", "503 5.5.1 no MAIL"}, "", smtp.Mail, "MAIL FROM:<x@y>", "550 5.7.1 not yours", "rrr", "counts", None, -1, "not yours"},
		{"MAIL later", nil, "", smtp.Mail, "MAIL FROM:<x@y>", "452 4.3.1 no storage", "ppp", "counts stalled", None, time.Minute, "no storage"},
		{"421 at MAIL", nil, "", smtp.Mail, "MAIL FROM:<x@y>", "421 4.7.0 later", "ppp", "counts stalled", None, time.Minute, "421"},
		{"421 at RCPT", []string{ok, "421 4.7.0 later"}, "", smtp.Rcpt, "RCPT TO:<b>", "421 4.7.0 later", "ppp", "counts stalled", None, time.Minute, "421"},
		{"421 at RCPT, one refused", []string{gone, "421 4.7.0 later"}, "", smtp.Rcpt, "RCPT TO:<b>", "421 4.7.0 later", "rpp", "counts stalled", None, time.Minute, "421"},
		{"DATA later", []string{ok, ok, ok}, "", smtp.Data, "DATA", "451 4.3.0 later", "ppp", "counts stalled", None, time.Minute, "451"},
		{"DATA refused", []string{ok, ok, gone}, "", smtp.Data, "DATA", "554 5.7.1 no", "rrr", "counts", None, -1, "554"},
		{"refused in the middle of the message", []string{ok, ok, ok}, "", smtp.Data, "message", "552 5.3.4 too large", "rrr", "counts", None, -1, "too large"},

		{"lost before anything", nil, "", smtp.Connected, "", "lost", "ppp", "stalled", None, time.Minute, "the connection was lost"},
		{"lost at MAIL", nil, "", smtp.Mail, "", "lost", "ppp", "counts stalled", None, time.Minute, "the connection was lost"},
		{"lost at RCPT", []string{ok, gone, ""}, "", smtp.Rcpt, "", "lost", "prp", "counts stalled", None, time.Minute, "no such user"},
		{"lost in the message", []string{ok, ok, ok}, "", smtp.Data, "", "lost", "ppp", "counts stalled", None, time.Minute, "the connection was lost"},
		{"a session that had ended", nil, "", smtp.Connected, "idle", "421 4.4.2 idle", "ppp", "stalled", None, time.Minute, "421"},

		{"not for this server", nil, "", smtp.Connected, "", never, "rrr", "counts", None, -1, "never"},
		{"a bare line end in it", []string{ok, ok, busyR}, "", smtp.Data, "", never, "rrp", "counts", None, time.Minute, "busy"},

		{"login wanted at MAIL", nil, "", smtp.Mail, "MAIL FROM:<x@y>", "530 5.7.0 log in", "ppp", "", Barred, 0, "530"},
		{"login wanted at RCPT", []string{"530 5.7.0 log in", "530 5.7.0 log in", "530 5.7.0 log in"}, "", smtp.Rcpt, "", "", "ppp", "", Barred, 0, "530"},
		{"too many connections", nil, "", smtp.Mail, "MAIL FROM:<x@y>", "432 4.3.2 connections", "ppp", "", Busy, 0, "432"},
		{"daily limit at MAIL", nil, "", smtp.Mail, "MAIL FROM:<x@y>", limit, "ppp", "", Quota, 0, "5.4.5"},
		{"daily limit at RCPT", []string{limit, limit, gone}, "", smtp.Rcpt, "", "", "ppr", "", Quota, 0, "5.4.5"},
		{"a login wanted for one of them", []string{ok, "530 5.7.1 log in", "454 4.7.0 down"}, "250 - ok", smtp.Answered, "", "", "arp", "counts", None, time.Minute, "454"},
		{"a daily limit for one of them", []string{ok, limit, ok}, "250 - ok", smtp.Answered, "", "", "apa", "counts", None, time.Minute, "5.4.5"},
		{"daily limit at the dot", []string{ok, gone, ok}, "554 5.2.0 SubmissionQuotaExceeded", smtp.Answered, "", "", "prp", "", Quota, 0, "Quota"},
		{"daily limit and no answer", []string{ok, limit, ok}, "", smtp.AfterDot, "", "lost", "ppp", "counts unknown stalled", None, -1, "not known"},
	}
	for _, tt := range tests {
		m := waiting("a", "b", "c")
		try := Try{Message: m, To: Recipients(m, 0), Now: now, Rand: 0.5}
		try.Outcome = smtp.Outcome{Phase: tt.phase, Final: reply(t, tt.final), Recipients: make([]smtp.Reply, 3)}
		for i, s := range tt.rcpts {
			try.Outcome.Recipients[i] = reply(t, s)
		}
		switch tt.err {
		case "":
		case "lost":
			try.Err = errLost
		case never:
			try.Err, try.Never = errors.New("never"), true
		default:
			try.Err = fmt.Errorf("wrapped: %w", &smtp.ReplyError{Command: tt.command, Reply: reply(t, tt.err)})
		}
		if tt.phase == smtp.AfterDot {
			try.Outcome.Final = smtp.Reply{} // where the client does not take it for an answer
		}
		d := Decide(try)
		var flags []string
		for name, on := range map[string]bool{"counts": d.Attempt.Counts, "unknown": d.Attempt.Unknown, "stalled": d.Stalled} {
			if on {
				flags = append(flags, name)
			}
		}
		slices.Sort(flags)
		want := strings.Fields(tt.flags)
		slices.Sort(want)
		next := d.Attempt.Next.Sub(now)
		if d.Attempt.Next.IsZero() {
			next = -1
		}
		if got := states(m, d.Attempt); got != tt.states || !slices.Equal(flags, want) || d.Account != tt.account || next != tt.next || !strings.Contains(d.Attempt.Error, tt.text) {
			t.Errorf("%s: recipients %s, flags %v, trouble %d, next %v, text %q", tt.name, got, flags, d.Account, next, d.Attempt.Error)
		}
		if (d.Why != "") != (d.Account != None) {
			t.Errorf("%s: trouble %d because of %q", tt.name, d.Account, d.Why)
		}
		if tt.text == "" && d.Attempt.Error != "" {
			t.Errorf("%s: error %q", tt.name, d.Attempt.Error)
		}
		if n := strings.Count(states(m, d.Attempt), "r"); n != len(d.Refused) {
			t.Errorf("%s: %d refused, reported %v", tt.name, n, d.Refused)
		}
	}
}

// Of a message that meets trouble of the account while others leave, it is its own, for as
// long as that of any; where the message itself has left for others, a day's limit is not.
func TestTroubleOfOneMessage(t *testing.T) {
	for _, tt := range []struct {
		alone, sent bool
		reply       string
		account     Trouble
	}{
		{false, false, "530 5.7.0 log in", Barred}, {true, false, "530 5.7.0 log in", None}, {false, true, "530 5.7.0 log in", None},
		{false, false, limit, Quota}, {true, false, limit, None}, {false, true, limit, Quota},
		{false, false, "454 4.7.0 down", Busy}, {true, false, "454 4.7.0 down", None}, {false, true, "454 4.7.0 down", None},
	} {
		m := waiting("a", "b")
		if tt.sent {
			m.Recipients[1].State = mailstore.Accepted
		}
		d := Decide(Try{Message: m, To: []string{"a"}, Now: now, Rand: 0.5, Alone: tt.alone, Outcome: smtp.Outcome{Phase: smtp.Rcpt, Recipients: []smtp.Reply{reply(t, tt.reply)}}})
		if own := tt.account == None; d.Account != tt.account || d.Attempt.Counts != own || d.Stalled != own || len(d.Refused) > 0 {
			t.Errorf("%+v: %+v", tt, d)
		}
	}
}

// A person reads of a few recipients only.
func TestErrorIsShort(t *testing.T) {
	m := waiting("a", "b", "c", "d", "e")
	d := Decide(Try{Message: m, To: Recipients(m, 0), Now: now, Outcome: smtp.Outcome{Phase: smtp.Rcpt, Recipients: slices.Repeat([]smtp.Reply{reply(t, gone)}, 5)}})
	if want := "c: the server answered 550 5.1.1 no such user; 2 more"; !strings.HasSuffix(d.Attempt.Error, want) {
		t.Errorf("error %q", d.Attempt.Error)
	}
}

// A message is given up when it was tried for five days, and often enough.
func TestGivesUp(t *testing.T) {
	for _, tt := range []struct {
		attempts int
		first    time.Duration // ago; 0: never
		states   string
	}{
		{0, 0, "pp"}, {50, 4 * 24 * time.Hour, "pp"}, {6, 5 * 24 * time.Hour, "pp"}, {6, 50 * 24 * time.Hour, "pp"},
		{7, 5*24*time.Hour - 1, "pp"}, {7, 5 * 24 * time.Hour, "rr"}, {200, 6 * 24 * time.Hour, "rr"}, {200, 0, "pp"},
	} {
		m := waiting("a", "b")
		m.Attempts = tt.attempts
		if tt.first != 0 {
			m.FirstTry = now.Add(-tt.first)
		}
		try := Try{Message: m, To: []string{"a"}, Now: now, Outcome: smtp.Outcome{Phase: smtp.Rcpt, Recipients: []smtp.Reply{reply(t, busyR)}}}
		d := Decide(try)
		if got := states(m, d.Attempt); got != tt.states {
			t.Errorf("after %d attempts, the first %v ago: %s", tt.attempts, tt.first, got)
		}
		if tt.states == "rr" && (d.Refused[0].Reply != "given up after five days: 450 4.2.1 busy" || d.Refused[1].Reply != "given up after five days") {
			t.Errorf("refused %v", d.Refused)
		}
		try.Outcome.Recipients[0] = reply(t, limit)
		if d := Decide(try); states(m, d.Attempt) != "pp" {
			t.Errorf("given up for trouble of the account: %v", d)
		}
	}
}

// An hour after the first attempt there is one, from which on the notice is due, however few
// there were.
func TestNoticeIsDue(t *testing.T) {
	m, at := waiting("a"), now
	var noticed []time.Duration
	for range 20 {
		d := Decide(Try{Message: m, To: []string{"a"}, Now: at, Rand: 0.5, Outcome: smtp.Outcome{Phase: smtp.Rcpt, Recipients: []smtp.Reply{reply(t, busyR)}}})
		if d.Delayed {
			noticed = append(noticed, at.Sub(now))
		}
		m.Attempts++
		if m.FirstTry.IsZero() {
			m.FirstTry = at
		}
		at = d.Attempt.Next
	}
	if len(noticed) == 0 || noticed[0] != time.Hour {
		t.Errorf("noticed after %v", noticed)
	}
	m.Attempts = 1 // the computer was off
	if d := Decide(Try{Message: m, To: []string{"a"}, Now: now.Add(8 * time.Hour), Rand: 0.5, Outcome: smtp.Outcome{Phase: smtp.Rcpt, Recipients: []smtp.Reply{reply(t, busyR)}}}); !d.Delayed {
		t.Error("not noticed after two attempts in eight hours")
	}
}

// Whatever a server and the network do: a recipient is accepted only by a yes to RCPT
// and to the dot, and refused only by a no; where the answer to the dot is not known,
// the attempt is, too; trouble of the account costs nothing; what is pending has a
// time.
func TestDecideAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.OneOf(rapid.Just(0), rapid.SampledFrom([]int{250, 354, 421, 432, 450, 452, 454, 503, 530, 535, 550, 552, 554}), rapid.IntRange(200, 599))
		makeReply := func(name string) smtp.Reply {
			return smtp.Reply{Code: code.Draw(t, name), Enhanced: rapid.SampledFrom([]string{"", "5.4.5", "4.7.0", "5.2.0", "5.1.1"}).Draw(t, name)}
		}
		m := waiting("a", "b", "c", "d")
		m.Attempts = rapid.IntRange(0, 20).Draw(t, "attempts")
		if m.Attempts > 0 {
			m.FirstTry = now.Add(-time.Duration(rapid.IntRange(0, 200).Draw(t, "hours")) * time.Hour)
		}
		try := Try{Message: m, To: []string{"a", "b", "c"}, Now: now, Rand: rapid.Float64Range(0, 0.99).Draw(t, "u")}
		try.Outcome.Phase = smtp.Phase(rapid.IntRange(0, int(smtp.Answered)).Draw(t, "phase"))
		for range 3 {
			try.Outcome.Recipients = append(try.Outcome.Recipients, makeReply("rcpt"))
		}
		command := rapid.SampledFrom([]string{"", "MAIL FROM:<x>", "RCPT TO:<a>", "DATA", "message", "idle"}).Draw(t, "command")
		if try.Outcome.Phase == smtp.Answered {
			try.Outcome.Final = smtp.Reply{Code: rapid.IntRange(200, 599).Draw(t, "final")}
		} else if command != "" {
			try.Err = &smtp.ReplyError{Command: command, Reply: makeReply("err")}
		} else {
			try.Err = errLost
		}
		mailRefused := strings.HasPrefix(command, "MAIL") && try.Err != nil
		d := Decide(try)
		after := states(m, d.Attempt)
		for i := range 3 {
			yes := try.Outcome.Recipients[i].Code/100 == 2
			if after[i] == 'a' && (!yes || try.Outcome.Final.Code/100 != 2) {
				t.Fatalf("accepted without a yes: %s", after)
			}
			if yes && try.Outcome.Final.Code/100 == 2 && after[i] != 'a' {
				t.Fatalf("taken and not accepted: %s", after)
			}
			if yes && try.Outcome.Phase == smtp.AfterDot && !mailRefused && (!d.Attempt.Unknown || after[i] != 'p') {
				t.Fatalf("the answer is not known: %s, %+v", after, d.Attempt)
			}
		}
		if d.Account != None && (d.Attempt.Counts || strings.HasPrefix(d.Attempt.Error, "given up")) && !d.Attempt.Unknown {
			t.Fatalf("trouble of the account counts: %+v", d)
		}
		if strings.Contains(after, "p") && !d.Attempt.Unknown && d.Attempt.Next.Before(now) {
			t.Fatalf("pending without a time: %s, %+v", after, d.Attempt)
		}
		seen := make(map[string]bool)
		for _, r := range d.Attempt.Recipients {
			if seen[r.Address] {
				t.Fatalf("%s twice in %v", r.Address, d.Attempt.Recipients)
			}
			seen[r.Address] = true
		}
	})
}

// Whom the server wants to wait is not asked again because of others that it had no room
// for in the same transaction.
func TestGreylistedAmongMany(t *testing.T) {
	m := waiting("a", "grey", "c")
	try := Try{Message: m, To: Recipients(m, 0), Now: now, Rand: 0.5, Outcome: smtp.Outcome{Phase: smtp.Answered, Final: reply(t, "250 2.0.0 ok"),
		Recipients: []smtp.Reply{reply(t, ok), reply(t, "451 4.7.1 greylisted"), reply(t, "452 4.5.3 too many recipients")}}}
	d := Decide(try)
	if !d.Attempt.Next.Equal(now) {
		t.Errorf("the rest leaves %v", d.Attempt.Next)
	}
	for _, r := range d.Attempt.Recipients {
		for i := range m.Recipients {
			if m.Recipients[i].Address == r.Address {
				m.Recipients[i] = r
			}
		}
	}
	m.Attempts, m.FirstTry = 1, now
	if to := Recipients(m, 0); !slices.Equal(to, []string{"c"}) {
		t.Errorf("at once to %v", to)
	}
	try.To, try.Outcome.Recipients = Recipients(m, 0), []smtp.Reply{reply(t, ok)}
	if d := Decide(try); d.Attempt.Next.Sub(now) < time.Minute {
		t.Errorf("the greylisted one is asked after %v", d.Attempt.Next.Sub(now))
	}
	try = Try{Message: waiting("a", "full"), To: []string{"a", "full"}, Now: now, Rand: 0.5, Outcome: smtp.Outcome{Phase: smtp.Answered, Final: reply(t, "250 2.0.0 ok"),
		Recipients: []smtp.Reply{reply(t, ok), reply(t, "452 4.2.2 mailbox full")}}}
	if d := Decide(try); d.Attempt.Next.Sub(now) < 30*time.Second {
		t.Errorf("a full mailbox is asked again after %v", d.Attempt.Next.Sub(now))
	}
}
