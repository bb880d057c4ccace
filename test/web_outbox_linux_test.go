package test

import (
	"fmt"
	"net/smtp"
	"testing"

	"github.com/popbridge/popbridge/test/rig"
)

// outboxPage is an agent that sends by a server of the test, and its page in a browser.
func outboxPage(t *testing.T) (p *rig.Popbridge, provider *rig.SMTPServer, b *tab, origin string) {
	t.Helper()
	rig.Need(t, "dovecot", "chromium")
	provider, err := rig.StartSMTPServer(func() rig.Conduct { return rig.Conduct{} })
	must(t, err)
	t.Cleanup(func() { must(t, provider.Close()) })
	home := account(dovecot(t, nil), "home")
	home.Address, home.SendHost, home.SendPort, home.SendTLS = "ann@example.org", "127.0.0.1", provider.Port, "none"
	p = prepare(t, home)
	must(t, p.ServeWeb())
	must(t, p.ServeSMTP())
	must(t, p.Configure(home))
	must(t, p.AddDevice(t.Context(), localUser, "phone", devicePw+devicePw))
	start(t, p)
	must(t, rig.WaitPort(t.Context(), p.SMTP, p.Done()))
	b, origin = webPage(t, p)
	b.shows("The account is up to date")
	return p, provider, b, origin
}

// handTo hands a message over to p for these people.
func handTo(t *testing.T, p *rig.Popbridge, subject string, to ...string) {
	t.Helper()
	must(t, smtp.SendMail(rig.Addr(p.SMTP), smtp.PlainAuth("", localUser, devicePw, "127.0.0.1"), "ann@example.org", to,
		fmt.Appendf(nil, "From: ann@example.org\r\nTo: %s\r\nSubject: %s\r\n\r\nhello\r\n", to[0], subject)))
}

// What the state does not tell of is asked for again and again only where somebody looks,
// and popbridge answers; and what went wrong is read aloud once.
func TestWebLooksAgainWhileSeen(t *testing.T) {
	t.Parallel()
	p, _, b, origin := outboxPage(t)
	b.may = []string{"500", "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"}
	eval[bool](b, `const real = fetch;
		window.fetch = (path, ...rest) => { if (path === watched) asked++; return window.broken && path === watched ? broken() : real(path, ...rest); };
		window.setInterval = tick => -ticks.push(tick); // no id of another timer
		window.hide = value => { Object.defineProperty(document, "hidden", {value, configurable: true}); document.dispatchEvent(new Event("visibilitychange")); };
		window.tick = () => { const before = asked; ticks.forEach(tick => tick()); return asked - before; };
		return true`)
	asks := func(when string, want int) {
		t.Helper()
		if got := eval[int](b, `return tick()`); got != want {
			t.Errorf("%s it is asked %d times, want %d", when, got, want)
		}
	}
	for _, page := range []struct{ address, path, shown string }{
		{"devices/setup/" + localUser + "/phone", "/api/devices", "Waiting for its first login"},
		{"outbox", "/api/outbox", "Everything was sent."},
	} {
		eval[bool](b, `window.watched = args[0]; window.asked = 0; window.ticks = []; location.hash = "#/" + args[1]; return true`, page.path, page.address)
		b.shows(page.shown)
		asks(page.address+" in sight", 1)
		eval[bool](b, `hide(true); return true`)
		asks(page.address+" out of sight", 0)
		eval[bool](b, `asked = 0; hide(false); return true`)
		b.until("who comes back sees how it is now", `asked > 0`)
	}

	eval[bool](b, `window.alerts = 0; window.answered = 0;
		new MutationObserver(list => { alerts += list.flatMap(m => [...m.addedNodes]).filter(n => n.role === "alert").length; }).observe(document.querySelector("main"), {childList: true, subtree: true});
		window.broken = async () => { answered++; return new Response('{"text":"the store is broken"}', {status: 500}); };
		return true`)
	for n := range 3 {
		asks("where it fails", 1)
		b.until("the error is shown", `answered > args[0] && document.querySelector("main").innerText.includes("the store is broken")`, n)
	}
	eval[bool](b, `delete window.broken; return true`)
	asks("after errors", 1)
	b.gone("the store is broken")
	if n := eval[int](b, `return alerts`); n != 1 {
		t.Errorf("one error is read aloud %d times", n)
	}

	stop(t, p)
	b.shows("popbridge has not answered since")
	asks("where popbridge is away", 0)
	start(t, p)
	b.gone("popbridge has not answered since")
	asks("where it is back", 1)
	b.quiet(origin)
}
