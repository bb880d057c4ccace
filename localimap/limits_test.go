package localimap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

// TestAMessageIsNeverExecuted: where APPEND is refused although the message is
// on its way, nothing in that message is taken for a command.
func TestAMessageIsNeverExecuted(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	k.do("a CREATE Precious", "a OK")
	message := "Subject: DELETE Precious\r\nx DELETE Precious\r\n\r\nx DELETE Precious\r\n"
	for _, command := range []string{
		"APPEND Bad&Name {%d+}",
		"APPEND INBOX (\\Bad{Flag) {%d+}",
		"APPEND INBOX \"32-Foo-2026 00:00:00 +0000\" {%d+}",
		"APPEND INBOX () XYZ ({%d+}",
		"APPEND {%d+}", // taken for the name of the mailbox
		"APPEND Nosuch {%d+}",
		"APPEND INBOX UTF8 ({%d+}",
		"NOOP {%d+}",
		"XYZ {%d+}",
		"SEARCH CHARSET x TEXT {%d+}",
		"LOGIN {%d+}",
	} {
		k.send(fmt.Sprintf("b "+command+"\r\n%s\r\nc NOOP", len(message), message))
		if got := k.want("b "); strings.HasPrefix(got, "b OK") {
			t.Errorf("%s: %s", command, got)
		}
		if got := k.line(); !strings.HasPrefix(got, "c OK") {
			t.Fatalf("after %s: %s", command, got)
		}
	}
	k.do("d STATUS Precious (MESSAGES)", "* STATUS")

	// One that is too long to be passed over ends the connection.
	k.send(fmt.Sprintf("b APPEND Bad&Name {%d+}\r\n%s", appendLimit+1, message))
	k.want("b BAD")
	k.want("* BYE")
	k = r.talk("joe")
	k.do("d STATUS Precious (MESSAGES)", "* STATUS")
}

// TestWhatIsTooMuch: each of these is answered, or ends its connection with a
// BYE, at once, and costs others nothing.
func TestWhatIsTooMuch(t *testing.T) {
	many := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	odd := func(n int) string { return many(n, func(i int) string { return fmt.Sprintf("%d,", 2*i+1) }) + "1" }
	down := func(n int) string { return many(n, func(i int) string { return fmt.Sprintf("%d,", 2*(n-i)) }) + "1" }
	const bye = "* BYE Command or literal is too long"
	r := newRig(t)
	r.deliver("INBOX", nil, nested, "Subject: x\r\n\r\nx\r\n")
	other := r.talk("joe")
	other.do("a SELECT INBOX", "a OK")
	for _, tt := range []struct {
		name, user, send, want string
	}{
		{"1 GB in LOGIN", "", "a LOGIN {1000000000+}\r\njoe", bye},
		{"1 GB in LOGIN, waits", "", "a LOGIN {1000000000}", "a BAD"},
		{"1 GB in APPEND before login", "", "a APPEND INBOX {1000000000+}\r\nx", bye},
		{"1 GB in APPEND before login, waits", "", "a APPEND INBOX {1000000000}", "a BAD"},
		{"1 GB in APPEND, waits", "joe", "a APPEND INBOX {1000000000}", "a NO [TOOBIG]"},
		{"1 GB in APPEND", "joe", "a APPEND INBOX {1000000000+}\r\nx", bye},
		{"65,537 octets in SEARCH, waits", "joe", "a SEARCH TEXT {65537}", "a BAD"},
		{"a size beyond all numbers", "joe", "a APPEND INBOX {99999999999999999999+}\r\nx", bye},
		{"an endless line", "", strings.Repeat("x", 10<<20), bye},
		{"an endless word", "joe", "a NOOP " + strings.Repeat("x", 10<<20), bye},
		{"an endless string", "joe", "a SELECT \"" + strings.Repeat("x", 100000), bye},
		{"endless literals", "joe", "a SEARCH " + strings.Repeat("TEXT {1+}\r\nx ", 100000), bye},
		{"parentheses in FETCH", "joe", "a FETCH 1 " + strings.Repeat("(", 40000), "a BAD"},
		{"parentheses in SEARCH", "joe", "a SEARCH " + strings.Repeat("(", 40000), "a NO [LIMIT]"},
		{"parentheses in LIST", "joe", "a LIST " + strings.Repeat("(", 40000), "a BAD"},
		{"NOT", "joe", "a SEARCH " + strings.Repeat("NOT ", 12000) + "ALL", "a NO [LIMIT]"},
		{"NOT a million times", "joe", "a SEARCH " + strings.Repeat("NOT ", 1000000) + "ALL", bye},
		{"OR", "joe", "a SEARCH " + strings.Repeat("OR ALL ", 7000) + "ALL", "a NO [LIMIT]"},
		{"OR to the left", "joe", "a SEARCH " + strings.Repeat("OR ", 5000) + strings.Repeat("ALL ", 5000) + "ALL", "a NO [LIMIT]"},
		{"OR a million times", "joe", "a SEARCH " + strings.Repeat("OR ALL ", 1000000) + "ALL", bye},
		{"a set of 8,000", "joe", "a UID FETCH " + odd(8000) + " UID", "a OK"},
		{"a set of 8,000 downwards", "joe", "a UID FETCH " + down(8000) + " UID", "a OK"},
		{"a set of 100,000", "joe", "a UID FETCH " + odd(100000) + " UID", bye},
		{"a path of 20,000 numbers", "joe", "a FETCH 1 BODY[" + strings.Repeat("1.", 20000) + "1]", "a OK"},
		{"200 sections", "joe", "a FETCH 1 (" + strings.Repeat("BODY.PEEK[1] ", maxSections) + "UID)", "a OK"},
		{"201 sections", "joe", "a FETCH 1 (" + strings.Repeat("BINARY.PEEK[1] ", maxSections) + "BODY.PEEK[1])", "a NO [LIMIT] Too many sections, at most 200"},
		{"500 header fields", "joe", "a FETCH 1 BODY.PEEK[HEADER.FIELDS (" + strings.Repeat("X-A ", maxHeaderNames-1) + "X)]", "a OK"},
		{"501 header fields", "joe", "a FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (" + strings.Repeat("X-A ", maxHeaderNames) + "X)]", "a NO [LIMIT] Too many header fields, at most 500"},
		{"500 search keys", "joe", "a SEARCH " + strings.Repeat("TEXT x ", maxSearchKeys-1) + "TEXT x", "a OK"},
		{"501 search keys", "joe", "a SEARCH " + strings.Repeat("TEXT x ", maxSearchKeys+1), "a NO [LIMIT] Too many search keys, at most 500"},
		{"32 patterns", "joe", `a LIST "" (` + strings.Repeat("* ", maxPatterns-1) + "*)", "a OK"},
		{"33 patterns", "joe", `a LIST "" (` + strings.Repeat("* ", maxPatterns) + "*)", "a NO [LIMIT] Too many mailbox patterns, at most 32"},
		{"2,001 octets of patterns", "joe", `a LIST "" (` + strings.Repeat("a", maxPatternOctets) + " *)", "a NO [LIMIT] Mailbox patterns are too long, at most 2000 octets"},
		{"10,000 commands at once", "joe", many(10000, func(int) string { return "x NOOP\r\n" }) + "a NOOP", "a OK"},
		{"10,000 commands before login", "", many(10000, func(int) string { return "x CAPABILITY\r\n" }) + "a NOOP", "a OK"},
	} {
		k := r.talk("")
		if tt.user != "" {
			k.do("l LOGIN joe pw", "l OK")
			k.do("s SELECT INBOX", "s OK")
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(k.conn, tt.send+"\r\n") // it may be cut off
		}()
		start := time.Now()
		if got := k.line(); true {
			for got != "" && !strings.HasPrefix(got, tt.want) && k.err == nil {
				got = k.line()
			}
			if k.err != nil && !strings.Contains(k.err.Error(), "reset") { // BYE may be lost with what we still send
				t.Errorf("%s: no %q, %v", tt.name, tt.want, k.err)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", tt.name, took)
		}
		other.do("o NOOP", "o OK")
		_ = k.conn.Close()
		<-sent
	}
}

// TestOneCommandTakesLittleMemory, however often it asks for the same.
func TestOneCommandTakesLittleMemory(t *testing.T) {
	v := &view{told: columns{uids: make(uids, 5000)}}
	for i := range v.told.uids {
		v.told.uids[i] = mailstore.UID(2*i + 1)
	}
	v.saved = v.told.uids
	all := strings.TrimSpace(strings.Repeat("* UID $ ", maxSearchKeys/2-1))
	if n := testkit.Allocated(func() {
		if _, err := compileKeys(v, strings.ReplaceAll(all, "UID $", "$")); err != nil {
			t.Error(err)
		}
	}); n > 20<<20 {
		t.Errorf("SEARCH with many sets takes %d MB", n>>20)
	}

	r := newRig(t)
	body := strings.Repeat(strings.Repeat("A", 76)+"\r\n", 3000)
	r.deliver("INBOX", nil, "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"+body)
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	if n := testkit.Allocated(func() { k.do("b FETCH 1 ("+strings.Repeat("BINARY.PEEK[1]<0.1> ", 100)+"UID)", "b OK") }); n > 30<<20 {
		t.Errorf("FETCH with many sections takes %d MB", n>>20)
	}
}

// TestTwoHundredConnections are what there may be in all, on any number of
// devices.
func TestTwoHundredConnections(t *testing.T) {
	r := newRig(t, anyDevice)
	for i := range serving.MaxConnections {
		r.idle(i, r.dial())
	}
	if n := r.server.Clients(); n != serving.MaxConnections {
		t.Errorf("%d clients", n)
	}
	k := &talk{t: t, conn: r.dial()}
	k.r = bufio.NewReader(k.conn)
	k.want("* BYE [LIMIT] Too many connections, at most 200")
	if got := k.line(); got != broken+"EOF" {
		t.Errorf("after BYE: %q", got)
	}
}

// TestOthersDoNotWaitForAClientThatStopsReading: a response that no one takes
// holds up neither the store nor other clients of the same mailbox, and ends
// with its connection.
func TestOthersDoNotWaitForAClientThatStopsReading(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.deliver("INBOX", nil, strings.Repeat("much of the same\r\n", 1<<20))
	other, idle := r.talk("joe"), r.talk("joe")
	for _, k := range []*talk{other, idle} {
		k.do("a SELECT INBOX", "a OK")
	}
	idle.do("b IDLE", "+")
	stuck := r.talk("joe")
	stuck.do("a SELECT INBOX", "a OK")
	r.server.clients.Each(func(s *session, _ serving.Login, _ time.Time) { s.conn.writeTimeout.Store(int64(time.Second)) })
	stuck.do("b FETCH 1 BODY.PEEK[]", "* 1 FETCH")
	r.deliver("INBOX", nil, "Subject: x\r\n\r\nx\r\n")
	idle.want("* 2 EXISTS")
	other.do("b NOOP", "* 2 EXISTS")
	other.do("c STORE 1 +FLAGS (\\Deleted)", "c OK")
	other.do("d EXPUNGE", "* 1 EXPUNGE")
	idle.want("* 1 EXPUNGE")
	idle.do("DONE", "b OK")
	for r.server.Clients() > 2 {
		runtime.Gosched()
	}
	n, err := io.Copy(io.Discard, stuck.r)
	if n >= 18<<20 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%d octets of the response came, %v", n, err)
	}
}

// TestLiteralsAreBoundedInSum: whatever the command, its literals together are
// no more than the limit, waited for or not; the refused one is drained, and the
// connection goes on.
func TestLiteralsAreBoundedInSum(t *testing.T) {
	r := newRig(t)
	text := strings.Repeat("x", 4096)
	k := r.talk("")
	k.send("a LOGIN {4096+}\r\n" + text + " {4097+}\r\n" + text + "y\r\nb NOOP")
	k.want("a BAD [LIMIT] The literals of a command are limited to 8192 octets")
	k.want("b OK")
	k.do("a LOGIN joe pw", "a OK")
	k.do("a SELECT INBOX", "a OK")

	search := "a SEARCH" + strings.Repeat(" TEXT {4096+}\r\n"+text, 300)
	k.send(search + "\r\nb NOOP")
	k.want("a BAD [LIMIT] The literals of a command are limited to 1048576 octets")
	k.want("b OK")

	// The same by literals that are waited for.
	k.send("a SEARCH TEXT {4096}")
	for range 256 {
		k.want("+")
		k.send(text + " TEXT {4096}")
	}
	k.want("a BAD [LIMIT]")
	k.do("b NOOP", "b OK")

	// A message is no such literal.
	message := strings.Repeat("much of the same\r\n", 100_000)
	k.send(fmt.Sprintf("a APPEND INBOX {%d}", len(message)))
	k.want("+")
	k.send(message)
	k.want("a OK")
}

// TestBeforeLogin: a few commands are known before login. Others of IMAP are
// refused; what is no IMAP ends the connection, lest a web page that makes a
// browser connect has its lines read.
func TestBeforeLogin(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, func(o *Options) { o.Log = zerolog.New(zerolog.SyncWriter(&log)) })
	k := r.talk("")
	for _, line := range []struct{ send, want string }{
		{"a CAPABILITY", "* CAPABILITY"},
		{"a NOOP", "a OK"},
		{"a ID NIL", "* ID NIL"},
		{"b ID (\"name\" {7+}\r\nOutlook \"x\" {0+}\r\n)", "* ID NIL"},
		{"a LIST \"\" *", "a BAD"},
		{"a UID FETCH 1 FLAGS", "a BAD"},
		{"a APPEND INBOX {5+}\r\nx\r\n\r\n", "a BAD"},
		{"a LIST \"\" ({4096+}\r\n" + strings.Repeat("x", 4096) + "{4096+}\r\n" + strings.Repeat("x", 4096) + ")", "a BAD"},
		{"c NOOP", "c OK"},
	} {
		k.do(line.send, line.want)
	}
	for _, first := range []string{
		"", "\r\na NOOP", "x", "GET / HTTP/1.1\r\nHost: localhost:1143\r\n\r\na LOGIN joe pw",
		"POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\na LOGIN joe pw\r\nb DELETE Precious",
		"EHLO localhost", "HELO localhost", "USER joe", "a NOSUCH", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "a NOOP \"x", "GET NOOP HTTP/1.1\r\nAccept: LOGIN joe pw",
	} {
		k := r.talk("")
		k.send(first)
		if got := k.line(); !strings.HasPrefix(got, "* BYE") { // one line is answered, and no other
			if next := k.line(); !strings.HasPrefix(next, "* BYE") {
				t.Errorf("%q is answered %q, %q", first, got, next)
			}
		}
		if got := k.line(); !strings.HasPrefix(got, broken) {
			t.Errorf("%q goes on with %q", first, got)
		}
	}
	r.stop()
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "a client that does not speak IMAP was disconnected") {
		t.Errorf("log: %s", log.String())
	}
}

// TestTheWrongProtection: TLS at a port for plain text, and the other way round,
// end the connection at once and are logged with what to do.
func TestTheWrongProtection(t *testing.T) {
	ca := testkit.CA(t)
	for _, tt := range []struct {
		security serving.Security
		send     string
		log      string
	}{
		{serving.Off, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a client began TLS at once"},
		{serving.StartTLS, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a client began TLS at once"},
		{serving.Implicit, "a LOGIN joe pw\r\n", "a client sent plain text"},
		{serving.Implicit, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a client sent plain text"},
	} {
		var log bytes.Buffer
		r := newRig(t, func(o *Options) {
			o.Security, o.TLS, o.Log = tt.security, ca.ServerConfig, zerolog.New(zerolog.SyncWriter(&log)).Level(zerolog.WarnLevel)
		})
		c := r.dial()
		if _, err := io.WriteString(c, tt.send); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", tt.send, err)
		}
		r.stop()
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, tt.log) || !strings.Contains(got, `"hint"`) {
			t.Errorf("%q is logged as %s", tt.send, got)
		}
	}
}

// TestACommandEndsWithItsClient: an expensive command does not go on when its
// client has gone, also where that has sent more commands before, or when its
// device was revoked. Each of these would take minutes.
func TestACommandEndsWithItsClient(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := strings.Repeat("some =E4 words of a long and dull text that goes on and on\r\n", 400_000)
	r.deliver("INBOX", nil, "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"+text)
	for _, command := range []string{
		"SEARCH" + strings.Repeat(" NOT TEXT zzzzzz", maxSearchKeys),
		"SEARCH" + strings.Repeat(" OR BODY zzzzzz", maxQueryDepth) + " SEEN",
		"FETCH 1 (" + strings.Repeat("BINARY.PEEK[1]<0.1> ", maxSections-1) + "BINARY.SIZE[1])",
	} {
		for how, leave := range map[string]func(k *talk){
			"left":                   func(k *talk) { _ = k.conn.Close() },
			"has pipelined and left": func(k *talk) { k.send("c NOOP\r\nd NOOP"); _ = k.conn.Close() },
			"its device was revoked": func(*talk) { r.server.Disconnect("joe", "laptop") },
			"has sent much more and left": func(k *talk) {
				go func() {
					_, _ = io.WriteString(k.conn, strings.Repeat("c NOOP\r\n", maxAhead))
				}()
				time.Sleep(time.Second / 2)
				_ = k.conn.Close()
			},
			"half of a line, and left": func(k *talk) { _, _ = io.WriteString(k.conn, "c NO"); _ = k.conn.Close() },
		} {
			k := r.talk("joe")
			k.do("a SELECT INBOX", "a OK")
			k.send("b " + command)
			leave(k)
			for end := time.Now().Add(20 * time.Second); r.server.Clients() > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%.20s goes on after its client: %s", command, how)
				}
			}
		}
	}
}

// TestLargeEnvelopesAreServed: what the index does not keep is read from the file,
// and is the same for FETCH and SEARCH.
func TestLargeEnvelopesAreServed(t *testing.T) {
	r := newRig(t)
	word := strings.Repeat("x", 20_000)
	parts := strings.Repeat("--b\r\nContent-Type: text/plain; name=x\r\n\r\nneedle\r\n", 2000)
	r.deliver("INBOX", nil,
		"Date: Thu, 1 Jan 2026 10:00:00 +0000\r\nSubject: "+word+"\r\n\r\nneedle\r\n",
		"Date: Fri, 2 Jan 2026 10:00:00 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+parts+"--b--\r\n",
		"Date: Sat, 3 Jan 2026 10:00:00 +0000\r\nSubject: y\r\n\r\nneedle\r\n")
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	k.send("b FETCH 1:* ENVELOPE")
	for _, want := range []string{
		`* 1 FETCH (ENVELOPE ("Thu, 1 Jan 2026 10:00:00 +0000" {20000}`, word + " NIL",
		`* 2 FETCH (ENVELOPE ("Fri, 2 Jan 2026 10:00:00 +0000" NIL`,
		`* 3 FETCH (ENVELOPE ("Sat, 3 Jan 2026 10:00:00 +0000" "y"`,
	} {
		if got := k.line(); !strings.HasPrefix(got, want) {
			t.Errorf("got %.200s", got)
		}
	}
	k.want("b OK")
	k.send("b FETCH 2 BODYSTRUCTURE")
	if got := k.line(); strings.Count(got, `"name" "x"`) != 2000 {
		t.Errorf("structure: %.200s", got)
	}
	k.want("b OK")
	k.do("c FETCH 2 BODY.PEEK[2000]", "* 2 FETCH (BODY[2000] {6}")
	k.want("c OK")
	for _, search := range []struct{ keys, want string }{
		{"SENTSINCE 2-Jan-2026", "* SEARCH 2 3"}, {"SENTBEFORE 2-Jan-2026", "* SEARCH 1"}, {"BODY needle", "* SEARCH 1 2 3"},
		{"NOT SENTON 2-Jan-2026 TEXT needle", "* SEARCH 1 3"}, {"SUBJECT xxxx", "* SEARCH 1"},
	} {
		k.do("d SEARCH "+search.keys, search.want)
		k.want("d OK")
	}
}

// TestFilesOfOneAppend: one command does not take all the files that the system lets
// the program open.
func TestFilesOfOneAppend(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("the open files are not listed here")
	}
	r := newRig(t)
	k := r.talk("joe")
	k.send("a APPEND Drafts" + strings.Repeat(" {1+}\r\nx", 3*maxOpenAppends) + " {1}")
	k.want("+")
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for _, fd := range fds {
		if name, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(filepath.Base(name), "spool-") {
			open++
		}
	}
	if open > maxOpenAppends {
		t.Errorf("%d files are open", open)
	}
	k.send("x")
	k.want("a OK")
	k.do("b STATUS Drafts (MESSAGES)", fmt.Sprintf("* STATUS \"Drafts\" (MESSAGES %d)", 3*maxOpenAppends+1))
}
