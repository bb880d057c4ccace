package localimap

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailstore"
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
	k.send("b APPEND Bad&Name {2000000+}\r\n" + message)
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
		{"1 GB in APPEND before login, waits", "", "a APPEND INBOX {1000000000}", "a NO [TOOBIG]"},
		{"1 GB in APPEND", "joe", "a APPEND INBOX {1000000000+}\r\nx", bye},
		{"4,097 octets in SEARCH, waits", "joe", "a SEARCH TEXT {4097}", "a BAD"},
		{"a size beyond all numbers", "joe", "a APPEND INBOX {99999999999999999999+}\r\nx", bye},
		{"an endless line", "", strings.Repeat("x", 10<<20), bye},
		{"an endless word", "joe", "a NOOP " + strings.Repeat("x", 10<<20), bye},
		{"an endless string", "joe", "a SELECT \"" + strings.Repeat("x", 100000), bye},
		{"endless literals", "joe", "a SEARCH " + strings.Repeat("TEXT {1+}\r\nx ", 100000), bye},
		{"parentheses in FETCH", "joe", "a FETCH 1 " + strings.Repeat("(", 40000), "a BAD"},
		{"parentheses in SEARCH", "joe", "a SEARCH " + strings.Repeat("(", 40000), "a BAD"},
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
		{"many sections", "joe", "a FETCH 1 (" + strings.Repeat("BODY.PEEK[1] ", 3000) + "UID)", "a OK"},
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
	allocated := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	v := &view{told: columns{uids: make(uids, 5000)}}
	for i := range v.told.uids {
		v.told.uids[i] = mailstore.UID(2*i + 1)
	}
	v.saved = v.told.uids
	all := &imap.SearchCriteria{}
	for range 12_000 {
		all.SeqNum = append(all.SeqNum, imap.SeqSet{{Start: 1}})
		all.UID = append(all.UID, imap.SearchRes())
	}
	if n := allocated(func() { _, _ = compile(v, time.UTC, all) }); n > 20<<20 {
		t.Errorf("SEARCH with many sets takes %d MB", n>>20)
	}

	r := newRig(t)
	body := strings.Repeat(strings.Repeat("A", 76)+"\r\n", 3000)
	r.deliver("INBOX", nil, "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"+body)
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	if n := allocated(func() { k.do("b FETCH 1 ("+strings.Repeat("BINARY.PEEK[1]<0.1> ", 100)+"UID)", "b OK") }); n > 30<<20 {
		t.Errorf("FETCH with many sections takes %d MB", n>>20)
	}
}

// TestTwoHundredConnections are what there may be in all, on any number of
// devices.
func TestTwoHundredConnections(t *testing.T) {
	r := newRig(t, anyDevice)
	for i := range maxConnections {
		r.idle(i, r.dial())
	}
	if n := r.server.Clients(); n != maxConnections {
		t.Errorf("%d clients", n)
	}
	k := &talk{t: t, conn: r.dial()}
	k.r = bufio.NewReader(k.conn)
	k.want("* BYE [LIMIT] Too many connections, at most 200")
	if got := k.line(); got != broken+"EOF" {
		t.Errorf("after BYE: %q", got)
	}
}

// TestOthersDoNotWaitForAClientThatStopsReading: a response that nobody takes
// holds up neither the store nor other clients of the same mailbox, and ends
// with its connection.
func TestOthersDoNotWaitForAClientThatStopsReading(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, strings.Repeat("much of the same\r\n", 1<<20))
	other, idle := r.talk("joe"), r.talk("joe")
	for _, k := range []*talk{other, idle} {
		k.do("a SELECT INBOX", "a OK")
	}
	idle.do("b IDLE", "+")
	stuck := r.talk("joe")
	stuck.do("a SELECT INBOX", "a OK")
	for s := range r.server.logins { // nobody logs in or out now
		s.conn.mu.Lock()
		s.conn.patience = time.Second
		s.conn.mu.Unlock()
	}
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
