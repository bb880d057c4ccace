package localimap

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// TestModelParallel lets six clients and the POP side work at the same time,
// without waiting for each other. What a client is told must fit together, and
// whenever all of them pause, every client knows what is in the store.
//
// IMAP_MODEL_ROUNDS=100 makes it longer; IMAP_MODEL_SEED=n begins with the round
// of that seed.
func TestModelParallel(t *testing.T) {
	t.Parallel()
	rounds, seed := 3, rand.Uint64()
	if s := os.Getenv("IMAP_MODEL_ROUNDS"); s != "" {
		rounds, _ = strconv.Atoi(s) // 0 where it is no number
	}
	if s := os.Getenv("IMAP_MODEL_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64) // likewise
	}
	fresh := freshStores(t)
	for i := range rounds {
		playParallel(t, fresh(), seed+uint64(i))
	}
}

// crowd is one round.
type crowd struct {
	r      *rig
	actors []*actor

	mu     sync.Mutex
	bodies map[messageID]string // what each message says, by all who have read it
	recent map[messageID]string // which SELECT was told it as \Recent
	made   int
}

type messageID struct{ validity, uid uint32 }

// actor is a client of the crowd.
type actor struct {
	*mirror
	*rand.Rand
	crowd    *crowd
	trace    strings.Builder
	validity uint32 // of the selected mailbox; 0: none
	selects  int
	err      error
}

// wireError ends the work of an actor.
type wireError struct{ error }

func playParallel(t *testing.T, dir string, seed uint64) {
	w := &crowd{r: openRig(t, dir), bodies: make(map[messageID]string), recent: make(map[messageID]string)}
	for i := range 6 {
		a := &actor{crowd: w, Rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		fail := func(format string, args ...any) { panic(wireError{fmt.Errorf(format, args...)}) }
		note := func(format string, args ...any) { fmt.Fprintf(&a.trace, format+"\n", args...) }
		a.mirror = &mirror{name: string(rune('A' + i)), device: "pw", rev2: i == 4, note: note, fail: fail}
		if i == 5 {
			a.device = "pw-read"
		}
		w.actors = append(w.actors, a)
	}
	w.together(t, seed, func(a *actor) { a.connect(w.r.addr); a.open() })
	for range 4 {
		var delivered sync.WaitGroup
		delivered.Go(w.deliver)
		w.together(t, seed, func(a *actor) {
			for range 40 {
				a.act()
			}
		})
		delivered.Wait()
		w.together(t, seed, (*actor).settle)
		w.together(t, seed, (*actor).compare) // nothing changes any more
	}
	w.together(t, seed, func(a *actor) { a.logout(); _ = a.conn.Close() })
	if err := w.r.close(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

// together lets all actors do something and waits for them.
func (w *crowd) together(t *testing.T, seed uint64, do func(*actor)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, a := range w.actors {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					we, ok := v.(wireError)
					if !ok {
						panic(v)
					}
					a.err = we
				}
			}()
			do(a)
		})
	}
	wg.Wait()
	for _, a := range w.actors {
		if a.err != nil {
			t.Errorf("seed %d: %v\n%s", seed, a.err, tailOf(a.trace.String()))
		}
	}
	if t.Failed() {
		_ = w.r.close() // there are clients left
		t.FailNow()
	}
}

func tailOf(s string) string { return s[max(0, len(s)-8000):] }

// deliver is the POP side, with an undelete now and then.
func (w *crowd) deliver() {
	for i := range 12 {
		w.r.deliver("INBOX", nil, w.text(), w.text())
		if list, err := w.r.store.Expunged(context.Background(), mailstore.ExpungedQuery{Limit: 3}); err == nil && i%4 == 0 {
			for _, e := range list {
				_, _ = w.r.store.Undelete(context.Background(), []int64{e.ID}) // it may be gone
			}
		}
	}
}

func (w *crowd) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	return fmt.Sprintf("Subject: s%d\r\n\r\ntext%d\r\n", w.made, w.made)
}

// same: a UID stands for one message for ever.
func (w *crowd) same(id messageID, body string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.bodies[id]; ok && old != body {
		return fmt.Errorf("UID %d of %d was %q and is %q", id.uid, id.validity, old, body)
	}
	w.bodies[id] = body
	return nil
}

func (w *crowd) claim(id messageID, who string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.recent[id]; ok && old != who {
		return fmt.Errorf("UID %d of %d is \\Recent for %s and was for %s", id.uid, id.validity, who, old)
	}
	w.recent[id] = who
	return nil
}

func (a *actor) one(of ...string) string { return of[a.IntN(len(of))] }

// must fails unless err is nil.
func (a *actor) must(err error) {
	if err != nil {
		a.fail("%v", err)
	}
}

// say sends a command. Others may have removed what it is about, but it is never
// wrong.
func (a *actor) say(line string, literal ...string) *reply {
	r := a.command(line, literal...)
	if r.status == "BAD" {
		a.fail("%s answered BAD", line)
	}
	return a.noted(r)
}

// noted compares what a reply says about messages with what others were told.
func (a *actor) noted(r *reply) *reply {
	for _, f := range r.fetches {
		if body, ok := f.items["BODY[]"]; ok && f.uid != 0 {
			a.must(a.crowd.same(messageID{a.validity, f.uid}, body.text))
		}
		if f.recent && f.uid != 0 && !a.readOnly {
			a.must(a.crowd.claim(messageID{a.validity, f.uid}, fmt.Sprint(a.name, a.selects)))
		}
	}
	return r
}

func (a *actor) open() {
	a.validity, a.list, a.keywords, a.recent = 0, nil, make(map[string]bool), 0
	verb := a.one("SELECT", "SELECT", "SELECT", "EXAMINE")
	a.readOnly = verb == "EXAMINE" || a.device == "pw-read"
	a.selects++
	r := a.say(verb + " " + a.one("INBOX", "INBOX", "INBOX", "a", "a/b"))
	if v := r.codes("UIDVALIDITY"); r.ok() && len(v) == 1 {
		n, err := strconv.ParseUint(v[0], 10, 32)
		a.must(err)
		a.validity = uint32(n)
	}
}

// set returns some of the messages the client knows.
func (a *actor) set() (set string, indices []int) {
	if a.IntN(5) == 0 {
		return "1:*", indicesOf(len(a.list))
	}
	from := a.IntN(len(a.list))
	to := min(len(a.list)-1, from+a.IntN(3))
	return fmt.Sprintf("%d:%d", to+1, from+1), indicesOf(len(a.list))[from : to+1]
}

// act does one random thing.
func (a *actor) act() {
	if a.idle != "" {
		a.noted(a.done())
	}
	box := a.one("INBOX", "INBOX", "a", "a/b", "Trash")
	if n := a.IntN(40); n < 8 || a.validity == 0 {
		switch n {
		case 0, 1:
			a.open()
		case 2:
			a.say("CREATE " + a.one("a/b", "a/b", "c"))
		case 3:
			a.say("DELETE " + a.one("a/b", "a", "c"))
		case 4:
			a.say("RENAME " + a.one("INBOX a", "a c", "c a", "a/b c"))
		case 5:
			a.say("STATUS " + box + " (MESSAGES UNSEEN)")
		case 6:
			a.say(`LIST "" *`)
		default:
			a.append(box)
		}
		return
	}
	if len(a.list) == 0 || a.IntN(6) == 0 {
		if a.IntN(2) == 0 {
			a.startIdle()
		} else {
			a.say("NOOP")
		}
		return
	}
	a.actOnMessages(box)
}

func (a *actor) append(box string) {
	text := a.crowd.text()
	r := a.say("APPEND "+box+a.one("", ` (\Seen)`, " (Kept)"), text)
	if id := r.codes("APPENDUID"); r.ok() && len(id) == 2 {
		a.must(a.crowd.same(messageID{numbers(id[0])[0], numbers(id[1])[0]}, text))
	}
}

func (a *actor) actOnMessages(box string) {
	set, indices := a.set()
	switch a.IntN(12) {
	case 0, 1, 2:
		names := a.one(`\Seen`, `\Flagged $Work`, `\Deleted`, `\Deleted`, "Later", "")
		op, silent := a.one("+", "+", "-", ""), a.IntN(2) == 0
		line := fmt.Sprintf("STORE %s %sFLAGS%s (%s)", set, op, map[bool]string{true: ".SILENT"}[silent], names)
		a.noted(a.store(line, op, flagsOf(names), silent, indices))
	case 3:
		a.say("FETCH " + set + " (UID FLAGS)")
	case 4:
		a.say("FETCH " + set + " (UID FLAGS BODY.PEEK[])")
	case 5:
		a.say("FETCH " + set + " (UID BODY[])")
	case 6:
		a.say("UID FETCH 1:* FLAGS")
	case 7:
		a.say("EXPUNGE")
	case 8:
		a.say(a.one("SEARCH UNSEEN", "SEARCH RETURN (SAVE) DELETED", "SEARCH TEXT text1"))
	case 9:
		a.say(a.one("UID STORE $ +FLAGS.SILENT (Later)", "UID EXPUNGE 1:*", "UID FETCH $ FLAGS"))
		a.say("FETCH 1:* (UID FLAGS)") // what the first of them has changed
	default:
		a.copied(a.say(a.one("COPY ", "MOVE ") + set + " " + box))
	}
}

// copied: a copy says what its source says.
func (a *actor) copied(r *reply) {
	id := r.codes("COPYUID")
	if id == nil {
		return
	}
	from, to := numbers(id[1]), numbers(id[2])
	if len(from) != len(to) || len(from) == 0 {
		a.fail("COPYUID %v", id)
	}
	for i := range from {
		a.crowd.mu.Lock()
		body, ok := a.crowd.bodies[messageID{a.validity, from[i]}]
		a.crowd.mu.Unlock()
		if ok {
			a.must(a.crowd.same(messageID{numbers(id[0])[0], to[i]}, body))
		}
	}
}

// settle brings the client up to date.
func (a *actor) settle() {
	if a.idle != "" {
		a.noted(a.done())
	}
}

// compare: what the client believes after NOOP, and then what it is told by a
// FETCH of everything, is what the store has.
func (a *actor) compare() {
	if a.validity == 0 {
		return
	}
	a.say("NOOP")
	want := a.crowd.truth(a.validity)
	if len(a.list) != len(want) {
		a.fail("%s counts %d messages, there are %d", a.name, len(a.list), len(want))
	}
	uids := slices.Sorted(maps.Keys(want))
	for i, e := range a.list {
		if e.uid != 0 && e.uid != uids[i] || e.known && e.flags != want[uids[i]] {
			a.fail("%s believes that number %d is UID %d with %q; it is %d with %q", a.name, i+1, e.uid, e.flags, uids[i], want[uids[i]])
		}
	}
	if len(a.list) == 0 {
		return
	}
	a.say("FETCH 1:* (UID FLAGS BODY.PEEK[])")
	for i, e := range a.list {
		if e.uid != uids[i] || e.flags != want[uids[i]] {
			a.fail("%s was told that number %d is UID %d with %q; it is %d with %q", a.name, i+1, e.uid, e.flags, uids[i], want[uids[i]])
		}
	}
}

// truth returns the messages of a mailbox with their flags, none where it was
// deleted.
func (w *crowd) truth(validity uint32) map[uint32]flagSet {
	list := make(map[uint32]flagSet)
	boxes, err := w.r.store.Mailboxes(context.Background())
	if err != nil {
		w.r.t.Errorf("mailboxes: %v", err)
	}
	for _, b := range boxes {
		if b.UIDValidity != validity {
			continue
		}
		v, err := w.r.store.OpenView(context.Background(), b.ID)
		if err != nil {
			w.r.t.Errorf("open %s: %v", b.Name, err)
			return list
		}
		defer v.Close()
		now := v.Snapshot()
		for i, uid := range now.UIDs {
			list[uint32(uid)] = flagsOf(w.r.store.FlagNames(now.Flags[i])...)
		}
	}
	return list
}
