package test

import (
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// What the first line says of a state, with accounts (o: fine, x: failed, p: paused,
// f: fetching, n: new) and conditions (e: an error, w: a warning, s: the disk is full,
// u: an account does not send).
func TestWebVerdict(t *testing.T) {
	t.Parallel()
	_, _, b, origin := withPage(t, 0)
	b.shows("The account is up to date")
	for _, c := range []struct{ accounts, conditions, severity, text string }{
		{"", "", "info", "There is no account yet. Add one, and mail begins to flow."},
		{"o", "", "ok", "The account is up to date; last looked just now."},
		{"of", "", "ok", "Fetching mail from one account…"},
		{"n", "", "info", "The first mail is on its way."},
		{"pp", "", "info", "All accounts are paused, so no mail is fetched."},
		{"pp", "w", "warning", "All accounts are paused, so no mail is fetched; one thing wants attention."},
		{"xp", "w", "warning", "Mail does not flow; one thing wants attention."},
		{"oox", "w", "warning", "Mail comes from 2 of 3 accounts; one thing wants attention."},
		{"oox", "", "warning", "Mail comes from 2 of 3 accounts."},
		{"o", "w", "warning", "Mail flows; one thing wants attention."},
		{"o", "e", "error", "Mail flows; one thing needs you."}, // a mistake in the settings file
		{"ox", "eew", "error", "Mail comes from 1 of 2 accounts; 3 things need you."},
		{"o", "ew", "error", "Mail flows; 2 things need you."}, // as many as are listed
		{"xp", "e", "error", "Mail does not flow; one thing needs you."},
		{"oo", "u", "warning", "Mail comes, but not all that is sent leaves; one thing wants attention."},
		{"ox", "u", "warning", "Mail comes from 1 of 2 accounts; one thing wants attention."},
		{"oo", "s", "error", "Mail does not flow; one thing needs you."},
	} {
		got := eval[[]string](b, `const { verdict } = await import("/home.js"), now = new Date();
			const accounts = [...args[0]].map(a => ({ state: { p: "paused", f: "polling" }[a] ?? "idle", last_error: a === "x" ? "refused" : "", last_success: "xn".includes(a) ? null : now.toISOString() }));
			const health = [...args[1]].map(c => ({ severity: "wu".includes(c) ? "warning" : "error", code: { s: "store-full", u: "send-failed" }[c] ?? "other" }));
			const v = verdict({ status: { accounts, health }, now });
			return [v.severity, v.text]`, c.accounts, c.conditions)
		if got[0] != c.severity || got[1] != c.text {
			t.Errorf("%s/%s: %q", c.accounts, c.conditions, got)
		}
	}
	b.quiet(origin)
}

// Numbers and times are written as the browser itself writes them in that language.
func TestWebNumbersAndTimes(t *testing.T) {
	t.Parallel()
	_, _, b, origin := withPage(t, 0)
	b.shows("The account is up to date")
	for _, language := range []string{"en", "de"} {
		eval[bool](b, `localStorage.setItem("popbridge-language", args[0]); return true`, language)
		b.reload()
		wrong := eval[[]string](b, `const text = await import("/text.js"), language = args[0], wrong = [];
			const compare = (got, want) => got.replaceAll("\u00a0", " ") === want.replaceAll(/[\u00a0\u202f]/g, " ") || wrong.push(got + ", want " + want);
			for (const n of [0, 1, 12, 999, 1000, 1234.56, 99999, 100000, 1234567, 9876543210, 0.05, 2.5])
				compare(text.number(n), new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(n));
			const unit = (n, unit, digits, unitDisplay) => new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay, maximumFractionDigits: digits }).format(n);
			for (const [n, shown, name, digits] of [[0, 0, "byte", 0], [1, 1, "byte", 0], [999, 999, "byte", 0], [1000, 1, "kilobyte", 0], [999499, 999, "kilobyte", 0],
				[1.26e6, 1.26, "megabyte", 1], [12.6e6, 12.6, "megabyte", 0], [2e9, 2, "gigabyte", 1], [3.21e12, 3.21, "terabyte", 1], [4.5e15, 4500, "terabyte", 0]])
				compare(text.size(n), unit(shown, name, digits, name === "byte" ? "long" : "short"));
			for (const [s, n, name] of [[1, 1, "second"], [89, 89, "second"], [90, 2, "minute"], [5399, 90, "minute"], [5400, 2, "hour"], [1e6, 278, "hour"]])
				compare(text.span(s), unit(n, name, 0, "long"));
			const now = new Date(2026, 10, 27, 12, 0), relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
			for (const [s, n, name] of [[10, 10, "second"], [59, 59, "second"], [60, 1, "minute"], [150, 3, "minute"], [3600, 1, "hour"], [80000, 22, "hour"], [86400, 1, "day"], [3 * 86400, 3, "day"], [400 * 86400, 400, "day"]])
				for (const sign of [1, -1]) compare(text.ago(new Date(now.getTime() + sign * s * 1000).toISOString(), now), relative.format(sign * n, name));
			for (let month = 0; month < 12; month++) for (const year of [2025, 2026]) {
				const d = new Date(year, month, 3, 4, 5), o = { day: "numeric", month: "short", year: year === 2026 ? undefined : "numeric" };
				compare(text.when(d.toISOString(), now), new Intl.DateTimeFormat(language, o).format(d) + ", 04:05");
			}
			compare(text.when(now.toISOString(), now), "12:00");
			return wrong`, language)
		if len(wrong) > 0 {
			t.Errorf("%s: %q", language, wrong)
		}
	}
	b.quiet(origin)
}

// The plots are of 90 days from the second one on; before it a sentence says so.
func TestWebHistory(t *testing.T) {
	t.Parallel()
	_, _, b, origin := withPage(t, 1)
	b.shows("The account is up to date")
	eval[bool](b, `const real = fetch; window.days = 2;
		window.fetch = async (path, ...rest) => path !== "/api/history" ? real(path, ...rest)
			: new Response(JSON.stringify(Array.from({length: window.days}, (_, i) => ({day: "2026-03-0" + (i + 1), messages: i, bytes: 1000 * (i + 1)})))); return true`)
	b.click("About")
	b.shows("Browsers that are signed in")
	b.click("Home")
	b.shows("The last 90 days")
	b.shot("history")
	b.until("the tables are there", `[...document.querySelectorAll("figure details")].every(d => (d.open = true) && d.querySelector("tbody"))`)
	b.accessible("plots")
	if got := eval[[]string](b, `const f = document.querySelector("figure"); return [String(f.querySelectorAll("rect").length), f.querySelector(".ends").innerText.replace(/\s+/g, " ")]`); got[0] != "90" || got[1] != "Dec 3 maximum 1 Mar 2" {
		t.Errorf("the plot has %q", got)
	}
	eval[bool](b, `window.days = 1; return true`)
	b.click("About")
	b.shows("Browsers that are signed in")
	b.click("Home")
	b.until("the history was told", `performance.getEntriesByName("complete").length === 3`)
	b.shows("From the second day on, two plots show here")
	b.until("there are none", `!document.querySelector("figure")`)
	b.quiet(origin)
}

// One of two servers is away: that is told once, in words; trying again changes nothing of
// that. An account that is paused is taken up again by its button.
func TestWebHomeInTrouble(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	must(t, d.Put("home", testkit.Message(0)))
	home, work := account(d, "home"), account(d, "work")
	work.Port = 1 // where nobody listens
	p := prepare(t, home, work)
	must(t, p.ServeWeb())
	must(t, p.Configure(home, work))
	start(t, p)
	b, origin := webPage(t, p)
	b.may = []string{"422"} // of an account that is not there
	b.shows("Mail comes from 1 of 2 accounts; one thing wants attention.")
	b.click("Try again now")
	b.shows("No mail could be fetched from work.")
	if n := eval[int](b, `return document.querySelector("main").innerText.split("connection refused").length - 1`); n != 0 {
		t.Errorf("the reason is told %d times where nobody asked for details", n)
	}
	b.accessible("Home in trouble")
	b.shot("home-trouble")
	b.resize(320, "dark")
	b.fits("Home in trouble")
	b.shot("home-trouble-320")
	b.resize(1280, "light")
	eval[bool](b, `document.querySelector(".since").textContent = "old"; return true`)
	b.click("Fetch now: home")
	b.until("the time goes on", `document.querySelector(".since").textContent.startsWith("Began:")`)

	// What has the focus keeps it when another condition comes, and goes.
	b.until("a button has the focus", `(e => (e.focus(), document.activeElement === e))(`+find+`("Try again now"))`)
	command(t, p, 0, "account", "set", "home", "keep_on_server=never")
	b.shows("Messages of home would be deleted at the provider.")
	b.focused("Try again now")
	command(t, p, 0, "account", "set", "home", "keep_on_server=forever")
	b.gone("Messages of home would be deleted at the provider.")
	b.focused("Try again now")
	command(t, p, 0, "account", "pause", "home")
	b.shows("Mail does not flow; one thing wants attention.")
	b.click("Fetch mail again: home")
	b.shows("Mail comes from 1 of 2 accounts")
	command(t, p, 0, "account", "remove", "home")
	b.open(origin + "/#/account/home")
	b.shows("This account was removed.")
	b.until("Home is marked", `document.querySelector("#pages a[aria-current]").innerText === "Home"`)
	b.quiet(origin)
}

// Without an account there is one sentence and one thing to do.
func TestWebHomeEmpty(t *testing.T) {
	rig.Need(t, "chromium")
	t.Parallel()
	_, b, origin := newcomer(t)
	b.shows("There is no account yet. Add one, and mail begins to flow.")
	b.until("there is one thing to do", `[...document.querySelectorAll("main h2, main button, main .button")].filter(e => e.getClientRects().length).map(e => e.innerText).join() === "Add an account"`)
	b.accessible("Home without an account")
	b.shot("home-empty")
	b.click("Storage")
	b.shows("Is it whole?")
	b.until("no table is empty", `!document.querySelector("tbody:empty")`)
	b.quiet(origin)
}
