package test

import (
	"fmt"
	"net/smtp"
	"strings"
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

// Mail that waits is shown in each of its states, to everybody; and what a sender, those
// who are to get it, and their server have written is text.
func TestWebOutbox(t *testing.T) {
	t.Parallel()
	rig.Need(t, "npm")
	p, provider, b, origin := outboxPage(t)
	b.click("Mail that waits to be sent")
	b.shows("Everything was sent.")
	leaves := func(conduct rig.Conduct, subject, state string, to ...string) {
		t.Helper()
		provider.Behave(func() rig.Conduct { return conduct })
		handTo(t, p, subject, to...)
		b.until(state, `[...document.querySelectorAll(".card")].some(e => e.innerText.includes(args[0]) && e.innerText.includes(args[1]))`, strings.ReplaceAll(subject, "\u202e", "\ufffd"), state)
	}
	later := rig.Conduct{At: rig.AtDot, Reply: "451 4.3.0 come back later"}
	leaves(later, "The minutes", "Next try", "bob@example.org")
	leaves(later, "A draft", "Next try", "bob@example.org")
	b.click("Hold back: A draft")
	b.shows("Held back")
	leaves(rig.Conduct{At: rig.AtRcpt, Reply: "550 5.1.1 nobody has this address"}, "Invitation", "Could not be sent", "bob@example.org", "dave@example.org")
	leaves(rig.Conduct{At: rig.AtDot}, "The invoice", "It is not known whether it was sent", "erin@example.org")
	b.until("details are open", `[...document.querySelectorAll("main details")].every(d => (d.open = true))`)
	b.everywhere("outbox")

	subject, reply := fmt.Sprintf(hostile, "subject"), fmt.Sprintf(hostile, "server")
	leaves(rig.Conduct{At: rig.AtDot, Reply: "554 5.7.1 " + reply}, subject, "Could not be sent", `"<img/src=x/onerror=alert(1)>"@example.org`)
	leaves(rig.Conduct{At: rig.AtDot, Reply: "451 4.3.0 " + reply}, subject+" later", "Next try", `"<script>hacked=1</script>"@example.org`)
	b.shows(`"<script>hacked=1</script>"@example.org`)
	b.shows("gnp.server")
	b.resize(320, "light")
	b.onlyText("outbox")
	b.quiet(origin)
}

// What the state does not tell of is asked for again and again only where somebody looks,
// and popbridge answers; and what went wrong is read aloud once.
func TestWebLooksAgainWhileSeen(t *testing.T) {
	t.Parallel()
	p, _, b, origin := outboxPage(t)
	b.may = append(ofARestart(), "500")
	eval[bool](b, `const real = fetch;
		window.answers = 0; // that are under way
		window.fetch = (path, ...rest) => {
			if (path !== watched) return real(path, ...rest);
			asked++;
			if (window.broken) return broken();
			answers++;
			return real(path, ...rest).finally(() => answers--);
		};
		window.setInterval = tick => -ticks.push(tick); // no id of another timer
		window.hide = value => { Object.defineProperty(document, "hidden", {value, configurable: true}); document.dispatchEvent(new Event("visibilitychange")); };
		const { ask } = await import("/api.js"), through = window.through = () => ask("GET", "/about").catch(() => {}); // behind what was asked for before
		window.tick = async () => { await through(); asked = 0; ticks.forEach(tick => tick()); await through(); return asked > 0; };
		return true`)
	asks := func(when string, want bool) {
		t.Helper()
		if got := eval[bool](b, `return tick()`); got && !want {
			t.Errorf("%s: it is asked", when)
		}
		if want {
			b.until(when+": it is asked", `asked > 0`)
		}
	}
	for _, page := range []struct{ address, path, shown string }{
		{"devices/setup/" + localUser + "/phone", "/api/devices", "Files that set it up"},
		{"outbox", "/api/outbox", "Everything was sent."},
	} {
		eval[bool](b, `window.watched = args[0]; window.asked = 0; window.ticks = []; location.hash = "#/" + args[1]; return true`, page.path, page.address)
		b.shows(page.shown)
		asks(page.address+" in sight", true)
		eval[bool](b, `hide(true); return true`)
		asks(page.address+" out of sight", false)
		eval[bool](b, `asked = 0; hide(false); return true`)
		b.until("who comes back sees how it is now", `asked > 0`)
	}

	b.until("no answer is under way that is none of these errors", `answers === 0`)
	eval[bool](b, `await through(); window.alerts = 0; window.answered = 0;
		new MutationObserver(list => { alerts += list.flatMap(m => [...m.addedNodes]).filter(n => n.role === "alert").length; }).observe(document.querySelector("main"), {childList: true, subtree: true});
		window.broken = async () => { answered++; return new Response('{"text":"the store is broken"}', {status: 500}); };
		return true`)
	for n := range 3 {
		asks("where it fails", true)
		b.until("the error is shown", `answered > args[0] && document.querySelector("main").innerText.includes("the store is broken")`, n)
	}
	eval[bool](b, `delete window.broken; return true`)
	asks("after errors", true)
	b.gone("the store is broken")
	if n := eval[int](b, `return alerts`); n != 1 {
		t.Errorf("one error is read aloud %d times", n)
	}

	stop(t, p)
	b.shows("popbridge has not answered since")
	asks("where popbridge is away", false)
	start(t, p)
	b.gone("popbridge has not answered since")
	asks("where it is back", true)
	b.quiet(origin)
}
