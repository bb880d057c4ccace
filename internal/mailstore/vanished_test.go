package mailstore

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// vanished writes what Vanished returns as text.
func (r *rig) vanished(mailbox string, after ModSeq) string {
	r.t.Helper()
	box := r.box(mailbox)
	runs, known, err := r.Vanished(r.t.Context(), box.ID, after, box.HighestModSeq)
	must(r.t, err)
	return fmt.Sprint(runs, known)
}

func (r *rig) wantVanished(mailbox string, after ModSeq, want string) {
	r.t.Helper()
	if got := r.vanished(mailbox, after); got != want {
		r.t.Errorf("vanished from %s after %d: %s, want %s", mailbox, after, got, want)
	}
}

func TestWhatWasRemovedIsRemembered(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 9)
	first := r.box("INBOX").HighestModSeq
	r.wantVanished("INBOX", 1, "[] true")
	r.expunge("INBOX", 2, 3, 7)
	second := r.box("INBOX").HighestModSeq
	_, err := r.Move(t.Context(), r.id("INBOX"), []UID{1, 4, 9}, r.id("Trash"))
	must(t, err)
	r.wantVanished("INBOX", first, "[{1 4} {2 3} {7 7} {9 9}] true") // no other message is between 1 and 4
	r.wantVanished("INBOX", second, "[{1 4} {9 9}] true")
	r.wantVanished("INBOX", r.box("INBOX").HighestModSeq, "[] true")
	must(t, r.RenameMailbox(t.Context(), "INBOX", "old"))
	r.wantVanished("INBOX", second+1, "[{5 8}] true")
	r.wantVanished("old", 1, "[] true")
	runs, _, err := r.Vanished(t.Context(), r.id("INBOX"), first, second)
	if err != nil || fmt.Sprint(runs) != "[{2 3} {7 7}]" {
		t.Errorf("up to %d: %v, %v", second, runs, err)
	}
	r.reopen()
	r.wantVanished("INBOX", second+1, "[{5 8}] true")
	must(t, r.RenameMailbox(t.Context(), "old", "older"))
	r.expunge("older", 1)
	r.wantVanished("older", 2, "[{1 1}] true")
	id := r.id("older")
	must(t, r.DeleteMailbox(t.Context(), "older"))
	var left int
	must(t, r.reader.get(t.Context(), `SELECT count(*) FROM vanished WHERE mailbox_id = ?`, []any{id}, &left))
	if left > 0 {
		t.Errorf("%d runs of a deleted mailbox", left)
	}
}

// The oldest removals are forgotten, and known to be.
func TestWhatWasRemovedIsBounded(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 4)
	id, before := r.id("INBOX"), r.box("INBOX").HighestModSeq
	_, err := r.writer.conn.ExecContext(t.Context(), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO vanished SELECT ?, 2 + i, 10 + 2 * i, 10 + 2 * i FROM n`, maxVanished, id)
	must(t, err)
	_, err = r.writer.conn.ExecContext(t.Context(), `UPDATE mailbox SET uidnext = 100000, modseq = ? WHERE id = ?`, 2*maxVanished, id)
	must(t, err)
	r.expunge("INBOX", 1)
	r.expunge("INBOX", 3)
	var left int
	must(t, r.reader.get(t.Context(), `SELECT count(*) FROM vanished`, nil, &left))
	if left > maxVanished {
		t.Errorf("%d runs are left", left)
	}
	var from ModSeq
	must(t, r.reader.get(t.Context(), `SELECT history_from FROM mailbox WHERE id = ?`, []any{id}, &from))
	for after, want := range map[ModSeq]bool{before: false, from - 1: false, from: true} {
		if _, known, err := r.Vanished(t.Context(), id, after, r.box("INBOX").HighestModSeq); err != nil || known != want {
			t.Errorf("after %d, known from %d: %v, %v", after, from, known, err)
		}
	}
}

// An index that was made again, or that is an older one, has higher modification
// sequences than any client was told, also for messages, and knows of no removal.
func TestNoHistoryIsMadeUp(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, r *rig) *rig{
		"rebuild": func(_ *testing.T, r *rig) *rig { r.lose(removeIndex); return r },
		"restore": func(_ *testing.T, r *rig) *rig {
			dir := r.t.TempDir()
			r.backup(dir)
			c, _ := r.restored(dir)
			return c
		},
		"copy put back": func(t *testing.T, r *rig) *rig {
			must(r.t, r.Close())
			early := copyOf(t, r.dir)
			r.open()
			r.expunge("INBOX", 4)
			must(r.t, r.Close())
			o := Options{Now: r.clock.now, Lease: Lease{r.Generation(), r.Generation()}}
			replace(t, r.dir, early)
			s, err := Open(r.t.Context(), r.dir, o)
			must(r.t, err)
			r.Store = s
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newStore(t)
			r.fill("INBOX", 5)
			for range 50 {
				r.flag([]UID{1}, mailflags.Add, `\Flagged`)
				r.flag([]UID{1}, mailflags.Remove, `\Flagged`)
			}
			r.expunge("INBOX", 2)
			before := r.box("INBOX")
			r = lose(t, r)
			after := r.box("INBOX")
			if after.HighestModSeq <= before.HighestModSeq+2 {
				t.Errorf("HIGHESTMODSEQ %d, was %d", after.HighestModSeq, before.HighestModSeq)
			}
			for i, m := range r.view("INBOX").Snapshot().ModSeqs {
				if m <= before.HighestModSeq+2 || m > after.HighestModSeq {
					t.Errorf("message %d has modification sequence %d of %d, was at most %d", i, m, after.HighestModSeq, before.HighestModSeq)
				}
			}
			r.wantVanished("INBOX", before.HighestModSeq, "[] false")
			r.wantVanished("INBOX", after.HighestModSeq, "[] true")
			r.expunge("INBOX", 5)
			r.wantVanished("INBOX", after.HighestModSeq, "[{5 5}] true")
		})
	}
}

// The recovery log alone has enough for a modification sequence above all that were
// given, however many there were since it was begun.
func TestTheRecoveryLogCountsModificationSequences(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 1)
	steps := int64(0)
	_, err := readLog(r.logPath(), func(f fields) error {
		if f.letter == '=' {
			steps++
		}
		return nil
	})
	must(t, err)
	r.flag([]UID{1}, mailflags.Add, "new")
	r.flag([]UID{1}, mailflags.Remove, "new")
	r.lose(removeIndex)
	const gap = 1 << 20
	if got := r.box("INBOX").HighestModSeq; got < ModSeq(gap+steps+2) {
		t.Errorf("HIGHESTMODSEQ %d after %d transactions", got, steps+2)
	}
}

func TestModificationSequencesRise(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 4)
	r.fill("Sent", 1)
	id := func(name string) MailboxID { return r.id(name) }
	ctx := t.Context()
	for _, c := range []struct {
		name  string
		boxes []string // in which it rises
		do    func() error
	}{
		{"flag", []string{"INBOX"}, func() error { r.flag([]UID{1}, mailflags.Add, `\Seen`); return nil }},
		{"the same flag", nil, func() error { r.flag([]UID{1}, mailflags.Add, `\Seen`); return nil }},
		{"keyword", []string{"INBOX"}, func() error { r.flag([]UID{1}, mailflags.Add, "Work"); return nil }},
		{"keyword in other case", nil, func() error { r.flag([]UID{1}, mailflags.Add, "wORK"); return nil }},
		{"the same set", nil, func() error { r.flag([]UID{1}, mailflags.Set, "work", `\Seen`, `\Seen`); return nil }},
		{"absent keyword", nil, func() error { r.flag([]UID{1}, mailflags.Remove, "other"); return nil }},
		{"no such message", nil, func() error { r.flag([]UID{77}, mailflags.Add, "other"); return nil }},
		{"append", []string{"INBOX"}, func() error { r.append("INBOX", 9); return nil }},
		{"copy", []string{"Sent"}, func() error { _, err := r.Copy(ctx, id("INBOX"), []UID{1}, id("Sent")); return err }},
		{"move", []string{"INBOX", "Sent"}, func() error { _, err := r.Move(ctx, id("INBOX"), []UID{2}, id("Sent")); return err }},
		{"move of nothing", nil, func() error { _, err := r.Move(ctx, id("INBOX"), []UID{2}, id("Sent")); return err }},
		{"expunge", []string{"INBOX"}, func() error {
			_, err := r.writer.conn.ExecContext(ctx, `UPDATE message SET system = system | 8 WHERE uid = 3 AND mailbox_id = ?; UPDATE mailbox SET deleted = 1 WHERE id = ?`, id("INBOX"), id("INBOX"))
			must(t, err)
			_, err = r.Expunge(ctx, id("INBOX"), nil)
			return err
		}},
		{"expunge of nothing", nil, func() error { _, err := r.Expunge(ctx, id("INBOX"), nil); return err }},
		{"undelete", []string{"INBOX"}, func() error {
			list, err := r.Expunged(ctx, ExpungedQuery{})
			must(t, err)
			_, err = r.Undelete(ctx, []int64{list[0].ID})
			return err
		}},
		{"rename and back", nil, func() error {
			must(t, r.RenameMailbox(ctx, "Sent", "Gone"))
			return r.RenameMailbox(ctx, "Gone", "Sent")
		}},
		{"recent", nil, func() error { _, _, err := r.view("INBOX").ClaimRecent(ctx); return err }},
		{"rename of INBOX", []string{"INBOX"}, func() error { return r.RenameMailbox(ctx, "INBOX", "Old") }},
	} {
		before := map[string]ModSeq{"INBOX": r.box("INBOX").HighestModSeq, "Sent": r.box("Sent").HighestModSeq}
		must(t, c.do())
		for name, old := range before {
			if now := r.box(name).HighestModSeq; now < old || now > old != slices.Contains(c.boxes, name) {
				t.Errorf("%s: %s goes from %d to %d", c.name, name, old, now)
			}
		}
		var given, generation int64
		must(t, r.reader.get(context.Background(), `SELECT max(modseq), (SELECT value FROM meta WHERE key = 'generation') FROM mailbox`, nil, &given, &generation))
		if given > generation {
			t.Errorf("%s: modification sequence %d is above generation %d", c.name, given, generation)
		}
	}
}

// Flags are stored where no one has changed the message since, decided message by
// message.
func TestFlagsAreStoredWhereNothingChanged(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 5)
	since := r.box("INBOX").HighestModSeq
	r.flag([]UID{2}, mailflags.Add, `\Seen`)
	r.flag([]UID{4}, mailflags.Add, "Work")
	done, left, err := r.SetFlagsUnchanged(t.Context(), r.id("INBOX"), []UID{1, 2, 3, 4, 5, 99}, mailflags.Add, []string{`\Flagged`}, since)
	must(t, err)
	if fmt.Sprint(left) != "[2 4]" || len(done) != 3 || done[0].ModSeq != since+3 {
		t.Errorf("left %v, done %+v", left, done)
	}
	r.want("INBOX", "1 \\Flagged number 1\n2 \\Seen number 2\n3 \\Flagged number 3\n4 Work number 4\n5 \\Flagged number 5")
	_, left, err = r.SetFlagsUnchanged(t.Context(), r.id("INBOX"), []UID{1, 2}, mailflags.Set, nil, 0)
	if err != nil || fmt.Sprint(left) != "[1 2]" || r.box("INBOX").HighestModSeq != since+3 {
		t.Errorf("since 0: left %v, %v", left, err)
	}
	r.want("INBOX", "1 \\Flagged number 1\n2 \\Seen number 2\n3 \\Flagged number 3\n4 Work number 4\n5 \\Flagged number 5")
}

func TestTheSaveDateIsThatOfTheMailbox(t *testing.T) {
	r := newStore(t)
	at := func(minutes int) int64 { return start.Add(time.Duration(minutes) * time.Minute).Unix() }
	pass := func() { r.clock.t = r.clock.t.Add(time.Minute) }
	saved := func(name string) []int64 { return r.view(name).Snapshot().Saved }
	r.fill("INBOX", 3)
	pass()
	_, err := r.Copy(t.Context(), r.id("INBOX"), []UID{1, 3}, r.id("Trash"))
	must(t, err)
	pass()
	_, err = r.Move(t.Context(), r.id("INBOX"), []UID{2}, r.id("Trash"))
	must(t, err)
	pass()
	r.expunge("INBOX", 1)
	list, err := r.Expunged(t.Context(), ExpungedQuery{})
	must(t, err)
	_, err = r.Undelete(t.Context(), []int64{list[0].ID})
	must(t, err)
	check := func(when string) {
		t.Helper()
		if got, want := saved("INBOX"), []int64{at(0), at(3)}; !slices.Equal(got, want) {
			t.Errorf("%s: INBOX %v, want %v", when, got, want)
		}
		if got, want := saved("Trash"), []int64{at(1), at(1), at(2)}; !slices.Equal(got, want) {
			t.Errorf("%s: Trash %v, want %v", when, got, want)
		}
	}
	check("at once")
	pass()
	r.lose(removeIndex)
	check("rebuilt from the log of changes")
	r.reopen() // the log is written from the index
	r.lose(removeIndex)
	check("rebuilt from a fresh log")
}

// Messages from before the save date was kept have none, and removals from then are
// not known.
func TestAnIndexOfAnEarlierVersion(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 3)
	r.expunge("INBOX", 2)
	before := r.box("INBOX")
	must(t, r.Close())
	edit(t, r.indexPath(), withoutSchema5, `DROP TABLE vanished`, `ALTER TABLE mailbox DROP COLUMN history_from`, `ALTER TABLE message DROP COLUMN saved_at`,
		fmt.Sprintf(`PRAGMA user_version = %d`, slices.Index(migrations, schema4)))
	for _, name := range []string{"index.db.schema-1", "index-1.db"} { // of an update before, and of one that was interrupted
		must(t, os.WriteFile(filepath.Join(r.dir, name), nil, 0o600))
	}
	r.open()
	r.wantFormer(slices.Index(migrations, schema4), 2)
	r.append("INBOX", 4)
	if got := r.view("INBOX").Snapshot().Saved; !slices.Equal(got, []int64{0, 0, start.Unix()}) {
		t.Errorf("saved %v", got)
	}
	if got := r.box("INBOX").HighestModSeq; got != before.HighestModSeq+1 {
		t.Errorf("HIGHESTMODSEQ %d, was %d", got, before.HighestModSeq)
	}
	r.wantVanished("INBOX", before.HighestModSeq-1, "[] false")
	r.wantVanished("INBOX", before.HighestModSeq, "[] true")
}

// wantFormer looks at the copy of the index that an update leaves, and at that no other
// copy is left.
func (r *rig) wantFormer(version, messages int) {
	r.t.Helper()
	var names []string
	for _, pattern := range []string{formerPattern, indexPattern} {
		found, err := atomicfile.Match(r.dir, pattern)
		must(r.t, err)
		names = append(names, found...)
	}
	want := filepath.Join(r.dir, fmt.Sprint("index.db.schema-", version))
	if !slices.Equal(names, []string{want}) {
		r.t.Fatalf("copies %q, want %q", names, want)
	}
	db, err := sql.Open("sqlite", dsn(want))
	must(r.t, err)
	defer db.Close()
	var v, n int
	must(r.t, db.QueryRow(`SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM message)`).Scan(&v, &n))
	if v != version || n != messages {
		r.t.Errorf("the copy has version %d and %d messages, want %d and %d", v, n, version, messages)
	}
}

// TestSummariesOfAnEarlierVersion are made again from the messages.
func TestSummariesOfAnEarlierVersion(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 3)
	ids := []ContentID{1, 2, 3}
	before, err := r.Contents(t.Context(), ids, WantFile|wantSummary)
	must(t, err)
	must(t, r.Close())
	edit(t, r.indexPath(), withoutSchema5, fmt.Sprintf(`PRAGMA user_version = %d`, slices.Index(migrations, schema5)))
	r.open()
	_, err = r.Contents(t.Context(), ids, WantFile|wantSummary)
	must(t, err)
	after, err := r.Contents(t.Context(), ids, WantFile|wantSummary) // from the index
	must(t, err)
	if !reflect.DeepEqual(after, before) {
		t.Errorf("contents %+v, were %+v", after, before)
	}
}
