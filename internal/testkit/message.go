package testkit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"strings"
	"sync"
	"time"
)

var people = []string{
	"Ann Lee", "Bob Ray", "Zoë Müller", "山田太郎", "Carl O'Neil", "Dora \"Dot\" Day", "Eve Q.", "Łukasz Żak",
}

// Sizes are log-normal around 4 kB, as in ordinary mailboxes, and capped so
// that thousands of messages stay cheap.
const (
	sizeMu    = 8.3
	sizeSigma = 1.0
	sizeMax   = 200_000
)

// Message returns synthetic message number n: CRLF line ends, always the same
// bytes for the same n, all different. One in three is multipart, some have an
// attachment, some names and texts are not ASCII, some lines start with dots.
func Message(n int) []byte {
	if data, ok := made.Load(n); ok {
		return bytes.Clone(data.([]byte))
	}
	data := generate(n)
	if n < keptMessages {
		made.Store(n, bytes.Clone(data))
	}
	return data
}

// made has the first messages, which tests ask for again and again.
var made sync.Map

const keptMessages = 256

func generate(n int) []byte {
	g := &generator{rand: rand.New(rand.NewPCG(7, uint64(n))), n: n}
	g.header()
	switch {
	case n%15 == 9:
		g.mixed()
	case n%3 == 0:
		g.alternative()
	case n%7 == 1:
		g.quotedPrintable()
	default:
		g.plain()
	}
	return g.Bytes()
}

// MessageTime is the date in the header of Message(n).
func MessageTime(n int) time.Time {
	return time.Date(2025, 6, 1+n%28, 10, n%60, 0, 0, time.UTC)
}

type generator struct {
	bytes.Buffer
	rand *rand.Rand
	n    int
}

func (g *generator) line(format string, args ...any) {
	fmt.Fprintf(g, format, args...)
	g.WriteString("\r\n")
}

func (g *generator) words(k int) string {
	w := make([]string, k)
	for i := range w {
		w[i] = fmt.Sprintf("w%04d", g.rand.IntN(5000))
	}
	return strings.Join(w, " ")
}

func (g *generator) size() int {
	size := int(math.Exp(sizeMu + sizeSigma*g.rand.NormFloat64()))
	return min(max(size, 300), sizeMax)
}

func (g *generator) header() {
	date := MessageTime(g.n).Format("2 Jan 2006 15:04:05 -0700")
	name := mime.QEncoding.Encode("utf-8", people[g.rand.IntN(len(people))])
	if strings.ContainsAny(name, `"'.`) {
		name = `"` + strings.ReplaceAll(name, `"`, `\"`) + `"`
	}
	subject := g.words(6)
	if g.n%5 == 2 {
		subject = mime.BEncoding.Encode("utf-8", "Grüße "+g.words(2))
	}
	g.line("Return-Path: <u%d@example.org>", g.n%97)
	g.line("Received: from mx%d.example.net by pop.example.com with ESMTPS id %08x;\r\n\t%s", g.n%9, g.n, date)
	g.line("From: %s <u%d@example.org>", name, g.n%97)
	g.line("To: home@example.com, \"Second, one\" <second@example.com>")
	g.line("Subject: %s %d", subject, g.n)
	g.line("Date: %s", date)
	g.line("Message-ID: <%d.%d@example.org>", g.n, g.n*7919%1_000_003)
	if g.n%4 == 3 {
		g.line("In-Reply-To: <%d.%d@example.org>", g.n-1, (g.n-1)*7919%1_000_003)
	}
	g.line("MIME-Version: 1.0")
}

// text is about size bytes of lines; now and then one starts with a dot, which
// POP3 has to stuff, or is a dot alone.
func (g *generator) text(size int) string {
	var b strings.Builder
	for b.Len() < size {
		switch g.rand.IntN(40) {
		case 0:
			b.WriteString(".\r\n")
		case 1:
			b.WriteString("..")
		case 2:
			b.WriteString(".hidden ")
		}
		b.WriteString(g.words(10))
		b.WriteString("\r\n")
	}
	return b.String()
}

func (g *generator) plain() {
	g.line("Content-Type: text/plain; charset=utf-8")
	g.line("")
	g.WriteString(g.text(g.size()))
}

func (g *generator) quotedPrintable() {
	g.line("Content-Type: text/plain; charset=utf-8")
	g.line("Content-Transfer-Encoding: quoted-printable")
	g.line("")
	w := quotedprintable.NewWriter(&g.Buffer)
	_, _ = w.Write([]byte("Schöne Grüße aus Łódź\r\n" + g.text(g.size())))
	_ = w.Close()
}

func (g *generator) alternative() {
	b := fmt.Sprintf("b%08d", g.n)
	g.line("Content-Type: multipart/alternative; boundary=\"%s\"", b)
	g.line("")
	g.alternatives(b)
}

func (g *generator) alternatives(boundary string) {
	text := g.text(g.size())
	g.line("--%s\r\nContent-Type: text/plain; charset=utf-8\r\n", boundary)
	g.WriteString(text)
	g.line("\r\n--%s\r\nContent-Type: text/html; charset=utf-8\r\n", boundary)
	g.line("<p>%s</p>", g.words(20))
	g.line("--%s--", boundary)
}

func (g *generator) mixed() {
	outer, inner := fmt.Sprintf("m%08d", g.n), fmt.Sprintf("b%08d", g.n)
	g.line("Content-Type: multipart/mixed; boundary=\"%s\"", outer)
	g.line("")
	g.line("--%s\r\nContent-Type: multipart/alternative; boundary=\"%s\"\r\n", outer, inner)
	g.alternatives(inner)
	g.line("\r\n--%s", outer)
	g.line("Content-Type: application/octet-stream; name=\"data-%d.bin\"", g.n)
	g.line("Content-Disposition: attachment; filename=\"data-%d.bin\"", g.n)
	g.line("Content-Transfer-Encoding: base64\r\n")
	data := make([]byte, g.size())
	for i := range data {
		data[i] = byte(g.rand.Uint32())
	}
	encoded := base64.StdEncoding.EncodeToString(data)
	for len(encoded) > 0 {
		k := min(76, len(encoded))
		g.line("%s", encoded[:k])
		encoded = encoded[k:]
	}
	g.line("--%s--", outer)
}
