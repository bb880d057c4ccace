package localimap

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// TestModelOfResync: a client that keeps what it knows of two mailboxes, learns of
// changes only by SELECT (QRESYNC ...), CHANGEDSINCE and VANISHED, and is cut off at
// any moment, knows the truth each time that it has caught up: whatever others did
// meanwhile, after restarts, after a restore of an older backup, and after the index
// was made again.
func TestModelOfResync(t *testing.T) {
	t.Parallel()
	fresh := freshStores(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir := fresh()
		defer func() { _ = os.RemoveAll(dir) }() // all of them go at the end
		w := &resyncWorld{T: rt, t: t, dir: dir, c: &keeper{kept: map[string]*kept{}}}
		w.open()
		defer func() {
			if err := w.r.close(); err != nil {
				rt.Error(err)
			}
		}()
		w.c.w = w
		w.deliver("INBOX", 5)
		w.deliver("Trash", 2)
		w.catchUp()
		rt.Repeat(w.actions())
		w.catchUp()
		w.c.cut()
	})
}

// resyncWorld is the store with all that others do to it.
type resyncWorld struct {
	*rapid.T
	t      *testing.T
	dir    string
	r      *rig
	c      *keeper
	trace  strings.Builder
	made   int
	backup string // "": there is none
	lease  mailstore.Lease
	ticks  atomic.Int64
	copies int
}

func (w *resyncWorld) note(format string, args ...any) {
	fmt.Fprintf(&w.trace, format+"\n", args...)
}

func (w *resyncWorld) failf(format string, args ...any) {
	w.Fatalf("%s\n%s", fmt.Sprintf(format, args...), w.trace.String())
}

func (w *resyncWorld) ok(err error) {
	if err != nil {
		w.failf("%v", err)
	}
}

func (w *resyncWorld) deliver(name string, n int) {
	w.note("# %d messages come into %s", n, name)
	var texts []string
	for range n {
		w.made++
		texts = append(texts, fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", w.made, w.made))
	}
	w.r.deliver(name, nil, texts...)
}

// truth is what is in a mailbox: the flags by UID.
func (w *resyncWorld) truth(name string) (mailstore.Mailbox, map[uint32]flagSet) {
	box, err := w.r.store.Mailbox(context.Background(), name)
	w.ok(err)
	v, err := w.r.store.OpenView(context.Background(), box.ID)
	w.ok(err)
	defer v.Close()
	all := map[uint32]flagSet{}
	s := v.Snapshot()
	for i, uid := range s.UIDs {
		all[uint32(uid)] = flagsOf(w.r.store.FlagNames(s.Flags[i])...)
	}
	return s.Mailbox, all
}

// some draws UIDs of messages that are there, and perhaps one that is not.
func (w *resyncWorld) some(name string) (mailstore.MailboxID, []mailstore.UID) {
	box, all := w.truth(name)
	var uids []mailstore.UID
	for _, uid := range slices.Sorted(maps.Keys(all)) {
		if rapid.IntRange(0, 2).Draw(w.T, "this") == 0 {
			uids = append(uids, mailstore.UID(uid))
		}
	}
	return box.ID, append(uids, 4000000000)
}

func (w *resyncWorld) name() string {
	return rapid.SampledFrom([]string{"INBOX", "INBOX", "Trash"}).Draw(w.T, "mailbox")
}

func (w *resyncWorld) setFlags(name string) {
	id, uids := w.some(name)
	op := rapid.SampledFrom([]mailflags.Op{mailflags.Add, mailflags.Remove, mailflags.Set}).Draw(w.T, "op")
	flags := rapid.SampledFrom([][]string{{`\Seen`}, {`\Deleted`}, {"Work", `\Flagged`}, {"work"}, nil}).Draw(w.T, "flags")
	w.note("# %s: flags %d %v of %v", name, op, flags, uids)
	_, err := w.r.store.SetFlags(context.Background(), id, uids, op, flags)
	w.ok(err)
}

func (w *resyncWorld) expunge(name string) {
	id, uids := w.some(name)
	w.note("# %s: %v are expunged", name, uids)
	_, err := w.r.store.SetFlags(context.Background(), id, uids, mailflags.Add, []string{`\Deleted`})
	w.ok(err)
	_, err = w.r.store.Expunge(context.Background(), id, uids)
	w.ok(err)
}

func (w *resyncWorld) transfer(name string) {
	id, uids := w.some(name)
	to, _ := w.truth(w.name())
	do, how := w.r.store.Copy, "copied"
	if rapid.Bool().Draw(w.T, "move") {
		do, how = w.r.store.Move, "moved"
	}
	w.note("# %s: %v are %s to %s", name, uids, how, to.Name)
	_, err := do(context.Background(), id, uids, to.ID)
	w.ok(err)
}

func (w *resyncWorld) undelete() {
	list, err := w.r.store.Expunged(context.Background(), mailstore.ExpungedQuery{Limit: 2})
	w.ok(err)
	for _, e := range list {
		w.note("# UID %d comes back to %s", e.UID, e.Mailbox)
		_, err := w.r.store.Undelete(context.Background(), []int64{e.ID})
		w.ok(err)
	}
}

// again opens what is in the folder of the store after do.
func (w *resyncWorld) again(what string, do func() error) {
	w.note("# %s", what)
	w.c.cut()
	if at := w.r.store.Generation(); w.lease.To >= at { // as the agent does when it ends
		w.lease = mailstore.Lease{From: at, To: at}
	}
	w.ok(w.r.close())
	w.ok(do())
	w.open()
}

// open opens the store with what is known of it elsewhere.
func (w *resyncWorld) open() {
	w.r = openRigWith(w.t, w.dir, w.options())
	if at := w.r.store.Generation(); w.lease.To < at {
		w.lease = mailstore.Lease{From: at, To: at}
	}
}

func (w *resyncWorld) options() mailstore.Options {
	now := func() time.Time { // later each time: UIDVALIDITY follows the clock
		return time.Now().Add(time.Duration(w.ticks.Add(1)) * time.Minute)
	}
	return mailstore.Options{Log: zerolog.Nop(), Now: now, Lease: w.lease, Extend: func(_ string, l mailstore.Lease) { w.lease = l }}
}

func (w *resyncWorld) actions() map[string]func(*rapid.T) {
	ctx := context.Background()
	all := map[string]func(*rapid.T){
		"deliver":  func(*rapid.T) { w.deliver(w.name(), rapid.IntRange(1, 3).Draw(w.T, "n")) },
		"transfer": func(*rapid.T) { w.transfer(w.name()) },
		"undelete": func(*rapid.T) { w.undelete() },
		"recreate": func(*rapid.T) {
			w.note("# Trash is another mailbox")
			w.ok(w.r.store.DeleteMailbox(ctx, "Trash"))
			_, err := w.r.store.CreateMailbox(ctx, "Trash", "")
			w.ok(err)
		},
		"swap": func(*rapid.T) {
			w.note("# Trash is what was in INBOX")
			w.ok(w.r.store.DeleteMailbox(ctx, "Trash"))
			w.ok(w.r.store.RenameMailbox(ctx, "INBOX", "Trash"))
		},
		"restart": func(*rapid.T) { w.again("a restart", func() error { return nil }) },
		"rebuild": func(*rapid.T) {
			w.again("the index is made again", func() error {
				_ = os.Remove(filepath.Join(w.dir, "index.db"))
				_, err := mailstore.Rebuild(ctx, w.dir, w.options())
				return err
			})
		},
		"backup": func(*rapid.T) {
			w.copies++
			w.backup = filepath.Join(filepath.Dir(w.dir), fmt.Sprintf("%s-backup%d", filepath.Base(w.dir), w.copies))
			w.note("# a backup")
			_, err := w.r.store.Backup(ctx, w.backup, mailstore.BackupOptions{})
			w.ok(err)
		},
		"restore": func(*rapid.T) {
			if w.backup == "" {
				return
			}
			w.again("the backup is restored", func() error {
				if err := os.RemoveAll(w.dir); err != nil {
					return err
				}
				_, err := mailstore.Restore(ctx, w.backup, w.dir, mailstore.RestoreOptions{})
				return err
			})
		},
		"catch up": func(*rapid.T) { w.catchUp() },
		"cut":      func(*rapid.T) { w.c.cut() },
		"select":   func(*rapid.T) { w.c.open(w.name()) },
		"noop":     func(*rapid.T) { w.c.inside(func(*kept) { w.c.do("NOOP") }) },
		"close":    func(*rapid.T) { w.c.inside(func(*kept) { w.c.close() }) },
		"expunge'": func(*rapid.T) { w.c.inside(func(*kept) { w.c.do("EXPUNGE") }) },
		"idle":     func(*rapid.T) { w.c.inside(func(*kept) { w.c.idle() }) },
		"move": func(*rapid.T) {
			w.c.inside(func(k *kept) { w.c.do("UID MOVE %s %s", w.c.someOf(k), w.name()) })
		},
		"number": func(*rapid.T) {
			w.c.inside(func(k *kept) {
				if name := w.name(); w.c.kept[name] == k {
					w.expunge(name)
					w.setFlags(name)
				}
				if k.exists > 0 { // no removal is told, and the flags may be newer than that
					w.c.do("FETCH 1:%d (UID FLAGS)", k.exists)
				}
				if rapid.Bool().Draw(w.T, "cut") {
					w.c.cut()
				}
			})
		},
		"torn": func(*rapid.T) {
			w.c.inside(func(k *kept) {
				w.c.torn = rapid.IntRange(1, 3).Draw(w.T, "lines")
				w.c.do("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", k.modseq)
				w.c.torn = 0
			})
		},
		"changed": func(*rapid.T) {
			w.c.inside(func(k *kept) { w.c.do("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", k.modseq) })
		},
	}
	for i, weight := range []int{4, 3} {
		for n := range weight {
			all[fmt.Sprint("flags", i, n)] = func(*rapid.T) { w.setFlags(w.name()) }
			all[fmt.Sprint("store", i, n)] = func(*rapid.T) { w.c.inside(w.c.store) }
			all[fmt.Sprint("gone", i, n)] = func(*rapid.T) { w.expunge(w.name()) }
		}
	}
	return all
}

// catchUp lets the client open each mailbox, and compares.
func (w *resyncWorld) catchUp() {
	for _, name := range []string{"INBOX", "Trash"} {
		w.c.open(name)
		box, truth := w.truth(name)
		k := w.c.kept[name]
		if !maps.Equal(k.mail, truth) {
			w.failf("%s: the client knows %v, the truth is %v", name, k.mail, truth)
		}
		if k.modseq != uint64(box.HighestModSeq) {
			w.failf("%s: the client is at %d of %d", name, k.modseq, box.HighestModSeq)
		}
	}
}

// kept is what the client keeps of a mailbox.
type kept struct {
	validity string
	modseq   uint64
	fetched  uint32 // all messages up to this UID are known
	mail     map[uint32]flagSet
	exists   int // of the selected mailbox
}

// keeper is the client.
type keeper struct {
	w    *resyncWorld
	kept map[string]*kept
	at   *kept // selected; nil: none
	conn net.Conn
	r    *bufio.Reader
	tags int

	code     string // of the last tagged response
	highest  uint64 // the highest MODSEQ told in this connection since the last [HIGHESTMODSEQ]
	silent   func(flagSet) flagSet
	torn     int  // the connection is lost after so many lines; 0: it is not
	newcomer bool // FETCH responses may be of messages that are not known
}

// cut ends the connection, as a network does.
func (c *keeper) cut() {
	if c.conn != nil {
		c.w.note("# the connection is lost")
		_ = c.conn.Close()
	}
	c.conn, c.at = nil, nil
}

func (c *keeper) inside(do func(k *kept)) {
	if c.at == nil {
		c.open(c.w.name())
	}
	do(c.at)
}

// open selects a mailbox and catches up.
func (c *keeper) open(name string) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.w.r.addr)
		c.w.ok(err)
		c.conn, c.r = conn, bufio.NewReader(conn)
		c.read()
		c.do("LOGIN joe pw")
		if got := c.do("ENABLE QRESYNC"); !slices.Contains(got, "* ENABLED QRESYNC") {
			c.w.failf("ENABLE QRESYNC: %q", got)
		}
	}
	k := c.kept[name]
	param := "(CONDSTORE)"
	if k != nil {
		param = fmt.Sprintf("(QRESYNC (%s %d%s))", k.validity, k.modseq, c.details(k))
	} else {
		k = &kept{mail: map[uint32]flagSet{}}
		c.kept[name] = k
	}
	c.at, c.newcomer = k, true
	before := k.validity
	got := c.do("SELECT %s %s", name, param)
	if before != "" && k.validity != before {
		for _, line := range got {
			if strings.Contains(line, "VANISHED") || strings.Contains(line, "MODSEQ (") {
				c.w.failf("UIDVALIDITY was %s: %s", before, line)
			}
		}
		k.mail, k.fetched = map[uint32]flagSet{}, 0
	}
	c.fetchNew()
}

// details are known-uids and seq-match-data, which all clients leave away now and then.
func (c *keeper) details(k *kept) string {
	uids := slices.Sorted(maps.Keys(k.mail))
	if len(uids) == 0 {
		return ""
	}
	text := ""
	switch rapid.IntRange(0, 2).Draw(c.w.T, "known") {
	case 0:
		text = " " + string(appendUIDs(uids))
	case 1:
		text = fmt.Sprintf(" 1:%d", uids[len(uids)-1])
	}
	if rapid.Bool().Draw(c.w.T, "match") {
		var numbers, match []uint32
		for i, uid := range uids {
			if rapid.Bool().Draw(c.w.T, "pair") || i == 0 {
				numbers, match = append(numbers, uint32(i+1)), append(match, uid)
			}
		}
		text += fmt.Sprintf(" (%s %s)", appendUIDs(numbers), appendUIDs(match))
	}
	return text
}

func appendUIDs(numbers []uint32) (text []byte) {
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(n), 10)
	}
	return text
}

// fetchNew fetches what came in.
func (c *keeper) fetchNew() {
	k := c.at
	c.newcomer = true
	c.do("UID FETCH %d:* (FLAGS)", k.fetched+1)
	c.newcomer = false
	for uid := range k.mail {
		k.fetched = max(k.fetched, uid)
	}
	if k.exists != len(k.mail) {
		c.w.failf("%d messages are there, %d are known: %v", k.exists, len(k.mail), k.mail)
	}
}

func (c *keeper) someOf(k *kept) string {
	uids := slices.Sorted(maps.Keys(k.mail))
	if len(uids) == 0 {
		return "1"
	}
	return fmt.Sprintf("%d,%d", rapid.SampledFrom(uids).Draw(c.w.T, "uid"), rapid.SampledFrom(uids).Draw(c.w.T, "uid"))
}

// store stores flags, silently or not, conditionally or not.
func (c *keeper) store(k *kept) {
	op := rapid.SampledFrom([]string{"+", "-", ""}).Draw(c.w.T, "op")
	given := rapid.SampledFrom([]string{`\Seen`, `\Deleted`, "Work", `\Flagged Other`}).Draw(c.w.T, "flags")
	since := ""
	if rapid.Bool().Draw(c.w.T, "conditional") {
		since = fmt.Sprintf("(UNCHANGEDSINCE %d) ", k.modseq)
	}
	silent := ""
	if rapid.Bool().Draw(c.w.T, "silent") {
		silent = ".SILENT"
		c.silent = func(f flagSet) flagSet { return f.apply(op, flagsOf(given)) }
	}
	c.do("UID STORE %s %s%sFLAGS%s (%s)", c.someOf(k), since, op, silent, given)
	c.silent = nil
}

// close closes the mailbox. Told how far it is, the client knows what it removed.
func (c *keeper) close() {
	k := c.at
	was := k.modseq
	c.do("CLOSE")
	if strings.Contains(c.code, "HIGHESTMODSEQ") {
		maps.DeleteFunc(k.mail, func(_ uint32, f flagSet) bool { return f.has(`\Deleted`) })
	} else if k.modseq < was {
		c.w.failf("CLOSE goes back to %d", k.modseq)
	}
	c.at = nil
}

// idle begins and ends IDLE.
func (c *keeper) idle() {
	c.tags++
	tag := fmt.Sprint("i", c.tags)
	c.send(tag + " IDLE")
	c.read()
	_, err := fmt.Fprintf(c.conn, "DONE\r\n")
	c.w.ok(err)
	c.until(tag)
}

func (c *keeper) send(line string) {
	c.w.note("C: %s", line)
	_, err := fmt.Fprintf(c.conn, "%s\r\n", line)
	c.w.ok(err)
}

func (c *keeper) read() string {
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := c.r.ReadString('\n')
	c.w.ok(err)
	line = strings.TrimRight(line, "\r\n")
	c.w.note("S: %s", line)
	return line
}

// do runs a command. A mailbox that was deleted is closed by it.
func (c *keeper) do(format string, args ...any) []string {
	c.tags++
	tag := fmt.Sprint("t", c.tags)
	c.send(tag + " " + fmt.Sprintf(format, args...))
	return c.until(tag)
}

func (c *keeper) until(tag string) (lines []string) {
	for {
		line := c.read()
		if strings.HasPrefix(line, tag+" ") {
			if strings.HasPrefix(line, tag+" BAD") {
				c.w.failf("%s", line)
			}
			c.code = line
			c.settle(line)
			return lines
		}
		lines = append(lines, line)
		if nodes := (&scanner{s: line}).nodes(); nodes[0].text == "*" {
			c.believe(line, nodes)
		}
		if c.torn > 0 && len(lines) == c.torn {
			c.cut()
			c.highest = 0
			return lines
		}
	}
}

// settle is what a careless client does: at the end of each command it takes the
// highest modification sequence that it has seen, unless it is told another one.
func (c *keeper) settle(line string) {
	if c.at == nil {
		return
	}
	if n, ok := highestModSeq(line); ok {
		c.at.modseq, c.highest = n, 0
	}
	c.at.modseq, c.highest = max(c.at.modseq, c.highest), 0
}

func highestModSeq(line string) (uint64, bool) {
	_, after, ok := strings.Cut(line, "[HIGHESTMODSEQ ")
	n, err := strconv.ParseUint(strings.SplitN(after, "]", 2)[0], 10, 64)
	return n, ok && err == nil
}

func (c *keeper) believe(line string, nodes []node) {
	k := c.at
	if n, ok := highestModSeq(line); ok && k != nil {
		c.highest, k.modseq = 0, n
		return
	}
	if _, after, ok := strings.Cut(line, "[UIDVALIDITY "); ok {
		k.validity = strings.SplitN(after, "]", 2)[0]
		return
	}
	switch {
	case nodes[1].text == "VANISHED":
		list := nodes[2].text
		earlier := list == ""
		if earlier {
			list = nodes[3].text
		}
		for _, uid := range numbers2(list, k.mail) {
			delete(k.mail, uid)
		}
		if !earlier {
			k.exists -= len(numbers(list))
		}
	case len(nodes) > 2 && nodes[2].text == "EXISTS":
		k.exists, _ = strconv.Atoi(nodes[1].text)
	case len(nodes) > 2 && nodes[2].text == "EXPUNGE":
		c.w.failf("EXPUNGE after ENABLE QRESYNC")
	case len(nodes) > 3 && nodes[2].text == "FETCH":
		c.fetched(line, nodes[3].list)
	}
}

// numbers2 are those of a set that are in the map: the set may have a million.
func numbers2(set string, mail map[uint32]flagSet) (list []uint32) {
	for _, span := range strings.Split(set, ",") {
		a, b, isRange := strings.Cut(span, ":")
		if !isRange {
			b = a
		}
		from, _ := strconv.ParseUint(a, 10, 32)
		to, _ := strconv.ParseUint(b, 10, 32)
		for uid := range mail {
			if uint64(uid) >= from && uint64(uid) <= to {
				list = append(list, uid)
			}
		}
	}
	return list
}

// fetched takes a FETCH response. Of a message that is not known it may be one that
// comes before its time.
func (c *keeper) fetched(line string, items []node) {
	var uid uint32
	var flags []string
	var told bool
	for i := 0; i+1 < len(items); i += 2 {
		switch value := items[i+1]; items[i].text {
		case "UID":
			n, _ := strconv.ParseUint(value.text, 10, 32)
			uid = uint32(n)
		case "FLAGS":
			told = true
			for _, f := range value.list {
				flags = append(flags, f.text)
			}
		case "MODSEQ":
			n, _ := strconv.ParseUint(value.list[0].text, 10, 64)
			c.highest = max(c.highest, n)
		}
	}
	if uid == 0 {
		c.w.failf("no UID: %s", line)
	}
	old, known := c.at.mail[uid]
	switch {
	case told && (known || c.newcomer):
		c.at.mail[uid] = flagsOf(flags...)
	case known && c.silent != nil:
		c.at.mail[uid] = c.silent(old)
	}
}
