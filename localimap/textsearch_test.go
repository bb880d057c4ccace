package localimap

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/textindex"
)

// search sends a SEARCH and returns the answer.
func (k *talk) search(keys string) string {
	k.t.Helper()
	k.send("s SEARCH " + keys)
	answer := ""
	for {
		line := k.line()
		if rest, ok := strings.CutPrefix(line, "* SEARCH"); ok {
			answer = strings.TrimSpace(rest)
		}
		if strings.HasPrefix(line, "s ") || k.err != nil {
			if !strings.HasPrefix(line, "s OK") {
				k.t.Fatalf("SEARCH %q: %s", keys, line)
			}
			return answer
		}
	}
}

func quoted(needle string) string { return fmt.Sprintf("{%d+}\r\n%s", len(needle), needle) }

// withTextIndex opens the store again with the text index and waits until all
// messages are in it.
func (r *rig) withTextIndex(dir string) {
	r.t.Helper()
	r.stop()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	store, err := mailstore.Open(r.t.Context(), dir, mailstore.Options{Log: zerolog.Nop(), IndexText: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.store = store
	r.serve()
	box, err := store.Mailbox(r.t.Context(), "INBOX")
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := store.OpenView(r.t.Context(), box.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		known := store.Narrow("nowherefound", false)
		if !slices.ContainsFunc(v.Snapshot().Contents, func(id mailstore.ContentID) bool { return known.Of(int64(id)) != textindex.NoMatch }) {
			return
		}
	}
}

// TestSearchWithAndWithoutTheTextIndex: whatever is asked, the index changes
// nothing but the time.
func TestSearchWithAndWithoutTheTextIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRigIn(t, dir)
	var messages []string
	for n := range 60 {
		messages = append(messages, string(testkit.Message(n)))
	}
	messages = append(messages,
		"Subject: =?utf-8?q?Stra=C3=9Fenfest?=\r\nX-Spam-Report: =?iso-8859-1?q?gr=FCn?= and blue\r\n\r\nwrapped\r\nphrase, 東京都は晴れ\r\n",
		"From: \"Ann Bär\" <ann@example.net>\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"+
			"PHA+d3JhPGI+cHBlZDwvYj4KICBwaHJhc2U8L3A+\r\n")
	r.deliver("INBOX", nil, messages...)

	rnd := rand.New(rand.NewPCG(7, 7))
	cut := func() string {
		raw := messages[rnd.IntN(len(messages))]
		at := rnd.IntN(len(raw))
		return quoted(strings.ToValidUTF8(raw[at:min(len(raw), at+1+rnd.IntN(20))], ""))
	}
	keys := []string{
		"ALL", `TEXT "strassenFEST"`, `BODY "wrapped phrase"`, `BODY "wrappedphrase"`, `NOT BODY "wrapped"`, `TEXT ""`, `BODY "-- "`,
		`HEADER X-Spam-Report "GRÜN and"`, `HEADER X-Spam-Report ""`, `NOT HEADER X-Spam-Report "blue"`, `HEADER Subject "straßen"`,
		`FROM "bär"`, `FROM "example.net>"`, "TEXT " + quoted("京都"), "BODY " + quoted("は晴"), `HEADER "" "wrapped"`,
	}
	// More than the index is asked for.
	keys = append(keys, strings.Repeat(`OR BODY "qqq" `, maxNarrowed)+`BODY "wrapped"`, strings.Repeat(`TEXT "wra" `, 2*maxNarrowed)+`BODY "pp"`)
	for range 60 {
		keys = append(keys, "TEXT "+cut(), "BODY "+cut(), "SUBJECT "+cut(), "NOT TEXT "+cut(), "OR BODY "+cut()+" NOT (UNSEEN TEXT "+cut()+")", "TO "+cut()+" BODY "+cut())
	}
	ask := func() (answers []string) {
		k := r.talk("joe")
		k.do("a SELECT INBOX", "a OK")
		for _, key := range keys {
			answers = append(answers, k.search("CHARSET UTF-8 "+key))
		}
		return answers
	}
	without := ask()
	r.withTextIndex(dir)
	for i, got := range ask() {
		if got != without[i] {
			t.Errorf("SEARCH %q: %s with the index, %s without", keys[i], got, without[i])
		}
	}
	n := len(messages)
	for i, want := range map[int]string{1: fmt.Sprint(n - 1), 2: fmt.Sprint(n-1, n), 3: "", 7: fmt.Sprint(n - 1), 11: fmt.Sprint(n), 13: fmt.Sprint(n - 1), 14: fmt.Sprint(n - 1), 15: ""} {
		if without[i] != want && without[i] != strings.Trim(want, "[]") {
			t.Errorf("SEARCH %s: %q, want %q", keys[i], without[i], want)
		}
	}
}

// TestNewMailIsFoundBeforeItIsIndexed: a search never waits for the index.
func TestNewMailIsFoundBeforeItIsIndexed(t *testing.T) {
	dir := t.TempDir()
	r := newRigIn(t, dir)
	r.deliver("INBOX", nil, "Subject: x\r\n\r\nfirst\r\n")
	r.withTextIndex(dir)
	k := r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	for n := 2; n < 10; n++ {
		r.deliver("INBOX", nil, fmt.Sprintf("Subject: x\r\n\r\nhaystack%d needle%d\r\n", n, n))
		k.do("n NOOP", "n OK")
		if got := k.search(fmt.Sprintf("BODY needle%d", n)); got != fmt.Sprint(n) {
			t.Errorf("needle%d: %q", n, got)
		}
	}
	if got := k.search("BODY first"); got != "1" {
		t.Errorf("first: %q", got)
	}
}
