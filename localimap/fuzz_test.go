package localimap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

// states are what a client has said when the fuzzed bytes begin.
var states = []string{
	"", // not authenticated
	"a LOGIN joe pw\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\n",
	"a LOGIN joe pw\r\nb EXAMINE INBOX\r\n",
	"a LOGIN joe pw-read\r\nb SELECT INBOX\r\n",
	"a LOGIN joe pw\r\nb ENABLE IMAP4rev2\r\nc SELECT INBOX\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\nc UID SEARCH RETURN (SAVE) ALL\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\nc IDLE\r\n",
	"a LOGIN joe pw\r\nb IDLE\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\nc NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge MailboxName))\r\n",
	"a LOGIN joe pw\r\nb APPEND INBOX {100}\r\nSubject: half a literal\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\nc SEARCH TEXT {6}\r\nab",
	"a LOGIN {3}\r\njo",
	"a AUTHENTICATE PLAIN\r\n",
	"a LOGIN joe pw-some\r\nb SELECT Trash\r\n",
	"a LOGIN joe pw\r\nb SELECT INBOX\r\nc UNSELECT\r\n",
	clearText,
	clearText + "a STARTTLS\r\n",
}

// clearText begins states of a server that wants STARTTLS.
const clearText = "(TLS)"

// seeds has every command, and what has made trouble for servers before.
var seeds = []string{
	"x CAPABILITY\r\n", "x NOOP\r\ny LOGOUT\r\n", "DONE\r\n", "done\r\n", "\r\n", "x\r\n", "x \r\n", "* OK\r\n", "+\r\n", "\x16\x03\x01\x00\xa5",
	"x STARTTLS\r\nNOOP\r\n", "x AUTHENTICATE PLAIN =\r\n", "x AUTHENTICATE PLAIN AGpvZQBwdw==\r\n", "AGpvZQBwdw==\r\n", "*\r\n", "e pw\r\n",
	"x ENABLE IMAP4rev2 UTF8=ACCEPT CONDSTORE\r\n", "x UNAUTHENTICATE\r\n", "x NAMESPACE\r\n", "x ID NIL\r\n",
	"x SELECT INBOX\r\n", "x EXAMINE \"inbox\"\r\n", "x SELECT &AAA\r\n", "x SELECT Trash (CONDSTORE)\r\n", "x CLOSE\r\n", "x UNSELECT\r\n", "x CHECK\r\n",
	"x CREATE a/b (USE (\\Sent))\r\nx RENAME a INBOX\r\nx DELETE a/b\r\nx DELETE a\r\n", "x RENAME INBOX old\r\n", "x CREATE &2D3cqQ-\r\n", "x SUBSCRIBE q\r\nx UNSUBSCRIBE q\r\n",
	"x STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE RECENT APPENDLIMIT)\r\n",
	"x LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (* % \"a*\") RETURN (STATUS (MESSAGES) CHILDREN SPECIAL-USE SUBSCRIBED)\r\n", "x LIST \"\" \"\"\r\n", "x LSUB a *\r\n", "x XLIST \"\" *\r\n",
	"x APPEND INBOX (\\Seen $k) \" 1-Jan-2026 00:00:00 +0000\" {3+}\r\nabc\r\n", "x APPEND INBOX {9999999999}\r\nabc", "x APPEND q {5+}\r\nx NOOP\r\n", "x APPEND INBOX ~{3+}\r\n\x00ab\r\n", "x APPEND Sent UTF8 (~{1+}\r\na)\r\n",
	"x FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)\r\n", "x FETCH 1:* (FLAGS BODY[1.2.HEADER.FIELDS (A B)]<0.5>)\r\n", "x FETCH 1 ALL\r\nx FETCH 1 FAST\r\nx FETCH 1 FULL\r\n",
	"x FETCH 1:2 (RFC822 RFC822.HEADER RFC822.TEXT BODY[] BODY[2.MIME] BODY.PEEK[HEADER.FIELDS.NOT (TO)])\r\n", "x UID FETCH $ BINARY[1]<1.2>\r\n", "x FETCH * BINARY.SIZE[]\r\n", "x FETCH 4294967295:* ALL\r\n", "x FETCH 0 UID\r\n",
	"x FETCH 1 BODY[" + strings.Repeat("1.", 500) + "MIME]\r\n", "x FETCH 1:*,2,*:1 BODY[3.1.TEXT]<4294967295.4294967295>\r\n", "x FETCH 1:* (FLAGS) (CHANGEDSINCE 0)\r\n",
	"x SEARCH OR NOT (1:* UID $) (TEXT {3+}\r\nabc SENTON 1-Jan-2020 KEYWORD a)\r\n", "x SEARCH RETURN (SAVE MIN) ALL\r\n", "x SEARCH RETURN () ALL\r\n", "x UID SEARCH HEADER X \"\" BODY a SMALLER 0\r\n", "x SEARCH CHARSET UTF-8 SUBJECT \xc3\xbc\r\n",
	"x SEARCH NEW OLD RECENT SEEN UNSEEN ANSWERED DELETED DRAFT FLAGGED UNDRAFT UNKEYWORD q\r\n", "x SEARCH BEFORE 1-Jan-2026 SINCE 1-Jan-1970 ON 2-Feb-2002 SENTBEFORE 1-Jan-2026 SENTSINCE 1-Jan-2000\r\n", "x SEARCH FROM a TO b CC c BCC d LARGER 1\r\n", "x SEARCH SENTON 1-Jan-2026\r\n",
	"x SEARCH " + strings.Repeat("NOT ", 200) + "ALL\r\n", "x SEARCH " + strings.Repeat("(", 300) + "ALL\r\n",
	"x SORT (SUBJECT REVERSE DATE) UTF-8 ALL\r\nx UID SORT RETURN (PARTIAL -1:-2 MIN SAVE) (FROM) KOI8-R ALL\r\n", "x THREAD REFERENCES UTF-8 ALL\r\nx UID THREAD REFS UTF-8 1:*\r\nx THREAD ORDEREDSUBJECT US-ASCII ALL\r\n",
	"x SORT (REVERSE) UTF-8 ALL\r\nx SORT () X ALL\r\nx THREAD X UTF-8 ALL\r\n", "x UID FETCH 1:* (PREVIEW (LAZY) UID) (PARTIAL -1:-2)\r\nx FETCH 1 PREVIEW\r\n", "x SEARCH OLDER 1 YOUNGER 99999999999999 RETURN\r\n",
	"x STORE 1:* +FLAGS.SILENT (\\Deleted $a)\r\nx EXPUNGE\r\n", "x UID STORE $ -FLAGS \\Seen\r\n", "x STORE 1 FLAGS ()\r\n", "x UID EXPUNGE 1:*\r\n",
	"x COPY 1:* INBOX\r\n", "x COPY 1 q\r\n", "x UID MOVE 1 Trash\r\nx MOVE $ Trash\r\n", "x IDLE\r\nDONE\r\n", "x NOTIFY SET STATUS (selected (MessageNew (UID) MessageExpunge)) (mailboxes (a {1+}\r\nb) (MailboxName))\r\nx NOTIFY NONE\r\n", "x IDLE\r\nnonsense\r\nx CLOSE\r\nx FETCH 1 UID\r\n",
	strings.Repeat("x NOOP\r\n", 50), "x " + strings.Repeat("A", 70000) + "\r\n", "x LOGIN \"" + strings.Repeat("\\\"", 100),
}

// TestEveryCommandInEveryState is FuzzServer for the seeds.
func TestEveryCommandInEveryState(t *testing.T) {
	p := newProbe(t)
	for _, state := range states {
		for _, seed := range seeds {
			p.run(t, state, seed)
		}
	}
}

// FuzzServer sends arbitrary bytes in every state.
func FuzzServer(f *testing.F) {
	for i, seed := range seeds {
		f.Add(uint8(i), []byte(seed))
	}
	p := newProbe(f)
	f.Fuzz(func(t *testing.T, state uint8, data []byte) {
		p.run(t, states[int(state)%len(states)], string(data))
	})
}

// FuzzCommands sends commands that follow the grammar, most of them, several at
// once and in pieces.
func FuzzCommands(f *testing.F) {
	for i := range 200 {
		random := rand.New(rand.NewPCG(4, uint64(i)))
		seed := make([]byte, 20+random.IntN(60))
		for k := range seed {
			seed[k] = byte(random.Uint32())
		}
		f.Add(seed)
	}
	p := newProbe(f)
	f.Fuzz(func(t *testing.T, choices []byte) {
		c := chooser(choices)
		state := states[c.below(len(states))]
		text := ""
		for range 1 + c.below(6) {
			text += c.command()
		}
		at := c.below(len(text))
		p.run(t, state, text[:at], text[at:])
	})
}

// chooser makes choices by the bytes of a fuzzer; at their end it takes what
// comes first.
type chooser []byte

func (c *chooser) below(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := int((*c)[0])
	*c = (*c)[1:]
	if n > 256 {
		return (b<<8 | c.below(256)) % n
	}
	return b % n
}

// grammar: a word in <> stands for one of its alternatives, separated by |.
var grammar = map[string]string{
	"command": "CAPABILITY|NOOP|NAMESPACE|CHECK|CLOSE|UNSELECT|EXPUNGE|ENABLE IMAP4rev2|IDLE\r\nDONE|NOTIFY NONE|NOTIFY SET (selected (MessageNew (<item>) MessageExpunge FlagChange)) (subtree <box> (MessageNew MessageExpunge MailboxName))|SELECT <box>|EXAMINE <box>|CREATE <box><use>|DELETE <box>|RENAME <box> <box>|SUBSCRIBE <box>|UNSUBSCRIBE <box>|" +
		"STATUS <box> (<status> <status>)|LIST <selopt>\"\" <pattern><retopt>|LSUB \"\" <pattern>|APPEND <box> <flaglist><date><literal>|" +
		"<uid>FETCH <set> <items>|UID FETCH <set> <items> (PARTIAL <set>)|<uid>FETCH <set> <items>|<uid>STORE <set> <op>FLAGS<silent> <flags>|<uid>STORE <set> <op>FLAGS<silent> <flags>|<uid>COPY <set> <box>|<uid>MOVE <set> <box>|UID EXPUNGE <set>|" +
		"<uid>SORT <return>(<criterion> <criterion>) <set8> <key>|<uid>SORT (<criterion>) UTF-8 <key>|<uid>THREAD <thread> <set8> <key>|<uid>SEARCH <return><charset><key>|<uid>SEARCH <return><key> <key>|<uid>SEARCH <key>",
	"uid":      "|UID ",
	"box":      "INBOX|inbox|Trash|a|a/b|\"a b\"|&AOQ-|{1+}\r\na|nosuch|\"\"|INBOX/x|*",
	"use":      "|| (USE (\\Sent))| (USE (\\Nosuch))",
	"status":   "MESSAGES|UIDNEXT|UIDVALIDITY|UNSEEN|DELETED|SIZE|RECENT|APPENDLIMIT|HIGHESTMODSEQ",
	"selopt":   "||(SUBSCRIBED) |(SPECIAL-USE) |(SUBSCRIBED RECURSIVEMATCH) |() ",
	"retopt":   "|| RETURN (<ret> <ret>)| RETURN (STATUS (<status>))",
	"ret":      "CHILDREN|SUBSCRIBED|SPECIAL-USE",
	"pattern":  "*|%|\"\"|a*|a/%|INBOX|(* %)",
	"flaglist": "|(<flag> <flag>) |() ",
	"flags":    "(<flag> <flag>)|<flag>|()|<flag> <flag>",
	"flag":     `\Seen|\Deleted|\Flagged|\Answered|\Draft|$Work|Later|\Recent|\Nosuch|\*`,
	"date":     `||" 1-Feb-2026 10:11:12 +0100" |"99-Foo-2026 10:11:12 +0100" `,
	"literal":  "{4+}\r\na: b|{14+}\r\na: b\r\n\r\ntext\r\n|~{3+}\r\na\x00b|{0+}\r\n|{5000}\r\nshort",
	"set":      "1|2|*|1:*|2:4|1,3|$|0|3:1|*:1|4294967295|1:4294967295",
	"items":    "<item>|(<item> <item>)|(<item> <item> <item>)|ALL|FAST|FULL|()",
	"item":     "UID|FLAGS|INTERNALDATE|RFC822.SIZE|ENVELOPE|BODY|BODYSTRUCTURE|RFC822|RFC822.HEADER|RFC822.TEXT|BODY<peek>[<section>]<partial>|BODY<peek>[<section>]<partial>|BINARY<peek>[<part>]<partial>|BINARY.SIZE[<part>]|MODSEQ|PREVIEW|PREVIEW (LAZY)",
	"peek":     "|.PEEK",
	"section":  "|HEADER|TEXT|MIME|<part>|<part>.MIME|<part>.HEADER|<part>.TEXT|HEADER.FIELDS (SUBJECT <field>)|HEADER.FIELDS.NOT (<field>)|<part>.HEADER.FIELDS (<field>)|HEADER.FIELDS ()",
	"field":    "From|X-Nosuch|\"a b\"|Content-Type",
	"part":     "1|2|1.1|2.1|1.2.3|9|0|2.2.1",
	"partial":  "||<0.10>|<5.1000000>|<99999.1>|<1.0>|<4294967295.4294967295>",
	"op":       "|+|-",
	"silent":   "|.SILENT",
	"return":   "||RETURN () |RETURN (SAVE) |RETURN (MIN MAX) |RETURN (COUNT SAVE) |RETURN (PARTIAL <set> MIN) |RETURN (PARTIAL -1:-2 SAVE) |RETURN (ALL) ",
	"charset":  "||CHARSET UTF-8 |CHARSET KOI8-R ",
	"key": "ALL|SEEN|UNSEEN|NEW|OLD|RECENT|DELETED|KEYWORD Later|UNKEYWORD x|<set>|UID <set>|NOT <key>|OR <key> <key>|(<key> <key>)|<where> <text>|HEADER <field> <text>|" +
		"LARGER 10|SMALLER 9999999999|OLDER 100|YOUNGER 0|<when> 1-Jan-2026|<when> 31-Feb-2026",
	"criterion": "DATE|REVERSE DATE|SUBJECT|FROM|DISPLAYTO|REVERSE SIZE|ARRIVAL|CC|REVERSE|BODY",
	"thread":    "REFERENCES|REFS|ORDEREDSUBJECT|NONE",
	"set8":      "UTF-8|KOI8-R|X-NONE",
	"where":     "TEXT|BODY|SUBJECT|FROM|TO|CC|BCC",
	"when":      "BEFORE|ON|SINCE|SENTBEFORE|SENTON|SENTSINCE",
	"text":      "a|\"\"|\"text\"|{2+}\r\nab|\xc3\xbc|*",
}

var rule = regexp.MustCompile(`<[a-z8]+>`)

// command makes a command, one in four with an error.
func (c *chooser) command() string {
	text := c.expand("<command>", 6)
	if at := c.below(len(text)); c.below(4) == 3 {
		switch c.below(4) {
		case 0:
			text = text[:at] + text[at+1:] // a byte is missing
		case 1:
			text = text[:at] + string([]byte{byte(c.below(256))}) + text[at:]
		case 2:
			text = text[:at] + text[at/2:] // a piece is there twice
		default:
			text = text[:at]
		}
	}
	return "x " + text + "\r\n"
}

func (c *chooser) expand(text string, depth int) string {
	return rule.ReplaceAllStringFunc(text, func(name string) string {
		choices := strings.Split(grammar[name[1:len(name)-1]], "|")
		if depth == 0 {
			return choices[0]
		}
		return c.expand(choices[c.below(len(choices))], depth-1)
	})
}

// panics watches the log for panics, from which the server recovers.
type panics struct{ seen atomic.Pointer[string] }

func (p *panics) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("panic")) {
		text := string(b)
		p.seen.Store(&text)
	}
	return len(b), nil
}

// probe is a server with one well-behaved client, which must go on to get right
// answers whatever others send.
type probe struct {
	r       *rig
	tls     *rig // over the same store, with STARTTLS
	watch   *panics
	witness *mirror
	runs    int
	calm    int // goroutines when only the witness is connected
}

func newProbe(f testing.TB) *probe {
	p := &probe{watch: &panics{}}
	p.r = newRig(f, func(o *Options) {
		o.Log = zerolog.New(p.watch).Level(zerolog.ErrorLevel)
		login := o.Login
		o.Login = func(ctx context.Context, from net.Addr, user, password string) (Account, error) {
			if password == "pw-some" {
				box, err := p.r.store.EnsureMailbox(ctx, "Trash") // someone may have deleted it
				return Account{user, p.r.store, mailstore.Device{Name: "kids", Folders: []mailstore.MailboxID{box.ID}, Without: []string{"IDLE", "MOVE"}}}, err
			}
			who, err := login(ctx, from, user, password)
			if fault.Is(err, fault.Auth) {
				err = fault.New(fault.Temporary, "wrong", "") // which takes no time
			}
			return who, err
		}
	})
	p.r.deliver("INBOX", nil, nested, "Subject: x\r\n\r\ntext\r\n", "\x00\xff odd\r\n")
	ca := testkit.CA(f)
	p.tls = &rig{t: f, store: p.r.store, server: New(Options{Login: p.r.login, Security: serving.StartTLS, TLS: ca.ServerConfig, Log: zerolog.New(p.watch).Level(zerolog.ErrorLevel)})}
	p.tls.serve()
	f.Cleanup(func() { p.tls.stop() })
	p.witness = &mirror{name: "W", device: "pw", note: func(string, ...any) {}, fail: f.Fatalf}
	p.witness.connect(p.r.addr)
	f.Cleanup(func() { _ = p.witness.conn.Close() })
	p.witness.keywords = make(map[string]bool)
	if a := p.witness.command("EXAMINE INBOX"); !a.ok() {
		f.Fatal("EXAMINE refused")
	}
	return p
}

// run is one hostile client: the server neither panics nor hangs, what it says
// is well-formed, it closes the connection after the client has, nothing of the
// session is left, and the witness is not disturbed.
func (p *probe) run(t *testing.T, before string, pieces ...string) {
	t.Helper()
	p.r.t = t
	p.tidy(t)
	if p.calm == 0 {
		p.calm = runtime.NumGoroutine()
	}
	out, err := p.send(before, pieces)
	if err != nil {
		t.Fatalf("the server did not end: %v", err)
	}
	if err := wellFormed(out); err != nil {
		t.Fatalf("%v in\n%q", err, out)
	}
	if text := p.watch.seen.Swap(nil); text != nil {
		t.Fatalf("panic: %s", *text)
	}
	p.gone(t)
	p.testify(t)
}

// send returns all that the server says.
func (p *probe) send(before string, pieces []string) ([]byte, error) {
	before, isTLS := strings.CutPrefix(before, clearText)
	addr := p.r.addr
	if isTLS {
		addr = p.tls.addr
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, piece := range append([]string{before}, pieces...) {
			_, _ = io.WriteString(c, piece) // the server may have had enough
		}
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	out, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // the server has broken off, which it may
	}
	<-sent
	if isTLS {
		out, _, _ = bytes.Cut(out, []byte{21, 3}) // a TLS alert
	}
	return out, err
}

// wellFormed reports whether the bytes are IMAP responses, the last of them
// perhaps cut short: complete lines, brackets and quotes that match.
func wellFormed(out []byte) error {
	for len(out) > 0 {
		at, depth, quoted := 0, 0, false
		text := bytes.HasPrefix(out, []byte("+ ")) // for people, as in the end of a status response
		for ; ; at++ {
			if at >= len(out) {
				return nil
			}
			switch c := out[at]; {
			case c == '\r' && at+1 < len(out) && out[at+1] == '\n':
			case c == '\n':
			case c == 0 || c == '\r':
				return fmt.Errorf("byte %d in a line", c)
			case quoted && c == '\\':
				at++
			case c == '"' && !text:
				quoted = !quoted
			case quoted || text:
			case c == '(':
				depth++
			case c == ')':
				depth--
			case c == ']' && depth == 0, bytes.HasPrefix(out[at:], []byte(" OK ")), bytes.HasPrefix(out[at:], []byte(" NO ")), bytes.HasPrefix(out[at:], []byte(" BAD ")), bytes.HasPrefix(out[at:], []byte(" BYE ")):
				text = depth == 0
			}
			if out[at] == '\n' {
				if m := literalAtEnd.FindSubmatch(out[:at+1]); m != nil && !text {
					n, err := strconv.Atoi(string(m[1]))
					if err != nil {
						return err
					}
					at += n
					continue
				}
				break
			}
		}
		if depth != 0 || quoted {
			return fmt.Errorf("brackets or quotes do not match: %q", out[:at+1])
		}
		out = out[at+1:]
	}
	return nil
}

// gone waits until nothing of the hostile session is left.
func (p *probe) gone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > p.calm+2 || p.r.server.Clients()+p.tls.server.Clients() > 1; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines instead of %d, %d clients\n%s", runtime.NumGoroutine(), p.calm, p.r.server.Clients(), buf[:runtime.Stack(buf, true)])
		}
	}
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	if metrics.Read(heap); heap[0].Value.Uint64() > 256<<20 {
		runtime.GC() // what was left by this test and others
		metrics.Read(heap)
	}
	if heap[0].Value.Uint64() > 256<<20 {
		t.Fatalf("%d MB of memory", heap[0].Value.Uint64()>>20)
	}
}

// testify lets the witness look whether it still knows the mailbox, and now and
// then whether the store is sound.
func (p *probe) testify(t *testing.T) {
	t.Helper()
	w := p.witness
	w.fail = t.Fatalf
	if a := w.command("NOOP"); !a.ok() {
		t.Fatalf("NOOP of the witness: %s", a.status)
	}
	box, err := p.r.store.Mailbox(t.Context(), "INBOX")
	if err != nil || len(w.list) != int(box.Messages) {
		t.Fatalf("the witness counts %d messages, there are %d: %v", len(w.list), box.Messages, err)
	}
	if len(w.list) > 0 {
		w.command("FETCH 1:* (UID FLAGS)")
	}
	truth := (&crowd{r: p.r}).truth(box.UIDValidity)
	for i, e := range w.list {
		if flags, ok := truth[e.uid]; !ok || flags != e.flags {
			t.Fatalf("the witness knows number %d as UID %d %q, it has %q", i+1, e.uid, e.flags, flags)
		}
	}
	if p.runs++; p.runs%500 == 0 {
		problems, err := p.r.store.Check(t.Context(), nil)
		if err != nil || len(problems) > 0 {
			t.Fatalf("the store: %v %v", problems, err)
		}
	}
}

// tidy empties an INBOX that COPY has made large, and fills an empty one.
func (p *probe) tidy(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	boxes, err := p.r.store.Mailboxes(ctx)
	if err != nil {
		t.Fatalf("mailboxes: %v", err)
	}
	for i := len(boxes) - 1; i > 5 && len(boxes) > 40; i-- { // from the deepest up
		_ = p.r.store.DeleteMailbox(ctx, boxes[i].Name) // not INBOX
	}
	box, err := p.r.store.Mailbox(ctx, "INBOX")
	if err != nil {
		t.Fatalf("INBOX: %v", err)
	}
	if box.Messages > 50 {
		var all []mailstore.UID
		for uid := mailstore.UID(1); uid < box.UIDNext; uid++ {
			all = append(all, uid)
		}
		if _, err := p.r.store.SetFlags(ctx, box.ID, all, mailflags.Add, []string{`\Deleted`}); err != nil {
			t.Fatalf("flags: %v", err)
		}
		if _, err := p.r.store.Expunge(ctx, box.ID, nil); err != nil {
			t.Fatalf("expunge: %v", err)
		}
		box.Messages = 0
	}
	if box.Messages < 3 {
		p.r.deliver("INBOX", nil, nested, "Subject: x\r\n\r\ntext\r\n", "\x00\xff odd\r\n")
	}
}
