package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// signingPage is the page of an agent whose one account, of Ann, is not signed in.
func signingPage(t *testing.T) (s *signing, b *tab, origin string) {
	t.Helper()
	rig.Need(t, "chromium")
	s = newSigning(t)
	must(t, s.ServeWeb())
	must(t, s.Configure(s.account("ann")))
	start(t, s.Popbridge)
	b, origin = webPage(t, s.Popbridge)
	return s, b, origin
}

// opened is the tab that a link has opened, by how its address begins.
func (b *tab) opened(prefix string) *tab {
	b.t.Helper()
	for end := time.Now().Add(browserWithin); ; time.Sleep(30 * time.Millisecond) {
		targets, err := chromedp.Targets(b.ctx)
		b.must(err)
		for _, info := range targets {
			if info.Type == "page" && strings.HasPrefix(info.URL, prefix) {
				ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(info.TargetID))
				b.t.Cleanup(cancel)
				other := &tab{t: b.t, ctx: ctx}
				other.front()
				return other
			}
		}
		if time.Now().After(end) {
			b.t.Fatalf("no tab with %s was opened", prefix)
		}
	}
}

// front shows this tab, as a person does who goes there.
func (b *tab) front() {
	b.t.Helper()
	devtools(b, page.BringToFront, cdp.Empty{})
}

// decide signs in at the page of the provider, which the link of our page opens.
func (s *signing) decide(b *tab, user, button string) {
	b.t.Helper()
	b.click("Open the page of the provider")
	there := b.opened(s.provider.URL)
	there.until("the page of the provider", `document.getElementById("user")`)
	eval[bool](there, `document.getElementById("user").select(); return true`)
	there.press(user)
	there.click(button)
	there.until("the browser is led back", `location.hostname === "127.0.0.1" && location.origin !== args[0]`, s.provider.URL)
	if own := eval[bool](there, `return window.opener !== null || document.referrer.includes("#")`); own {
		b.t.Error("the page of the provider can reach ours")
	}
	b.front()
}

// A person signs in at the page of the provider: denies, takes the wrong account, is
// interrupted by a restart, and then mail comes and goes.
func TestWebSignIn(t *testing.T) {
	t.Parallel()
	s, b, origin := signingPage(t)
	must(t, s.dovecot.Put("ann", testkit.Message(0), testkit.Message(1)))
	b.may = append(ofARestart(), "404", "422") // and of what is refused
	b.shows("has to be signed in at its provider")
	b.shot("signin-wanted")
	b.accessible("a sign-in is wanted")
	b.click("Sign in")
	b.until("the account", `location.hash === "#/account/ann/password"`)

	b.click("Sign in again")
	b.shows("Waiting for you to sign in")
	b.shot("signin-waiting")
	b.accessible("a sign-in under way")
	narrow(b)
	s.decide(b, "ann", "Deny")
	b.shows("Signing in did not work.")
	b.shot("signin-denied")
	narrow(b)

	b.click("Sign in again")
	s.decide(b, "bob", "Allow")
	b.shows("You are signed in, but not all of it works.")
	b.shows("Mail cannot be fetched")
	b.shot("signin-wrong-account")
	b.accessible("a sign-in with the wrong account")
	narrow(b)

	b.click("Sign in again")
	b.shows("Waiting for you to sign in")
	stop(t, s.Popbridge)
	b.shows("popbridge has not answered since")
	start(t, s.Popbridge)
	b.shows("popbridge was started anew meanwhile")
	b.click("Sign in again")
	b.click("Cancel")
	b.gone("Waiting for you to sign in")

	b.click("Sign in again")
	s.decide(b, "ann", "Allow")
	b.shows("You are signed in.")
	b.shows("Mail can be fetched")
	b.shows("Mail can be sent")
	for _, scheme := range []string{"light", "dark"} {
		b.resize(390, scheme)
		b.shot("signin-done-390-" + scheme)
	}
	b.resize(1280, "light")

	// What works is not lost by who signs in as somebody else.
	b.click("Sign in again")
	s.decide(b, "bob", "Allow")
	b.shows("Signing in did not work.")
	b.shows("the sign-in before is kept")
	b.shows("choose that one")
	b.shot("signin-kept")
	b.accessible("a sign-in that was kept")
	command(t, s.Popbridge, 0, "sync")
	b.click("Home")
	b.shows("The account is up to date")
	b.gone("has to be signed in")
	b.until("two messages", `document.querySelector(".card .facts").innerText.includes("2")`)
	b.open(origin + "/#/account/ann/sending") // where a server that is entered never gets the token
	b.shows("as ann; this server is set here.")
	b.shows("The one of this server. It is tried first")
	b.until("there is no choice of the password", `![...document.querySelectorAll("input[type=checkbox]")].some(e => e.getClientRects().length)`)
	s.elsewhere(b)
	b.quiet(origin)
	s.keepsSecrets(t)
}

// keepsSecrets looks for what a sign-in is made of in the log.
func (s *signing) keepsSecrets(t *testing.T) {
	t.Helper()
	for _, form := range s.provider.Requests() {
		for _, key := range []string{"code", "refresh_token", "code_verifier"} {
			if secret := form.Get(key); secret != "" && strings.Contains(s.Log(), secret) {
				t.Errorf("the log has a %s", key)
			}
		}
	}
}

// elsewhere signs in where the browser cannot reach popbridge: a code is entered, or the
// address that the browser ends at is pasted.
func (s *signing) elsewhere(b *tab) {
	t := b.t
	t.Helper()
	b.open(strings.SplitN(eval[string](b, `return location.href`), "#", 2)[0] + "#/account/ann/password")
	b.click("With a code, on another device")
	b.shows("enter this code there")
	b.shot("signin-code")
	b.accessible("a code")
	narrow(b)
	code := b.value("Code")
	must(t, s.provider.EnterCode(code, "ann"))
	b.shows("You are signed in.")
	b.shows("Mail can be sent")

	b.click("Sign in again")
	b.click("The browser ends at an error page")
	b.click("Use this address")
	b.shows("Enter the address.")
	b.enter("Address of that page", "https://127.0.0.1/?code=x&state=of-another-one")
	b.click("Use this address")
	b.until("it is refused", `document.querySelector("main .failed")`)
	b.shot("signin-paste")
	narrow(b)
	final, err := s.provider.Authorize(eval[string](b, `return document.querySelector("main a.primary").href`), "ann")
	must(t, err)
	b.enter("Address of that page", final)
	b.click("Use this address")
	b.shows("You are signed in.")
}

// The wizard leads a newcomer through the client id and the sign-in. The provider itself
// is not asked.
func TestWebAddBySignIn(t *testing.T) {
	rig.Need(t, "chromium")
	t.Parallel()
	a, b, origin := newcomer(t)
	b.may = append(b.may, "422") // the answer where no sign-in is under way
	b.click("Add an account")
	b.enter("Your mail address", "ann@outlook.com")
	b.click("Find the server")
	b.shows("This provider takes no password")
	b.shot("add-oauth-server")
	b.accessible("a server without passwords")
	narrow(b)
	b.click("Go on")
	b.shows("entra.microsoft.com")
	b.shot("add-client-microsoft")
	b.accessible("a client id")
	narrow(b)
	b.click("Back")
	b.shows("This provider takes no password")
	b.click("Back")
	b.enter("Your mail address", "ann@gmail.com")
	b.click("Find the server")
	b.shows("pop.gmail.com:995")
	b.click("Sign in with the browser instead")
	b.shows("“In production”")
	b.click("Add the account and sign in")
	b.shows("client id is missing")
	b.enter("Client id", "an id with blanks")
	b.click("Add the account and sign in")
	b.shows("blank")
	b.enter("Client id", "id.example.com")
	b.enter("Client secret", "hush-hush")
	b.shot("add-client-google")
	narrow(b)
	b.click("Add the account and sign in")
	b.shows("Step 3 of 3")
	b.shows("Waiting for you to sign in")
	if link := eval[string](b, `const a = document.querySelector("main a.primary"); return a.href + " " + a.target + " " + a.rel`); !strings.HasPrefix(link, "https://accounts.google.com/") ||
		!strings.Contains(link, "client_id=id.example.com") || !strings.HasSuffix(link, " _blank noopener noreferrer") || strings.Contains(link, "hush") {
		t.Errorf("the link is %s", link)
	}
	b.shot("add-signin")
	narrow(b)
	b.click("Sign in later")
	b.shows("ann@gmail.com is set up")
	b.shows("Mail is fetched as soon as you are signed in.")
	b.shows("What you send waits here until it can leave")
	if got := b.value("Server (outgoing)"); got != "127.0.0.1" {
		t.Errorf("mail programs are told to send by %s", got)
	}
	b.shot("add-signin-later")
	b.click("See the mail come in")
	b.shows("ann@gmail.com has to be signed in")

	text, err := os.ReadFile(a.ConfigFile())
	must(t, err)
	if strings.Contains(string(text), "hush") || strings.Count(string(text), "[oauth.google]") != 1 || !strings.Contains(string(text), "client_secret_file") {
		t.Errorf("the config is\n%s", text)
	}
	files, err := filepath.Glob(filepath.Join(a.Dir, "oauth-google*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("files of the secret: %v", files)
	}
	info, err := os.Stat(files[0])
	must(t, err)
	if got, err := os.ReadFile(files[0]); err != nil || string(got) != "hush-hush\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", got, info.Mode(), err)
	}
	// The second account there needs no client id.
	b.open(origin + "/#/add")
	b.enter("Your mail address", "bob@gmail.com")
	b.click("Find the server")
	b.click("Sign in with the browser instead")
	b.shows("popbridge has a client id for this provider, called google")
	b.shot("add-client-there")
	// An account with a password changes to signing in.
	text, err = os.ReadFile(a.ConfigFile())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(a.Dir, "old.password"), []byte("x\n"), 0o600))
	must(t, os.WriteFile(a.ConfigFile(), append(text, "[[account]]\nname = \"old\"\nhost = \"pop.gmail.com\"\nusername = \"carol@gmail.com\"\npassword_file = \"old.password\"\npaused = true\n"...), 0o600))
	b.open(origin + "/#/account/old/password")
	b.click("Sign in with the browser instead")
	b.shows("the password is not used any more")
	b.shot("account-client")
	b.accessible("an account that changes to signing in")
	narrow(b)
	b.click("Change to signing in")
	b.shows("You sign in on the page of your provider.")
	b.click("Sign in again")
	b.shows("Waiting for you to sign in")
	b.quiet(origin)
}
