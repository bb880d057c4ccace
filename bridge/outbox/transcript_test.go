package outbox

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

const (
	ann = "a@example.org"
	bob = "bob@b.example"
	cat = "cat@c.example"
)

// scriptedRig is a rig whose server plays a script to the real client.
func scriptedRig(t *testing.T, script string) *rig {
	g := newRig(t)
	config := smtp.Config{Host: "mail.example.com", Security: smtp.Plain, Dialer: scripted.New(t, script).Dial}
	g.runner.dial = func(ctx context.Context) (client, error) { return smtp.Dial(ctx, config) }
	return g
}

// What the real client and a server say to each other, and what becomes of a message
// to bob and cat, and one to bob behind it.
func TestTranscripts(t *testing.T) {
	hello := smtptest.Hello("PIPELINING", "SIZE 1000", "8BITMIME") + smtptest.Login()
	next := smtptest.Taken(ann, bob) + smtptest.Quit
	again := "@connection\n" + hello + next
	for name, tt := range map[string]struct {
		script string
		body   string
		state  mailstore.OutgoingState // of the first message; 0: it has left
		rcpts  string                  // theirs
		tells  int                     // reports
		text   string                  // of the error of the first message
		within time.Duration
	}{
		"both taken over one connection": {script: hello + smtptest.Envelope(ann, bob, cat) +
			"C: DATA\nS: 354\nC: From: a@example.org\nC: Subject: test\nC: Message-ID: <1@example.org>\nC: \nC: text\nC: .\nS: 250 ok\n" + next},
		"one recipient refused": {script: hello + smtptest.Mail(ann, "250 ok") + smtptest.Rcpt(bob, "250 ok") + smtptest.Rcpt(cat, "550 5.1.1 unknown") + smtptest.Content("250 ok") + next,
			state: mailstore.Rejected, rcpts: "23", tells: 1, text: "cat@c.example: the server answered 550 5.1.1 unknown"},
		"all recipients refused": {script: hello + smtptest.Mail(ann, "250 ok") + smtptest.Rcpt(bob, "551 no") + smtptest.Rcpt(cat, "550 5.1.1 unknown") + "C: RSET\nS: 250 ok\n" + next,
			state: mailstore.Rejected, rcpts: "33", tells: 1, text: "bob@b.example: the server answered 551 no"},
		"the sender refused": {script: hello + smtptest.Mail(ann, "554 5.2.252 SendAsDenied") + smtptest.Rcpt(bob, "503 no") + smtptest.Rcpt(cat, "503 no") + "C: RSET\nS: 250 ok\n" + next,
			state: mailstore.Rejected, rcpts: "33", tells: 1, text: "the server answered 554 5.2.252 SendAsDenied"},
		"the sender refused, and cut": {script: hello + smtptest.Mail(ann, "554 5.2.252 SendAsDenied") + "@close\n" + again,
			state: mailstore.Rejected, rcpts: "33", tells: 1, text: "the server answered 554 5.2.252 SendAsDenied"},
		"the message refused before its end": {script: hello + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nS: 552 5.3.4 too large\n@stall\n" + again,
			state: mailstore.Rejected, rcpts: "33", tells: 1, text: "too large"},
		"the message refused": {script: hello + smtptest.Envelope(ann, bob, cat) + smtptest.Content("554 5.7.1 spam") + next,
			state: mailstore.Rejected, rcpts: "33", tells: 1, text: "spam"},
		"cut in the message": {script: hello + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nC*\n@cut\n" + again,
			state: mailstore.Waiting, rcpts: "11", text: "connection"},
		"cut at the dot": {script: hello + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nC.\n@cut\n" + again,
			state: mailstore.Unknown, rcpts: "44", text: "not known"},
		"closed at the dot": {script: hello + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nC.\n@close\n" + again,
			state: mailstore.Unknown, rcpts: "44", text: "not known"},
		"nonsense at the dot": {script: hello + smtptest.Envelope(ann, bob, cat) + smtptest.Content("ok") + again,
			state: mailstore.Unknown, rcpts: "44", text: "not known"},
		"closing at the dot": {script: hello + smtptest.Envelope(ann, bob, cat) + smtptest.Content("421 4.3.2 closing") + again,
			state: mailstore.Waiting, rcpts: "11", text: "421"},
		"a late answer": {script: hello + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nC.\n@pause 9m\nS: 250 ok\n" + next, within: 9 * time.Minute},
		"no answer": {script: hello + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\nC.\n@stall\n" + again,
			state: mailstore.Unknown, rcpts: "44", text: "not known", within: 11 * time.Minute},
		"stalled at MAIL": {script: hello + "C~ MAIL .*\n@stall\n" + again,
			state: mailstore.Waiting, rcpts: "11", text: "the server does not answer", within: 5 * time.Minute},
		"too large": {script: hello + next, body: strings.Repeat("text\r\n", 200),
			state: mailstore.Rejected, rcpts: "33", tells: 1, text: "the server takes 1000"},
		"a bare CR": {script: hello + smtptest.Envelope(ann, bob, cat) + "C: DATA\nS: 354\n@stall\n" + again, body: "a\rb\r\n",
			state: mailstore.Rejected, rcpts: "33", tells: 1, text: "line end"},
		"greeted with 421":   {script: "S: 421 4.3.2 too busy\n@close\n@connection\n" + hello + smtptest.Taken(ann, bob, cat) + next, within: 61 * time.Second},
		"login refused once": {script: smtptest.Hello() + smtptest.LoginAnswer("535 5.7.8 no") + "@stall\n@connection\n" + hello + smtptest.Taken(ann, bob, cat) + next, within: 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := scriptedRig(t, tt.script)
				first := g.queue.submit("home", ann, []byte(string(sample(1))+tt.body), bob, cat)
				second := g.submit(bob)
				stop := g.serve()
				pass(tt.within + 30*time.Second)
				m := g.queue.get(first)
				rcpts := ""
				for _, r := range m.Recipients {
					rcpts += fmt.Sprint(r.State)
				}
				if m.State != tt.state || tt.state != 0 && rcpts != tt.rcpts || !strings.Contains(m.LastError, tt.text) {
					t.Errorf("message %+v", m)
				}
				if m := g.queue.get(second); m.State != 0 {
					t.Errorf("the next message %+v", m)
				}
				if reports, _ := g.told(); reports != tt.tells {
					t.Errorf("%d reports", reports)
				}
				stop()
			})
		})
	}
}

// Three refused logins pause the account with the words of the server, as do three at
// which the server goes away.
func TestTranscriptOfRefusedLogins(t *testing.T) {
	for end, want := range map[string]struct {
		kind       fault.Kind
		text, hint string
	}{
		smtptest.LoginAnswer("535 5.7.139 SmtpClientAuthentication is disabled for the Tenant") + "@stall\n": {fault.Config, "SmtpClientAuthentication is disabled", "SMTP AUTH"},
		"C: AUTH PLAIN\nS: 334 \nC*\n@close\n": {fault.Temporary, "when it got the password", "check the user name"},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := scriptedRig(t, strings.Join(slices.Repeat([]string{smtptest.Hello() + end}, 3), "@connection\n"))
			g.submit(bob)
			stop := g.serve()
			for range 12 { // good polls of the account
				pass(time.Minute)
				g.runner.Wake()
			}
			if s := g.runner.Status(); s.State != Paused || s.Kind != want.kind || !strings.Contains(s.LastError, want.text) || !strings.Contains(s.Hint, want.hint) || s.Next.Before(time.Now()) {
				t.Errorf("status %+v", s)
			}
			stop()
		})
	}
}

// What may lock an account is tried rarely; what has never come to the password, as
// often as anything that is offline.
func TestTroubleOf(t *testing.T) {
	reply := func(code int) error { return &smtp.ReplyError{Reply: smtp.Reply{Code: code}} }
	for _, tt := range []struct {
		err     error
		atLogin bool
		want    plan.Trouble
		passing bool
	}{
		{fault.New(fault.Temporary, "no route", ""), false, plan.Offline, true},
		{fault.Wrap(&net.DNSError{IsNotFound: true}, fault.Config, "not found", ""), false, plan.Offline, true},
		{fault.New(fault.Config, "certificate", ""), false, plan.Offline, false},
		{fault.New(fault.Config, "no login offered", ""), true, plan.Offline, false},
		{fault.Wrap(reply(554), fault.Denied, "go away", ""), false, plan.Busy, false},
		{fault.Wrap(reply(421), fault.Temporary, "busy", ""), false, plan.Busy, true},
		{fault.Wrap(reply(454), fault.Temporary, "outage", ""), true, plan.Busy, true},
		{fault.Wrap(reply(535), fault.Auth, "refused", ""), true, plan.Login, false},
		{fault.Wrap(reply(535), fault.Config, "switched off", ""), true, plan.Login, false},
		{fault.New(fault.Auth, "the server could not prove itself", ""), true, plan.Login, false},
		{fault.New(fault.Temporary, "it hung up", ""), true, plan.Login, true},
	} {
		if got := troubleOf(tt.err, tt.atLogin); got != tt.want || passing(tt.err) != tt.passing {
			t.Errorf("%v, login %v: trouble %d, passing %v", tt.err, tt.atLogin, got, passing(tt.err))
		}
	}
}
