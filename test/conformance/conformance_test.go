// Package conformance holds the IMAP server to RFC 3501, RFC 9051 and the
// extensions it announces: scripts in testdata, one per command or extension,
// run against popbridge's IMAP server and against a real Dovecot. Adding a
// script needs no Go code.
//
// # The script language
//
// A script is a txtar archive: the steps, then the files that they name. A
// step starts in the first column; what the server must answer stands below it,
// one space in. A line that starts with # is a comment.
//
//	deliver INBOX \Seen,$Work one.eml two.eml  messages arrive; the first on
//	                           12-Jan-2026 03:04:05 +0000, the next a day later
//	A: NOOP                    session A sends a command, with a tag of its own
//	A> DONE                    session A sends a line as it is
//	A> "x\xff\r\ny NOOP\r\n"   the same, a Go string: sends these bytes only
//	A<                         session A waits for what stands below
//	needs SORT THREAD=REFS     the rest is for servers that announce these after login
//	without SORT               for those that log in from here on it is switched off;
//	                           the rest is for popbridge, which alone has that
//	pause                      Dovecot begins to watch a mailbox a second after a command
//	not dovecot has no X       the rest is not for this server, for this reason
//	connect X                  a connection; below stands its greeting
//	connect X starttls         one on which a login needs TLS
//	tls X                      the TLS handshake, after STARTTLS; EOF below: fails
//
// Sessions A to W connect and log in where they first appear, X to Z only
// connect. {one.eml} at the end of a sent line is that file as a literal, sent
// when the server has asked for it; {one.eml+} is sent without waiting.
//
// The answers:
//
//	OK [READ-WRITE]            the tagged response; NO and BAD likewise
//	* 3 EXISTS                 an untagged response
//	+ …                        a continuation request
//	x1 BAD                     a tagged response to a tag sent with >
//	EOF                        the server closes the connection
//	…                          any number of responses
//	? * 3 RECENT               may come or not, as the RFC says
//	{                          a group: its responses come in any order,
//	}                          … in it allows others between them
//	/^\* OK .*/                a regular expression for the whole response
//
// Nothing else may come: a response that no line stands for fails the script,
// at the next step of its session or at the end, when every session logs out.
//
// Responses are compared as IMAP means them, not as text. An atom, a quoted
// string and a literal are the same string; atoms have no regard to case.
// Flags, mailbox attributes, capabilities, and the items of FETCH, STATUS and
// ESEARCH come in any order; \Marked and \UnMarked are passed over. A response
// code, and the text for people after it, is compared only where the script
// has one. A literal in an answer is written {5} and five bytes, its line ends
// count as CRLF.
//
// In an atom or a string … stands for any text; alone in a list it stands for
// any further elements, and as the value of an item for any value. not:STARTTLS
// among capabilities, flags or attributes may not be there. <name> in an
// atom stands for a word: any where it occurs first, the same from then on, also
// in what is sent. Set from the start: <user>, of six characters, <password>, of
// two, and <plain>, both as AUTHENTICATE PLAIN has them.
//
// # Where a server differs
//
// Under the answers of a step the answers of one server may follow, after a line
// with its name and the reason:
//
//	A: DELETE Parent
//	 NO [HASCHILDREN]
//	 !dovecot keeps the name as \NoSelect (RFC 3501 section 6.3.4)
//	 OK
//
// The first part is what the RFC wants. It must not fit what the server answers,
// or the mark is not true and the script fails. popbridge has no marks.
package conformance

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

func TestMain(m *testing.M) {
	testkit.Quick()
	goleak.VerifyTestMain(m)
}

func TestPopbridge(t *testing.T) {
	ca := testkit.CA(t)
	runAll(t, "testdata", func(t *testing.T, user string) *server { return newPopbridge(t, ca, user, time.UTC) })
}

func TestDovecot(t *testing.T) {
	ca := testkit.CA(t)
	d := startDovecot(t, ca, "UTC")
	runAll(t, "testdata", func(t *testing.T, user string) *server { return dovecotServer(t, d, ca, user) })
}

// TestDaysAreThoseOfTheZone: INTERNALDATE and searches by day go by the time
// zone of the server, on the days when clocks change, too.
func TestDaysAreThoseOfTheZone(t *testing.T) {
	const name = "Pacific/Auckland"
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	ca := testkit.CA(t)
	t.Run("popbridge", func(t *testing.T) {
		runAll(t, "testdata/auckland", func(t *testing.T, user string) *server { return newPopbridge(t, ca, user, zone) })
	})
	t.Run("dovecot", func(t *testing.T) {
		d := startDovecot(t, ca, name)
		runAll(t, "testdata/auckland", func(t *testing.T, user string) *server { return dovecotServer(t, d, ca, user) })
	})
}

func startDovecot(t *testing.T, ca *testkit.TLS, zone string) *rig.Dovecot {
	rig.Need(t, "dovecot")
	d, err := rig.StartDovecot(context.WithoutCancel(t.Context()), ca.CertFile, ca.KeyFile, dovecotSettings, "import_environment = TZ="+zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log := d.Log()
			t.Logf("dovecot: %s", log[max(0, len(log)-4000):])
		}
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := rig.WaitPort(t.Context(), d.IMAP, nil); err != nil {
		t.Fatal(err)
	}
	return d
}

// runAll runs every script, each with a user of its own. Where the script
// waits for what the server notices by its own clock (see pause), a busy
// machine may be late: such a script has three tries.
func runAll(t *testing.T, dir string, start func(t *testing.T, user string) *server) {
	var commands atomic.Int64
	t.Cleanup(func() { t.Logf("%d commands", commands.Load()) })
	for i, s := range scripts(t, dir) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for try := 1; ; try++ {
				srv := start(t, userName(try, i))
				sent, err := execute(t.Context(), s, srv)
				commands.Add(int64(sent))
				if why, ok := err.(cannot); ok {
					t.Skip(why)
				}
				if err == nil {
					return
				}
				if srv.pause == 0 || !s.pauses() || try == 3 {
					t.Fatal(err)
				}
				t.Logf("try %d: %v", try, err)
			}
		})
	}
}

// scripts parses those of a folder.
func scripts(t *testing.T, dir string) []*script {
	files, err := filepath.Glob(dir + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var all []*script
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if s, err := parseScript(name, raw); err != nil {
			t.Error(err)
		} else {
			all = append(all, s)
		}
	}
	return all
}

// TestMarks: popbridge does what the RFCs want, everywhere.
func TestMarks(t *testing.T) {
	for _, s := range scripts(t, "testdata") {
		for _, st := range s.steps {
			ours := func(b block) bool { return b.server == "popbridge" }
			if slices.ContainsFunc(st.blocks, ours) || st.verb == notFor && st.args[0] == "popbridge" {
				t.Errorf("%s.txt:%d: a mark for popbridge", s.name, st.line)
			}
		}
	}
}

// TestSize keeps the suite from shrinking.
func TestSize(t *testing.T) {
	const atLeast = 2200
	n := 0
	for _, s := range scripts(t, "testdata") {
		n += s.commands()
	}
	if n < atLeast {
		t.Errorf("%d commands, want %d", n, atLeast)
	}
}
