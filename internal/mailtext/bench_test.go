package mailtext

import (
	"bytes"
	"strings"
	"testing"
)

func BenchmarkMatchBody(b *testing.B) {
	raw := []byte("Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("The quick brown fox jumps, „zweimal“, over the lazy dog.\r\n", 20000))
	html := []byte("Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		strings.Repeat("<p style=3D\"color: #123\">The quick <b>brown</b> f=F6x jumps &amp; over</p>\r\n", 20000))
	m := NewMatcher("lazy cat")
	for name, raw := range map[string][]byte{"plain": raw, "html": html} {
		b.Run(name, func(b *testing.B) {
			s := parseBytes(raw)
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if found, err := m.MatchBody(s, bytes.NewReader(raw)); found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
}

func BenchmarkTerms(b *testing.B) {
	raw := []byte("Subject: x\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, 2026-11-03.\r\n", 1000))
	s := parseBytes(raw)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := Terms(s, bytes.NewReader(raw), func([]byte, bool) bool { return true }); err != nil {
			b.Fatal(err)
		}
	}
}
