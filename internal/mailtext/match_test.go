package mailtext_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/mailtext"
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
		if got := mailtext.NewMatcher(c.needle).Match(c.text); got != c.want {
			t.Errorf("%q in %q: %v", c.needle, c.text, got)
		}
	}
}

// parts is a message with parts of many types.
func parts(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/parts.eml")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestMatchBodyAndText(t *testing.T) {
	raw := parts(t)
	s := parseBytes(raw)
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
		m := mailtext.NewMatcher(c.needle)
		if got, err := m.MatchBody(s, bytes.NewReader(raw)); got != c.body || err != nil {
			t.Errorf("body %q: %v, %v", c.needle, got, err)
		}
		if got, err := m.MatchText(s, bytes.NewReader(raw)); got != c.text || err != nil {
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
		if got := mailtext.NewMatcher(c.needle).MatchHeader(readHeader(t, header), c.name); got != c.want {
			t.Errorf("%q in %s: %v", c.needle, c.name, got)
		}
	}
	if !mailtext.NewMatcher("Да").MatchHeader(readHeader(t, "X-D: \xe4\xc1\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n"), "x-d") {
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
		if got, err := mailtext.NewMatcher(c.needle).MatchText(s, strings.NewReader(raw)); got != c.want || err != nil {
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
				if found, err := mailtext.NewMatcher("NEEDLE").MatchBody(s, strings.NewReader(raw)); !found || err != nil {
					t.Fatalf("%s %s at %d: %v, %v", encoding, kind, at, found, err)
				}
			}
		}
	}
}
