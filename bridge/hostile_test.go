package bridge

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

var updateHostile = flag.Bool("update-hostile", false, "rewrite the want sections of testdata/hostile")

// TestHostile plays each testdata/hostile/*.txtar, one or more polls against a
// server that behaves as real ones do, into a store on disk. Time is virtual.
//
// The first line of a file names the row of hostileRows that it shows. Its
// sections:
//
//	config     keep never|forever|DAYSd, tls starttls|implicit, method apop|token, max BYTES
//	NAME.eml   a message; NAME.raw the same, as Go strings, one a line
//	before N   what happens before poll N: restart, wait DURATION, confirm, keep ...
//	poll N     the script of the server (see scripted), with the macros of expand
//	want N     what is to be seen after poll N, as show writes it
//
// The script says what the client must send, to the line, so that a RETR, DELE
// or TOP more or less is an error.
func TestHostile(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	certs := testkit.CA(t, "pop.test")
	today := time.Now()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel() // most of the time is spent waiting for the disk
			synctest.Test(t, func(t *testing.T) {
				h := &hostile{t: t, file: file, certs: certs, today: today}
				h.load()
				h.play()
			})
		})
	}
}

// hostile is one file being played.
type hostile struct {
	t       *testing.T
	file    string
	certs   *testkit.TLS
	today   time.Time // within the validity of certs; the bubble begins in 2000
	archive *txtar.Archive

	sections map[string]string
	messages map[string][]byte
	check    string // the lines of %check

	account Account
	store   *mailstore.Store
	runner  *Runner
	server  *scripted.Server
	sent    *verbs
}

func (h *hostile) load() {
	var err error
	if h.archive, err = txtar.ParseFile(h.file); err != nil {
		h.t.Fatal(err)
	}
	h.sections, h.messages = make(map[string]string), make(map[string][]byte)
	for _, f := range h.archive.Files {
		h.sections[f.Name] = string(f.Data)
		if name, ok := strings.CutSuffix(f.Name, ".eml"); ok {
			h.messages[name] = bytes.ReplaceAll(f.Data, []byte("\n"), []byte("\r\n"))
		}
		if name, ok := strings.CutSuffix(f.Name, ".raw"); ok {
			for line := range strings.Lines(string(f.Data)) {
				h.messages[name] = append(h.messages[name], h.unquote(line)...)
			}
		}
	}
}

// unquote takes a Go string, after N* that many times.
func (h *hostile) unquote(line string) string {
	times := 1
	line = strings.TrimSpace(line)
	if n, rest, ok := strings.Cut(line, "*\""); ok && !strings.HasPrefix(line, `"`) {
		times, _ = strconv.Atoi(n)
		line = `"` + rest
	}
	text, err := strconv.Unquote(line)
	if err != nil {
		h.t.Fatalf("%s: %v", line, err)
	}
	return strings.Repeat(text, times)
}

func (h *hostile) play() {
	store, err := mailstore.Open(context.Background(), h.t.TempDir(), mailstore.Options{Now: time.Now})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = store
	defer h.close()
	cred := pop3.Credentials{Username: "home", Secret: "s3cret"}
	h.account = Account{
		Name: "home", PollEvery: 5 * time.Minute, Folder: "INBOX",
		Server: pop3.Config{Host: "pop.test", Security: pop3.Plain, Dialer: h.dial, TLS: &tls.Config{
			RootCAs: h.certs.CertPool, Time: func() time.Time { return h.today },
		}},
		Credentials: func(context.Context) (pop3.Credentials, error) { return cred, nil },
	}
	for line := range strings.Lines(h.sections["config"]) {
		h.configure(strings.Fields(line), &cred)
	}
	h.restart()
	for n := 1; h.sections[fmt.Sprint("poll ", n)] != ""; n++ {
		for line := range strings.Lines(h.sections[fmt.Sprint("before ", n)]) {
			h.configure(strings.Fields(line), &cred)
		}
		h.poll(n)
		if h.t.Failed() {
			return
		}
	}
}

func (h *hostile) close() {
	problems, err := h.store.Check(context.Background(), nil)
	if err != nil || len(problems) > 0 {
		h.t.Errorf("store: %v %v", problems, err)
	}
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
}

func (h *hostile) restart() {
	h.runner = NewRunner(h.account, h.store, Options{Now: time.Now, Rand: func() float64 { return 0.5 }})
}

func (h *hostile) configure(words []string, cred *pop3.Credentials) {
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "keep":
		h.account.Keep = keepOf(words[1])
	case "tls":
		h.account.Server.Security = map[string]pop3.Security{"starttls": pop3.StartTLS, "implicit": pop3.Implicit}[words[1]]
	case "method":
		cred.Method = map[string]pop3.Method{"apop": pop3.MethodAPOP, "token": pop3.MethodToken}[words[1]]
	case "max":
		h.account.Server.MaxMessage, _ = strconv.ParseInt(words[1], 10, 64)
	case "restart":
		h.restart()
	case "confirm":
		err := h.runner.Confirm(context.Background())
		if len(words) > 1 && words[1] == "incomplete" {
			_, err = h.runner.ConfirmIncomplete(context.Background(), nil)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			h.t.Fatal(err)
		}
		time.Sleep(d)
	default:
		h.t.Fatalf("config %q", words)
	}
}

func keepOf(word string) plan.Keep {
	switch word {
	case "never":
		return plan.KeepNever()
	case "forever":
		return plan.KeepForever()
	}
	days, _ := strconv.Atoi(strings.TrimSuffix(word, "d"))
	return plan.KeepFor(time.Duration(days) * 24 * time.Hour)
}

func (h *hostile) poll(n int) {
	h.t.Helper()
	h.sent = &verbs{count: make(map[string]int)}
	script := h.expand(h.sections[fmt.Sprint("poll ", n)])
	h.server = scripted.New(h.t, script, scripted.WithTLS(h.certs.ServerConfig))
	started := time.Now()
	result, err := h.runner.scheduled(context.Background())
	took := time.Since(started)
	h.server.Close()
	got := h.show(result, err, took)
	name := fmt.Sprint("want ", n)
	if *updateHostile {
		h.write(name, got)
		return
	}
	if diff := cmp.Diff(h.sections[name], got); diff != "" {
		h.t.Errorf("poll %d, -want +got\n%s", n, diff)
	}
	if s := h.runner.Status(); strings.Contains(got+s.LastError+s.Hint, "s3cret") {
		h.t.Error("the password is shown")
	}
}

// write replaces a section of the file, or adds it after its poll.
func (h *hostile) write(name, text string) {
	i := slices.IndexFunc(h.archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		poll := strings.Replace(name, "want", "poll", 1)
		i = 1 + slices.IndexFunc(h.archive.Files, func(f txtar.File) bool { return f.Name == poll })
		h.archive.Files = slices.Insert(h.archive.Files, i, txtar.File{Name: name})
	}
	h.archive.Files[i].Data = []byte(text)
	if err := os.WriteFile(h.file, txtar.Format(h.archive), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hostile) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := h.server.Dial(ctx, network, addr)
	if err != nil || h.account.Server.Security != pop3.Plain {
		return conn, err
	}
	return &countedConn{Conn: conn, verbs: h.sent}, nil
}

// verbs counts the commands of a poll.
type verbs struct {
	mu    sync.Mutex
	count map[string]int
}

type countedConn struct {
	net.Conn
	verbs *verbs
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.verbs.mu.Lock()
	defer c.verbs.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.verbs.count[verb]++
	}
	return c.Conn.Write(p)
}
