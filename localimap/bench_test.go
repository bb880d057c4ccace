package localimap

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// BenchmarkFetchFlags is what a client does when it opens a large mailbox: one
// command, 100,000 lines.
func BenchmarkFetchFlags(b *testing.B) { benchmarkFetch(b, 100000, "FETCH 1:* (UID FLAGS)") }

// BenchmarkFetchEnvelope needs the summary of every message.
func BenchmarkFetchEnvelope(b *testing.B) { benchmarkFetch(b, 10000, "FETCH 1:* (UID ENVELOPE)") }

// BenchmarkFetchStructure does, too.
func BenchmarkFetchStructure(b *testing.B) { benchmarkFetch(b, 10000, "FETCH 1:* (BODYSTRUCTURE)") }

// BenchmarkFetchHeaders needs the lines that are kept.
func BenchmarkFetchHeaders(b *testing.B) {
	benchmarkFetch(b, 10000, "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])")
}

// BenchmarkFetchBody opens every file.
func BenchmarkFetchBody(b *testing.B) { benchmarkFetch(b, 10000, "FETCH 1:* (BODY.PEEK[])") }

func benchmarkFetch(b *testing.B, n int, command string) {
	r := newRig(b)
	if strings.Contains(command, "FLAGS") {
		r.fill(n)
	} else {
		r.fillMail(n)
	}
	k := r.talk("joe")
	_ = k.conn.SetDeadline(time.Time{})
	k.do("a SELECT INBOX", "a OK")
	k.r = bufio.NewReaderSize(k.conn, 1<<20)
	for b.Loop() {
		k.send("t " + command)
		lines := 0
		for {
			line, err := k.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if lines++; strings.HasPrefix(string(line[:2]), "t ") {
				break
			}
		}
		if lines <= n {
			b.Fatalf("%d lines", lines)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// fillMail stores n messages as they come.
func (r *rig) fillMail(n int) {
	r.t.Helper()
	for first := 0; first < n; first += 500 {
		var batch []string
		for i := first; i < min(n, first+500); i++ {
			batch = append(batch, string(testkit.Message(i)))
		}
		r.deliver("INBOX", nil, batch...)
	}
}

// fill stores one content and copies it until there are n messages.
func (r *rig) fill(n int) {
	r.t.Helper()
	r.deliver("INBOX", nil, "From: a@example.com\r\nSubject: bench\r\n\r\n"+strings.Repeat("line\r\n", 100))
	ctx := r.t.Context()
	box, err := r.store.Mailbox(ctx, "INBOX")
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := r.store.OpenView(ctx, box.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	for {
		have := v.Snapshot().UIDs
		if len(have) >= n {
			return
		}
		if _, err := r.store.Copy(ctx, box.ID, have[:min(len(have), n-len(have))], box.ID); err != nil {
			r.t.Fatal(err)
		}
	}
}

// TestHundredThousandMessages: nothing a client does to all messages of a large
// mailbox is a matter of minutes.
func TestHundredThousandMessages(t *testing.T) {
	n := rounds.Of(10_000, 100_000)
	r := newRig(t)
	r.fill(n)
	a, b := r.talk("joe"), r.talk("joe")
	a.do("a SELECT INBOX", "a OK")
	b.do("a SELECT INBOX", "a OK")
	b.do("b IDLE", "+")
	a.do("c STORE 1:* +FLAGS.SILENT (\\Deleted)", "c OK")
	b.want(fmt.Sprintf("* %d FETCH (FLAGS (\\Deleted))", n))
	if got := a.do("d UID SEARCH RETURN (ALL COUNT) DELETED", "* ESEARCH"); !strings.HasSuffix(got, fmt.Sprintf("UID ALL 1:%d COUNT %d", n, n)) {
		t.Errorf("ESEARCH: %s", got)
	}
	a.do("e EXPUNGE", "e OK")
	b.want("* 1 EXPUNGE")
	b.do("DONE", "b OK")
	b.do("f FETCH 1:* UID", "f OK")
}

// BenchmarkSearchAndSort asks for what is in the index, of 30,000 messages.
func BenchmarkSearchAndSort(b *testing.B) {
	const n = 30_000
	dir := b.TempDir()
	r := newRigIn(b, dir)
	rnd := rand.New(rand.NewPCG(7, 7))
	words := func(n int) string {
		var text strings.Builder
		for range n {
			fmt.Fprintf(&text, "w%04d ", rnd.IntN(5000))
		}
		return text.String()
	}
	for i := 0; i < n; i += 500 {
		var batch []string
		for k := i; k < i+500; k++ {
			batch = append(batch, fmt.Sprintf("From: Ann <u%d@example.org>\r\nTo: home@example.com\r\nSubject: %s %d\r\nDate: %d Jun 2025 10:%02d:00 +0000\r\nMessage-ID: <%d@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n",
				k%97, words(6), k, 1+k%28, k%60, k, words(700)))
		}
		r.deliver("INBOX", nil, batch...)
	}
	r.withTextIndex(dir)
	k := r.talk("joe")
	_ = k.conn.SetDeadline(time.Time{})
	k.do("a SELECT INBOX", "a OK")
	k.r = bufio.NewReaderSize(k.conn, 1<<20)
	for _, command := range []string{
		"SEARCH UNSEEN", `SEARCH SUBJECT "w12"`, "SEARCH FROM example1.org", "SORT (DATE) UTF-8 ALL", "SORT (SUBJECT FROM) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL",
	} {
		b.Run(command, func(b *testing.B) {
			for b.Loop() {
				k.do("t "+command, "t OK")
			}
		})
	}
}
