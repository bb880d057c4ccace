package localimap

import (
	"bufio"
	"cmp"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// pin holds what the library does about one point of docs/imap-library.md.
type pin struct {
	point string   // the heading
	login string   // if not with the usual password; "-" for not at all
	send  string   // after LOGIN and SELECT INBOX; lines without \r
	says  []string // parts of what is answered
	never []string // and what is not
}

// unmended are points that hold through our server.
var unmended = []pin{
	{
		point: "CONDSTORE and QRESYNC", send: "a FETCH 1 (FLAGS) (CHANGEDSINCE 1)\nb ENABLE QRESYNC\nc STATUS INBOX (HIGHESTMODSEQ)",
		says: []string{"a BAD", "* ENABLED\n", "c BAD"},
	},
	{point: "SORT and THREAD", send: "a SORT (DATE) UTF-8 ALL\nb THREAD REFERENCES UTF-8 ALL", says: []string{"a BAD Unknown", "b BAD Unknown"}},
	{point: "WITHIN", send: "a SEARCH YOUNGER 3600", says: []string{"a BAD"}},
	{point: "QUOTA", send: "a GETQUOTAROOT INBOX", says: []string{"a BAD Unknown command"}},
	{point: "MULTIAPPEND", send: "a APPEND Drafts {1+}\nx {1+}\ny", says: []string{broken}, never: []string{"a OK", "a NO", "a BAD"}},
	{
		point: "XLIST and others", send: "a XLIST \"\" *\nb NOTIFY NONE\nc GETMETADATA \"\" /shared/comment\nd MYRIGHTS INBOX\n" +
			"e FETCH 1 PREVIEW\nf FETCH 1 EMAILID\ng SEARCH SAVEDATESUPPORTED",
		says: []string{"a BAD", "b BAD", "c BAD", "d BAD", "e BAD", "f BAD", "g BAD"},
	},
	{point: "LITERAL+", send: "a CAPABILITY", says: []string{"LITERAL-"}, never: []string{"LITERAL+"}},
	{
		point: "ENVELOPE", send: "a FETCH 1:2 ENVELOPE",
		says: []string{`("Thu, 01 Jan 2026 10:00:00 +0000" "=?utf-8?q?caf=C3=A9=E2=9C=93?="`, `* 2 FETCH (ENVELOPE (NIL "plain"`},
	},
	{point: "SMALLER", send: "a SEARCH SMALLER 10 SINCE 1-Jan-2000\nb SEARCH SMALLER 0", says: []string{"* SEARCH 1 2\na OK", "* SEARCH 1 2\nb OK"}},
	{point: "A part that is not there", send: "a FETCH 1 BODY.PEEK[9]", says: []string{"BODY[9] {0}"}},
	{point: "BINARY in pieces", send: "a FETCH 1 BINARY.PEEK[1]<0.2>", says: []string{"BINARY[1] ~{2}"}},
	{point: "Content-MD5", send: "a FETCH 2 BODYSTRUCTURE", says: []string{`"7bit" 5 1 NIL NIL`}},
	{point: "SEARCH RETURN (SAVE)", send: "a UID SEARCH RETURN (SAVE) ALL", says: []string{"* ESEARCH"}},
	{point: "BADCHARSET", send: "a SEARCH CHARSET x ALL", says: []string{"a NO [BADCHARSET] "}},
	{
		point: "Names with & in IMAP4rev2", send: "a ENABLE IMAP4rev2\nb CREATE \"R&D\"\nc CREATE R&-D\nd LIST \"\" R*",
		says: []string{"b BAD", `"R&-D"`},
	},
	{point: "PERMANENTFLAGS", send: "a STORE 1 +FLAGS (new)", says: []string{"* FLAGS (", "a OK"}, never: []string{"PERMANENTFLAGS"}},
	{point: "RECURSIVEMATCH", send: "a LIST (SPECIAL-USE RECURSIVEMATCH) \"\" *", says: []string{"a BAD"}},
	{
		point: "Looser than the grammar", send: "a ENABLE\nf FETCH 1 BODY.PEEK[HEADER.FIELDS ()]\nb STATUS INBOX ()\nc SELECT {x}\nd CHECK\ne LIST () \"\" \"\"\n" +
			"g CREATE \"\\p\"\nh] NOOP",
		says: []string{"a OK", "b OK", "c NO [NON", "d OK", "* LIST (\\Noselect)", "f OK", "g OK", "* BAD"},
	},
	{point: "APPEND with more than a message", send: "a APPEND Drafts {1+}\nx more\nb NOOP", says: []string{"b OK"}, never: []string{"a OK", "a NO", "a BAD"}},
}

// mended are points that hold of the library alone, with its own backend.
var mended = []pin{
	{point: "ID", send: "a ID NIL", says: []string{"a BAD Unknown command"}},
	{point: "A message that is executed", send: "a APPEND Bad&Name {19+}\nx DELETE Precious\n", says: []string{"a NO", "x OK DELETE"}},
	{point: "A carriage return", send: "a NOSUCH \"y\rx DELETE Precious", says: []string{"a BAD", "x OK DELETE"}},
	{point: "A string that is refused", send: "a SEARCH TEXT {4097+}\nxyz\nx DELETE Precious", says: []string{"x OK DELETE"}},
	{point: "A name that is refused", send: "a SELECT {3+}\nR&D", says: []string{"a NO", broken}},
	{point: "Long commands", send: "a FETCH " + strings.Repeat("1,", 26000) + "1 FLAGS", says: []string{"a NO [SERVERBUG]", "1,1 BAD"}},
	{point: "A line that is no command", send: "a", says: []string{broken + "EOF"}, never: []string{"BAD"}},
	{point: "Syntax errors", send: "a SEARCH NONSENSE\nb FETCH 0 UID\nc SELECT &AAA", says: []string{"a NO [SERVERBUG]", "b NO [SERVERBUG]", "c NO [SERVERBUG]"}},
	{point: "LSUB", send: "a CREATE p/q\nb SUBSCRIBE p/q\nc UNSUBSCRIBE p\nd LSUB \"\" %", says: []string{"d OK"}, never: []string{`"p"`}},
	{point: "AUTHENTICATE", login: "-", send: "a AUTHENTICATE PLAIN\nAGpvZQBwdw==", says: []string{"+ =\n", "a OK"}},
	{point: "IDLE and done", send: "a IDLE\ndone", says: []string{"a BAD"}},
	{
		point: "UTF8=ACCEPT", send: "a CAPABILITY\nb ENABLE UTF8=ACCEPT\nc CREATE \"R&D\"\nd CREATE R&-D\ne LIST \"\" *",
		says: []string{"UTF8=ACCEPT", "c NO [SERVERBUG]", `"R&-D"`},
	},
}

const pinned = "From: =?ISO-8859-1?Q?Andr=E9?= <a@example.com>\r\nTo: Team: b@example.com, c@example.com;\r\n" +
	"Subject: =?ISO-8859-1?Q?caf=E9?= =?UTF-8?B?4pyT?=\r\nDate: Thu, 1 Jan 2026 10:00:00 GMT (morning)\r\nMessage-ID: <1@example.com> (x)\r\n\r\nabc\r\n"

const pinnedToo = "From: a@example.com\r\nDate: yesterday\r\nSubject: plain\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\r\nabc\r\n"

func TestTheLibrary(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, pinned, pinnedToo)
	for _, p := range unmended {
		t.Run(p.point, func(t *testing.T) {
			p.check(t, r.talk(""))
		})
	}
}

func TestTheLibraryAlone(t *testing.T) {
	users := imapmemserver.New()
	joe := imapmemserver.NewUser("joe", "pw")
	for _, name := range []string{"INBOX", "Precious"} {
		if err := joe.Create(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	users.AddUser(joe)
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return users.NewSession(), nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}},
		InsecureAuth: true,
		Logger:       quiet{},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	for _, p := range mended {
		t.Run(p.point, func(t *testing.T) {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			_ = joe.Create("Precious", nil) // it may be there still
			k := &talk{t: t, conn: c, r: bufio.NewReader(c)}
			k.want("* OK")
			p.check(t, k)
		})
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (p *pin) check(t *testing.T, k *talk) {
	t.Helper()
	if p.login != "-" {
		k.do("l "+cmp.Or(p.login, "LOGIN joe pw"), "l OK")
		k.do("s SELECT INBOX", "s OK")
	}
	k.send(strings.ReplaceAll(p.send, "\n", "\r\n") + "\r\nzz NOOP")
	got := ""
	for line := ""; k.err == nil && !strings.HasPrefix(line, "zz "); got += line + "\n" {
		line = k.line()
	}
	complain := func(what, part string) {
		t.Errorf("the library does something else; if it is better, delete %q in docs/imap-library.md and what it speaks of\n%s %q in\n%.2000s", p.point, what, part, got)
	}
	for _, part := range p.says {
		if !strings.Contains(got, part) {
			complain("no", part)
		}
	}
	for _, part := range p.never {
		if strings.Contains(got, part) {
			complain("there is", part)
		}
	}
}

// TestEachPointIsPinned: a paragraph without a test goes stale, a test without a
// paragraph tells nobody.
func TestEachPointIsPinned(t *testing.T) {
	page, err := os.ReadFile("../docs/imap-library.md")
	if err != nil {
		t.Fatal(err)
	}
	var told, tested []string
	for line := range strings.Lines(string(page)) {
		if heading, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
			told = append(told, heading)
		}
	}
	for _, p := range slices.Concat(mended, unmended) {
		tested = append(tested, p.point)
	}
	slices.Sort(told)
	slices.Sort(tested)
	if !slices.Equal(told, tested) {
		t.Errorf("the page tells of\n%q\ntested are\n%q", told, tested)
	}
}
