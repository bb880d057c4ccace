package mailtext

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// A piece of text is found wherever the borders of what is written fall.
func TestStreamAcrossBorders(t *testing.T) {
	text := "the quick brown füchslein jumps"
	for from := range len(text) {
		for to := from + 1; to <= len(text); to++ {
			needle := strings.ToUpper(text[from:to])
			if !utf8.ValidString(text[from:to]) {
				continue
			}
			for size := 1; size < 7; size++ {
				s := stream{m: NewMatcher(needle)}
				for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
					if _, err := s.Write(rest[:min(size, len(rest))]); err != nil {
						break
					}
				}
				if s.end(); !s.found {
					t.Fatalf("%q not found in pieces of %d", needle, size)
				}
			}
		}
	}
	s := stream{m: NewMatcher("xy")}
	for _, c := range []string{"x", "x", "z", "y"} {
		if _, err := s.Write([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	if s.end(); s.found {
		t.Error("found what is not there")
	}
}

func TestHTMLText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"<p>one</p><p>two</p>", "one two"},
		{"f<b>o</b>o <A HREF='x>y'>bar</A>", "foo bar"},
		{`<img alt="a > b" src=data:image/png;base64,AAAA>x`, "x"},
		{"a &amp; b &lt;c&gt; &eacute;&#233;&#xE9; &nbsp;x", "a & b <c> ééé x"},
		{"AT&T &unknown; & &", "AT&T &unknown; & &"},
		{"a<!-- hidden <b> -- > --><!---->b", "ab"},
		{"a<style>p { x: '<b>' }</style>b<SCRIPT>if (a<b && c) '</div>'</SCRIPT>c", "abc"},
		{"a < b and 1 <2, I <3 you", "a < b and 1 <2, I <3 you"},
		{"<!DOCTYPE html><html><title>T</title>x", "T x"},
		{"<?xml x?>y", "y"},
		{"a<!-->b<!--->c<!-- d --!>e", "abce"},
		{"<!--[if !mso]><!-->a<!--<![endif]--><!--[if mso]>b<![endif]-->", "a"},
		{"<style><!-- p { x: 1 }</style>a<style><!-- p --></style>b<script>x('<!--')</script>c", "abc"},
		{"don<ins>e</ins> str<strike>u</strike>ck <nobr>no</nobr>w", "done struck now"},
		{"x<br/>y<br>z", "x y z"},
		{"a<", "a"},
		{"unclosed <a href=\"x", "unclosed"},
		{"&am", "&am"},
		{"&" + strings.Repeat("a", 100) + ";b", "&" + strings.Repeat("a", 100) + ";b"},
		{"<" + strings.Repeat("a", 100) + ">b", "b"},
	} {
		for _, size := range []int{1, 2, 3, 1000} {
			var b bytes.Buffer
			h := htmlText{w: &b}
			for rest := []byte(c.in); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if _, err := h.Write(rest[:min(size, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.end(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(b.String()), " "); got != c.want {
				t.Errorf("%q in pieces of %d: %q, want %q", c.in, size, got, c.want)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("fox", "the quick brown fox", 3, false)
	f.Add("GRÜSSE ß", "<p>gr&uuml;sse&nbsp;\u00df</p>", 1, true)
	f.Add("\xff", "caf\xff", 2, false)
	f.Add("a b", "a<br>b<!-- c --><script>d</script>", 1, true)
	f.Fuzz(func(t *testing.T, needle, text string, size int, html bool) {
		size = max(size%64, 1)
		if len(needle)+len(text) > 1000 {
			return // the time in pieces of one byte grows with the square
		}
		m := NewMatcher(needle)
		pieces := func(w interface{ Write([]byte) (int, error) }) {
			for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if _, err := w.Write(rest[:min(size, len(rest))]); err != nil {
					return
				}
			}
		}
		if html {
			var whole, pieced bytes.Buffer
			h := htmlText{w: &whole}
			h.Write([]byte(text))
			h.end()
			h = htmlText{w: &pieced}
			pieces(&h)
			h.end()
			if whole.String() != pieced.String() {
				t.Errorf("whole %q, in pieces of %d %q", whole.String(), size, pieced.String())
			}
			return
		}
		s := stream{m: m}
		s.begin(true, true)
		pieces(&s)
		if s.end(); m.Match(text) != s.found {
			t.Errorf("%q in %q: in pieces of %d %v", needle, text, size, s.found)
		}
		if !m.Match(text+needle) && utf8.ValidString(text) && !strings.HasPrefix(needle, " ") {
			if m2 := NewMatcher(strings.TrimSpace(needle)); !m2.Match(text + " " + needle) {
				t.Errorf("%q not in itself", needle)
			}
		}
	})
}
