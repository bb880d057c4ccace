package localimap

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

// talk is a client for tests that look at raw lines.
type talk struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	err  error
}

func (r *rig) talk(user string) *talk {
	r.t.Helper()
	k := &talk{t: r.t, conn: r.dial()}
	k.r = bufio.NewReaderSize(k.conn, 1<<16)
	_ = k.conn.SetDeadline(time.Now().Add(time.Minute))
	k.want("* OK")
	if user != "" {
		k.do("l LOGIN "+user+" pw", "l OK")
	}
	return k
}

// broken begins what line returns at the end of the connection; err is set then.
const broken = "connection: "

func (k *talk) line() string {
	line, err := k.r.ReadString('\n')
	if err != nil {
		k.err = err
		return broken + err.Error()
	}
	return strings.TrimRight(line, "\r\n")
}

// want reads lines until one has the prefix.
func (k *talk) want(prefix string) string {
	k.t.Helper()
	var got []string
	for {
		line := k.line()
		if strings.HasPrefix(line, prefix) {
			return line
		}
		got = append(got[max(0, len(got)-20):], line)
		if k.err != nil {
			k.t.Fatalf("no %q in\n%s", prefix, strings.Join(got, "\n"))
		}
	}
}

func (k *talk) send(line string) {
	k.t.Helper()
	if _, err := io.WriteString(k.conn, line+"\r\n"); err != nil {
		k.t.Fatalf("send %q: %v", line, err)
	}
}

func (k *talk) do(line, want string) string {
	k.t.Helper()
	k.send(line)
	return k.want(want)
}

func TestNoLoginBeforeSTARTTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(o *Options) { o.Security, o.TLS = serving.StartTLS, ca.ServerConfig })
	k := r.talk("")
	if caps := k.do("a CAPABILITY", "* CAPABILITY"); !strings.Contains(caps, "STARTTLS") || !strings.Contains(caps, "LOGINDISABLED") || strings.Contains(caps, "AUTH=") {
		t.Errorf("before TLS: %s", caps)
	}
	k.want("a OK")
	k.do("b LOGIN joe pw", "b NO [PRIVACYREQUIRED]")
	k.do("c AUTHENTICATE PLAIN AGpvZQBwdw==", "c NO [PRIVACYREQUIRED]")
	k.do("d STARTTLS", "d OK")
	secure := tls.Client(k.conn, clientTLS(&tls.Config{RootCAs: ca.CertPool}))
	k.conn, k.r = secure, bufio.NewReader(secure)
	if caps := k.do("e CAPABILITY", "* CAPABILITY"); strings.Contains(caps, "STARTTLS") || strings.Contains(caps, "LOGINDISABLED") || !strings.Contains(caps, "AUTH=PLAIN") {
		t.Errorf("with TLS: %s", caps)
	}
	k.want("e OK")
	k.do("f LOGIN joe pw", "f OK")
	k.do("g SELECT INBOX", "g OK")
	k.do("h STARTTLS", "h BAD")
}

func TestImplicitTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(o *Options) { o.Security, o.TLS = serving.Implicit, ca.ServerConfig })
	r.deliver("INBOX", nil, strings.Repeat("x", 300000))
	c, err := imapclient.DialTLS(r.addr, &imapclient.Options{TLSConfig: clientTLS(&tls.Config{RootCAs: ca.CertPool})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Login("joe", "pw").Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	messages, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
	if err != nil || len(messages) != 1 || len(messages[0].BodySection[0].Bytes) != 300000 {
		t.Fatalf("FETCH: %v %d", err, len(messages))
	}
	if err := c.Logout().Wait(); err != nil {
		t.Errorf("LOGOUT: %v", err)
	}
}

// TestShutdown: clients that wait, idle, or work get BYE, and Serve returns
// when their sessions have ended.
func TestShutdown(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, "Subject: x\r\n\r\nx\r\n")
	quiet, idle, anon, sasl := r.talk("joe"), r.talk("joe"), r.talk(""), r.talk("")
	quiet.do("a SELECT INBOX", "a OK")
	idle.do("a SELECT INBOX", "a OK")
	idle.do("b IDLE", "+")
	sasl.do("a AUTHENTICATE PLAIN", "+")
	if n := r.server.Clients(); n != 2 {
		t.Errorf("Clients() = %d, want 2", n)
	}
	r.stop()
	for name, k := range map[string]*talk{"waiting": quiet, "idle": idle, "not logged in": anon} {
		k.want("* BYE")
		if got := k.line(); got != broken+"EOF" {
			t.Errorf("%s client got %q after BYE", name, got)
		}
	}
	if n := r.server.Clients(); n != 0 {
		t.Errorf("Clients() = %d after Serve returned", n)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("the port still answers")
	}
	// It can serve again.
	r.serve()
	r.talk("joe").do("a SELECT INBOX", "a OK")
}

// TestShutdownAmidACommand: a command that is cut off has no response but BYE. A NO would be
// shown to the person, who is not concerned: Thunderbird connects again by itself.
func TestShutdownAmidACommand(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, "Subject: x\r\n\r\nx\r\n")
	var clients []*talk
	for range 8 {
		k := r.talk("joe")
		k.do("a SELECT INBOX", "a OK")
		for i := range 500 {
			k.send(fmt.Sprintf("b%d FETCH 1 BODY.PEEK[]", i))
		}
		clients = append(clients, k)
	}
	for _, k := range clients {
		k.want("b0 OK")
	}
	r.stop()
	for _, k := range clients {
		last := ""
		for line := k.line(); !strings.HasPrefix(line, broken); line = k.line() {
			if last = line; strings.Contains(line, " NO ") || strings.Contains(line, " BAD ") {
				t.Fatalf("a command was answered %s", line)
			}
		}
		if !strings.HasPrefix(last, "* BYE") {
			t.Errorf("the last line is %s", last)
		}
	}
}

// TestShutdownWithAClientThatDoesNotRead: its response is cut off.
func TestShutdownWithAClientThatDoesNotRead(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, strings.Repeat("much of the same\r\n", 2<<20))
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	k.do("b FETCH 1 BODY.PEEK[]", "* 1 FETCH")
	r.stop()
	if _, err := io.Copy(io.Discard, k.r); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection ended with %v", err)
	}
}

func TestServeReturnsTheErrorOfItsListener(t *testing.T) {
	r := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.server.Serve(context.Background(), failing{ln}); err == nil {
		t.Error("Serve returned nil although it cannot accept")
	}
}

type failing struct{ net.Listener }

func (failing) Accept() (net.Conn, error) { return nil, io.ErrUnexpectedEOF }

func TestTooManyConnections(t *testing.T) {
	r := newRig(t)
	var users []*talk
	for range maxPerDevice {
		users = append(users, r.talk("joe"))
	}
	extra := r.talk("")
	extra.do("a LOGIN joe pw", "a NO [LIMIT]")
	users[0].do("z LOGOUT", "* BYE")
	users[0].want("z OK")
	if got := users[0].line(); got != broken+"EOF" {
		t.Errorf("after LOGOUT: %q", got)
	}
	extra.do("b LOGIN joe pw", "b OK")

	var anonymous []*talk
	for range serving.MaxUnauthenticated {
		anonymous = append(anonymous, r.talk(""))
	}
	// The oldest that has said nothing for a while makes room for another; when
	// there is none, the oldest does.
	anonymous[0].do("a NOOP", "a OK")
	time.Sleep(serving.SpeakWithin)
	for _, k := range anonymous[2:] { // a little speech
		k.do("a NOOP", "a OK")
	}
	newest := r.talk("")
	dropped := func(k *talk) {
		t.Helper()
		k.want("* BYE Too many connections that have not logged in")
		if got := k.line(); got != broken+"EOF" {
			t.Errorf("after BYE: %q", got)
		}
	}
	dropped(anonymous[1])
	r.talk("")
	dropped(anonymous[0])
	// A session that has ended makes room for another.
	newest.do("a LOGOUT", "a OK")
	if got := newest.line(); got != broken+"EOF" {
		t.Errorf("after LOGOUT: %q", got)
	}
	r.talk("")
	anonymous[2].do("a NOOP", "a OK")
}

func TestAskingTwiceIsNoticed(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	<-r.opened
	for _, line := range []string{"NOOP", "FETCH 1:* FLAGS", "NOOP", "SELECT Drafts", "NOOP"} {
		k.do("b "+line, "b OK")
	}
	// The second NOOP, and SELECT.
	for _, want := range []string{"joe INBOX", "joe Drafts"} {
		if got := <-r.opened; got != want {
			t.Errorf("opened %q, want %q", got, want)
		}
	}
	k.do("c NOOP", "c OK")
	if got := <-r.opened; got != "joe Drafts" {
		t.Errorf("opened %q", got)
	}
	if len(r.opened) > 0 {
		t.Errorf("opened %q as well", <-r.opened)
	}
}

// TestAPanicEndsOneConnection, and not the program, wherever it happens: here when the
// server is asked twice for news, after the command.
func TestAPanicEndsOneConnection(t *testing.T) {
	broken := false
	r := newRig(t, func(o *Options) {
		o.Opened = func(string, string) {
			if broken {
				panic("for the test")
			}
		}
	})
	k, other := r.talk("joe"), r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	other.do("a SELECT INBOX", "a OK")
	k.do("b NOOP", "b OK")
	broken = true
	k.send("c NOOP")
	if got := k.line(); !strings.HasPrefix(got, "connection: ") {
		t.Errorf("got %q", got)
	}
	other.do("b FETCH 1:* FLAGS", "b OK")
	r.stop()
	if n := r.server.Clients(); n != 0 {
		t.Errorf("%d clients", n)
	}
}

func TestOpenedIsCalled(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	k.do("a SELECT inbox", "a OK")
	if got := <-r.opened; got != "joe INBOX" {
		t.Errorf("opened %q", got)
	}
	k.do("b EXAMINE Drafts", "b OK")
	if got := <-r.opened; got != "joe Drafts" {
		t.Errorf("opened %q", got)
	}
}

// TestAClientBreaksOffAnAppend: half a message must not become a message.
func TestAClientBreaksOffAnAppend(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	k.do("a APPEND INBOX {1000}", "+")
	k.send("Subject: half\r\n\r\nonly this")
	_ = k.conn.(*net.TCPConn).CloseWrite()
	k.want(broken + "EOF")
	box, err := r.store.Mailbox(t.Context(), "INBOX")
	if err != nil || box.Messages != 0 {
		t.Errorf("%d messages, %v", box.Messages, err)
	}
}

// TestPipelining: commands sent at once are answered in order.
func TestPipelining(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, "Subject: x\r\n\r\nx\r\n")
	k := r.talk("joe")
	k.send("a SELECT INBOX\r\nb FETCH 1 UID\r\nc IDLE\r\nDONE\r\nd NOOP\r\ne UID SEARCH ALL\r\nf LOGOUT")
	for _, want := range []string{"a OK", "* 1 FETCH (UID 1)", "b OK", "+ idling", "c OK", "d OK", "* SEARCH 1", "e OK", "* BYE", "f OK", broken + "EOF"} {
		k.want(want)
	}
}

// TestDamagedMessages: a missing or short file costs that message and nothing
// else, and the connection stays in step.
func TestDamagedMessages(t *testing.T) {
	dir := t.TempDir()
	r := newRigIn(t, dir)
	r.deliver("INBOX", nil, "Subject: 1\r\n\r\nfirst\r\n", "Subject: 2\r\n\r\nsecond\r\n", "Subject: 3\r\n\r\nthird\r\n", "Subject: 4\r\n\r\nfourth\r\n")
	r.damage(dir, "second", func(path string) error { return os.Remove(path) })
	r.damage(dir, "third", func(path string) error {
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.Truncate(path, 10)
	})
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	k.send("b FETCH 1:4 (UID BODY.PEEK[TEXT])")
	for _, want := range []string{"* 1 FETCH (UID 1 BODY[TEXT] {7}", "first", ")", "* 4 FETCH (UID 4 BODY[TEXT] {8}", "fourth", ")", "b NO [SERVERBUG]"} {
		if got := k.line(); !strings.HasPrefix(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	// What does not need the file is told.
	k.send("c FETCH 2:3 (UID RFC822.SIZE ENVELOPE)")
	k.want(`* 2 FETCH (UID 2 RFC822.SIZE 22 ENVELOPE (NIL "2"`)
	k.want("* 3 FETCH")
	k.want("c OK")
	k.do("d SEARCH BODY ir", "* SEARCH 1")
	k.want("d OK")
}

// damage does something to the file of the message that contains text.
func (r *rig) damage(dir, text string, f func(path string) error) {
	r.t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".eml" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), text) {
			return err
		}
		found++
		return f(path)
	})
	if err != nil || found != 1 {
		r.t.Fatalf("damage %q: %d files, %v", text, found, err)
	}
}

// TestClient drives the main flows with the client of go-imap.
func TestClient(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, string(testkit.Message(1)), string(testkit.Message(2)), string(testkit.Message(3)))
	c, err := imapclient.DialInsecure(r.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("AUTHENTICATE", c.Login("joe", "pw").Wait())
	_, err = c.Namespace().Wait()
	must("NAMESPACE", err)
	must("CREATE", c.Create("Ordner/Ünter", nil).Wait())
	list, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true, UIDNext: true}}).Collect()
	must("LIST", err)
	if len(list) != 8 || list[4].Mailbox != "Ordner" || list[5].Mailbox != "Ordner/Ünter" {
		t.Errorf("LIST: %v", list)
	}
	data, err := c.Select("INBOX", nil).Wait()
	must("SELECT", err)
	if data.NumMessages != 3 || data.UIDNext != 4 {
		t.Errorf("SELECT: %+v", data)
	}
	all := imap.SeqSet{{Start: 1, Stop: 0}}
	whole := &imap.FetchItemBodySection{}
	messages, err := c.Fetch(all, &imap.FetchOptions{
		UID: true, Flags: true, Envelope: true, InternalDate: true, RFC822Size: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{whole},
	}).Collect()
	must("FETCH", err)
	for i, m := range messages {
		raw := testkit.Message(i + 1)
		if string(m.FindBodySection(whole)) != string(raw) || m.RFC822Size != int64(len(raw)) || m.Envelope.Subject == "" || m.BodyStructure == nil {
			t.Errorf("message %d: %+v", i+1, m)
		}
		if !m.InternalDate.Equal(epoch.AddDate(0, 0, i)) || fmt.Sprint(m.Flags) != `[\Seen \Recent]` {
			t.Errorf("message %d: %v %v", i+1, m.InternalDate, m.Flags)
		}
	}
	moved, err := c.Move(imap.UIDSetNum(2), "Ordner/Ünter").Wait()
	must("MOVE", err)
	if moved.SourceUIDs.String() != "2" || moved.DestUIDs.String() != "1" {
		t.Errorf("MOVE: %+v", moved)
	}
	stored, err := c.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect()
	must("STORE", err)
	if len(stored) != 2 {
		t.Errorf("STORE: %v", stored)
	}
	gone, err := c.Expunge().Collect()
	must("EXPUNGE", err)
	if len(gone) != 2 {
		t.Errorf("EXPUNGE: %v", gone)
	}
	w := c.Append("Ordner/Ünter", 5, nil)
	_, err = io.WriteString(w, "a: b\n")
	must("APPEND", err)
	must("APPEND", w.Close())
	appended, err := w.Wait()
	must("APPEND", err)
	if appended.UID != 2 {
		t.Errorf("APPEND: %+v", appended)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{}, &imap.SearchOptions{ReturnCount: true}).Wait()
	must("SEARCH", err)
	if found.Count != 0 {
		t.Errorf("SEARCH: %+v", found)
	}
	must("RENAME", c.Rename("Ordner", "Folder", nil).Wait())
	must("DELETE", c.Delete("Folder/Ünter").Wait())
	must("LOGOUT", c.Logout().Wait())
}

// TestCorpus stores every message of the shared corpus and asks for everything
// there is to ask for.
func TestCorpus(t *testing.T) {
	t.Parallel()
	corpus := testkit.Corpus(t)
	r := newRig(t)
	var names, raw []string
	for name, b := range corpus {
		names, raw = append(names, name), append(raw, string(b))
	}
	r.deliver("INBOX", nil, raw...)
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	for i, name := range names {
		raw := string(corpus[name])
		if raw == "" {
			raw = "\r\n"
		}
		k.send(fmt.Sprintf("b FETCH %d BODY.PEEK[]", i+1))
		if got, want := k.line(), fmt.Sprintf("* %d FETCH (BODY[] {%d}", i+1, len(raw)); got != want {
			t.Fatalf("%s: got %q, want %q", name, got, want)
		}
		got := make([]byte, len(raw))
		if _, err := io.ReadFull(k.r, got); err != nil || string(got) != raw {
			t.Fatalf("%s: other bytes: %v", name, err)
		}
		k.want("b OK")
	}
	for _, items := range []string{
		"FULL", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)", "RFC822.HEADER", "BODY[HEADER]", "BODY[TEXT]",
		"(BODY[HEADER.FIELDS (SUBJECT FROM)] BODY[HEADER.FIELDS.NOT (RECEIVED)])", "(BODY[1] BODY[1.MIME] BODY[1.HEADER] BODY[1.TEXT])",
		"(BODY[2] BODY[2.MIME] BODY[1.1] BODY[1.2.3.4] BODY[2.HEADER] BODY[2.TEXT]<3.50>)", "(BINARY.PEEK[] BINARY.SIZE[])",
		"(BODY[]<0.100> BODY[]<100.1000000> BODY[]<99999999.1>)",
	} {
		k.do("c FETCH 1:* "+items, "c OK")
	}
	for i := range names { // one by one: some have an unknown transfer encoding
		k.send(fmt.Sprintf("tag-17 FETCH %d (BINARY[1] BINARY.SIZE[1] BINARY[2] BINARY[1.1])", i+1))
		if got := k.want("tag-17 "); !strings.HasPrefix(got, "tag-17 OK") && !strings.HasPrefix(got, "tag-17 NO [UNKNOWN-CTE]") {
			t.Errorf("%s: %s", names[i], got)
		}
	}
	for _, keys := range []string{"TEXT example", "BODY example", "SUBJECT test", `HEADER Received ""`, "SENTSINCE 1-Jan-2000", "NOT TEXT nosuchtextanywhere"} {
		k.do("e SEARCH "+keys, "* SEARCH")
		k.want("e OK")
	}
}
