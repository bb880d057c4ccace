package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// taskClicks are the clicks of each task, as docs/tasks.md has them, by its name without what is in parentheses.
func taskClicks(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "tasks.md"))
	must(t, err)
	clicks := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|(]+?)(?: \([^|]*)? \| [^|]+ \| (\d+) \|`).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(row[2])
		must(t, err)
		if clicks[row[1]] = n; n > 5 {
			t.Errorf("%s takes %d clicks", row[1], n)
		}
	}
	return clicks
}

// task does one of docs/tasks.md, and fails the test where it takes another number of
// clicks than are said there. Enter is not pressed.
func (b *tab) task(name string, do func()) {
	b.t.Helper()
	b.click("Home")
	b.until("Home", `document.querySelector("main h1")?.innerText === "Home"`)
	b.clicks = 0
	do()
	if want, ok := taskClicks(b.t)[name]; !ok || b.clicks != want {
		b.t.Errorf("%s takes %d clicks, docs/tasks.md says %d", name, b.clicks, want)
	}
}

// types writes where the focus is, which has to be the field of this label: a page that is
// mainly one form needs no click before its first field.
func (b *tab) types(label, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("the focus is at %q", label), `document.activeElement.labels?.[0]?.innerText.trim() === args[0]`, label)
	b.press(text)
}

// What people come to do takes the clicks that docs/tasks.md says.
func TestWebTasks(t *testing.T) {
	t.Parallel()
	p, d, b, origin := withPage(t, 3)
	must(t, d.Put("work", testkit.Message(10)))
	command(t, p, 0, "sync")
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
	must(t, c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	must(t, c.Expunge().Close())
	must(t, c.Logout().Wait())
	must(t, p.AddDevice(t.Context(), localUser, "phone", devicePw+devicePw))
	command(t, p, 0, "backup", t.TempDir())
	dir := b.downloads()
	tasks := []struct {
		name string
		do   func()
	}{
		{"Does my mail flow?", func() { b.shows("The account is up to date") }},
		{"I want to see new mail now", func() {
			must(t, d.Put("home", testkit.Message(3)))
			b.click("Fetch now: home")
			b.shows("One new message")
		}},
		{"Add another mailbox", func() {
			// The name of a provider that is on this computer is not found: the page is told.
			eval[bool](b, `const asked = window.fetch;
				const found = { address: "work@example.com", account: "", provider: "", oauth2_only: false, other_username: "", pop: args[0], smtp: { host: "", port: 0, tls: "", username: "" },
					doubts: [], advice: { provider: "", needs: [], enable_url: "", help_urls: [], min_interval: 0, note: "" } };
				window.fetch = (url, o) => String(url).endsWith("/discover") ? Promise.resolve(new Response(JSON.stringify({ result: [found], end: true }) + "\n")) : asked(url, o);
				return true`, map[string]any{"host": "127.0.0.1", "port": d.POP3, "tls": "none", "username": "work"})
			b.click("Add an account")
			b.types("Your mail address", "work@example.com")
			b.click("Find the server")
			b.types("Password at the provider", rig.Password)
			b.click("Test")
			b.click("Add the account")
			b.shows("work@example.com is set up")
		}},
		{"I deleted a mail yesterday and want it back", func() {
			b.click("Deleted mail")
			b.shows("One message can be brought back.")
			b.tick("Select all that are shown")
			b.click("Bring one message back")
			b.shows("One message is back in INBOX.")
		}},
		{"I lost my phone", func() {
			b.click("Devices")
			b.click("Revoke phone")
			b.click("Revoke")
			b.until("its card is gone", `![...document.querySelectorAll("h2")].some(e => e.innerText === "phone")`)
		}},
		{"Is my mail safe if this disk dies?", func() {
			b.click("Storage")
			b.click("Back up again")
			b.shows("The backup is complete.")
		}},
		{"Somebody shall help me, and not see my mail", func() {
			b.click("Log")
			b.click("Save a support bundle")
			eventually(t, "the bundle is there", func() (bool, error) {
				files, err := filepath.Glob(filepath.Join(dir, "popbridge*.zip"))
				return len(files) == 1, err
			})
		}},
		{"Which mail would be deleted at my provider?", func() {
			command(t, p, 0, "account", "set", "home", "keep_on_server=never")
			b.click("Review…")
			b.shows("would be deleted at the provider. They wait for you.")
		}},
		{"My provider changed my password", func() {
			write(t, filepath.Join(p.Dir, "password-home"), "of before\n")
			command(t, p, 1, "sync", "home")
			b.click("Enter the new password")
			b.types("Password at the provider", rig.Password)
			b.click("Test and save")
			b.shows("It works, and is saved.")
		}},
	}
	for _, task := range tasks {
		b.task(task.name, task.do)
	}
	if known := len(taskClicks(t)); known != len(tasks)+1 { // "Add my phone" is in TestWebPhone, which has a network
		t.Errorf("docs/tasks.md has %d tasks", known)
	}
	b.quiet(origin)
}
