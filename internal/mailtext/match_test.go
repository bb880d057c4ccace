package mailtext

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/message"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		needle, text string
		want         bool
	}{
		{"", "", true},
		{"", "x", true},
		{"x", "", false},
		{"hello", "Say HELLO!", true},
		{"HELLO", "say hello", true},
		{"hello", "hell o", false},
		{"straße", "STRAßE", true},
		{"ÄÖÜ", "äöü", true},
		{"привет", "ПРИВЕТ, мир", true},
		{"ΣΊΣΥΦΟΣ", "σίσυφος", true},
		{"k", "\u212a", true}, // Kelvin sign
		{"ſ", "S", true},
		{"STRASSE", "Straße", true},
		{"straẞe", "STRASSE", true},
		{"ﬁne", "FINE", true},
		// RFC 5051: characters are decomposed, marks are characters
		{"café", "CAFE\u0301", true},
		{"cafe\u0301", "CAFÉ", true},
		{"cafe", "café", true},
		{"café", "cafe", false},
		{"cafes", "cafés", false},
		{"ffi", "oﬃce", true},
		{"ABC", "ａｂｃ", true},
		{"が", "か\u3099", true},
		{"ガ", "ｶﾞ", true},
		{"istanbul", "İSTANBUL", false},
		{"i\u0307stanbul", "İSTANBUL", true},
		{"SICAK", "sıcak", true},
		{"ᾠδή", "ὨΙΔΉ", true},
		{"x² ™", "X2 tm", true},
		{"한", "한글", true},
		// what nobody sees: soft hyphens, joiners, spaces without width
		{"Donaudampf", "Donau\u00addampf", true},
		{"Donau\u00addampf", "Donaudampf", true},
		{"price list", "\ufeffprice\u200b \u200c\u2060list", true},
		{"a b", "a\r\n\tb", true},
		{"a  b", "a b", true},
		{"a b", "a\u00a0b", true},
		{"日本", "今日本屋", true},
		{"é", "caf\xe9", true}, // Latin 1
		{" ", "ab", false},
	} {
		if got := NewMatcher(c.needle).Match(c.text); got != c.want {
			t.Errorf("%q in %q: %v", c.needle, c.text, got)
		}
	}
}

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

const searched = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n" +
	"X-Folded: one\r\n two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n" +
	"--b\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n8NLJ18XULCDNydI=\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>sch=C3=\r\n=B6n<b>er</b> Tag &euro;</p>\r\n" +
	"--b\r\nContent-Type: application/pdf; name*=utf-8''%e2%82%ac.pdf\r\n\r\nbinary word\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nno charset: caf\xe9\r\n" +
	"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner one\r\nX-Inner: yes\r\n\r\ninner text\r\n" +
	"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n--b--\r\nepilogue\r\n"

func TestMatchBodyAndText(t *testing.T) {
	s := parseBytes([]byte(searched))
	for _, c := range []struct {
		needle     string
		body, text bool
	}{
		{"", true, true},
		{"ПРИВЕТ, мир", true, true},
		{"schöner tag €", true, true},
		{"<p>", false, false},
		{"binary word", false, false},
		{"CAFÉ", true, true},
		{"begin 644", true, true},
		{"inner text", true, true},
		{"Subject: inner one", false, true},
		{"x-inner: YES", false, true},
		{"jürgen", false, true},
		{"subject: grüße", false, true},
		{"x-folded: one two", false, true},
		{"€.pdf", false, true},
		{"application/pdf", false, true},
		{"мир schöner", false, false}, // not across parts
		{"reporting-mta", true, true},
		{"nowhere", false, false},
	} {
		m := NewMatcher(c.needle)
		if got, err := m.MatchBody(s, strings.NewReader(searched)); got != c.body || err != nil {
			t.Errorf("body %q: %v, %v", c.needle, got, err)
		}
		if got, err := m.MatchText(s, strings.NewReader(searched)); got != c.text || err != nil {
			t.Errorf("text %q: %v, %v", c.needle, got, err)
		}
	}
}

func TestMatchHeader(t *testing.T) {
	const header = "X-A: one\r\n\ttwo\r\nx-a:=?utf-8?q?caf=C3=A9?=\r\nX-B: \xe9\r\nX-A :\r\nX-NUL: a\x00b\rc\r\nX-P:  Plain  = Text\r\n\r\n"
	for _, c := range []struct {
		name, needle string
		want         bool
	}{
		{"x-A", "one two", true}, {"X-a", "CAFÉ", true}, {"X-A", "two caf", false}, {"X-A", "", true}, {"X-A", "caf=", false},
		{"X-B", "É", true}, {"X-NUL", "ab c", true}, {"X-P", "plain =", true}, {"X-P", "plain=", false}, {"X-C", "", false}, {"X-C", "x", false},
	} {
		if got := NewMatcher(c.needle).MatchHeader(readHeader(t, header), c.name); got != c.want {
			t.Errorf("%q in %s: %v", c.needle, c.name, got)
		}
	}
	if !NewMatcher("Да").MatchHeader(readHeader(t, "X-D: \xe4\xc1\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n"), "x-d") {
		t.Error("8-bit in the charset of the body is not found")
	}
}

func readHeader(t *testing.T, raw string) *message.Header {
	t.Helper()
	h, err := message.ReadHeader(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// White space counts in plain text, the end of a line as a space; in HTML and in
// headers a run of it is one space.
func TestWhiteSpace(t *testing.T) {
	const plain, html = "Subject: x\r\n\r\n", "Content-Type: text/html\r\n\r\n"
	for _, c := range []struct {
		head, text, needle string
		want               bool
	}{
		{plain, "two  spaces", "two  spaces", true},
		{plain, "two  spaces", "two spaces", false},
		{plain, "two spaces", "two  spaces", false},
		{plain, "a\r\nb\nc\rd", "a b c d", true},
		{plain, "a\r\nb", "a\r\nb", true},
		{plain, "a\r\nb", "a\nb", true},
		{plain, "a\r\nb", "\nb", true},
		{plain, "a\r\nb", "a\r", true},
		{plain, "a\r\n\r\nb", "a b", false},
		{plain, "a\r\n\r\nb", "a\n\nb", true},
		{plain, "a\n\rb", "a  b", true},
		{plain, "a\tb", "a b", true},
		{plain, "10\u00a0€", "10 €", true},
		{plain, "a b", "ab", false},
		{"Content-Type: text/plain; Format=Flowed\r\n\r\n", "a phrase \r\nthat flows", "phrase that", true},
		{"no header at all\r\n", "and no blank line", "header at", true},
		{html, "<p>two\r\n  spaces</p>", "two spaces", true},
		{html, "two spaces", "two \t spaces", true},
		{html, "one<p>two", "one two", true},
		{html, "one<b>two", "one two", false},
		{"Subject: a\r\n   b\tc\r\n\r\n", "", "a b c", true},
		{"Subject: a\r\n   b\tc\r\n\r\n", "", "a\r\n   b\tc", true},
	} {
		raw := c.head + c.text
		s := parseBytes([]byte(raw))
		if got, err := NewMatcher(c.needle).MatchText(s, strings.NewReader(raw)); got != c.want || err != nil {
			t.Errorf("%q in %q: %v, %v", c.needle, raw, got, err)
		}
	}
}

// A word that lies across the border of any buffer is found.
func TestMatchBodyInLargeText(t *testing.T) {
	for _, encoding := range []string{"7bit", "quoted-printable"} {
		for _, kind := range []string{"plain", "html"} {
			for at := 16300; at < 16500; at += 7 {
				raw := fmt.Sprintf("Content-Type: text/%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s needle %s", kind, encoding, strings.Repeat("x", at), strings.Repeat("y", 20000))
				s := parseBytes([]byte(raw))
				if found, err := NewMatcher("NEEDLE").MatchBody(s, strings.NewReader(raw)); !found || err != nil {
					t.Fatalf("%s %s at %d: %v, %v", encoding, kind, at, found, err)
				}
			}
		}
	}
}
