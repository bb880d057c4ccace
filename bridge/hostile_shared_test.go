package bridge

import (
	"bufio"
	"bytes"
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// TestSharedReplies drives whole runners with literal answers of real servers,
// well formed and not: each answer of a set takes its turn in a session that
// otherwise goes well.
func TestSharedReplies(t *testing.T) {
	t.Parallel()
	sets, err := filepath.Glob(filepath.Join(testkit.Shared(t, "pop3-replies"), "*"))
	if err != nil || len(sets) == 0 {
		t.Fatal("no sets", err)
	}
	for _, set := range sets {
		replies := readReplies(t, set)
		for _, name := range slices.Sorted(maps.Keys(replies)) {
			t.Run(filepath.Base(set)+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					store := newMemStore(openSpool(t), time.Now)
					playReplies(t, store, replies, name)
					store.check(t)
				})
			})
		}
	}
}

// readReplies returns the answers of a set by name, with the line ends of the
// wire.
func readReplies(t *testing.T, set string) map[string][]byte {
	files, err := filepath.Glob(filepath.Join(set, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	replies := make(map[string][]byte)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
		if !bytes.HasSuffix(data, []byte("\n")) {
			data = append(data, '\n')
		}
		replies[strings.TrimSuffix(filepath.Base(file), ".txt")] = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
	}
	return replies
}

// playReplies polls twice. The answer called special is given to the command
// its name begins with.
func playReplies(t *testing.T, store *memStore, replies map[string][]byte, special string) {
	answer := func(verb string) []byte {
		verb = strings.ToLower(verb)
		for _, name := range []string{special, verb, verb + "1"} {
			if data, ok := replies[name]; ok && strings.HasPrefix(name, verb) {
				return data
			}
		}
		return map[string][]byte{
			"greeting": []byte("+OK\r\n"), "capa": []byte("+OK\r\nUIDL\r\n.\r\n"), "stat": []byte("+OK 1 9\r\n"),
			"list": []byte("+OK\r\n1 9\r\n.\r\n"), "uidl": []byte("+OK\r\n1 u1\r\n.\r\n"), "retr": []byte("+OK\r\nA: b\r\n\r\nc\r\n.\r\n"),
		}[verb]
	}
	var ended []chan struct{}
	dial := func(context.Context, string, string) (net.Conn, error) {
		client, server := scripted.Pipe(0)
		done := make(chan struct{})
		ended = append(ended, done)
		go func() {
			defer close(done)
			serveReplies(server, answer, replies[special], strings.Contains(special, "greeting"))
		}()
		return client, nil
	}
	runner := NewRunner(Account{
		Name: "home", PollEvery: time.Minute, Keep: plan.KeepNever(), Folder: "INBOX",
		Server: pop3.Config{Host: "pop.test", Security: pop3.Plain, Dialer: dial, Timeouts: pop3.Timeouts{Reply: 100 * time.Millisecond, Read: 100 * time.Millisecond}},
		Credentials: func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: "home", Secret: "s3cret"}, nil
		},
	}, store, Options{})
	runner.settle = 0
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // Gmail's LOGIN-DELAY is waited for between sessions
		result, err := runner.Poll(ctx, nil)
		cancel()
		s := runner.Status()
		if s.State == Polling || err == nil && s.LastError != "" || result.Deleted > 0 && result.Stored == 0 && store.delivers == 0 {
			t.Errorf("result %+v, error %v, status %+v", result, err, s)
		}
	}
	for _, done := range ended {
		<-done
	}
}

// serveReplies answers until the client leaves.
func serveReplies(conn net.Conn, answer func(string) []byte, special []byte, greeting bool) {
	defer conn.Close()
	first := answer("greeting")
	if greeting {
		first = special
	}
	if _, err := conn.Write(first); err != nil {
		return
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		said := answer(verb)
		if said == nil {
			said = []byte("+OK\r\n")
		}
		if verb == "AUTH" { // the mechanisms are another test's
			said = []byte("-ERR unknown command\r\n")
		}
		if _, err := conn.Write(said); err != nil {
			return
		}
	}
}
