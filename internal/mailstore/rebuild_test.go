package mailstore

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// state writes all that a rebuilt index must have again: everything but the next
// UIDs, modification sequences, counts of recent messages and times of polls.
func (r *rig) state() string {
	r.t.Helper()
	var b strings.Builder
	all, err := r.Mailboxes(r.t.Context())
	must(r.t, err)
	for _, m := range all {
		fmt.Fprintf(&b, "[%s] %d %d %s %v\n%s", m.Name, m.ID, m.UIDValidity, m.SpecialUse, m.Subscribed, r.lines(m.Name))
		p := r.view(m.Name).Snapshot()
		fmt.Fprintln(&b, p.Received, p.Sizes, m.Messages, m.Unseen, m.Deleted, m.Size)
	}
	expunged, err := r.Expunged(r.t.Context(), ExpungedQuery{})
	must(r.t, err)
	for _, e := range expunged {
		fmt.Fprintf(&b, "expunged %+v\n", e)
	}
	for _, account := range []string{"home", "work"} {
		entries, err := r.Ledger(r.t.Context(), account)
		must(r.t, err)
		for _, e := range entries {
			e.LastListedAt, e.Absent = time.Time{}, 0
			fmt.Fprintf(&b, "%+v\n", e)
		}
		st, err := r.AccountState(r.t.Context(), account)
		must(r.t, err)
		fmt.Fprintln(&b, account, st.Stored, st.HadUIDL)
	}
	names, err := r.Subscriptions(r.t.Context())
	must(r.t, err)
	devices, err := r.Devices(r.t.Context())
	must(r.t, err)
	for i := range devices {
		devices[i].LastUsedAt = time.Time{}
	}
	fmt.Fprintln(&b, names, devices)
	return b.String()
}

// lose destroys the index as given and rebuilds it.
func (r *rig) lose(destroy func(path string)) RepairReport {
	r.t.Helper()
	must(r.t, r.Close())
	destroy(filepath.Join(r.dir, "index.db"))
	report, err := Rebuild(r.t.Context(), r.dir, Options{Now: r.clock.now, KeepExpunged: cmp.Or(r.keep, keepExpunged)})
	must(r.t, err)
	r.open()
	return report
}

func removeIndex(path string) { _ = os.Remove(path) }

// busy does some of everything.
func (r *rig) busy() {
	r.create("a/b", "Work")
	for n := 1; n <= 9; n++ {
		r.append("INBOX", n, `\Seen`, "work")
	}
	r.deliver(r.from("home", "A", 20), r.from("home", "B %+ü\"", 21), r.from("work", "", 22), r.from("home", "D", 23))
	r.flag([]UID{1, 3, 5, 6, 7}, mailflags.Add, `\Flagged`, "$Junk")
	r.flag([]UID{2}, mailflags.Set)
	_, err := r.Copy(r.t.Context(), r.id("INBOX"), []UID{1, 2, 5, 9}, r.id("Work"))
	must(r.t, err)
	_, err = r.Move(r.t.Context(), r.id("INBOX"), []UID{6, 7, 10}, r.id("a/b"))
	must(r.t, err)
	_, err = r.Move(r.t.Context(), r.id("INBOX"), []UID{8}, r.id("INBOX"))
	must(r.t, err)
	r.expunge("INBOX", 1, 3, 4, 11)
	r.expunge("Work", 2)
	all, err := r.Expunged(r.t.Context(), ExpungedQuery{Mailbox: "INBOX", Match: "number 3"})
	must(r.t, err)
	_, err = r.Undelete(r.t.Context(), []int64{all[0].ID})
	must(r.t, err)
	r.create("gone/deep")
	r.append("gone/deep", 30)
	must(r.t, r.DeleteMailbox(r.t.Context(), "gone/deep"))
	must(r.t, r.RenameMailbox(r.t.Context(), "a", "Ä (neu)"))
	must(r.t, r.Subscribe(r.t.Context(), "Junk", false))
	must(r.t, r.Subscribe(r.t.Context(), "not there", true))
	must(r.t, r.AddDevice(r.t.Context(), Device{Name: "phone", ReadOnly: true}, "one"))
	must(r.t, r.AddDevice(r.t.Context(), Device{Name: "old", ReadOnly: true}, "two"))
	must(r.t, r.RevokeDevice(r.t.Context(), "old"))
	must(r.t, r.SetAccountState(r.t.Context(), "home", AccountState{HadUIDL: true}))
	must(r.t, r.UpdateLedger(r.t.Context(), "home", []LedgerEntry{{Origin: Origin{"home", "A", 0}, State: DeleteAcked}, {Origin: Origin{"home", "D", 0}, State: Gone}}))
	d := r.from("home", "B2", 21)
	d.Adopt = &Origin{"home", "B %+ü\"", 0}
	r.deliver(d)
}

func TestALostIndexIsRebuiltWithTheSameUIDs(t *testing.T) {
	for name, destroy := range map[string]func(path string){
		"lost":    removeIndex,
		"empty":   func(path string) { _ = os.Truncate(path, 0) },
		"damaged": func(path string) { _ = os.WriteFile(path, []byte(strings.Repeat("this is no index", 1000)), 0o600) },
	} {
		for _, renewed := range []bool{false, true} {
			t.Run(fmt.Sprint(name, renewed), func(t *testing.T) {
				r := newStore(t)
				r.busy()
				if renewed { // as written from the index, not as it grew
					must(t, r.Close())
					must(t, os.Remove(r.logPath()))
					r.open()
				}
				before := r.state()
				boxes, err := r.Mailboxes(t.Context())
				must(t, err)
				must(t, r.Close())
				destroy(filepath.Join(r.dir, "index.db"))
				r.refused(fault.Corrupt)
				if _, err := Open(t.Context(), r.dir, Options{}); !strings.Contains(fault.Hint(err), "popbridge check --repair") {
					t.Errorf("the hint is %q", fault.Hint(err))
				}
				report := r.lose(destroy)
				if !report.Rebuilt || len(report.Left) > 0 || report.Recovered > 0 || report.Wanted > 0 {
					t.Errorf("report %+v", report)
				}
				equal(t, "after", r.state(), before)
				for _, old := range boxes {
					if m := r.box(old.Name); m.UIDNext < old.UIDNext+1000 || m.HighestModSeq <= old.HighestModSeq {
						t.Errorf("mailbox %+v, was %+v", m, old)
					}
				}
				if _, err := r.Authenticate(t.Context(), "one"); err != nil {
					t.Error(err)
				}
				for _, d := range []Delivery{r.from("home", "A", 20), r.from("home", "B2", 21), r.from("work", "", 22)} {
					if out := r.deliver(d); !out[0].Duplicate {
						t.Errorf("%+v came twice", d.Origin)
					}
				}
				r.append("INBOX", 40)
				r.reopen()
			})
		}
	}
}

func TestARebuiltIndexIsTheSameASecondTime(t *testing.T) {
	r := newStore(t)
	r.busy()
	r.lose(removeIndex)
	r.append("INBOX", 41)
	r.expunge("INBOX", 2)
	before := r.state()
	r.lose(removeIndex)
	equal(t, "after", r.state(), before)
}

func TestPurgedMailDoesNotComeBackWithANewIndex(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1), r.from("home", "B", 2))
	r.expunge("INBOX", 1, 2)
	r.undelete(ExpungedQuery{Match: "number 2"})
	r.clock.t = start.Add(2 * keepExpunged)
	must(t, r.Purge(t.Context()))
	before := r.state()
	if report := r.lose(removeIndex); report.Recovered != 0 {
		t.Errorf("report %+v", report)
	}
	equal(t, "after", r.state(), before)
	equal(t, "ledger", r.removed("home"), "A-0s, B")
}

func TestWithoutALogTheMailIsStillThere(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1), r.from("home", "B", 2))
	must(t, r.AddDevice(t.Context(), Device{Name: "phone", ReadOnly: true}, "one"))
	old := r.box("INBOX").UIDValidity
	r.clock.t = start.Add(time.Minute)
	report := r.lose(func(path string) { removeIndex(path); removeIndex(r.logPath()) })
	if report.Recovered != 2 {
		t.Errorf("report %+v", report)
	}
	if m := r.box("INBOX"); m.UIDValidity <= old || m.Messages != 0 {
		t.Errorf("INBOX %+v", m)
	}
	if got := r.box(recovered); got.Messages != 2 {
		t.Errorf("recovered %+v", got)
	}
	if out := r.deliver(r.from("home", "A", 1)); !out[0].Duplicate {
		t.Error("doubled")
	}
	must(t, r.Close())
	if _, err := os.Stat(filepath.Join(r.dir, "damaged")); err == nil {
		t.Error("there was nothing to move aside")
	}
	r.open()
}

// Every line of the log is damaged in turn; under the race detector one of each
// kind is, the others wait for a run without it.
func TestADamagedLogLosesOnlyWhatItSaid(t *testing.T) {
	for name, damage := range map[string]func(line string) string{
		"torn": func(line string) string { return line[:len(line)/2] },
		"none": func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newStore(t)
			r.busy()
			must(t, r.Close())
			log, err := os.ReadFile(r.logPath())
			must(t, err)
			r.open()
			uids := r.lines("Work")
			lines := strings.SplitAfter(string(log), "\n")
			kinds := map[string]bool{}
			for i, line := range lines {
				kind, _, _ := strings.Cut(line, " ")
				if !rounds.Long() && kinds[kind] {
					continue
				}
				kinds[kind] = true
				cut := strings.Join(lines[:i], "") + damage(line) + strings.Join(lines[i+1:], "")
				r.lose(func(path string) {
					removeIndex(path)
					must(t, os.WriteFile(r.logPath(), []byte(cut), 0o600))
				})
				r.clean()
				there := r.messages()
				for l := range strings.Lines(uids) {
					if message := l[strings.LastIndex(l, "number"):]; !there[message] {
						t.Errorf("line %d %q: lost %s", i, line, l)
					}
				}
			}
		})
	}
}

// messages are the subjects of all that is in a mailbox or was expunged: of
// those a copy may be lost, the message is not.
func (r *rig) messages() map[string]bool {
	r.t.Helper()
	all, err := r.Mailboxes(r.t.Context())
	must(r.t, err)
	lines := r.bin(ExpungedQuery{}) + "\n"
	for _, m := range all {
		lines += r.lines(m.Name)
	}
	there := map[string]bool{}
	for l := range strings.Lines(lines) {
		there[l[max(0, strings.LastIndex(l, "number")):]] = true
	}
	return there
}

func TestAnIndexThatIsAnOldCopyIsRefused(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	must(t, r.Close())
	path := filepath.Join(r.dir, "index.db")
	old, err := os.ReadFile(path)
	must(t, err)
	r.open()
	r.append("INBOX", 2)
	must(t, r.Close())
	must(t, os.WriteFile(path, old, 0o600))
	r.refused(fault.Corrupt)
	f, err := os.OpenFile(r.logPath(), os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = f.WriteString("A 1 torn")
	must(t, errors.Join(err, f.Close()))
	r.refused(fault.Corrupt)
	_, err = Rebuild(t.Context(), r.dir, Options{Now: r.clock.now})
	must(t, err)
	r.open()
	r.want("INBOX", "1  number 1\n2  number 2")
}

func TestALogThatLagsIsRewritten(t *testing.T) {
	for name, disturb := range map[string]func(r *rig){
		"disk full": func(r *rig) {
			r.hook = func(step string) error {
				if step == "log" {
					return syscall.ENOSPC
				}
				return nil
			}
			r.append("INBOX", 2)
			r.hook = nil
			r.append("INBOX", 3)
		},
		"another program": func(r *rig) {
			r.sql(`INSERT INTO subscription (name) VALUES ('x')`)
			r.sql(`UPDATE meta SET value = value + 1 WHERE key = 'log'`)
			r.append("INBOX", 2)
		},
		"lost":    func(r *rig) { must(r.t, r.Close()); removeIndex(r.logPath()); r.open() },
		"torn":    func(r *rig) { must(r.t, r.Close()); must(r.t, os.Truncate(r.logPath(), 200)); r.open() },
		"one end": func(r *rig) { r.append("INBOX", 2); must(r.t, r.Close()); r.cutLog(1); r.open() },
	} {
		for _, how := range []string{"purge", "reopen"} {
			t.Run(name+" "+how, func(t *testing.T) {
				r := newStore(t)
				r.append("INBOX", 1)
				disturb(r)
				if how == "purge" {
					must(t, r.Purge(t.Context()))
				} else {
					r.reopen()
				}
				r.append("INBOX", 4)
				before := r.state()
				if report := r.lose(removeIndex); report.Recovered > 0 || len(report.Left) > 0 {
					t.Errorf("report %+v", report)
				}
				equal(t, "after", r.state(), before)
			})
		}
	}
}

// cutLog cuts n bytes off the end of the log.
func (r *rig) cutLog(n int64) {
	info, err := os.Stat(r.logPath())
	must(r.t, err)
	must(r.t, os.Truncate(r.logPath(), info.Size()-n))
}

func TestTheLogDoesNotGrowForEver(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 5)
	for i := range 400 {
		r.flag([]UID{1, 3, 5}, mailflags.Op(1+i%2), `\Flagged`)
	}
	before, err := os.Stat(r.logPath())
	must(t, err)
	must(t, r.Purge(t.Context()))
	after, err := os.Stat(r.logPath())
	must(t, err)
	if after.Size() > 2000 || before.Size() < 4*after.Size() {
		t.Errorf("%d bytes, then %d", before.Size(), after.Size())
	}
	r.lose(removeIndex)
	r.want("INBOX", "1  number 1\n2  number 2\n3  number 3\n4  number 4\n5  number 5")
}

func TestTheLogCostsLessThan150BytesForAMessage(t *testing.T) {
	r := newStore(t)
	const n = 200
	size := func() int64 {
		info, err := os.Stat(r.logPath())
		must(t, err)
		return info.Size()
	}
	before := size()
	for i := range n / 10 {
		var batch []Delivery
		for k := range 10 {
			batch = append(batch, r.from("home", fmt.Sprintf("UID%08d-1447345614", i*10+k), i*10+k))
		}
		r.deliver(batch...)
	}
	if each := (size() - before) / n; each > 150 {
		t.Errorf("%d bytes for each message", each)
	} else {
		t.Logf("%d bytes for each message", each)
	}
	must(t, r.Close())
	must(t, os.Remove(r.logPath()))
	r.open()
	t.Logf("%d when rewritten", size()/n)
}

func FuzzLogLine(f *testing.F) {
	var l lines
	l.line('A', int64(1), "a b+ü", Hash{7}, true)
	f.Add(strings.TrimSuffix(string(l.buf), "\n"))
	f.Add("F 1 1:2,5 ")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parseLine(s)
		if !ok {
			p = fields{rest: strings.Split(s, " ")}
		}
		q := p
		p.number()
		p.text()
		p.hash()
		for _, r := range q.ranges() {
			if !q.bad && r.first > r.last {
				t.Errorf("%q: range %+v", s, r)
			}
		}
	})
}
