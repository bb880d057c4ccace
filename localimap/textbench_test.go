package localimap

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
)

// mailLike makes messages as a mailbox has them, every third in HTML. Message
// 4711 has a word of its own.
func mailLike(n int) string {
	fields, body := testkit.Prose(n, 500+n*7919%6000)
	if n == 4711 {
		body += "xylophonequartet"
	}
	if n%3 == 0 {
		return fmt.Sprintf("%sContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p style=\"margin:0;font-family:Arial,sans-serif\">%s</p></body></html>\r\n",
			fields, strings.ReplaceAll(body, "\r\n", "<br>\r\n"))
	}
	return fmt.Sprintf("%sContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", fields, body)
}

// BenchmarkSearchText searches 30,000 messages, over IMAP, with the text index
// and without.
func BenchmarkSearchText(b *testing.B) {
	const n = 30_000
	dir := b.TempDir()
	r := newRigIn(b, dir)
	var size int64
	for i := 0; i < n; i += 500 {
		var batch []string
		for k := i; k < i+500; k++ {
			batch = append(batch, mailLike(k))
			size += int64(len(batch[k-i]))
		}
		r.deliver("INBOX", nil, batch...)
	}
	run := func(b *testing.B) {
		k := r.talk("joe")
		_ = k.conn.SetDeadline(time.Time{})
		k.do("a SELECT INBOX", "a OK")
		for _, c := range []struct{ name, keys string }{
			{"rare word", "BODY xylophonequartet"},
			{"inside a word", "BODY lophonequa"},
			{"rare phrase", `TEXT "xylophonequartet nowhere"`},
			{"nowhere", "TEXT qqxyzzy"},
			{"two letters", "BODY qx"},
			{"common word", "BODY es"},
		} {
			b.Run(c.name, func(b *testing.B) {
				for b.Loop() {
					k.search(c.keys)
				}
			})
		}
	}
	b.Run("without", run)
	start := time.Now()
	r.withTextIndex(dir)
	b.Logf("%d messages of %.0f MB indexed in %.1f s", n, float64(size)/1e6, time.Since(start).Seconds())
	b.Run("with", run)
	var index int64
	_ = filepath.WalkDir(filepath.Join(dir, "search"), func(_ string, e fs.DirEntry, err error) error {
		if info, err := e.Info(); err == nil && !e.IsDir() {
			index += info.Size()
		}
		return err
	})
	b.Logf("the index has %.1f MB, %.0f %% of the mail", float64(index)/1e6, 100*float64(index)/float64(size))
}
