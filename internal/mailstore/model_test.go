package mailstore

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/mailflags"
)

func init() {
	// Each step of the model syncs files; a hundred runs are for those who ask.
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
}

// modelBox is what a mailbox must be, kept in the simplest way.
type modelBox struct {
	id       MailboxID
	validity uint32
	next     UID
	messages []modelMessage
	view     *View
}

type modelMessage struct {
	uid   UID
	n     int // which test message
	flags map[string]bool
}

// model compares a store with a map of mailboxes.
type model struct {
	*rig
	rt       *rapid.T
	boxes    map[string]*modelBox
	validity uint32          // the highest given
	origins  map[string]bool // stored from the POP server
	expunged int             // messages that can be undeleted
}

var modelFlags = []string{`\Seen`, `\Deleted`, `\Flagged`, "work", "$Junk"}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		must(t, err)
		m := &model{rig: &rig{t: t, clock: &clock{start}, dir: filepath.Join(dir, "ann")}, rt: rt,
			boxes: map[string]*modelBox{}, origins: map[string]bool{}}
		m.open()
		defer func() { must(t, m.Close()) }()
		all, err := m.Mailboxes(t.Context())
		must(t, err)
		slices.SortFunc(all, func(a, b Mailbox) int { return int(a.ID - b.ID) })
		for _, b := range all {
			m.learn(b.Name)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":         func(*rapid.T) { m.compare() },
			"deliver":  m.deliverSome,
			"fetch":    m.fetch,
			"flag":     m.flagSome,
			"copy":     func(rt *rapid.T) { m.transfer(rt, false) },
			"move":     func(rt *rapid.T) { m.transfer(rt, true) },
			"expunge":  m.expunge,
			"create":   m.createOne,
			"rename":   m.rename,
			"delete":   m.remove,
			"reopen":   func(*rapid.T) { m.restart() },
			"rebuild":  func(*rapid.T) { m.rebuild() },
			"restore":  func(*rapid.T) { m.restore() },
			"undelete": m.undelete,
			"purge":    func(*rapid.T) { m.purge() },
		})
		m.restart()
		m.compare()
		m.clean()
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

// learn takes a mailbox that was just made into the model.
func (m *model) learn(name string) {
	b := m.box(name)
	if b.UIDValidity <= m.validity || b.UIDNext != 1 || b.Messages != 0 {
		m.rt.Fatalf("new mailbox %+v after UIDVALIDITY %d", b, m.validity)
	}
	m.validity = b.UIDValidity
	m.boxes[name] = &modelBox{id: b.ID, validity: b.UIDValidity, next: 1}
	m.look(name)
}

func (m *model) look(name string) {
	v, err := m.OpenView(m.t.Context(), m.boxes[name].id)
	must(m.t, err)
	m.boxes[name].view = v
}

func (m *model) restart() {
	m.reopen()
	for name := range m.boxes {
		m.look(name)
	}
}

func (m *model) pickBox(rt *rapid.T, label string) *modelBox {
	return m.boxes[rapid.SampledFrom(slices.Sorted(maps.Keys(m.boxes))).Draw(rt, label)]
}

// pickUIDs draws some UIDs of a mailbox and some that it does not have.
func (b *modelBox) pickUIDs(rt *rapid.T) []UID {
	return rapid.SliceOfN(rapid.Map(rapid.IntRange(-2, len(b.messages)), func(i int) UID {
		if i < 0 || i == len(b.messages) {
			return max(b.next, 2) - UID(i&1)
		}
		return b.messages[i].uid
	}), 0, 12).Draw(rt, "uids")
}

func (b *modelBox) add(n int, flags map[string]bool) UID {
	b.messages = append(b.messages, modelMessage{b.next, n, flags})
	b.next++
	return b.next - 1
}

func (b *modelBox) take(keep func(modelMessage) bool) (taken []modelMessage) {
	left := []modelMessage{}
	for _, msg := range b.messages {
		if keep(msg) {
			left = append(left, msg)
		} else {
			taken = append(taken, msg)
		}
	}
	b.messages = left
	return taken
}

func drawFlags(rt *rapid.T) map[string]bool {
	out := map[string]bool{}
	for _, f := range rapid.SliceOfN(rapid.SampledFrom(modelFlags), 0, 3).Draw(rt, "flags") {
		out[f] = true
	}
	return out
}

func (m *model) deliverSome(rt *rapid.T) {
	var batch []Delivery
	var want []UID
	for range rapid.IntRange(1, 4).Draw(rt, "count") {
		b, n, flags := m.pickBox(rt, "box"), rapid.IntRange(1, 9).Draw(rt, "n"), drawFlags(rt)
		batch = append(batch, Delivery{Mailbox: b.id, Message: m.spool(text(n)), Flags: slices.Collect(maps.Keys(flags))})
		want = append(want, b.add(n, flags))
	}
	for i, d := range m.deliver(batch...) {
		if d.UID != want[i] {
			rt.Fatalf("delivered as %d, want %d", d.UID, want[i])
		}
	}
}

func (m *model) fetch(rt *rapid.T) {
	n := rapid.IntRange(1, 9).Draw(rt, "n")
	d := m.from("home", fmt.Sprint(n), n)
	known := m.origins[d.Origin.UIDL]
	if out := m.deliver(d)[0]; out.Duplicate != known {
		rt.Fatalf("delivered %+v, known %v", out, known)
	}
	if !known {
		m.boxes["INBOX"].add(n, map[string]bool{})
		m.origins[d.Origin.UIDL] = true
	}
}

func (m *model) flagSome(rt *rapid.T) {
	b, flags, op := m.pickBox(rt, "box"), drawFlags(rt), mailflags.Op(rapid.IntRange(0, 2).Draw(rt, "op"))
	uids := b.pickUIDs(rt)
	got, err := m.SetFlags(m.t.Context(), b.id, uids, op, slices.Collect(maps.Keys(flags)))
	must(m.t, err)
	for _, msg := range b.messages {
		if !slices.Contains(uids, msg.uid) {
			continue
		}
		if op == mailflags.Set {
			clear(msg.flags)
		}
		for f := range flags {
			if op == mailflags.Remove {
				delete(msg.flags, f)
			} else {
				msg.flags[f] = true
			}
		}
		if len(got) == 0 || got[0].UID != msg.uid || m.flags(got[0].Flags) != msg.text() {
			rt.Fatalf("answer %+v, want uid %d with %s", got, msg.uid, msg.text())
		}
		got = got[1:]
	}
	if len(got) > 0 {
		rt.Fatalf("answers for what is not there: %+v", got)
	}
}

func (m *model) transfer(rt *rapid.T, move bool) {
	src, dst := m.pickBox(rt, "from"), m.pickBox(rt, "to")
	uids := src.pickUIDs(rt)
	do := m.Copy
	if move {
		do = m.Move
	}
	got, err := do(m.t.Context(), src.id, uids, dst.id)
	must(m.t, err)
	var picked []modelMessage
	for _, msg := range src.messages {
		if slices.Contains(uids, msg.uid) {
			picked = append(picked, msg)
		}
	}
	if move {
		src.take(func(msg modelMessage) bool { return !slices.Contains(uids, msg.uid) })
	}
	var from, to []UID
	for _, msg := range picked {
		from = append(from, msg.uid)
		to = append(to, dst.add(msg.n, maps.Clone(msg.flags)))
	}
	if got.UIDValidity != dst.validity || !slices.Equal(got.From, from) || !slices.Equal(got.To, to) {
		rt.Fatalf("answer %+v, want %v to %v", got, from, to)
	}
}

func (m *model) expunge(rt *rapid.T) {
	b := m.pickBox(rt, "box")
	var uids []UID
	if rapid.Bool().Draw(rt, "some") {
		uids = append([]UID{}, b.pickUIDs(rt)...)
	}
	got, err := m.Expunge(m.t.Context(), b.id, uids)
	must(m.t, err)
	var want []UID
	for _, msg := range b.take(func(msg modelMessage) bool {
		return !msg.flags[`\Deleted`] || uids != nil && !slices.Contains(uids, msg.uid)
	}) {
		want = append(want, msg.uid)
	}
	m.expunged += len(want)
	if !slices.Equal(got, want) {
		rt.Fatalf("expunged %v, want %v", got, want)
	}
}

func drawName(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "ab", "b", "b/a", "Sent/2026"}).Draw(rt, "name")
}

// learnParents takes what CREATE and RENAME made above name into the model, top
// down, as they are made.
func (m *model) learnParents(name string) {
	for i, c := range name {
		if up := name[:i]; c == '/' && m.boxes[up] == nil {
			m.learn(up)
		}
	}
}

func (m *model) createOne(rt *rapid.T) {
	name := drawName(rt)
	_, err := m.CreateMailbox(m.t.Context(), name, "")
	if (err != nil) != (m.boxes[name] != nil) {
		rt.Fatalf("create %s: %v", name, err)
	}
	if err == nil {
		m.learnParents(name)
		m.learn(name)
	}
}

func (m *model) rename(rt *rapid.T) {
	from, to := drawName(rt), drawName(rt)
	if rapid.IntRange(0, 3).Draw(rt, "inbox") == 0 {
		from = "INBOX"
	}
	err := m.RenameMailbox(m.t.Context(), from, to)
	if (err == nil) != (m.boxes[from] != nil && m.boxes[to] == nil && !strings.HasPrefix(to, from+"/")) {
		rt.Fatalf("rename %s to %s: %v", from, to, err)
	}
	if err != nil {
		return
	}
	m.learnParents(to)
	if from == "INBOX" {
		b := m.box(to)
		dst := &modelBox{id: b.ID, validity: b.UIDValidity, next: 1}
		m.validity = max(m.validity, b.UIDValidity)
		for _, msg := range m.boxes["INBOX"].take(func(modelMessage) bool { return false }) {
			dst.add(msg.n, msg.flags)
		}
		m.boxes[to] = dst
		m.look(to)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.boxes)) {
		if name == from || strings.HasPrefix(name, from+"/") {
			m.boxes[to+name[len(from):]] = m.boxes[name]
			delete(m.boxes, name)
		}
	}
}

func (m *model) remove(rt *rapid.T) {
	name := drawName(rt)
	parent := slices.ContainsFunc(slices.Collect(maps.Keys(m.boxes)), func(n string) bool { return strings.HasPrefix(n, name+"/") })
	err := m.DeleteMailbox(m.t.Context(), name)
	if (err == nil) != (m.boxes[name] != nil && !parent) {
		rt.Fatalf("delete %s: %v", name, err)
	}
	if err == nil {
		if !m.boxes[name].view.Gone() {
			rt.Fatalf("the view of %s does not know that it is gone", name)
		}
		m.expunged += len(m.boxes[name].messages)
		delete(m.boxes, name)
	}
}

func (m *model) undelete(rt *rapid.T) {
	list, err := m.Expunged(m.t.Context(), ExpungedQuery{Limit: rapid.IntRange(1, 3).Draw(rt, "limit")})
	must(m.t, err)
	slices.Reverse(list) // they come back in the order of their ids
	for _, e := range list {
		back, err := m.Undelete(m.t.Context(), []int64{e.ID, e.ID})
		must(m.t, err)
		if len(back) != 1 || back[0].Mailbox != e.Mailbox {
			rt.Fatalf("%+v came back as %+v", e, back)
		}
		if m.boxes[e.Mailbox] == nil {
			m.learnUndeleted(e.Mailbox)
		}
		b := m.boxes[e.Mailbox]
		snap := m.view(e.Mailbox).Snapshot()
		flags, n := map[string]bool{}, 0
		for _, f := range m.FlagNames(snap.Flags[len(snap.Flags)-1]) {
			flags[f] = true
		}
		if _, err := fmt.Sscanf(e.Subject, "number %d", &n); err != nil || flags[`\Deleted`] || b.add(n, flags) != back[0].UID {
			rt.Fatalf("%+v came back as %+v, %v, %v", e, back, flags, err)
		}
		m.expunged--
	}
}

// learnUndeleted takes a mailbox that was made for a message into the model.
func (m *model) learnUndeleted(name string) {
	m.learnParents(name)
	b := m.box(name)
	m.validity = max(m.validity, b.UIDValidity)
	m.boxes[name] = &modelBox{id: b.ID, validity: b.UIDValidity, next: 1}
	m.look(name)
}

func (m *model) purge() {
	m.clock.t = m.clock.t.Add(keepExpunged + 2*keepOrphans)
	must(m.t, m.Purge(m.t.Context())) // what was expunged
	m.clock.t = m.clock.t.Add(2 * keepOrphans)
	must(m.t, m.Purge(m.t.Context()))
	m.expunged = 0
}

// rebuild loses the index.
func (m *model) rebuild() {
	must(m.t, m.Close())
	must(m.t, os.Remove(m.indexPath()))
	report, err := Rebuild(m.t.Context(), m.dir, Options{Now: m.clock.now})
	must(m.t, err)
	if report.Recovered > 0 || report.Wanted > 0 || len(report.Left) > 0 {
		m.rt.Fatalf("rebuilt: %+v", report)
	}
	m.leapt()
}

// restore brings the backup up to date and goes on with a store made from it.
func (m *model) restore() {
	backup := filepath.Join(filepath.Dir(m.dir), "backup")
	_, err := m.Backup(m.t.Context(), backup, BackupOptions{})
	must(m.t, err)
	must(m.t, m.Close())
	must(m.t, os.RemoveAll(m.dir))
	report, err := Restore(m.t.Context(), backup, m.dir, RestoreOptions{})
	must(m.t, err)
	if len(report.Missing) > 0 {
		m.rt.Fatalf("restored: %+v", report)
	}
	m.leapt()
}

// leapt opens a store whose UIDNEXT have risen.
func (m *model) leapt() {
	m.open()
	for name, b := range m.boxes {
		got := m.box(name)
		if got.UIDNext < b.next {
			m.rt.Fatalf("%s: UIDNEXT was %d and is %d", name, b.next, got.UIDNext)
		}
		b.next = got.UIDNext
		m.look(name)
	}
	m.clean()
}

func (msg modelMessage) text() string {
	return strings.Join(slices.Sorted(maps.Keys(msg.flags)), " ")
}

func (m *model) flags(f mailflags.Flags) string {
	return strings.Join(slices.Sorted(slices.Values(m.FlagNames(f))), " ")
}

// compare holds the store against the model: through the views that were open
// all the time, and through what a new scan gives.
func (m *model) compare() {
	all, err := m.Mailboxes(m.t.Context())
	must(m.t, err)
	if list, err := m.Expunged(m.t.Context(), ExpungedQuery{}); err != nil || len(list) != m.expunged {
		m.rt.Fatalf("%d expunged, want %d, %v", len(list), m.expunged, err)
	}
	if len(all) != len(m.boxes) {
		m.rt.Fatalf("mailboxes %s, want %v", m.names(), slices.Sorted(maps.Keys(m.boxes)))
	}
	for _, got := range all {
		b := m.boxes[got.Name]
		if b == nil || got.ID != b.id || got.UIDValidity != b.validity || got.UIDNext != b.next {
			m.rt.Fatalf("mailbox %+v, want %+v", got, b)
		}
		m.fresh(b.view)
		p := b.view.Snapshot()
		contents, err := m.Contents(m.t.Context(), p.Contents, WantFile)
		must(m.t, err)
		if p.Mailbox != got || len(p.UIDs) != len(b.messages) {
			m.rt.Fatalf("%s has %d messages, want %d; %+v and %+v", got.Name, len(p.UIDs), len(b.messages), p.Mailbox, got)
		}
		unseen := uint32(0)
		for i, msg := range b.messages {
			if p.UIDs[i] != msg.uid || m.flags(p.Flags[i]) != msg.text() || contents[i].Hash != hashOf(text(msg.n)) {
				m.rt.Fatalf("%s: message %d is uid %d %s, want %+v", got.Name, i, p.UIDs[i], m.flags(p.Flags[i]), msg)
			}
			if !msg.flags[`\Seen`] {
				unseen++
			}
		}
		if got.Unseen != unseen {
			m.rt.Fatalf("%s: %d unseen, want %d", got.Name, got.Unseen, unseen)
		}
	}
}
