package testkit

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// syllables are what the words of Prose are made of.
var syllables = []string{"ba", "cer", "don", "es", "fi", "grü", "hu", "in", "ko", "lem", "mo", "ne", "or", "pli", "qua", "ra", "ße", "tu", "vi", "wen"}

// Prose returns header fields and a plain text of about size bytes, as a mailbox
// has them as far as a search can tell: words as frequent as in a language
// (Zipf's law), and ids and a signature that are in no other message. Lines end
// with CRLF; a Content-Type is up to the caller. The same n and size give the
// same bytes.
func Prose(n, size int) (fields, text string) {
	rnd := rand.New(rand.NewPCG(uint64(n), 4))
	words := rand.NewZipf(rnd, 1.1, 4, 200_000)
	id, queue := rnd.Uint64(), rnd.Uint64()
	var b strings.Builder
	fmt.Fprintf(&b, "Received: from mx%d.example.net ([192.0.2.%d]) by pop.example.com with ESMTPS id %x;\r\n\tMon, 2 Nov 2026 10:%02d:%02d +0000\r\n",
		n%9, n%250, queue, n%60, n%59)
	writeSignature(&b, rnd, n)
	fmt.Fprintf(&b, "From: %s <%s@example%d.org>\r\nTo: joe@example.com\r\nSubject: %s\r\nMessage-ID: <%x@example%d.org>\r\n",
		prose(words, 12, 80), syllables[n%20], n%500, prose(words, 40, 1000), id, n%500)
	return b.String(), prose(words, size, 70)
}

// writeSignature writes a DKIM-Signature field (RFC 6376).
func writeSignature(b *strings.Builder, rnd *rand.Rand, n int) {
	junk := make([]byte, 256)
	for i := range junk {
		junk[i] = byte(rnd.Uint32())
	}
	fmt.Fprintf(b, "DKIM-Signature: v=1; a=rsa-sha256; d=example%d.org; s=mail; bh=%s;\r\n\tb=", n%500, base64.StdEncoding.EncodeToString(junk[:32]))
	signature := base64.StdEncoding.EncodeToString(junk)
	for ; len(signature) > 72; signature = signature[72:] {
		fmt.Fprintf(b, "%s\r\n\t ", signature[:72])
	}
	fmt.Fprintf(b, "%s\r\n", signature)
}

// prose returns words of at least size bytes together, in lines of about width.
func prose(words *rand.Zipf, size, width int) string {
	var b strings.Builder
	for line := 0; b.Len() < size; {
		start := b.Len()
		for k := int(words.Uint64()) + 1; k > 0; k /= len(syllables) {
			b.WriteString(syllables[k%len(syllables)])
		}
		if line += b.Len() - start + 1; line > width {
			b.WriteString("\r\n")
			line = 0
		} else {
			b.WriteString(" ")
		}
	}
	return b.String()
}
