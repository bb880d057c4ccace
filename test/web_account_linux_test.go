package test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// accountPage is an agent with the account home, which has this password and these
// messages, and its page in a browser.
func accountPage(t *testing.T, password string, messages ...[]byte) (d *rig.Dovecot, p *rig.Popbridge, b *tab, origin string) {
	t.Helper()
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d = dovecot(t, nil)
	must(t, d.Put("home", messages...))
	home := account(d, "home")
	home.Password = password
	p = prepare(t, home)
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(home))
	start(t, p)
	b, origin = webPage(t, p)
	return d, p, b, origin
}

// A provider has another password now: the page says so, and takes the new one.
func TestWebAccountPassword(t *testing.T) {
	d, p, b, origin := accountPage(t, "old", testkit.Message(0))
	b.shows("The provider refuses the password of home.")
	eval[bool](b, `[...document.querySelectorAll("button")].find(b => b.textContent === "Fetch all now").click(); return true`) // which one account hides
	b.until("the failure of all is said", `document.querySelector(".buttons .result .failed")?.textContent.includes("No mail could be fetched from home.")`)
	b.until("what the agent says is marked as English", `document.querySelector(".condition details p[lang=en]")?.textContent.includes("user name or password refused")`)
	b.open(origin + "/#/account/home")
	b.click("Test the connection")
	b.shows("The provider does not take this user name or password")
	b.click("Home")
	b.click("Enter the new password")
	b.shows("For home at 127.0.0.1.")
	b.enter("Password at the provider", "guess")
	b.click("Test and save")
	b.shows("The provider does not take this user name or password")
	b.shot("account-password-refused")
	b.click("User name and server")
	narrow(b)
	b.enter("Port", "110x")
	b.click("Test and save")
	b.shows("A port is a number from 1 to 65535.")
	b.enter("Port", strconv.Itoa(d.POP3))
	b.enter("Server", "127.evil.test")
	b.pick("Encryption", "none")
	b.click("Test and save")
	b.shows("The connection to 127.evil.test is not encrypted")
	b.click("Cancel")
	b.enter("Server", "127.0.0.1")
	stored := func() string {
		data, err := os.ReadFile(filepath.Join(p.Dir, "password-home"))
		must(t, err)
		return strings.TrimSpace(string(data))
	}
	if got := stored(); got != "old" {
		t.Errorf("%q is stored, which was refused", got)
	}
	b.enter("Password at the provider", rig.Password)
	b.press("\r")
	b.shows("It works, and is saved")
	b.shot("account-password")
	if got := stored(); got != rig.Password {
		t.Errorf("%q is stored", got)
	}
	b.click("See the mail come in")
	b.shows("The account is up to date")
	b.gone("The provider refuses the password")
	b.quiet(origin)
}

// Each thing that a provider wants done at its own page has its sentence, and one button.
func TestWebAccountRefusals(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	var words atomic.Value
	words.Store("POP3 access is disabled, see https://evil.example/")
	home := account(dovecot(t, nil), "home")
	home.Port = refusing(t, &words)
	p := prepare(t, home)
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(home))
	start(t, p)
	b, origin := webPage(t, p)
	b.shows("The provider of home has access by POP switched off.")
	if out := command(t, p, 0, "status"); !strings.Contains(out.Stdout, "error  account-pop-off  account home: the provider has POP access switched off") {
		t.Errorf("status\n%s", out.Stdout)
	}
	b.shot("home-pop-off")
	b.click("Look at the account")
	b.shows("What does not work")
	b.shows("switch POP on in the settings of the provider's web mail")
	b.shot("account-pop-off")
	b.click("Home")
	words.Store("Please log in via your web browser")
	b.click("Fetch now: home")
	b.shows("The provider of home wants you to sign in on its web page once.")
	b.click("Look at the account")
	b.shows("sign in at the provider's web page once, then try again")
	b.click("Home")
	words.Store("Application-specific password required")
	b.click("Fetch now: home")
	b.shows("The provider of home wants an app password")
	b.click("Enter the app password")
	b.shows("Password at the provider")
	got := eval[[]string](b, `const { condition } = await import("/health.js");
		const links = link => [...condition({ code: "account-pop-off", severity: "error", source: "account home", text: "", hint: "", since: new Date().toISOString(), link }, new Date()).querySelectorAll("a")];
		return ["https://mail.example.com/#pop", "javascript:alert(1)"].map(l => links(l).map(a => [a.href, a.target, a.rel, a.innerText].join(" ")).join())`)
	if want := []string{"https://mail.example.com/#pop _blank noopener noreferrer Switch POP on at the provider", ""}; !slices.Equal(got, want) {
		t.Errorf("the button is %q, want %q", got, want)
	}
	b.quiet(origin)
}

// What a change deletes at the provider is said before, seen, and allowed as it was seen.
func TestWebAccountDeletions(t *testing.T) {
	hostile := []byte("From: \"<b>Bob\u202e</b>\" <bob@example.com>\r\nSubject: <script>alert(1)</script>\r\nDate: Mon, 1 Jun 2026 10:00:00 +0000\r\n\r\nsecret text\r\n")
	d, p, b, origin := accountPage(t, rig.Password, hostile, testkit.Message(1), testkit.Message(2))
	b.may = append(b.may, "422") // what was refused
	b.shows("The account is up to date")
	b.click("home")
	b.shows("What stays at the provider")
	b.click("Test the connection")
	b.shows("Logged in as home")
	b.shows("3 messages there")
	b.shot("account")
	narrow(b)
	b.enter("Keep there", "The newest")
	b.shows("Enter a number.")
	b.enter("Messages", "some")
	b.click("Save")
	b.shows("Enter a whole number of messages, from 1 on.")
	b.pick("Keep there", "Until the mailbox fills up")
	b.gone("Enter a whole number")
	b.enter("Percent", "100")
	b.click("Save")
	b.shows("Enter a whole number of percent, from 1 to 99.")
	b.shows("Enter a size: one gigabyte is 1GB.")
	b.until("the first field has the focus", `document.activeElement.labels?.[0]?.innerText === "Percent"`)
	b.pick("Keep there", "The newest messages")
	b.gone("Enter a size")
	b.enter("Folder for its mail", "Work//Lists")
	b.enter("Messages", "1")
	b.click("Save")
	b.shows("A folder for mail cannot have this name. \"Work//Lists\" has an empty part")
	b.enter("Folder for its mail", "trash")
	b.click("Save")
	b.shows("Bring new mail into trash?")
	b.click("Cancel")
	b.enter("Folder for its mail", "INBOX")
	b.click("Save")
	b.shows("2 messages would be deleted at the provider.")
	b.shows("That waits until you have looked at them and allowed it.")
	b.shows("<script>alert(1)</script>")
	b.shot("account-plan")
	b.click("Save")
	b.shows("Saved.")
	b.click("Review the deletions")
	b.shows("2 messages would be deleted at the provider. They wait for you.")
	b.shows("It is not among the newest.")
	b.shows("not among the newest 1")
	if text := b.text(); strings.Contains(text, "secret text") || strings.Contains(text, "\u202e") {
		t.Errorf("the page shows %s", text)
	}
	if at := eval[string](b, `return document.activeElement.tagName`); at == "BUTTON" {
		t.Error("a button has the focus")
	}
	narrow(b)
	must(t, d.Put("home", testkit.Message(3)))
	b.click("Allow these 2 deletions")
	b.shows("Delete 2 messages at the provider?")
	b.click("Delete there")
	b.shows("What would be deleted has changed meanwhile")
	b.shows("3 messages would be deleted at the provider. They wait for you.")
	if n, err := d.Count("home"); err != nil || n != 4 {
		t.Errorf("%d messages at the provider, %v", n, err)
	}
	b.click("Allow these 3 deletions")
	b.click("Delete there")
	b.shows("3 messages were deleted at the provider.")
	b.until("the focus is at what is said", `document.activeElement.matches("[role=status]") && document.activeElement.innerText.includes("3 messages were deleted")`)
	eventually(t, "what was allowed is deleted", func() (bool, error) {
		n, err := d.Count("home")
		return n == 1, err
	})
	text, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	if !strings.Contains(string(text), `keep_on_server = "newest 1"`) {
		t.Errorf("config\n%s", text)
	}
	b.quiet(origin)
}

// Everything stays, pause and resume, and the end of an account.
func TestWebAccountKeepPauseRemove(t *testing.T) {
	d, p, b, origin := accountPage(t, rig.Password, testkit.Message(0), testkit.Message(1))
	b.shows("The account is up to date")
	out, err := p.Run(t.Context(), "", "account", "set", "home", "keep_on_server=never")
	if err != nil || out.Code != 0 {
		t.Fatal(err, out.Stderr)
	}
	b.shows("Messages of home would be deleted at the provider. That waits for you.")
	b.click("Review…")
	b.byKey("Keep everything there")
	b.shows("Everything stays at the provider from now on.")
	b.until("the focus is at what is said", `document.activeElement.matches("[role=status]") && document.activeElement.innerText.includes("Everything stays")`)
	b.shows("Nothing at the provider is to be deleted.")
	command(t, p, 0, "account", "set", "home", "user=bob")
	b.open(origin + "/#/")
	b.shows("home now belongs to another user.")
	b.click("Review…")
	b.shows("home now belongs to bob; the mail that it has brought so far belongs to another user.")
	b.click("Fetch its mail for bob from now on")
	b.shows("Mail is being fetched.")
	command(t, p, 0, "account", "set", "home", "poll_every=1h30m")
	b.open(origin + "/#/account/home")
	b.until("it says how often", `[...document.querySelectorAll("select")].some(s => s.selectedOptions[0].text === "every 90 minutes")`)
	eval[bool](b, `window.heard = []; new MutationObserver(() => heard.push(document.getElementById("said").textContent)).observe(document.getElementById("said"), {childList: true, characterData: true, subtree: true}); return true`)
	b.byKey("Pause")
	b.shows("No mail is fetched. What is here stays")
	b.until("it is said", `heard.includes("Paused")`)
	b.focused("Fetch mail again")
	b.press("\r")
	b.shows("Up to date")
	b.until("it is said", `heard.includes("Mail is fetched again")`)
	b.focused("Pause")
	b.click("Home")
	command(t, p, 0, "account", "pause", "home")
	b.byKey("Fetch mail again: home")
	b.focused("Fetch now: home")
	b.open(origin + "/#/account/home")
	b.click("Remove the account")
	b.shows("Remove home?")
	b.shot("account-remove")
	b.click("Cancel")
	b.gone("Remove home?")
	b.click("Remove the account")
	b.shows("Remove home?")
	b.click("Remove the account")
	b.shows("There is no account yet.")
	text, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	if strings.Contains(string(text), "[[account]]") {
		t.Errorf("config\n%s", text)
	}
	if n, err := d.Count("home"); err != nil || n != 2 {
		t.Errorf("%d messages at the provider, %v", n, err)
	}
	b.quiet(origin)
}

// A message that the server cannot give is named with what the server says, and comes when
// a person has it tried again and the server gives it.
func TestWebAccountProblems(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	must(t, d.Put("home", testkit.Message(0), testkit.Message(1)))
	_, err := rig.UIDLs(rig.Addr(d.POP3), "home") // for the server to know their sizes
	must(t, err)
	files, err := filepath.Glob(filepath.Join(d.Maildir("home"), "[cn]*", "*"))
	must(t, err)
	if len(files) != 2 {
		t.Fatalf("files %q", files)
	}
	must(t, os.Chmod(files[1], 0))
	p := prepare(t, account(d, "home"))
	must(t, p.ServeWeb())
	must(t, p.Configure(account(d, "home")))
	start(t, p)
	b, origin := webPage(t, p)
	b.shows("Mail flows; one thing wants attention.")
	b.click("home")
	b.shows("What does not work")
	b.shows(`RETR 2: server answered -ERR "Message 2 expunged."`)
	b.accessible("an account with a problem")
	b.shot("account-problems")
	b.click("Try again now")
	b.shows("0 new messages")
	b.shows("Message 2 expunged.")
	must(t, os.Chmod(files[1], 0o600))
	b.click("Try again now")
	b.gone("What does not work")
	b.shows("2 messages so far")
	b.until("the focus has not gone with the button", `["H1", "BUTTON"].includes(document.activeElement.tagName)`)
	command(t, p, 0, "account", "set", "home", "folder=Sub") // what is told of it is nothing that does not work
	b.until("it is a note", `document.querySelector("section[aria-labelledby=notes]").innerText.includes("new mail goes to Sub; what came before went to INBOX")`)
	b.gone("What does not work")
	b.shot("account-notes")
	b.quiet(origin)
}

// More deletions than a list has at first are all to be seen, and the button says how many
// of those that it allows were not.
func TestWebManyDeletions(t *testing.T) {
	_, _, b, origin := accountPage(t, rig.Password, testkit.Message(0))
	b.shows("The account is up to date")
	eval[bool](b, `
		const real = fetch, one = i => ({uidl: "u" + i, subject: "number " + i + " " + "word ".repeat(30), from: "Somebody " + i + " <somebody@example.com>", size: 9, stored_at: "2025-11-24T16:00:00Z", date: "2025-11-24T16:00:00Z", reason: "because"});
		const found = () => ({account: "home", delete: Array.from({length: 1500}, (_, i) => one(i)), incomplete: [], doubtful: 0, needs_confirm: true, shadow: false, digest: "d1"});
		window.fetch = async (path, request) => path === "/api/preview" ? new Response(JSON.stringify([found()]))
			: path === "/api/accounts/plan" ? new Response(JSON.stringify({wrong: [], preview: found()})) : real(path, request);
		location.hash = "#/account/home/deletions"; return true`)
	b.shows("1,500 messages would be deleted at the provider. They wait for you.")
	b.click("Allow these 1,500 deletions (1,300 not shown)")
	b.shows("1,300 of them were not shown to you.")
	b.shot("account-deletions-unseen")
	b.click("Cancel")
	b.until("no column is narrower than its words", `[...document.querySelectorAll("td.reason")].every(e => e.getBoundingClientRect().width > 90)`)
	b.until("the first are listed", `document.querySelectorAll("tbody tr").length === 200`)
	b.click("Show 1,000 more of 1,300")
	b.until("the focus is at the first new one", `document.activeElement === document.querySelectorAll("tbody tr")[200] && document.activeElement.innerText.includes("number 200 ")`)
	b.click("Show 300 more")
	b.until("the focus is at the first new one", `document.activeElement.innerText.includes("number 1200 ")`)
	b.gone("not shown")
	b.click("Allow these 1,500 deletions")
	b.shows("There it is gone for good.")
	b.gone("were not shown to you")
	b.click("Cancel")

	// A long subject leaves sender and date their room.
	b.open(origin + "/#/account/home")
	b.pick("Keep there", "Nothing")
	b.click("Save")
	b.shows("And 1,495 more.")
	b.shot("account-plan-many")
	b.until("sender and date have room", `[...document.querySelectorAll("dialog td.date")].every(e => e.getBoundingClientRect().width > 90 && getComputedStyle(e).whiteSpace === "nowrap") && [...document.querySelectorAll("dialog td.from")].every(e => e.getBoundingClientRect().width > 150)`)
	b.until("nothing is wider than the dialog", `(e => e.scrollWidth <= e.clientWidth)(document.querySelector("dialog .scroll"))`)
	b.click("Cancel")
	b.quiet(origin)
}

// What may not be whole here is listed apart from the deletions, and allowed apart.
func TestWebIncomplete(t *testing.T) {
	_, _, b, origin := accountPage(t, rig.Password, testkit.Message(0))
	b.shows("The account is up to date")
	eval[bool](b, `
		const real = fetch, one = (uidl, subject) => ({uidl, subject, from: "bob@example.com", size: 9, stored_at: null, date: null, why: "", reason: "because"});
		window.asked = [];
		window.fetch = async (path, request) => {
			if (path === "/api/preview") return new Response(JSON.stringify([{account: "home", delete: [one("a", "Due")], incomplete: [one("b", "Half of it")], doubtful: 1, needs_confirm: true, shadow: false, digest: "d1"}]));
			if (path !== "/api/confirm") return real(path, request);
			asked.push(request.body);
			return new Response("{}");
		};
		location.hash = "#/account/home/deletions"; return true`)
	b.shows("One message would be deleted at the provider. It waits for you.")
	b.shows("One message may not be whole here.")
	b.until("each is in its list", `[...document.querySelectorAll("tbody")].map(e => e.innerText.includes("Due") + " " + e.innerText.includes("Half of it")).join() === "true false,false true"`)
	for i, name := range []string{"It may be deleted there when due", "Allow this deletion"} {
		b.click(name)
		b.click("Delete there")
		b.until("it was asked", `asked.length === args[0]`, i+1)
		b.until("it is said, above the list", `document.querySelector("[role=status] .icon.ok") && document.querySelector("tbody")`)
	}
	if got := eval[string](b, `return asked.join()`); got != `{"account":"home","seen":"d1","incomplete":true},{"account":"home","seen":"d1","incomplete":false}` {
		t.Errorf("it was asked: %s", got)
	}
	b.shot("account-incomplete")
	b.quiet(origin)
}
