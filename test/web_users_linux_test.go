package test

import (
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// With several users it is said whose each thing is, and asked where it matters; in German.
func TestWebSeveralUsers(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	must(t, d.Put("home", testkit.Message(0)))
	must(t, d.Put("work", testkit.Message(1), testkit.Message(2)))
	home, work := account(d, "home"), account(d, "work")
	work.User = "bob"
	p := prepare(t, home, work)
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(home, work))
	must(t, p.AddDevice(t.Context(), "bob", "test", "password-of-bob"))
	start(t, p)
	command(t, p, 0, "sync")
	for user, password := range map[string]string{localUser: devicePw, "bob": "password-of-bob"} {
		c, err := imapclient.DialInsecure(rig.Addr(p.Port), nil)
		must(t, err)
		must(t, c.Login(user, password).Wait())
		selectMailbox(t, c, "INBOX")
		must(t, c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
		must(t, c.Expunge().Close())
		must(t, c.Logout().Wait())
	}

	b, origin := webPage(t, p)
	b.shows("up to date")
	eval[bool](b, `localStorage.setItem("popbridge-language", "de"); return true`)
	b.open("about:blank")
	b.open(origin + "/#/deleted")
	show := func(page string) {
		t.Helper()
		eval[bool](b, `location.hash = "#/" + args[0]; return true`, page)
	}
	b.shows("2 Mails lassen sich zurückholen.")
	b.pick("Benutzer", "bob")
	b.shows("Eine Mail lässt sich zurückholen.")
	b.shows("bob: INBOX")
	b.pick("Benutzer", "alle Benutzer")
	b.shows("2 Mails lassen sich zurückholen.")
	b.tick("Alle gezeigten auswählen")
	b.click("2 Mails zurückholen")
	b.shows("2 Mails sind wieder in INBOX.")

	show("devices")
	b.until("both have their user", `[...document.querySelectorAll(".card dd")].filter(e => e.innerText === "bob" || e.innerText === "`+localUser+`").length === 2`)
	b.click("Gerät hinzufügen")
	b.until("the name has the focus", `document.activeElement.labels?.[0]?.innerText === "Name"`)
	b.pick("Benutzer", "bob")
	b.enter("Name", "Küche")
	b.press("\r")
	b.shows("Küche kann sich anmelden")
	password := b.value("Passwort")
	if protection := b.value("Verschlüsselung"); protection != "keine" {
		t.Errorf("it is protected by %q", protection)
	}
	if user := b.value("Benutzername"); user != "bob" {
		t.Errorf("it is of user %s", user)
	}
	c, err := imapclient.DialInsecure(rig.Addr(p.Port), nil)
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.Login("bob", password).Wait())
	if n := selectMailbox(t, c, "INBOX").NumMessages; n != 2 {
		t.Errorf("bob has %d messages", n)
	}
	// bob gets another name: his mail, his account and his devices go with it.
	show("devices")
	b.shows("Verbunden seit") // after that the list stands still
	b.click("Umbenennen: bob")
	b.click("Umbenennen")
	b.shows("Geben Sie einen anderen Namen ein.")
	b.may = append(b.may, "422") // which is refused
	b.enter("Neuer Benutzername", localUser)
	b.click("Umbenennen")
	b.shows("Das verträgt sich nicht mit dem, was schon da ist")
	b.until("it is said at the field, by the agent in English", `document.activeElement === document.querySelector("input[aria-invalid=true]") && document.querySelector(".error").innerText.startsWith("Das") && document.querySelector(".error [lang=en]").innerText.includes("has mail already")`)
	b.shot("failed-german")
	b.enter("Neuer Benutzername", "robert")
	b.click("Umbenennen")
	b.until("robert has them", `location.hash === "#/devices" && [...document.querySelectorAll("h3")].some(e => e.innerText === "robert") && [...document.querySelectorAll(".card dd")].filter(e => e.innerText === "robert").length === 2`)
	b.until("bob is gone", `![...document.querySelectorAll("h3")].some(e => e.innerText === "bob")`)
	disconnected(t, c)
	again, err := imapclient.DialInsecure(rig.Addr(p.Port), nil)
	must(t, err)
	defer func() { _ = again.Close() }()
	must(t, again.Login("robert", password).Wait())
	command(t, p, 0, "sync", "work")
	b.resize(390, "light")
	b.shot("devices-german-390")
	b.fits("devices with users")
	show("storage")
	b.shows("Größe")
	b.shot("storage-german-390")
	b.fits("devices of several users")
	// What a fetch failed with has a sentence in German.
	write(t, filepath.Join(p.Dir, "password-work"), "of before\n")
	b.resize(1280, "light")
	show("")
	b.click("Jetzt holen: work")
	b.shows("Von work konnten keine Mails geholt werden.")
	b.shows("Der Anbieter nimmt das Passwort von work nicht an.")
	b.open(origin + "/#/account/work")
	b.until("what does not work is said in German", `(li => li.innerText.startsWith("Der Benutzername oder das Passwort wird nicht angenommen.") && li.querySelector("[lang=en]"))(document.querySelector("[aria-labelledby=problems] li"))`)
	b.enter("Ordner für seine Mail", "Outbox")
	b.click("Speichern")
	b.shows("So kann ein Ordner für Mail nicht heißen.")
	b.until("what the agent says is marked as English", `document.activeElement.value === "Outbox" && [...document.querySelectorAll(".error [lang=en]")].some(e => e.innerText.includes("waits to be sent"))`)
	card := eval[string](b, `const el = document.createElement("main"), a = { name: "work", state: "idle", last_error: "no answer", kind: "temporary", stored: 0, on_server: 0 };
		(await import("/home.js")).default(el, [], { status: { accounts: [a], health: [], clients: [], smtp: [] }, now: new Date() });
		return [...el.querySelectorAll(".card .state + div p")].map(p => p.textContent).join("|")`) // which is no condition yet
	if card != "Das geht im Moment nicht. Versuchen Sie es später noch einmal.|no answer" {
		t.Errorf("a card says %q", card)
	}
	b.quiet(origin)
}
