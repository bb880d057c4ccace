package localimap

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mailLike makes messages as a mailbox has them, as far as a search can tell:
// words as frequent as in a language, ids and signatures that are in no other
// message. Message 4711 has a word of its own.
func mailLike(n int) string {
	rnd := rand.New(rand.NewPCG(uint64(n), 4))
	words := rand.NewZipf(rnd, 1.1, 4, 200_000)
	syllables := []string{"ba", "cer", "don", "es", "fi", "gra", "hu", "in", "ko", "lem", "mo", "ne", "or", "pli", "qua", "ra", "st", "tu", "vi", "wen"}
	word := func() string {
		var b strings.Builder
		for k := words.Uint64() + 1; k > 0; k /= 20 {
			b.WriteString(syllables[k%20])
		}
		return b.String()
	}
	text := func(size, line int) string {
		var b strings.Builder
		for width := 0; b.Len() < size; {
			w := word()
			b.WriteString(w)
			if width += len(w) + 1; width > line {
				b.WriteString("\r\n")
				width = 0
			} else {
				b.WriteString(" ")
			}
		}
		return b.String()
	}
	junk := make([]byte, 256)
	for i := range junk {
		junk[i] = byte(rnd.Uint32())
	}
	signature := base64.StdEncoding.EncodeToString(junk)
	var b strings.Builder
	fmt.Fprintf(&b, "Received: from mx%d.example.net ([192.0.2.%d]) by pop.example.com with ESMTPS id %x;\r\n\tMon, 2 Nov 2026 10:%02d:%02d +0000\r\n",
		n%9, n%250, rnd.Uint64(), n%60, n%59)
	fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; d=example%d.org; s=mail; bh=%s;\r\n\tb=", n%500, base64.StdEncoding.EncodeToString(junk[:32]))
	for ; len(signature) > 72; signature = signature[72:] {
		fmt.Fprintf(&b, "%s\r\n\t ", signature[:72])
	}
	fmt.Fprintf(&b, "%s\r\nFrom: %s <%s@example%d.org>\r\nTo: joe@example.com\r\nSubject: %s\r\nMessage-ID: <%x@example%d.org>\r\n",
		signature, text(12, 80), text(5, 80)[:4], n%500, text(40, 1000), rnd.Uint64(), n%500)
	body := text(500+rnd.IntN(6000), 70)
	if n == 4711 {
		body += "xylophonequartet"
	}
	if n%3 == 0 {
		fmt.Fprintf(&b, "Content-Type: text/html; charset=utf-8\r\n\r\n<html><body><p style=\"margin:0;font-family:Arial,sans-serif\">%s</p></body></html>\r\n", strings.ReplaceAll(body, "\r\n", "<br>\r\n"))
	} else {
		fmt.Fprintf(&b, "Content-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", body)
	}
	return b.String()
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
