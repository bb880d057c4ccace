package mailstore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// repair repairs the store and returns the report with the codes of what was
// repaired and left, sorted, each once.
func (r *rig) repair() (rep RepairReport, repaired, left string) {
	r.t.Helper()
	rep, err := r.Repair(r.t.Context(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	codes := func(problems []Problem) string {
		var out []string
		for _, p := range problems {
			out = append(out, p.Code)
		}
		slices.Sort(out)
		return strings.Join(slices.Compact(out), " ")
	}
	return rep, codes(rep.Repaired), codes(rep.Left)
}

func (r *rig) flip(h Hash) {
	data := r.read(h)
	data[20] ^= 1
	must(r.t, os.WriteFile(r.path(h), data, 0o600))
}

func TestRepairCorrectsTheIndex(t *testing.T) {
	for _, c := range []struct{ name, damage, repaired string }{
		{"messages", `UPDATE mailbox SET messages = messages + 1`, "wrong-count"},
		{"all counts", `UPDATE mailbox SET messages = 0, unseen = 9, deleted = 7, recent = 3, size = 1`, "wrong-count"},
		{"uidnext", `UPDATE mailbox SET uidnext = 1`, "wrong-next"},
		{"modseq", `UPDATE mailbox SET modseq = 1`, "wrong-next"},
		{"history", `INSERT INTO vanished (mailbox_id, modseq, first, last) VALUES (1, 1, 2, 2)`, "wrong-history"},
		{"removals", `INSERT INTO vanished (mailbox_id, modseq, first, last) VALUES (1, 99, 7, 7)`, "wrong-history"},
		{"recent", `UPDATE mailbox SET recent_from = 99, recent = 0`, "wrong-next"},
		{"uidvalidity", `UPDATE meta SET value = 1 WHERE key = 'uidvalidity'`, "wrong-uidvalidity"},
		{"message size", `UPDATE message SET size = size + 1`, "wrong-count wrong-size"},
		{"content size", `UPDATE content SET size = size + 1`, "missing-file wrong-size"},
		{"orphans", `UPDATE content SET orphaned_at = 5`, "wrong-orphan"},
		{"keywords", `UPDATE message SET keywords = 77`, "missing-keywords"},
		{"no inbox", `UPDATE mailbox SET name = 'outbox' WHERE name = 'INBOX'`, "missing-mailbox"},
		{"dangling summary", `PRAGMA foreign_keys = 0; INSERT INTO envelope VALUES (77, 1, x'00'); INSERT INTO header VALUES (78, 1, x'00'); INSERT INTO structure VALUES (79, 1, x'00'); PRAGMA foreign_keys = 1`, "index-reference"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newStore(t)
			r.fill("INBOX", 3)
			v := r.view("INBOX")
			before := r.box("INBOX")
			_, err := r.writer.conn.ExecContext(t.Context(), c.damage)
			must(t, err)
			rep, repaired, left := r.repair()
			if repaired != c.repaired || left != "" || rep.Wanted+rep.Recovered != 0 || rep.Aside != "" {
				t.Errorf("repaired %q, want %q; report %+v", repaired, c.repaired, rep)
			}
			after, err := r.Mailbox(t.Context(), v.Snapshot().Mailbox.Name)
			must(t, err)
			before.Name, before.Subscribed = after.Name, after.Subscribed
			if again := strings.Fields("modseq keywords history removals"); slices.Contains(again, c.name) != (after.HighestModSeq > before.HighestModSeq) {
				t.Errorf("modification sequence %d, was %d", after.HighestModSeq, before.HighestModSeq)
			}
			before.HighestModSeq = after.HighestModSeq
			if !strings.Contains(c.name, "recent") && after != before {
				t.Errorf("mailbox %+v, was %+v", after, before)
			}
			r.fresh(v)
			r.clean()
		})
	}
}

func TestRepairBringsBackWhatOnlyTheIndexLost(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 3)
	r.append("Sent", 4)
	r.expunge("Sent", 1)
	r.sql(`DELETE FROM message WHERE uid = 2`)
	r.sql(`UPDATE content SET orphaned_at = NULL`)
	rep, repaired, left := r.repair()
	if repaired != "wrong-count wrong-orphan" || left != "" || rep.Recovered != 1 {
		t.Errorf("report %+v", rep)
	}
	r.want("INBOX", "1  number 1\n3  number 3")
	r.want(recovered, "1  number 2")
	equal(t, "expunged", r.bin(ExpungedQuery{}), "Sent 1 number 4")
}

func TestADamagedFileIsMovedAsideAndFetchedAgain(t *testing.T) {
	for name, damage := range map[string]func(r *rig){
		"changed":   func(r *rig) { r.flip(hash1) },
		"truncated": func(r *rig) { must(r.t, os.Truncate(r.path(hash1), 10)) },
		"missing":   func(r *rig) { must(r.t, os.Remove(r.path(hash1))) },
		"a folder":  func(r *rig) { must(r.t, os.Remove(r.path(hash1))); must(r.t, os.Mkdir(r.path(hash1), 0o700)) },
		"damaged before": func(r *rig) {
			r.flip(hash1)
			must(r.t, os.MkdirAll(filepath.Join(r.dir, "damaged", filepath.Base(r.path(hash1))), 0o700))
		},
		"expunged before": func(r *rig) { r.expunge("INBOX", 1); r.flip(hash1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newStore(t)
			r.deliver(r.from("home", "A", 1), r.from("home", "B", 2))
			damage(r)
			rep, repaired, left := r.repair()
			if repaired != "" || left != map[bool]string{true: "missing-file", false: "changed-file"}[name == "missing"] || rep.Wanted != 1 {
				t.Errorf("report %+v", rep)
			}
			if rep.Aside == "" != (name == "missing") {
				t.Errorf("moved to %q", rep.Aside)
			}
			if got := r.removed("home"); !strings.HasPrefix(got, "A") || !strings.Contains(got, "wanted, B") {
				t.Errorf("ledger %s", got)
			}
			if got := strings.Join(r.codes(), " "); got != "missing-file" {
				t.Errorf("check finds %q", got)
			}
			if m := r.box("INBOX"); name != "expunged before" && m.Messages != 2 {
				t.Errorf("mailbox %+v", m)
			}
			if out := r.deliver(r.from("home", "A", 1)); !out[0].Duplicate {
				t.Errorf("delivered twice: %+v", out)
			}
			if got := string(r.read(hash1)); got != text(1) || strings.Contains(r.removed("home"), "wanted") {
				t.Errorf("file %q, ledger %s", got, r.removed("home"))
			}
			if name != "expunged before" {
				r.want("INBOX", "1  number 1\n2  number 2")
			}
		})
	}
}

func TestAWantedFileThatIsPutBackByHand(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1))
	must(t, os.Rename(r.path(hash1), filepath.Join(r.dir, "aside")))
	r.repair()
	equal(t, "ledger", r.removed("home"), "A wanted")
	must(t, os.Rename(filepath.Join(r.dir, "aside"), r.path(hash1)))
	if _, repaired, left := r.repair(); repaired != "missing-file" || left != "" {
		t.Errorf("repaired %q, left %q", repaired, left)
	}
	equal(t, "ledger", r.removed("home"), "A")
}

func (r *rig) stray(n int) {
	h := hashOf(text(n))
	must(r.t, os.WriteFile(r.path(h), []byte(text(n)), 0o600))
}

func TestAFileInNoIndexIsNeitherLostNorDoubled(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1))
	r.stray(2)
	r.stray(3)
	must(t, os.WriteFile(r.path(Hash{1}), []byte("not what its name says"), 0o600))
	rep, repaired, left := r.repair()
	if repaired != "orphan-file" || left != "" || rep.Recovered != 2 || rep.Aside == "" || len(rep.Repaired) != 3 {
		t.Errorf("report %+v", rep)
	}
	if got := r.lines(recovered); !strings.Contains(got, "number 2") || !strings.Contains(got, "number 3") {
		t.Errorf("recovered %s", got)
	}
	r.clean()
	// The server still had one of them.
	if out := r.deliver(r.from("home", "B", 2)); !out[0].Duplicate {
		t.Errorf("doubled: %+v", out)
	}
	// The same bytes a second time are a second message, as ever.
	if out := r.deliver(r.from("home", "C", 2)); out[0].Duplicate {
		t.Errorf("lost: %+v", out)
	}
	equal(t, "ledger", r.removed("home"), "A, B, C")
	r.want("INBOX", "1  number 1\n2  number 2")
	if rep, repaired, left := r.repair(); repaired+left != "" {
		t.Errorf("the second repair finds %+v", rep)
	}
}

func TestAFileOfARemovedMessageDoesNotComeBackByItself(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1))
	r.expunge("INBOX", 1)
	r.clock.t = start.Add(2 * keepExpunged)
	must(t, r.Purge(t.Context()))
	r.stray(1)
	if rep, repaired, _ := r.repair(); repaired != "orphan-file" || rep.Recovered != 0 {
		t.Errorf("report %+v", rep)
	}
	equal(t, "ledger", r.removed("home"), fmt.Sprint("A-", 2*keepExpunged))
	equal(t, "undeleted", r.undelete(ExpungedQuery{}), recovered+" 1")
	r.clean()
	r.expunge(recovered, 1)
	r.clock.t = start.Add(4 * keepExpunged)
	must(t, r.Purge(t.Context()))
	r.clean()
}

func TestRepairLeavesWorkUnderWayAlone(t *testing.T) {
	r := newStore(t)
	b := r.batch(1)
	must(t, b.Place(t.Context()))
	if rep, repaired, left := r.repair(); repaired+left != "" {
		t.Errorf("report %+v", rep)
	}
	b.End(false, false)
	must(t, os.RemoveAll(filepath.Join(r.dir, "mail", "00")))
	_, err := r.Repair(t.Context(), nil)
	wantKind(t, err, fault.Temporary)
	must(t, os.Mkdir(filepath.Join(r.dir, "mail", "00"), 0o700))
}
