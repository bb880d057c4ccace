package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"github.com/popbridge/popbridge/test/rig"
)

// axeVersion is the rules for accessible pages that are kept; npm has them.
const axeVersion = "4.14.1"

var axeOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "popbridge-axe-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.Command("npm", "pack", "--silent", "axe-core@"+axeVersion)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return string(out), err
	}
	if out, err := exec.Command("tar", "-C", dir, "-xzf", filepath.Join(dir, "axe-core-"+axeVersion+".tgz"), "package/axe.min.js").CombinedOutput(); err != nil {
		return string(out), err
	}
	data, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	return string(data), err
})

// accessible fails the test for what a person could not see, reach or have read aloud on
// the page as it is: WCAG 2.2, levels A and AA.
func (b *tab) accessible(what string) {
	b.t.Helper()
	rig.Need(b.t, "npm")
	axe, err := axeOnce()
	if err != nil {
		b.t.Fatal(err, axe)
	}
	// It belongs to the browser here, not to the page, whose policy holds for it as well.
	eval[bool](b, axe+`; return true`)
	found := eval[[]string](b, `const r = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]});
		return r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary))`)
	for _, f := range found {
		b.t.Errorf("%s: %s", what, f)
	}
}

// fits fails the test where the page has to be moved sideways, and names what is too wide.
func (b *tab) fits(what string) {
	b.t.Helper()
	if wide := eval[[]string](b, `const w = document.documentElement.clientWidth, all = document.documentElement.scrollWidth;
		if (all <= w) return [];
		return [all + " pixels of " + w, ...[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > w + 1 && !e.closest(".scroll")).map(e => e.outerHTML.slice(0, 120))]`); len(wide) > 0 {
		b.t.Errorf("%s is wider than the window: %s", what, strings.Join(wide, "\n"))
	}
}

// everywhere looks at the page as it is in each theme and width, and at twice the size of
// the text, and keeps pictures of three.
func (b *tab) everywhere(name string) {
	b.t.Helper()
	for _, view := range []struct {
		width  int64
		scheme string
		shot   string
	}{{1280, "light", "light"}, {1280, "dark", "dark"}, {390, "light", "narrow"}, {320, "dark", ""}, {768, "light", ""}} {
		b.resize(view.width, view.scheme)
		what := name + " " + view.scheme
		b.accessible(what)
		b.fits(what)
		if view.shot != "" {
			b.shot(name + "-" + view.shot)
		}
	}
	b.resize(640, "light") // 1280 at 200 %
	b.fits(name + " at 200 %")
	devtools(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}})
	b.accessible(name + " with forced colours")
	b.resize(1280, "light")
}

// Every page can be used by everybody: with a screen reader, a keyboard, a phone, in the
// dark, with forced colours.
func TestWebEveryPageIsAccessible(t *testing.T) {
	rig.Need(t, "dovecot", "chromium", "npm")
	t.Parallel()
	p, b, origin := filledPage(t)
	for _, page := range []struct{ address, name, there string }{
		{"", "home", ""}, {"add", "add", ""}, {"account/home", "account", ""}, {"devices", "devices", ""}, {"deleted", "deleted", ""},
		{"storage", "storage", ""}, {"log", "log", ""}, {"settings", "settings", ""}, {"about", "about", ""},
		{"account/home/password", "account-password", "Test and save"},
		{"account/home/deletions", "account-deletions", "Allow these 12 deletions"},
		{"devices/add", "devices-add", "Make its password"},
		{"devices/setup/" + localUser + "/test", "devices-setup", "For other programs"},
	} {
		if page.name == "account-deletions" {
			command(t, p, 0, "account", "set", "home", "keep_on_server=never")
		}
		b.open(origin + "/#/" + page.address)
		b.until("the page "+page.address+" is there", `document.querySelector("main h1") && !document.querySelector("main h1").innerText.includes("Loading")`)
		if page.there != "" {
			b.shows(page.there)
			b.until("details are open", `[...document.querySelectorAll("main details")].every(d => (d.open = true))`)
		}
		b.everywhere(page.name)
	}
	command(t, p, 0, "account", "set", "home", "keep_on_server=")
	b.open(origin + "/#/")
	eval[bool](b, `localStorage.setItem("popbridge-language", "de"); return true`)
	b.reload()
	b.shows("Das Konto ist")
	b.accessible("in German")
	b.shot("home-german")
	b.click("Konto hinzufügen")
	b.enter("Ihre Mailadresse", "ann@gmx.de") // which is found without a network
	b.click("Server suchen")
	b.shows("Passwort beim Anbieter")
	b.accessible("the second step of a new account in German")
	b.resize(320, "light")
	b.fits("the second step of a new account in German")
	for _, page := range []string{"devices/rename/" + localUser, "devices/change/" + localUser + "/test"} {
		b.open(origin + "/#/" + page)
		b.until("its form is there", `document.querySelector("main form")?.getClientRects().length && !document.querySelector("main h1").innerText.includes("Ger\u00e4te")`)
		b.until("details are open", `[...document.querySelectorAll("details")].every(d => (d.open = true))`)
		b.accessible(page + " in German")
		b.fits(page + " in German")
	}
	b.quiet(origin)
}
