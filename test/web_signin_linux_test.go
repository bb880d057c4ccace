package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// tokenProvider is a provider that takes the tokens of its authorisation server: a Dovecot
// for POP3, a Postfix for SMTP. Ann has a mailbox there, and so has Bob.
type tokenProvider struct {
	*oauthtest.Server
	dovecot *rig.Dovecot
	postfix *rig.Postfix
	ca      *testkit.TLS
}

func newTokenProvider(t *testing.T) *tokenProvider {
	t.Helper()
	rig.Need(t, "dovecot", "postfix")
	rig.NeedRoot(t)
	p := &tokenProvider{Server: oauthtest.New(t), ca: testkit.CA(t)}
	dir, err := os.MkdirTemp("", "oauth2-") // Dovecot's own users must reach it
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	file := filepath.Join(dir, "dovecot-oauth2.conf")
	must(t, os.WriteFile(file, []byte("introspection_mode = post\nintrospection_url = "+p.IntrospectURL()+
		"\nusername_attribute = username\nactive_attribute = active\nactive_value = true\n"), 0o644))
	p.dovecot, err = rig.StartDovecot(context.WithoutCancel(t.Context()), p.ca.CertFile, p.ca.KeyFile, rig.PostfixAuth,
		"auth_mechanisms = xoauth2 oauthbearer", "passdb {\n  driver = oauth2\n  args = "+file+"\n}")
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dovecot: %s", tail(p.dovecot.Log()))
		}
		must(t, p.dovecot.Stop())
	})
	p.postfix, err = rig.StartPostfix(context.WithoutCancel(t.Context()), p.dovecot, []string{"ann", "bob"})
	must(t, err)
	t.Cleanup(func() { must(t, p.postfix.Stop()) })
	return p
}

// agent is a popbridge with a web page and Ann's account, which is not signed in.
func (p *tokenProvider) agent(t *testing.T) *rig.Popbridge {
	t.Helper()
	a, err := rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	must(t, a.ServeWeb())
	must(t, a.ServeSMTP())
	must(t, a.Configure())
	config, err := os.ReadFile(a.ConfigFile())
	must(t, err)
	config = fmt.Appendf(config, `
[oauth.test]
client_id     = %q
authorize_url = %q
token_url     = %q
device_url    = %q
scopes        = [%q, %q]

[[account]]
name      = "ann"
host      = "127.0.0.1"
port      = %d
ca_file   = %q
username  = "ann"
user      = %q
address   = "ann@example.org"
auth      = "oauth2"
oauth     = "test"
[account.send]
host = "127.0.0.1"
port = %d
tls  = "implicit"
`, oauthtest.ClientID, p.Endpoints().Authorize, p.Endpoints().Token, p.Endpoints().Device, oauthtest.ScopePOP, oauthtest.ScopeSMTP,
		p.dovecot.POP3S, p.ca.CAFile, localUser, p.postfix.SMTPS)
	must(t, os.WriteFile(a.ConfigFile(), config, 0o600))
	start(t, a)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("popbridge: %s", tail(a.Log()))
		}
		must(t, a.Stop())
	})
	return a
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
func (p *tokenProvider) decide(b *tab, user, button string) {
	b.t.Helper()
	b.click("Open the page of the provider")
	there := b.opened(p.URL)
	there.until("the page of the provider", `document.getElementById("user")`)
	eval[bool](there, `document.getElementById("user").select(); return true`)
	there.press(user)
	there.click(button)
	there.until("the browser is led back", `location.hostname === "127.0.0.1" && location.origin !== args[0]`, p.URL)
	if own := eval[bool](there, `return window.opener !== null || document.referrer.includes("#")`); own {
		b.t.Error("the page of the provider can reach ours")
	}
	b.front()
}

// A person signs in at the page of the provider: denies, takes the wrong account, is
// interrupted by a restart, and then mail comes and goes.
func TestWebSignIn(t *testing.T) {
	rig.Need(t, "chromium")
	t.Parallel()
	p := newTokenProvider(t)
	must(t, p.dovecot.Put("ann", testkit.Message(0), testkit.Message(1)))
	a := p.agent(t)
	b, origin := webPage(t, a)
	b.may = []string{"ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "404", "422"} // of the restart, and of what is refused
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
	p.decide(b, "ann", "Deny")
	b.shows("Signing in did not work.")
	b.shot("signin-denied")
	narrow(b)

	b.click("Sign in again")
	p.decide(b, "bob", "Allow")
	b.shows("You are signed in, but not all of it works.")
	b.shows("Mail cannot be fetched")
	b.shot("signin-wrong-account")
	b.accessible("a sign-in with the wrong account")
	narrow(b)

	b.click("Sign in again")
	b.shows("Waiting for you to sign in")
	stop(t, a)
	b.shows("popbridge has not answered since")
	start(t, a)
	b.shows("popbridge was started anew meanwhile")
	b.click("Sign in again")
	b.click("Cancel")
	b.gone("Waiting for you to sign in")

	b.click("Sign in again")
	p.decide(b, "ann", "Allow")
	b.shows("You are signed in.")
	b.shows("Mail can be fetched")
	b.shows("Mail can be sent")
	for _, scheme := range []string{"light", "dark"} {
		b.resize(390, scheme)
		b.shot("signin-done-390-" + scheme)
	}
	b.resize(1280, "light")
	b.click("Home")
	b.shows("The account is up to date")
	b.gone("has to be signed in")
	b.until("two messages", `document.querySelector(".card .facts").innerText.includes("2")`)
	p.elsewhere(b)
	b.quiet(origin)
	secretsStay(t, a, p)
}

// secretsStay looks for tokens where they do not belong.
func secretsStay(t *testing.T, a *rig.Popbridge, p *tokenProvider) {
	t.Helper()
	for _, form := range p.Requests() {
		for _, key := range []string{"code", "refresh_token", "code_verifier"} {
			if s := form.Get(key); s != "" && strings.Contains(a.Log(), s) {
				t.Errorf("the log has a %s", key)
			}
		}
	}
}

// elsewhere signs in where the browser cannot reach popbridge: a code is entered, or the
// address that the browser ends at is pasted.
func (p *tokenProvider) elsewhere(b *tab) {
	t := b.t
	t.Helper()
	b.open(strings.SplitN(eval[string](b, `return location.href`), "#", 2)[0] + "#/account/ann/password")
	b.click("With a code, on another device")
	b.shows("enter this code there")
	b.shot("signin-code")
	b.accessible("a code")
	narrow(b)
	code := b.value("Code")
	must(t, p.EnterCode(code, "ann"))
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
	final, err := p.Authorize(eval[string](b, `return document.querySelector("main a.primary").href`), "ann")
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
	b.quiet(origin)
}
