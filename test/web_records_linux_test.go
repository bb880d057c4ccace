package test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// addConfig appends lines to the config of an agent that does not run yet.
func addConfig(t *testing.T, p *rig.Popbridge, lines string) {
	t.Helper()
	text, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	must(t, os.WriteFile(p.ConfigFile(), append(text, lines...), 0o600))
}

// The log follows a poll, stops where a person has scrolled up, and goes on when told so.
func TestWebLog(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	p := prepare(t, account(d, "home"))
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "home")))
	addConfig(t, p, "\n[log]\nlevel = \"trace\"\n")
	start(t, p)
	b, origin := webPage(t, p)
	b.click("Log")
	b.shows("agent started")
	poll := func() {
		t.Helper()
		must(t, d.Put("home", testkit.Message(int(eval[float64](b, `return document.querySelectorAll(".log li").length`)))))
		if out, err := p.Run(t.Context(), "", "sync"); err != nil || out.Code != 0 {
			t.Fatalf("sync: %v, %s", err, out.Stderr)
		}
	}
	const at = `(e => e.scrollHeight - e.scrollTop - e.clientHeight)(document.querySelector(".log"))`
	poll()
	b.shows("fetched 1 message from home")
	b.click("Home")
	b.click("Fetch now: home")
	b.shows("0 new messages")
	b.click("Log")
	b.until("the page's own requests are details", `[...document.querySelectorAll(".log li")].some(e => e.innerText.includes("asked for by the web page") && !e.getClientRects().length)`)
	b.until("rows are low", `[...document.querySelectorAll(".log li")].filter(e => e.getClientRects().length).every(e => e.getBoundingClientRect().height < 50)`)
	b.until("it stands at the end", at+` < 8`)
	if text := eval[string](b, `return document.querySelector(".log").innerText`); strings.Contains(text, "data_dir") {
		t.Errorf("details are in front of who has not asked for them: %s", text)
	}
	b.pick("Show", "Errors only")
	b.shows("No record matches what is chosen above.")
	b.gone("records are shown")
	b.shot("log-none")
	b.pick("Show", "Everything of note")
	b.gone("No record matches what is chosen above.")
	b.gone("pop3 command") // details, which are not asked for
	eval[bool](b, `const s = [...document.querySelectorAll("select")].find(s => s.value === "info"); s.value = "trace"; s.dispatchEvent(new Event("change")); return true`)
	b.shows("pop3 command")
	eval[bool](b, `document.querySelector(".log").scrollTop = 0; return true`)
	b.shows("Follow again")
	poll()
	b.until("new records are counted", `/Follow again \(\d+ new\)/.test(document.body.innerText)`)
	if top := eval[float64](b, `return document.querySelector(".log").scrollTop`); top != 0 {
		t.Errorf("the log went on to %v under who reads it", top)
	}
	b.shot("log")
	eval[bool](b, `document.querySelector(".following button").click(); return true`)
	b.until("it stands at the end again", at+` < 8`)
	b.gone("Follow again")

	eval[bool](b, `[...document.querySelectorAll("summary")].findLast(s => s.innerText.includes("fetched 1 message")).click(); return true`)
	b.shows("stored")
	b.resize(390, "dark")
	b.shot("log-phone")
	b.fits("the log")
	if text := eval[string](b, `return document.querySelector(".log").innerText`); strings.Contains(text, rig.Password) {
		t.Error("the password of the account is in the log")
	}
	b.quiet(origin)
}

// Settings are saved at their lines, with comments kept, and take effect; what is wrong
// with a value is said at its field.
func TestWebSettings(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	p := prepare(t, account(d, "home"))
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "home")))
	addConfig(t, p, "\n# of the log\n[log]\nlevel = \"info\" # for now\n")
	start(t, p)
	before, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	b, origin := webPage(t, p)
	b.click("Settings")
	b.shows("How much is logged")
	b.shows(p.Data) // to be read only
	b.enter("Time zone", "Vienna")
	eval[bool](b, `document.getElementById("skip").focus(); return true`)
	b.press("\r")
	b.until("the content has the focus", `document.activeElement.id === "main"`)
	if at := eval[string](b, `return location.hash`); at != "#/settings" {
		t.Errorf("the link to the content leads to %s", at)
	}
	b.enter("What is sent can be taken back for", "long")
	b.enter("Deleted mail can be brought back for", "soon")
	b.click("Save")
	b.shows("soon is not a length of time.")
	b.shows("long is not a length of time, or too long.")
	if on := eval[string](b, `return document.activeElement.value`); on != "soon" {
		t.Errorf("the focus is on a field with %q", on)
	}
	b.enter("What is sent can be taken back for", " ")
	b.enter("Deleted mail can be brought back for", " ")
	b.click("Save")
	b.gone("is not a length of time")
	b.shows(`Did you mean Europe/Vienna?`)
	if on := eval[string](b, `return document.activeElement.value`); on != "Vienna" {
		t.Errorf("the focus is on a field with %q", on)
	}
	if same, err := os.ReadFile(p.ConfigFile()); err != nil || string(same) != string(before) {
		t.Errorf("the file was changed: %v\n%s", err, same)
	}
	b.shot("settings-error")
	b.enter("Time zone", "Europa/Wien")
	b.press("\r") // as the button
	b.until("another mistake is shown", `[...document.querySelectorAll("p.error")].some(e => e.innerText.includes("Europa/Wien"))`)
	b.enter("Time zone", "Europe/Vienna")
	eval[bool](b, `const s = [...document.querySelectorAll("select")].find(s => s.value === "info"); s.value = "debug"; return true`)
	b.click("Save")
	b.shows("Saved, comments in the file included.")
	want := strings.Replace(string(before), "notices = false\n", "notices = false\ntimezone = \"Europe/Vienna\"\n", 1)
	want = strings.Replace(want, `"info"`, `"debug"`, 1)
	if after, err := os.ReadFile(p.ConfigFile()); err != nil || string(after) != want {
		t.Errorf("%v\n%s\nwant:\n%s", err, after, want)
	}
	if bak, err := os.ReadFile(p.ConfigFile() + ".bak"); err != nil || string(bak) != string(before) {
		t.Errorf(".bak: %v\n%s", err, bak)
	}
	if out, err := p.Run(t.Context(), "", "sync"); err != nil || out.Code != 0 {
		t.Errorf("sync: %v, %s", err, out.Stderr)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(p.Log(), "nothing new"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) { // what the program writes comes here a moment later
			t.Fatal("no details are logged")
		}
	}
	b.enter("Deleted mail can be brought back for", "60d")
	b.click("Save")
	b.shows("It holds once popbridge is started again.")
	b.shows("A changed setting needs a restart.")
	b.pick("Colours", "Dark")
	b.until("the page is dark", `getComputedStyle(document.body.parentElement).colorScheme === "dark"`)
	b.pick("Colours", "As the system")
	b.shot("settings")
	b.resize(390, "dark")
	b.shot("settings-phone")
	b.fits("the settings")
	b.quiet(origin)
}

// The browsers that are signed in are listed; one is signed out alone, and all at once,
// which an open page notices.
func TestWebSessions(t *testing.T) {
	t.Parallel()
	p, _, b, origin := withPage(t, 0)
	b.may = []string{"401"} // of pages that are signed out
	other := stranger(t, origin, signIn(t, p))
	b.click("About")
	b.shows("Firefox on Windows")
	b.shows("(this one)")
	b.shows(p.ConfigFile())
	b.shows("github.com/popbridge/popbridge/blob/main/docs/web.md")
	if status := other(); status != http.StatusOK {
		t.Fatalf("the other browser gets %d", status)
	}
	b.shot("about")
	b.resize(390, "dark")
	b.shot("about-phone")
	b.fits("about")
	b.resize(1280, "light")
	eval[bool](b, `[...document.querySelectorAll("button")].find(b => b.getAttribute("aria-label")?.startsWith("Sign out Firefox")).click(); return true`)
	b.gone("Firefox on Windows")
	if status := other(); status != http.StatusUnauthorized {
		t.Errorf("the browser that was signed out gets %d", status)
	}
	second := b.another()
	second.may = b.may
	second.open(origin + "/#/log")
	second.shows("agent started")

	// A browser that signs in again is listed once; a page of it that is open goes on.
	second.open(signIn(t, p))
	second.shows("The account is up to date")
	second.click("About")
	second.shows("(this one)")
	if n := eval[int](second, `return document.querySelectorAll("table[aria-label] tbody tr strong").length`); n != 1 {
		t.Errorf("%d browsers are listed", n)
	}
	b.click("Home")
	command(t, p, 0, "sync")
	b.shows("The account is up to date")
	b.click("About")
	b.shows("Browsers that are signed in")
	b.click("Sign out everywhere")
	b.click("Sign all out")
	b.shows("This browser is not signed in")
	second.shows("This browser is not signed in")
	if out, err := p.Run(t.Context(), "", "open", "--sessions"); err != nil || !strings.Contains(out.Stdout, "no browser is signed in") {
		t.Errorf("%v: %s", err, out.Stdout)
	}
	b.quiet(origin)
	second.quiet(origin)
}

// stranger signs another browser in, and returns what asks the page for something there.
func stranger(t *testing.T, origin, address string) func() (status int) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	client := &http.Client{Jar: jar}
	var key struct{ Key, Process string }
	ask := func(method, path, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, origin+path, strings.NewReader(body))
		must(t, err)
		for name, value := range map[string]string{"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json", "Popbridge-Key": testkit.WebProof(key.Key, key.Process), "User-Agent": "Mozilla/5.0 (Windows NT 10.0; rv:153.0) Gecko/20100101 Firefox/153.0"} {
			r.Header.Set(name, value)
		}
		resp, err := client.Do(r)
		must(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	_, ticket, _ := strings.Cut(address, "#t=")
	must(t, json.NewDecoder(ask("POST", "/session", `{"ticket":"`+ticket+`"}`).Body).Decode(&key))
	must(t, json.NewDecoder(ask("GET", "/process", "").Body).Decode(&key))
	return func() int { t.Helper(); return ask("GET", "/api/about", "").StatusCode }
}

// The page saves the support bundle, which has nothing personal in it, and the log as text.
func TestWebReport(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	must(t, d.Put("geheim", []byte("From: kanzlei@streng.example\r\nSubject: Scheidung\r\n\r\nVertraulich\r\n")))
	p := prepare(t, account(d, "geheim"))
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "geheim")))
	start(t, p)
	b, origin := webPage(t, p)
	into := t.TempDir()
	devtools(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: "allow", DownloadPath: into})
	b.click("Log")
	b.shows("fetched 1 message from geheim")
	saved := func(button, pattern string) string {
		t.Helper()
		b.click(button)
		var found []string
		for end := time.Now().Add(browserWithin); len(found) == 0; time.Sleep(30 * time.Millisecond) {
			if found, _ = filepath.Glob(filepath.Join(into, pattern)); time.Now().After(end) {
				t.Fatalf("no file %s", pattern)
			}
		}
		return found[0]
	}
	z, err := zip.OpenReader(saved("Save a support bundle", "popbridge-report-*.zip"))
	must(t, err)
	defer func() { _ = z.Close() }()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		in, err := f.Open()
		must(t, err)
		text, err := io.ReadAll(in)
		must(t, err)
		for _, word := range []string{"geheim", "streng", "Scheidung", "Vertraulich", rig.Password, devicePw} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %q:\n%s", f.Name, word, text)
			}
		}
	}
	if !slices.Contains(names, "README.txt") || !slices.Contains(names, "log.jsonl") {
		t.Errorf("files: %v", names)
	}
	text, err := os.ReadFile(saved("Save the log", "popbridge.log"))
	must(t, err)
	if !strings.Contains(string(text), "INFO  fetched 1 message from geheim") {
		t.Errorf("the log as text:\n%s", text)
	}
	b.quiet(origin)
}
