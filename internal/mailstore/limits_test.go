package mailstore

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/message"
)

// TestKeywordsHaveALimit: of one message, of all, and of their sets. What is over
// is refused as a whole; mail that arrives with too many arrives without them.
func TestKeywordsHaveALimit(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 1)
	inbox := r.box("INBOX").ID
	words := func(from, n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("k%d", from+i))
		}
		return list
	}
	set := func(names []string) error {
		_, err := r.SetFlags(t.Context(), inbox, []UID{1}, mailflags.Set, names)
		return err
	}
	must(t, set(words(0, mailflags.MaxWords)))
	if err := set(words(0, mailflags.MaxWords+1)); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("%d keywords of one message: %v", mailflags.MaxWords+1, err)
	}
	for from := 0; from < mailflags.MaxKeywords; from += mailflags.MaxWords {
		must(t, set(words(from, mailflags.MaxWords)))
	}
	if err := set([]string{"another"}); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("%d keywords: %v", mailflags.MaxKeywords+1, err)
	}
	must(t, set([]string{"k7", `\Seen`}))
	sp, err := r.Spool(t.Context(), strings.NewReader("Subject: x\r\n\r\nx\r\n"))
	must(t, err)
	done, err := r.Deliver(t.Context(), []Delivery{{Mailbox: inbox, Message: sp, Flags: []string{"another", `\Seen`}}})
	if err != nil || len(done) != 1 {
		t.Errorf("mail with too many keywords: %v, %v", done, err)
	}
}

// TestMailboxesAndSubscriptionsHaveALimit: that of the clients, not of accounts.
func TestMailboxesAndSubscriptionsHaveALimit(t *testing.T) {
	r := newStore(t)
	const series = `WITH RECURSIVE series (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series WHERE value < ?) `
	must(t, r.write(t.Context(), "fill", func(tx *tx) error {
		return errors.Join(
			tx.exec(series+`INSERT INTO mailbox (name, uidvalidity) SELECT 'm' || value, value FROM series`, maxMailboxes-len(defaultMailboxes)),
			tx.exec(series+`INSERT INTO subscription (name) SELECT 's' || value FROM series`, maxSubscriptions-len(defaultMailboxes)),
		)
	}))
	if _, err := r.CreateMailbox(t.Context(), "one too many", ""); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("CREATE: %v", err)
	}
	if err := r.RenameMailbox(t.Context(), "m1", "a/b/c"); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("RENAME: %v", err)
	}
	if err := r.Subscribe(t.Context(), "one too many", true); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("SUBSCRIBE: %v", err)
	}
	must(t, r.Subscribe(t.Context(), "s1", false))
	if _, err := r.EnsureMailbox(t.Context(), "of an account"); err != nil {
		t.Errorf("the folder of an account: %v", err)
	}
}

// TestASpecialUseIsGivenOnce, whatever was made, renamed, deleted, brought back or
// rebuilt.
func TestASpecialUseIsGivenOnce(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	uses := func() map[string]string {
		boxes, err := r.Mailboxes(ctx)
		must(t, err)
		found := map[string]string{}
		for _, b := range boxes {
			if b.SpecialUse == "" {
				continue
			}
			if found[b.SpecialUse] != "" {
				t.Errorf("%s and %s are both %s", found[b.SpecialUse], b.Name, b.SpecialUse)
			}
			found[b.SpecialUse] = b.Name
		}
		return found
	}
	if _, err := r.CreateMailbox(ctx, "Other", `\Sent`); !errors.Is(err, ErrSpecialUse) {
		t.Errorf("a second \\Sent: %v", err)
	}
	must(t, r.RenameMailbox(ctx, "Sent", "Old/Sent"))
	if _, err := r.CreateMailbox(ctx, "Sent", `\Sent`); !errors.Is(err, ErrSpecialUse) {
		t.Errorf("a second \\Sent after RENAME: %v", err)
	}
	must(t, r.DeleteMailbox(ctx, "Trash"))
	_, err := r.CreateMailbox(ctx, "Bin", `\Trash`)
	must(t, err)
	want := map[string]string{`\Archive`: "Archive", `\Drafts`: "Drafts", `\Junk`: "Junk", `\Sent`: "Old/Sent", `\Trash`: "Bin"}
	if got := uses(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("special uses %v, want %v", got, want)
	}
	must(t, r.write(ctx, "a line as an earlier version may have written it", func(tx *tx) error {
		tx.log.line('M', int64(99), int64(99), int64(1), int64(1), "Twice", `\Sent`)
		return tx.exec(`INSERT INTO mailbox (id, uidvalidity, name) VALUES (99, 99, 'Twice')`)
	}))
	r.lose(func(path string) { must(t, os.Remove(path)) })
	if got := uses(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("special uses after a rebuild %v, want %v", got, want)
	}
	if got := r.box("Twice").SpecialUse; got != "" {
		t.Errorf("a second mailbox is %s after a rebuild", got)
	}
}

// TestSpecialUsesOfAnOlderStore: where two mailboxes had the same, the first keeps
// it.
func TestSpecialUsesOfAnOlderStore(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	for _, step := range append(migrations[:2:2],
		`INSERT INTO mailbox (name, special_use, uidvalidity) VALUES ('a', '\Sent', 1), ('b', '', 2), ('c', '\Sent', 3), ('d', '', 4)`, migrations[2]) {
		_, err := db.Exec(step)
		must(t, err)
	}
	var got string
	must(t, db.QueryRow(`SELECT group_concat(name || special_use, ' ') FROM mailbox`).Scan(&got))
	if got != `a\Sent b c d` {
		t.Errorf("after the migration: %s", got)
	}
}

// TestLargeSummariesStayInTheFile: the index keeps a bounded piece of each
// message, and one answer has a bounded number of these; the rest is Cut, and read
// from the file.
func TestLargeSummariesStayInTheFile(t *testing.T) {
	r := newStore(t)
	subject := strings.Repeat("word ", 10_000)
	parts := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: text/plain; name=x\r\n\r\nx\r\n", 2000) + "--b--\r\n"
	store := func(mailbox string, texts ...string) []ContentID {
		t.Helper()
		var batch []Delivery
		for _, text := range texts {
			batch = append(batch, Delivery{Mailbox: r.id(mailbox), Message: r.spool(text)})
		}
		r.deliver(batch...)
		return r.view(mailbox).Snapshot().Contents
	}
	ids := store("INBOX", "Subject: "+subject+"\r\n\r\nx\r\n", "Subject: many parts\r\n"+parts, "Subject: small\r\n\r\nx\r\n")
	check := func(what string) {
		t.Helper()
		contents, err := r.Contents(t.Context(), ids, WantEnvelope|WantBody|WantHeader)
		must(t, err)
		for i := range contents {
			c := &contents[i]
			if cut := i < 2; c.Cut != cut || c.Cut && (c.Size == 0 || c.Hash == Hash{}) {
				t.Errorf("%s, message %d: %+v", what, i+1, c)
			}
			if c.Summary.Header.Size == 0 {
				t.Errorf("%s, message %d: the header is not kept", what, i+1)
			}
		}
		for i, want := range []string{strings.TrimSpace(subject), "many parts", "small"} {
			if got := r.Envelope(&contents[i]).Subject(); got != want {
				t.Errorf("%s, message %d: subject of %d octets, want %d", what, i+1, len(got), len(want))
			}
		}
		if only, err := r.Contents(t.Context(), ids[1:2], WantEnvelope); err != nil || only[0].Cut {
			t.Errorf("%s: the envelope of a message with many parts: %+v, %v", what, only[0], err)
		}
	}
	check("new")
	var most int
	must(t, r.reader.get(t.Context(), `SELECT max(length(e.data) + length(s.data)) FROM envelope e JOIN structure s USING (content_id)`, nil, &most))
	if most > 2*keptPiece {
		t.Errorf("the index keeps %d octets", most)
	}

	// Many that are almost as large as may be, in one answer, with every octet.
	var texts []string
	for i := range contentChunk {
		texts = append(texts, fmt.Sprintf("Subject: %d \x00\xff %s\r\n\r\nx\r\n", i, strings.Repeat("word ", keptPiece/8)))
	}
	contents, err := r.Contents(t.Context(), store("Archive", texts...), WantEnvelope|WantStructure|WantHeader)
	must(t, err)
	for i := range contents {
		c, want := contents[i].Summary, message.Parse(strings.NewReader(texts[i]), int64(len(texts[i])))
		if contents[i].Cut || !bytes.Equal(c.Envelope, want.Envelope) || !bytes.Equal(c.Structure, want.Structure) || c.Root == nil {
			t.Errorf("message %d: %+v", i, contents[i])
		}
	}
}
