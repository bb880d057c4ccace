package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/test/rig"
)

// What was deleted in a mail program is found again on the page, and brought back: one,
// or several. What a sender has written stays text.
func TestWebDeleted(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	subjects := []string{`<script>document.title="owned"</script>`, "invoice \u202efdp.exe", "<img src=x onerror=alert(1)>", "kept", "lunch", ""}
	for i, s := range subjects {
		must(t, d.Put("home", fmt.Appendf(nil, "From: \"<b>Bo</b>\" <bo@example.com>\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%d\r\n", s, i)))
	}
	p := prepare(t, account(d, "home"))
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "home")))
	start(t, p)
	command(t, p, 0, "sync")
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
	if err := c.Store(imap.SeqSetNum(1, 2, 3, 5, 6), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	count := func() uint32 {
		t.Helper()
		status, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
		must(t, err)
		return *status.NumMessages
	}

	b, origin := webPage(t, p)
	b.click("Deleted mail")
	b.shows("5 messages can be brought back.")
	for _, s := range []string{subjects[0], "invoice \ufffdfdp.exe", subjects[2], "(no subject)", `"<b>Bo</b>" <bo@example.com>`} {
		if !strings.Contains(b.text(), s) && !strings.Contains(b.text(), strings.ReplaceAll(s, `"`, "")) {
			t.Errorf("%q is not shown: %s", s, b.text())
		}
	}
	if n := eval[int](b, `return document.querySelectorAll("main script, main img, main b").length`); n != 0 {
		t.Errorf("%d elements of a mail", n)
	}
	b.shot("deleted")
	b.resize(1280, "dark")
	b.shot("deleted-dark")
	b.resize(390, "light")
	b.shot("deleted-390")
	b.fits("deleted mail")
	b.resize(320, "light")
	b.uncut("deleted mail")
	eval[bool](b, `for (const e of document.querySelectorAll("td[data-label=Folder]")) e.textContent = "somebody@example.com: Archive/2026/Quarter 3"; return true`) // as with two users
	b.uncut("deleted mail of two users")
	b.shot("deleted-320")
	b.resize(1280, "light")

	// One, that a search has found.
	b.enter("Sender or subject contains", "LUNCH")
	b.shows("One message can be brought back.")
	b.tick("Select: lunch, " + eval[string](b, `return document.querySelector("tbody td[data-label=Sender]").innerText`))
	b.click("Bring one message back")
	b.shows("One message is back in INBOX.")
	b.shows("No deleted message is like that.")
	if n := count(); n != 2 {
		t.Errorf("%d messages in INBOX, want 2", n)
	}
	b.pick("Deleted", "in the last 24 hours")
	b.pick("Folder", "Sent")
	b.shows("No deleted message is like that.")

	// All that are shown.
	b.pick("Folder", "all folders")
	b.enter("Sender or subject contains", "bo@example")
	b.shows("4 messages can be brought back.")
	b.tick("Select all that are shown")
	b.click("Bring 4 messages back")
	b.shows("4 messages are back in INBOX.")
	if n := count(); n != 6 {
		t.Errorf("%d messages in INBOX, want 6", n)
	}
	b.enter("Sender or subject contains", " ")
	b.pick("Deleted", "at any time")
	b.shows("Nothing was deleted that could be brought back.")
	b.quiet(origin)
}

// uncut fails the test where what a row of deleted mail has is hidden, cut off, or printed
// over something else.
func (b *tab) uncut(what string) {
	b.t.Helper()
	b.fits(what)
	if wrong := eval[[]string](b, `const wrong = [];
		for (const tr of document.querySelectorAll("tbody tr")) {
			const cells = [...tr.querySelectorAll("td[data-label]")], boxes = cells.map(e => e.getBoundingClientRect());
			cells.forEach((e, i) => {
				const a = boxes[i];
				if (!a.width || e.scrollWidth > e.clientWidth + 1) wrong.push("cut: " + e.innerText);
				boxes.slice(i + 1).forEach(b => { if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) wrong.push("printed over: " + e.innerText); });
			});
			if (boxes[0].bottom > boxes[1].top + 1) wrong.push("the sender has no line of its own");
		}
		return wrong`); len(wrong) > 0 {
		b.t.Errorf("%s: %q", what, wrong)
	}
}

// More than a page of them is said, and shown when asked for; nothing is brought back
// that is not seen.
func TestWebDeletedMany(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	var mail [][]byte
	for i := range 130 {
		mail = append(mail, fmt.Appendf(nil, "From: bo@example.com\r\nSubject: number %d\r\n\r\n%d\r\n", i, i))
	}
	must(t, d.Put("home", mail...))
	p := prepare(t, account(d, "home"))
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "home")))
	start(t, p)
	command(t, p, 0, "sync")
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
	var all imap.SeqSet
	all.AddRange(1, 0)
	if err := c.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	b, origin := webPage(t, p)
	b.click("Deleted mail")
	b.shows("The last 100 deleted messages are shown; there are more.")
	b.tick("Select all that are shown")
	b.enter("Sender or subject contains", "number 12")
	b.shows("11 messages can be brought back.") // 12 and 120 to 129
	b.click("Bring 10 messages back")           // number 12 was not among those that were shown
	b.shows("10 messages are back in INBOX.")
	b.enter("Sender or subject contains", "number")
	b.shows("The last 100 deleted messages are shown; there are more.")
	b.click("Show more")
	b.shows("120 messages can be brought back.")
	b.click("Bring back")
	b.shows("Mark messages first.")
	b.tick("Select all that are shown")
	b.gone("Mark messages first.")
	b.quiet(origin)
}

// A shorter time to bring deleted mail back is saved once the person has seen how much
// that gives up.
func TestWebForgets(t *testing.T) {
	t.Parallel()
	p, _, b, origin := withPage(t, 3)
	b.may = ofARestart()
	command(t, p, 0, "sync")
	stop(t, p)
	longAgo := time.Now().AddDate(0, 0, -10)
	s, err := mailstore.Open(t.Context(), filepath.Join(p.Data, "users", localUser), mailstore.Options{Now: func() time.Time { return longAgo }})
	must(t, err)
	box, err := s.Mailbox(t.Context(), "INBOX")
	must(t, err)
	_, err = s.SetFlags(t.Context(), box.ID, []mailstore.UID{1, 2}, mailflags.Add, []string{`\Deleted`})
	must(t, err)
	_, err = s.Expunge(t.Context(), box.ID, []mailstore.UID{1, 2})
	must(t, err)
	must(t, s.Close())
	start(t, p)
	b.open(signIn(t, p))
	b.click("Settings")
	b.enter("Deleted mail can be brought back for", "5d")
	b.click("Save")
	b.shows("Give up 2 deleted messages for good?")
	b.shot("settings-forget")
	b.accessible("deleted mail is given up")
	b.click("Cancel")
	b.shows("Nothing was changed.")
	b.click("Save")
	b.click("Give up")
	b.shows("It holds once popbridge is started again.")
	if text, err := os.ReadFile(p.ConfigFile()); err != nil || !strings.Contains(string(text), "keep_expunged = \"5d\"\n") {
		t.Errorf("%v\n%s", err, text)
	}
	b.quiet(origin)
}
