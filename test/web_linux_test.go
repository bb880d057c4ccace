package test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// withPage starts an agent with a web page for one account of a Dovecot that has n
// messages, and opens it in a browser. Its address stays over restarts.
func withPage(t *testing.T, n int, flags ...string) (p *rig.Popbridge, d *rig.Dovecot, b *tab, origin string) {
	t.Helper()
	rig.Need(t, "dovecot", "chromium")
	d = dovecot(t, nil)
	for i := range n {
		must(t, d.Put("home", testkit.Message(i)))
	}
	p = prepare(t, account(d, "home"))
	must(t, p.ServeWeb())
	must(t, p.Configure(account(d, "home")))
	start(t, p)
	b, origin = webPage(t, p, flags...)
	return p, d, b, origin
}

// webPage opens the web page of an agent in a browser.
func webPage(t *testing.T, p *rig.Popbridge, flags ...string) (b *tab, origin string) {
	t.Helper()
	b = chromium(t, flags...)
	address := signIn(t, p)
	b.open(address)
	u, err := url.Parse(address)
	must(t, err)
	return b, "http://" + u.Host
}

// signIn is an address that signs a browser in.
func signIn(t *testing.T, p *rig.Popbridge) string {
	t.Helper()
	out, err := p.Run(context.WithoutCancel(t.Context()), "", "open", "--print")
	if err != nil || out.Code != 0 {
		t.Fatalf("open: %v, exit %d: %s", err, out.Code, out.Stderr)
	}
	return strings.TrimSpace(out.Stdout)
}

// filledPage is a page of an agent with something of everything on it.
func filledPage(t *testing.T) (p *rig.Popbridge, b *tab, origin string) {
	t.Helper()
	p, _, b, origin = withPage(t, 12)
	b.shows("The account is up to date")
	return p, b, origin
}

// The page says how it is, and shows new mail as it comes.
func TestWebHome(t *testing.T) {
	t.Parallel()
	p, d, b, origin := withPage(t, 2)
	b.shows("The account is up to date")
	must(t, d.Put("home", testkit.Message(2)))
	b.click("Fetch now: home")
	b.shows("One new message")
	b.until("three are kept", `document.querySelector(".card .facts").innerText.includes("3")`)

	// What goes wrong is read aloud, on whatever page, and that it is over.
	b.click("Log")
	text, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	must(t, atomicfile.Write(p.ConfigFile(), 0o600, []byte(string(text)+"\nnonsense = 1\n")))
	b.until("it is said that something is wrong", `document.querySelector("#said[role=status]").textContent === "Mail flows; one thing needs you."`)
	must(t, atomicfile.Write(p.ConfigFile(), 0o600, text))
	b.until("it is said that it is over", `document.querySelector("#said[role=status]").textContent.startsWith("The account is up to date")`)
	b.quiet(origin)
}

// A page outlives what happens around it: it is loaded again, gone back from, opened
// twice; its agent ends, and comes back.
func TestWebLivesOn(t *testing.T) {
	t.Parallel()
	p, d, b, origin := withPage(t, 1)
	b.may = ofARestart()
	b.shows("The account is up to date")
	b.open(origin + "/#/about")
	b.until("About", `document.querySelector("h1").innerText === "About"`)
	eval[bool](b, `history.back(); return true`)
	b.shows("The account is up to date")
	b.reload()
	b.shows("The account is up to date")
	if hash := eval[string](b, `return location.hash`); strings.Contains(hash, "t=") {
		t.Errorf("the ticket is still in the address: %s", hash)
	}
	other := b.another()
	other.may = b.may
	other.open(origin)
	other.shows("The account is up to date")

	// A page that breaks, and an agent that refuses, are not an agent that is away.
	eval[bool](other, `window.before = [fetch, String.prototype.padStart]; String.prototype.padStart = () => { throw new Error("a broken page"); }; return true`)
	command(t, p, 0, "sync")
	other.shows("a broken page")
	eval[bool](other, `String.prototype.padStart = before[1];
		window.fetch = async () => new Response('{"text":"too many pages are open","hint":"close some of them"}', {status: 503});
		const hidden = value => { Object.defineProperty(document, "hidden", {value, configurable: true}); document.dispatchEvent(new Event("visibilitychange")); };
		hidden(true); setTimeout(() => hidden(false), 0); return true`)
	other.shows("too many pages are open \u2013 close some of them")
	other.gone("popbridge has not answered since")
	eval[bool](other, `window.fetch = before[0]; return true`)
	other.reload()
	other.shows("The account is up to date")

	stop(t, p)
	b.shows("popbridge has not answered since")
	other.shows("popbridge has not answered since")
	b.shows("popbridge does not answer.") // and no more that all is well
	b.shows("or in a terminal: popbridge open")
	b.shot("away")
	must(t, d.Put("home", testkit.Message(1)))
	start(t, p)
	b.gone("popbridge has not answered since")
	b.until("what came meanwhile", `document.querySelector(".card .facts").innerText.includes("2")`)
	other.gone("popbridge has not answered since")

	eval[bool](b, `window.lost = false; new MutationObserver(() => { if (!document.getElementById("lost").hidden) window.lost = true; }).observe(document.getElementById("lost"), {attributes: true}); return true`)
	out, err := p.Run(t.Context(), "", "open", "--sign-out", "all")
	if err != nil || out.Stdout != "1 browser signed out\n" {
		t.Errorf("%v %s %s", err, out.Stdout, out.Stderr)
	}
	b.shows("This browser is not signed in")
	other.shows("This browser is not signed in")
	if eval[bool](b, `return window.lost || document.querySelector("nav") !== null`) {
		t.Error("a browser that was signed out says that popbridge is away, or shows a menu of pages that it may not see")
	}
	eval[bool](b, `location.hash = "#/log"; dispatchEvent(new HashChangeEvent("hashchange")); return true`)
	b.shows("This browser is not signed in")
	b.quiet(origin)
	other.quiet(origin)
}

// ofARestart is what a browser complains of while an agent stops, is away, and is another
// process that wants another proof of the key.
func ofARestart() []string {
	return []string{"503", "401", "ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"}
}

// The first fetch of a large mailbox moves before one's eyes.
func TestWebFirstFetch(t *testing.T) {
	t.Parallel()
	rig.Need(t, "dovecot", "chromium")
	const messages = 5000
	d := dovecot(t, nil)
	for i := range messages {
		must(t, d.Put("home", testkit.Message(i)))
	}
	link, err := rig.StartLink(d.POP3, 0)
	must(t, err)
	t.Cleanup(func() { must(t, link.Close()) })
	link.Rate = 6_000_000
	a := account(d, "home")
	a.Port = link.Port
	p := prepare(t, a)
	must(t, p.ServeWeb())
	must(t, p.Configure(a))
	start(t, p)
	b, origin := webPage(t, p)
	b.until("progress is shown", `document.querySelector("progress")`)
	b.until("messages, bytes, rate and time left", `/Fetching, [\d,]+ of 5,000 messages, .* of .*, .* a second, about .* left/.test(document.querySelector(".live")?.innerText ?? "")`)
	b.shot("first-fetch")
	seen := map[float64]bool{}
	for len(seen) < 4 {
		seen[eval[float64](b, `return document.querySelector("progress")?.value ?? -1`)] = true
		b.until("it moves", `!document.querySelector("progress") || document.querySelector("progress").value !== args[0]`, eval[float64](b, `return document.querySelector("progress")?.value ?? -1`))
		if seen[-1] {
			t.Fatalf("it was over after %d steps", len(seen))
		}
	}
	b.until("all are there", fmt.Sprintf(`document.querySelector(".card .facts").innerText.includes(%q)`, "5,000"))
	b.until("the progress is over", `!document.querySelector("progress")`)
	b.quiet(origin)
}
