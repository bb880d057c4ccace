package test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// newcomer is an agent without an account, and its page in a browser.
func newcomer(t *testing.T, env ...string) (p *rig.Popbridge, b *tab, origin string) {
	t.Helper()
	p, err := rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	p.Web = "127.0.0.1:0"
	p.Env = env
	must(t, p.ServeSMTP())
	must(t, p.Configure())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("popbridge: %s", tail(p.Log()))
		}
		must(t, p.Stop())
	})
	start(t, p)
	b, origin = webPage(t, p)
	return p, b, origin
}

// narrow looks at the page at 320 pixels, as it is at 400 % zoom: nothing may be cut off or
// need scrolling sideways.
func narrow(b *tab) {
	b.t.Helper()
	b.resize(320, "light")
	b.fits("the page at 320 pixels")
	b.resize(1280, "light")
}

// A newcomer's path: from no account to the first mail, and what a mail program needs.
func TestWebAdd(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	ca := testkit.CA(t, "localhost")
	d := dovecot(t, ca)
	must(t, d.Put("home", testkit.Message(0), testkit.Message(1)))
	p, b, origin := newcomer(t, "SSL_CERT_FILE="+ca.CAFile)
	b.may = append(b.may, "422") // the answer for a provider without POP3
	b.shows("There is no account yet. Add one")
	b.click("Add an account")

	// A provider that is known needs no network to be found.
	b.enter("Your mail address", "ann")
	b.click("Find the server")
	b.shows("This is not a mail address")
	b.enter("Your mail address", "ann@gmx.de")
	b.click("Find the server")
	b.shows("pop.gmx.net:995")
	b.shows("Switch on POP3 in the settings of the mailbox")
	b.shot("add-server")
	narrow(b)
	b.click("Back")
	b.enter("Your mail address", "ann@icloud.com")
	b.click("Find the server")
	b.shows("has no POP3")
	b.click("Back")

	b.enter("Your mail address", "home@example.com")
	b.click("I enter the server myself")
	b.shows("Step 2 of 3")
	b.enter("Port", "pop3")
	b.click("Test")
	b.shows("Enter the name of the server.")
	b.shows("A port is a number from 1 to 65535.")
	b.shows("Enter the password.")
	b.enter("Server", "localhost.evil.test") // which is not this computer
	b.enter("Port", "110")
	b.enter("Password at the provider", "guess")
	b.pick("Encryption", "none")
	b.click("Test")
	b.shows("The connection to localhost.evil.test is not encrypted")
	b.click("Cancel")
	b.pick("Encryption", "TLS (usual)")
	b.enter("Server", "localhost")
	b.enter("Port", strconv.Itoa(d.POP3S))
	b.shot("add-byhand")
	narrow(b)
	b.click("Test")
	b.shows("The provider does not take this user name or password")
	b.shot("add-refused")
	narrow(b)
	b.enter("User name", "home")
	b.enter("Password at the provider", rig.Password)
	b.click("Test")
	b.shows("Step 3 of 3")
	b.shows("2 messages there")
	b.shows("The server has shown who it is")
	b.shows("Nothing is deleted at the provider.")
	b.click("Nothing")
	b.shows("2 of the messages that are there now are deleted at the provider.")
	b.shot("add-keep")
	narrow(b)
	for _, scheme := range []string{"light", "dark"} {
		b.resize(390, scheme)
		b.shot("add-keep-390-" + scheme)
	}
	b.resize(1280, "light")
	b.click("For some days")
	b.enter("Days", "1")
	b.shows("one day after it was fetched")
	b.shows("Nothing is deleted at the provider in the next day; then each message is")
	b.click("The newest messages")
	b.enter("Messages", "many")
	b.click("Add the account")
	b.shows("Enter a whole number of messages, from 1 on.")
	b.shows("What is deleted at the provider depends on the number.")
	b.click("For some days")
	b.gone("Enter a whole number")
	b.enter("Days", "0")
	b.click("Add the account")
	b.shows("Enter a whole number of days, from 1 on.")
	b.gone("in the next 0 days")
	b.click("Everything")
	if text, err := os.ReadFile(p.ConfigFile()); err != nil || strings.Contains(string(text), "[[account]]") {
		t.Errorf("the config has an account before it was agreed to: %v\n%s", err, text)
	}
	b.click("Add the account")
	b.shows("home@example.com is set up")
	b.shows("The password is shown this once only.")
	b.shot("add-done")
	narrow(b)
	password := eval[string](b, `return [...document.querySelectorAll("dl.values code")].map(e => e.innerText).find(s => /^[a-z2-7-]{24}$/.test(s))`)
	c := loginAs(t, p, nil, "me", password)
	b.click("See the mail come in")
	b.shows("The account is up to date")
	if box := selectMailbox(t, c, "INBOX"); box.NumMessages != 2 {
		t.Errorf("INBOX has %d messages", box.NumMessages)
	}
	if n, err := d.Count("home"); err != nil || n != 2 {
		t.Errorf("%d messages at the provider, %v", n, err)
	}
	b.open(origin + "/#/add")
	b.enter("Your mail address", "Home@example.com")
	b.click("I enter the server myself")
	b.shows("This address is set up already, as the account home@example.com.")
	b.click("Look at the account")
	b.shows("Settings of the account")
	eval[bool](b, `history.go(-3); return true`)
	b.until("home", `location.hash === "#/"`)
	// Back does not add it once more, and the password is not shown again.
	eval[bool](b, `history.back(); return true`)
	b.until("what is over is not shown", `location.hash === "#/" && document.querySelector("main h1")?.innerText === "Home"`)
	text, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	if n := strings.Count(string(text), "[[account]]"); n != 1 || strings.Contains(string(text), rig.Password) {
		t.Errorf("%d accounts in\n%s", n, text)
	}
	b.quiet(origin)
}

// The wizard needs no mouse.
func TestWebAddByKeyboard(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	ca := testkit.CA(t, "localhost")
	d := dovecot(t, ca)
	must(t, d.Put("home", testkit.Message(0)))
	_, b, origin := newcomer(t, "SSL_CERT_FILE="+ca.CAFile)
	b.shows("There is no account yet")
	// tab presses the key until what has this name has the focus.
	tab := func(name string) {
		t.Helper()
		for range 40 {
			if eval[bool](b, `const e = document.activeElement; return (e.labels?.[0]?.innerText ?? e.getAttribute("aria-label") ?? e.innerText).trim() === args[0]`, name) {
				return
			}
			b.press("\t")
		}
		t.Fatalf("%q is not reached with the Tab key", name)
	}
	tab("Add an account")
	b.press("\r")
	b.shows("Step 1 of 3")
	b.types("Your mail address", "home@example.com")
	tab("I enter the server myself")
	b.press("\r")
	b.shows("Step 2 of 3")
	b.types("Server", "localhost")
	tab("Port")
	b.press(strconv.Itoa(d.POP3S))
	tab("User name")
	b.press("home")
	tab("Password at the provider")
	b.press("\r")
	b.shows("Enter the password.")
	b.press("guess\r")
	b.shows("The provider does not take this user name or password")
	b.until("the password has the focus", `document.activeElement.type === "password"`)
	eval[bool](b, `document.activeElement.select(); return true`)
	b.press(rig.Password + "\r")
	b.shows("Step 3 of 3")
	b.shows("One message there")
	b.until("the heading has the focus", `document.activeElement.tagName === "H1"`)
	tab("Add the account")
	b.press("\r")
	b.shows("home@example.com is set up")
	tab("See the mail come in")
	b.press("\r")
	b.shows("The account is up to date")
	b.quiet(origin)
}

// No authority vouches for the server: the wizard says so in words, and its command adds the
// account in a terminal for who knows the server.
func TestWebAddUntrusted(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, testkit.CA(t, "localhost"))
	must(t, d.Put("home", testkit.Message(0)))
	p, b, origin := newcomer(t)
	b.click("Add an account")
	b.types("Your mail address", "home@example.com")
	b.click("I enter the server myself")
	b.types("Server", "localhost")
	b.enter("Port", strconv.Itoa(d.POP3S))
	b.enter("User name", "home")
	b.enter("Password at the provider", rig.Password)
	b.press("\r")
	b.shows("does not show that it is the one of your provider")
	b.gone("signed by no authority")
	b.accessible("an untrusted server")
	b.shot("add-untrusted")
	b.resize(390, "dark")
	b.shot("add-untrusted-390")
	narrow(b)
	b.click("Details")
	b.shows("signed by no authority")
	words := strings.Fields(b.value("Command"))
	out, err := p.Run(t.Context(), rig.Password+"\n", append(words[1:], "--password-stdin")...)
	if err != nil || out.Code != 0 || words[0] != "popbridge" {
		t.Fatalf("%v: %+v, %v", words, out, err)
	}
	b.click("Home")
	b.shows("The account is up to date")
	b.quiet(origin)
}

// What a server or a provider says is shown as text, and what is doubtful has to be
// confirmed before a password is sent. No discovery finds this, so the page is told.
func TestWebAddDoubts(t *testing.T) {
	rig.Need(t, "chromium")
	t.Parallel()
	_, b, origin := newcomer(t)
	b.shows("There is no account yet")
	eval[bool](b, `
		const asked = window.fetch, bad = "<img src=x onerror=alert(1)>";
		const found = { address: "ann@example.com", account: "", provider: bad, oauth2_only: false, other_username: "",
			pop: { host: "pop.else.test", port: 110, tls: "none", username: bad }, smtp: { host: "", port: 0, tls: "", username: "" },
			doubts: [{ host: "pop.else.test", foreign: "" }, { host: "pop.else.test", foreign: "example.com" }],
			advice: { provider: bad, needs: [["enable-pop", "app-password"]], enable_url: "javascript:alert(1)", help_urls: ["https://help.example.com/a"], min_interval: 600, note: bad } };
		const lines = [{ progress: { step: "srv", asked: bad, answer: "" } }, { progress: { step: "srv", asked: bad, answer: "yes" } }, { result: [found], end: true }];
		window.fetch = (url, o) => String(url).endsWith("/discover") ? Promise.resolve(new Response(lines.map(l => JSON.stringify(l) + "\n").join(""))) : asked(url, o);
		return true`)
	b.click("Add an account")
	b.enter("Your mail address", "ann@example.com")
	b.press("\r")
	b.shows("What <img src=x onerror=alert(1)> asks for")
	b.shows("Entries of the domain for its servers")
	b.until("what was asked is in the language of the agent", `document.querySelector(".steps li [lang=en]").innerText === "<img src=x onerror=alert(1)>: yes"`)
	b.shows("Mail is fetched every 10 minutes at most.")
	if links := eval[string](b, `return [...document.querySelectorAll("main a")].map(a => a.getAttribute("href")).join(" ")`); strings.Contains(links, "javascript:") || !strings.Contains(links, "https://help.example.com/a") {
		t.Errorf("links %s", links)
	}
	eval[bool](b, `window.tries = 0; const before = window.fetch;
		window.fetch = (url, o) => { if (String(url).endsWith("/try")) window.tries++; return before(url, o); }; return true`)
	b.enter("Password at the provider", "secret")
	b.click("Test")
	b.shows("Confirm this, or go back.")
	b.shot("add-doubts")
	b.click("pop.else.test: outside of example.com. I know that my provider uses this.")
	b.click("Test")
	b.shows("Confirm this, or go back.")
	if n := eval[int](b, `return tries`); n != 0 {
		t.Errorf("the password was sent %d times before what is doubtful was agreed to", n)
	}
	b.click("The connection to pop.else.test is not encrypted: others on the way can read the mail and the password.")
	b.click("Test")
	b.until("it is tried", `tries === 1`)
	b.open(origin + "/#/add/keep") // no step is left out
	b.shows("Step 1 of 3")
	b.quiet(origin)
}
