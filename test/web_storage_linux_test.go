package test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// steps are what the progress of work says from now on, the first and the last; the page
// does the work meanwhile.
func (b *tab) steps() func() []string {
	b.t.Helper()
	eval[bool](b, `window.steps = []; new MutationObserver(() => {
		for (const e of document.querySelectorAll("p.live")) if (e.textContent && window.steps.at(-1) !== e.textContent) window.steps.push(e.textContent);
	}).observe(document.querySelector("main"), {subtree: true, childList: true, characterData: true}); return true`)
	return func() []string { return eval[[]string](b, `return window.steps`) }
}

// The page says where the mail is and how large it is; the first backup is made by a
// command, the next ones by a button, with progress; what is damaged is found and
// repaired; a disk that is not there is said.
func TestWebStorage(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	var mail [][]byte
	for i := range 60 {
		mail = append(mail, testkit.Message(i))
	}
	must(t, d.Put("home", mail...))
	p := prepare(t, account(d, "home"))
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "home")))
	start(t, p)
	command(t, p, 0, "sync")

	b, origin := webPage(t, p)
	b.click("Storage")
	b.shows(p.Data)
	b.shows("There is no backup yet.")
	b.until("the table has the user", `[...document.querySelectorAll("tbody td")].map(e => e.innerText).join("|").startsWith("`+localUser+`|home|60|")`)
	b.shot("storage")
	if cmd := b.value("Command"); !strings.Contains(cmd, "popbridge backup DIR --config ") {
		t.Errorf("the command is %q", cmd)
	}
	steps := b.steps()
	b.click("Check all mail")
	b.shows("All mail is whole.")
	if eval[bool](b, `return !!`+find+`("Repair")`) {
		t.Error("nothing is broken, and could be repaired")
	}
	if got := steps(); len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), localUser+": 60 of 60 checked") {
		t.Errorf("progress: %q", got)
	}

	// The folder is chosen by a command; from then on it is made again.
	const hostile = `<img src=x onerror=alert(1)>`
	saved := filepath.Join(t.TempDir(), hostile)
	command(t, p, 0, "backup", saved)
	b.click("Home")
	b.shows("The account is up to date")
	b.click("Storage")
	b.shows(saved)
	b.shows("60 messages backed up (new files: 60,")
	b.shows("It is on the same disk as the mail")
	must(t, d.Put("home", testkit.Message(60)))
	command(t, p, 0, "sync")
	steps = b.steps()
	b.click("Back up again")
	b.shows("The backup is complete.")
	b.shows("61 messages backed up (new files: 1,")
	if got := steps(); !strings.Contains(strings.Join(got, "\n"), "copied") {
		t.Errorf("progress: %q", got)
	}
	b.shot("storage-backup")
	b.resize(390, "dark")
	b.shot("storage-390-dark")
	b.fits("storage")
	b.resize(1280, "light")

	// A disk that is not connected.
	must(t, os.Rename(saved, saved+".away"))
	b.click("Back up again")
	b.shows("the folder of the last backup is not there, or is empty: " + saved)
	b.shows("connect the disk that it is on, and try again")
	must(t, os.Rename(saved+".away", saved))

	// A message file that is lost.
	files, err := filepath.Glob(filepath.Join(p.Data, "users", localUser, "mail", "*", "*.eml"))
	if err != nil || len(files) != 61 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	must(t, os.Remove(files[0]))
	b.click("Check all mail")
	b.shows("One problem was found.")
	b.click("Repair")
	b.shows("One problem is left:")
	b.shot("storage-repair")
	command(t, p, 0, "sync") // fetches it again
	b.click("Check all mail")
	b.shows("All mail is whole.")

	// No browser chooses a folder, nor a password.
	for _, route := range []string{"/api/backup", "/api/devices", "/api/devices/pair"} {
		if status := ask(b, "POST", route, map[string]any{"dir": t.TempDir(), "name": "x", "password": "guessed", "generated": true}); status != 404 {
			t.Errorf("POST %s: %d", route, status)
		}
	}
	b.may = append(b.may, "/api/backup", "/api/devices")
	b.quiet(origin)
}

// A check that was begun goes on while another page is looked at: who comes back sees that,
// or what came of it.
func TestWebCheckGoesOn(t *testing.T) {
	t.Parallel()
	_, _, b, origin := withPage(t, 1)
	b.shows("The account is up to date")
	eval[bool](b, `const real = fetch; window.checks = 0;
		window.fetch = async (path, request) => {
			if (path !== "/api/check") return real(path, request);
			checks++;
			await new Promise(go => { window.go = go; });
			return new Response(JSON.stringify({result: [], end: true}) + "\n");
		}; return true`)
	for i, back := range []bool{true, false} { // before it ends, after
		b.click("Storage")
		b.click("Check all mail")
		b.until("it runs", `checks === args[0]`, i+1)
		b.click("Home")
		b.shows("The account is up to date")
		if back {
			b.click("Storage")
			b.until("it is seen to run", `document.querySelector("main progress:not([hidden])") && `+find+`("Check all mail").getAttribute("aria-disabled") === "true"`)
		}
		eval[bool](b, `go(); return true`)
		if !back {
			b.click("Storage")
		}
		b.shows("All mail is whole.")
		b.until("it can be checked again", `!`+find+`("Check all mail").hasAttribute("aria-disabled") && checks === args[0]`, i+1)
		b.click("Home")
		b.click("Storage")
		b.shows("Is it whole?")
		b.gone("All mail is whole.")
	}
	b.quiet(origin)
}

// A page has its heading at once, and says that it loads where that takes a while.
func TestWebLoading(t *testing.T) {
	t.Parallel()
	_, _, b, origin := withPage(t, 1)
	b.shows("The account is up to date")
	eval[bool](b, `const real = fetch; window.slow = null;
		window.fetch = async (path, request) => { if (window.slow) await slow; return real(path, request); }; return true`)
	for _, name := range []string{"Devices", "Deleted mail", "Storage", "Settings", "About"} {
		eval[bool](b, `window.slow = new Promise(go => { window.go = go; }); return true`)
		b.click(name)
		b.until(name+" has its heading", `[...document.querySelectorAll("h1")].map(e => e.innerText).join() === args[0] && document.title.includes(args[0]) && document.activeElement === document.querySelector("h1")`, name)
		b.shows("Loading…")
		b.accessible(name + " loads")
		eval[bool](b, `go(); window.slow = null; return true`)
		b.gone("Loading…")
		b.until(name+" is there", `[...document.querySelectorAll("h1")].map(e => e.innerText).join() === args[0] && document.activeElement === document.querySelector("h1") && document.querySelectorAll("main *").length > 5`, name)
	}
	b.quiet(origin)
}

// ask sends what the page does not, with the session of the page.
func ask(b *tab, method, path string, body any) int {
	b.t.Helper()
	raw, err := json.Marshal(body)
	must(b.t, err)
	return eval[int](b, `return (await fetch(args[1], {method: args[0], body: args[2], headers: {"Content-Type": "application/json", "Popbridge-Key": args[3]}})).status`, method, path, string(raw), proof(b))
}

// proof is what the page sends in place of its key.
func proof(b *tab) string {
	b.t.Helper()
	got := eval[[]string](b, `return [localStorage.getItem("popbridge-key"), (await (await fetch("/process")).json()).process]`)
	return testkit.WebProof(got[0], got[1])
}

// A full disk is said where Home leads to, with what to do and how much room there is, and
// is gone from there once there is room.
func TestWebStorageFull(t *testing.T) {
	rig.Need(t, "dovecot", "chromium", "mount")
	t.Parallel()
	d := dovecot(t, nil)
	p := prepare(t, account(d, "home"))
	must(t, os.RemoveAll(p.Data))
	must(t, os.Mkdir(p.Data, 0o700))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0700,size=8m", "tmpfs", p.Data).CombinedOutput(); err != nil {
		t.Skipf("no tmpfs can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		must(t, p.Stop())
		must(t, exec.Command("umount", "-l", p.Data).Run())
	})
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "home")))
	start(t, p)
	b, origin := webPage(t, p)
	b.may = []string{"422"} // of the poll
	b.shows("The account is up to date")
	full := filepath.Join(p.Data, "full")
	f, err := os.Create(full)
	must(t, err)
	if _, err := io.CopyN(f, zeros{}, 1<<30); err == nil {
		t.Fatal("the disk has no end")
	}
	must(t, f.Close())
	must(t, d.Put("home", testkit.Message(0)))
	b.click("Fetch now: home")
	b.shows("The disk is full: no mail can be stored.")
	b.click("Look at the storage")
	b.shows("Make room on the disk of the folder below")
	b.until("the room is said, and no button leads to here", `document.querySelector("dl.facts").innerText.includes("0 byte") && !document.querySelector(".condition a")`)
	b.accessible("a full disk")
	b.shot("storage-full")
	b.resize(320, "dark")
	b.fits("a full disk")
	b.resize(1280, "light")
	must(t, os.Remove(full))
	command(t, p, 0, "sync")
	b.gone("The disk is full")
	b.until("there is room", `/\d\sMB/.test(document.querySelector("dl.facts").innerText)`)
	b.quiet(origin)
}
