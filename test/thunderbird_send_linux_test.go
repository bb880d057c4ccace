package test

import (
	"bytes"
	"context"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/test/rig"
)

// A person sends with Thunderbird, which client-setup has set up: a message that was a
// draft first, an answer, one while the provider cannot be reached, and 20 MB. All of it
// arrives as Thunderbird wrote it, and Sent has each once.
func TestThunderbirdSends(t *testing.T) {
	rig.Need(t, "thunderbird", "certutil")
	t.Parallel()
	w := newWayOut(t, "starttls")
	w.isAsked(t)
	b := w.thunderbird(t)
	b.script(t, nil, `await tb.openAccount(...args)`, devicePw, 1)

	// The password is asked for once for sending, and kept.
	b.script(t, nil, `
		const w = await tb.write();
		tb.fill(w, { to: "bob@example.org", bcc: "carol@example.org", subject: "first", text: "From here\n.\nGrüße\n" });
		await tb.saveDraft(w);
		await tb.send(w, tb.answer(args[0]));
	`, devicePw)
	w.arrivedAsSent(t, 1, "first")

	b.script(t, nil, `
		const w = await tb.write("INBOX", "question@example.org");
		tb.fill(w, { text: "At five.\n" });
		await tb.send(w);
	`)
	w.hasAnswered(t, w.arrivedAsSent(t, 2, "Re: a question"))

	w.postfix.Halt()
	b.script(t, nil, `
		const w = await tb.write();
		tb.fill(w, { to: "bob@example.org", subject: "offline", text: "later\n" });
		await tb.send(w);
		await tb.list("Outbox");
		await tb.open("Outbox", 1);
	`)
	must(t, b.Screenshot(artefact(t, "thunderbird-outbox.png")))
	// What leaves a folder while Thunderbird fetches from it, it passes over: docs/clients.md.
	eventually(t, "Thunderbird has read Outbox", func() (bool, error) { return b.HasRead("Outbox") })
	must(t, w.postfix.Resume(context.WithoutCancel(t.Context())))
	command(t, w.Popbridge, 0, "sync") // shows that the provider is back
	w.arrivedAsSent(t, 3, "offline")
	b.script(t, nil, `
		await tb.open("INBOX", 1);
		await tb.open("Outbox", 0); // where all its connections are busy, it is told of none there
	`)

	large := make([]byte, 20<<20)
	for i, random := 0, rand.New(rand.NewPCG(1, 2)); i < len(large); i++ {
		large[i] = byte(random.Uint32())
	}
	file := filepath.Join(w.Dir, "large.bin")
	must(t, os.WriteFile(file, large, 0o600))
	b.script(t, nil, `
		const w = await tb.write();
		await tb.fill(w, { to: "bob@example.org", subject: "large", text: "attached\n", file: args[0] });
		await tb.send(w, tb.accept("the question whether so much is to be sent"));
	`, file)
	if got := attached(w.arrivedAsSent(t, 4, "large")); !bytes.Equal(got, large) {
		t.Errorf("the attachment has arrived with %d bytes, not as it was", len(got))
	}
	if n := w.count(t, "Drafts"); n != 0 {
		t.Errorf("%d messages in Drafts", n)
	}
	if n := b.saved(t, "Sent"); n != 4 {
		t.Errorf("Thunderbird has saved %d copies of its own, want 4", n)
	}
	command(t, w.Popbridge, 0, "check")
}

// What is written before Thunderbird has the list of folders is on the server, too, and
// not in its Local Folders.
func TestThunderbirdSendsBeforeItHasTheFolders(t *testing.T) {
	rig.Need(t, "thunderbird", "certutil")
	t.Parallel()
	w := newWayOut(t, "starttls")
	w.isAsked(t)
	b := w.thunderbird(t)
	b.script(t, nil, `
		tb.account.incomingServer.password = args[0];
		MailServices.outgoingServer.servers[0].password = args[0];
		const w = await tb.write();
		tb.fill(w, { to: "bob@example.org", subject: "early", text: "before the folders\n" });
		await tb.saveDraft(w);
		await tb.send(w);
	`, devicePw)
	w.arrivedAsSent(t, 1, "early")
	for _, mailbox := range []string{"Drafts", "Sent"} {
		if n := b.saved(t, mailbox); n != 1 {
			t.Errorf("Thunderbird has saved %d messages in %s", n, mailbox)
		}
	}
	var folders string
	b.script(t, &folders, `const i = tb.account.defaultIdentity; return i.draftsFolderURI + " " + i.fccFolderURI`)
	if want := "imap://ann@127.0.0.1/Drafts imap://ann@127.0.0.1/Sent"; folders != want {
		t.Errorf("saves in %s, want %s", folders, want)
	}
}

// saved counts what Thunderbird has saved in a mailbox itself.
func (b *thunderbird) saved(t *testing.T, mailbox string) (n int) {
	t.Helper()
	commands, err := b.Sent()
	must(t, err)
	for _, c := range commands {
		if strings.HasPrefix(c, `append "`+mailbox+`"`) {
			n++
		}
	}
	return n
}

// thunderbird starts a Thunderbird that client-setup has set up.
func (w *wayOut) thunderbird(t *testing.T) *thunderbird {
	t.Helper()
	home := t.TempDir()
	w.Env = append(w.Env, "HOME="+home)
	command(t, w.Popbridge, 0, "client-setup", "--thunderbird")
	profile := filepath.Join(home, ".thunderbird", "popbridge")
	write(t, filepath.Join(profile, "user.js"), rig.ThunderbirdAutomation)
	trust(t, w.Popbridge, profile)
	return startThunderbirdAt(t, "thunderbird", home, profile)
}

// attached decodes what a message has in base64.
func attached(raw []byte) []byte {
	_, raw, _ = bytes.Cut(raw, []byte("\r\nContent-Transfer-Encoding: base64"))
	_, raw, _ = bytes.Cut(raw, []byte("\r\n\r\n"))
	raw, _, _ = bytes.Cut(raw, []byte("\r\n--"))
	decoded, _ := base64.StdEncoding.AppendDecode(nil, bytes.ReplaceAll(raw, []byte("\r\n"), nil))
	return decoded
}
