//go:build unix

package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// thunderbirdProfile has one IMAP account, as the set-up dialogue writes it. It
// connects when told, not at start, because no one is there to type a password;
// and it never asks for new mail by itself, so that only IDLE can bring any.
func thunderbirdProfile(t *testing.T, p *rig.Popbridge) string {
	t.Helper()
	var js strings.Builder
	for _, pref := range []struct {
		name  string
		value any
	}{
		{"mail.accountmanager.accounts", "account1"},
		{"mail.accountmanager.defaultaccount", "account1"},
		{"mail.account.account1.server", "server1"},
		{"mail.account.account1.identities", "id1"},
		{"mail.identity.id1.fullName", "Ann"},
		{"mail.identity.id1.useremail", "ann@example.com"},
		{"mail.identity.id1.valid", true},
		{"mail.server.server1.type", "imap"},
		{"mail.server.server1.name", "popbridge"},
		{"mail.server.server1.hostname", "127.0.0.1"},
		{"mail.server.server1.port", p.Port},
		{"mail.server.server1.userName", localUser},
		{"mail.server.server1.socketType", 2}, // STARTTLS
		{"mail.server.server1.authMethod", 3}, // normal password
		{"mail.server.server1.login_at_startup", false},
		{"mail.server.server1.check_new_mail", false},
		{"mailnews.confirm.moveFoldersToTrash", false},
		{"marionette.port", 0},
		// No dialogue at the first start, and no calls home.
		{"mail.provider.suppress_dialog_on_startup", true},
		{"mail.shell.checkDefaultClient", false},
		{"mailnews.start_page.enabled", false},
		{"app.donation.eoy.version.viewed", 999},
		{"datareporting.policy.dataSubmissionEnabled", false},
		{"toolkit.telemetry.enabled", false},
		{"extensions.update.enabled", false},
		{"network.captive-portal-service.enabled", false},
		{"network.connectivity-service.enabled", false},
	} {
		fmt.Fprintf(&js, "user_pref(%q, %#v);\n", pref.name, pref.value)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "user.js"), js.String())
	return dir
}

// A person's first hour with Thunderbird: an account over STARTTLS, trusting
// our authority; folders with their roles; everything downloaded; mail that
// arrives by IDLE; read, flag, tag, move, delete, search, a draft, folders. What
// it did is read back by another client.
func TestThunderbirdReadsMarksMovesAndDeletes(t *testing.T) {
	rig.Need(t, "dovecot", "thunderbird")
	t.Parallel()
	d := dovecot(t, nil)
	messages := make([][]byte, 30)
	for i := range messages {
		messages[i] = testkit.Message(i)
	}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	p := overTLS(t, "starttls", d)

	b := startThunderbird(t, thunderbirdProfile(t, p))
	b.script(t, nil, `tb.login(...args)`, string(authority(t, p)), devicePw)

	roles := map[string]string{"INBOX": "Inbox", "Archive": "Archive", "Drafts": "Drafts", "Junk": "Junk", "Sent": "SentMail", "Trash": "Trash"}
	var listed map[string]string
	b.script(t, &listed, `return tb.list("INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash")`)
	if fmt.Sprint(listed) != fmt.Sprint(roles) {
		t.Errorf("Thunderbird lists %v, want %v", listed, roles)
	}
	b.script(t, nil, `await tb.open("INBOX", args[0])`, len(messages))
	thunderbirdDownloads(t, b, messages)

	// A POP delivery reaches Thunderbird while it waits in IDLE.
	arrived := testkit.Message(100)
	if err := d.Put("home", arrived); err != nil {
		t.Fatal(err)
	}
	command(t, p, 0, "sync")
	b.script(t, nil, `await tb.counted("INBOX", args[0])`, len(messages)+1)
	b.script(t, nil, `await tb.read("INBOX", args[0])`, messageID(t, arrived))
	must(t, b.Screenshot(artefact(t, "thunderbird.png")))

	thunderbirdChanges(t, b, p, messages, arrived)
	thunderbirdSeesOthers(t, b, p, messages)
	command(t, p, 0, "check")
}

// thunderbirdDownloads compares what Thunderbird keeps for reading offline with
// what was delivered. Its files have two lines of its own on top of each message
// and the line ends of the system.
func thunderbirdDownloads(t *testing.T, b *thunderbird, messages [][]byte) {
	t.Helper()
	var offline [][]byte
	b.script(t, &offline, `return tb.download("INBOX")`)
	own := regexp.MustCompile(`(?m)^X-Mozilla-[A-Za-z0-9]+:.*\n`)
	lf := func(raw []byte) string { return strings.ReplaceAll(string(raw), "\r\n", "\n") }
	got, want := make([]string, 0, len(offline)), make([]string, 0, len(messages))
	for _, raw := range offline {
		got = append(got, own.ReplaceAllString(lf(raw), ""))
	}
	for _, raw := range messages {
		want = append(want, lf(raw))
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(got) != len(want) {
		t.Fatalf("Thunderbird downloaded %d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("a downloaded message is different: %s", firstDifference([]byte(got[i]), []byte(want[i])))
		}
	}
}

// thunderbirdChanges lets Thunderbird change things, and looks at each over IMAP.
func thunderbirdChanges(t *testing.T, b *thunderbird, p *rig.Popbridge, messages [][]byte, arrived []byte) {
	t.Helper()
	id := func(i int) string { return messageID(t, messages[i]) }
	b.script(t, nil, `tb.flag("INBOX", args[0])`, id(4))
	b.script(t, nil, `tb.tag("INBOX", args[0], "$label1")`, id(5))
	thunderbirdFolders(t, b, p)
	// Thunderbird moves in its own folders first, and on the server half a second
	// later. Moves at the same moment all get there, one that is made while it
	// tells of others waits for the next one: docs/clients.md.
	b.script(t, nil, `await Promise.all([
		tb.move("INBOX", args[0], "Archive"), tb.delete("INBOX", args[1]), tb.move("INBOX", args[2], "Entwürfe"),
	])`, id(6), id(7), id(8))
	for mailbox, i := range map[string]int{"Archive": 6, "Trash": 7, "Entwürfe": 8} {
		eventually(t, "the message has come to "+mailbox, func() (bool, error) {
			got := flagsOf(t, p, mailbox)
			_, there := got[sum(messages[i])]
			return there && len(got) == 1, fmt.Errorf("%d messages", len(got))
		})
	}
	b.script(t, nil, `await tb.counted("INBOX", args[0])`, len(messages)-2)
	b.script(t, nil, `await tb.draft("Grüße", "not yet")`)

	eventually(t, "the changes of Thunderbird are there", func() (bool, error) {
		in := flagsOf(t, p, "INBOX")
		nth := func(i int) []imap.Flag { return in[sum(messages[i])] }
		ok := len(in) == len(messages)-2 && sameFlags(nth(4), []imap.Flag{imap.FlagFlagged}) &&
			sameFlags(nth(5), []imap.Flag{"$label1"}) && sameFlags(in[sum(arrived)], []imap.Flag{imap.FlagSeen})
		return ok, fmt.Errorf("%d messages, flags %v, %v, %v", len(in), nth(4), nth(5), in[sum(arrived)])
	})
	if drafts := fetchAll(t, p, "Drafts"); len(drafts) != 1 || !bytes.Contains(drafts[0].body, []byte("not yet")) {
		t.Errorf("Drafts has %d messages, want the one that was written", len(drafts))
	}
	b.script(t, nil, `await tb.emptyTrash()`)
	eventually(t, "the trash is empty", func() (bool, error) {
		n, names := len(fetchAll(t, p, "Trash")), ownFolders(t, p)
		return n == 0 && slices.Equal(names, []string{"Entwürfe"}), fmt.Errorf("%d messages, folders %q", n, names)
	})

	var found []string
	b.script(t, &found, `return tb.search("INBOX", "Body", args[0])`, bodyWord(t, messages[10]))
	if !slices.Contains(found, id(10)) {
		t.Errorf("a search on the server found %v, want %s among them", found, id(10))
	}
}

// thunderbirdFolders makes, renames and deletes folders whose names are not
// ASCII or have an ampersand, which Thunderbird sends as UTF-8 (RFC 6855 section
// 3). The other client looks without UTF8=ACCEPT.
func thunderbirdFolders(t *testing.T, b *thunderbird, p *rig.Popbridge) {
	t.Helper()
	for _, step := range []struct {
		js   string
		sent []string
		want []string
	}{
		{`await tb.create("R&D"); await tb.create("Entwürfe")`,
			[]string{`create "R&D"`, `create "Entwürfe"`}, []string{"Entwürfe", "R&D"}},
		{`await tb.rename("R&D", "Süd & Nord")`,
			[]string{`rename "R&D" "Süd & Nord"`}, []string{"Entwürfe", "Süd & Nord"}},
		{`await tb.deleteFolder("Süd & Nord")`,
			[]string{`rename "Süd & Nord" "Trash/Süd & Nord"`}, []string{"Entwürfe", "Trash/Süd & Nord"}},
	} {
		b.script(t, nil, step.js)
		if got := ownFolders(t, p); !slices.Equal(got, step.want) {
			t.Errorf("after %s: folders %q, want %q", step.js, got, step.want)
		}
		sent, err := b.Sent()
		must(t, err)
		for _, command := range append(step.sent, "ENABLE UTF8=ACCEPT") {
			if !slices.Contains(sent, command) {
				t.Errorf("Thunderbird did not send %s, but %q", command, sent)
			}
		}
	}
}

// ownFolders lists the mailboxes without a role, sorted.
func ownFolders(t *testing.T, p *rig.Popbridge) []string {
	t.Helper()
	c := login(t, p, nil)
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		if !slices.Contains([]string{"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"}, l.Mailbox) {
			names = append(names, l.Mailbox)
		}
	}
	slices.Sort(names)
	return names
}

// thunderbirdSeesOthers changes things elsewhere while Thunderbird is in IDLE.
func thunderbirdSeesOthers(t *testing.T, b *thunderbird, p *rig.Popbridge, messages [][]byte) {
	t.Helper()
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
	store := func(flag imap.Flag, i int) {
		t.Helper()
		data, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-Id", Value: messageID(t, messages[i])}}}, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Store(imap.UIDSetNum(data.AllUIDs()...), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}}, nil).Close(); err != nil {
			t.Fatal(err)
		}
	}
	var before int
	b.script(t, &before, `return tb.messages("INBOX").length`)
	store(imap.FlagFlagged, 12)
	store(imap.FlagDeleted, 13)
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	b.script(t, nil, `
		await tb.counted("INBOX", args[0]);
		await tb.until("the flag of another client", () => tb.message("INBOX", args[1]).isFlagged);
	`, before-1, messageID(t, messages[12]))
}

var (
	idLine   = regexp.MustCompile(`(?mi)^Message-ID: *<([^>]+)>`)
	bodyText = regexp.MustCompile(`(?s)\r\n\r\n.*?\b(w[0-9]{4} w[0-9]{4})\b`)
)

func messageID(t *testing.T, raw []byte) string {
	t.Helper()
	m := idLine.FindSubmatch(raw)
	if m == nil {
		t.Fatalf("no Message-ID in %q", clip(raw))
	}
	return string(m[1])
}

// bodyWord is something to search for that is in the body of a message.
func bodyWord(t *testing.T, raw []byte) string {
	t.Helper()
	m := bodyText.FindSubmatch(raw)
	if m == nil {
		t.Fatalf("no words in %q", clip(raw))
	}
	return string(m[1])
}

// artefact is where a file that people may want to look at goes:
// POPBRIDGE_ARTEFACTS if that is set, else away with the test.
func artefact(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("POPBRIDGE_ARTEFACTS")
	if dir == "" {
		dir = t.TempDir()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
