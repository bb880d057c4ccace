package message

import (
	"strings"
	"testing"
)

func TestDecodeWords(t *testing.T) {
	for _, c := range []struct {
		in, want string
	}{
		{"", ""},
		{"plain text", "plain text"},
		{"a =? b ?= c", "a =? b ?= c"},
		{"=?utf-8?q?caf=C3=A9?=", "café"},
		{"=?UTF-8?B?Y2Fmw6k=?=", "café"},
		{"=?iso-8859-1?Q?caf=e9_au_lait?=", "café au lait"},
		{"=?iso-8859-1*fr?Q?caf=e9?=", "café"},
		{"Re: =?utf-8?q?caf=C3=A9?= (2)", "Re: café (2)"},
		// RFC 2047 section 6.2 and 8
		{"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
		{"=?utf-8?q?a?=  \t=?utf-8?q?b?=", "ab"},
		{"=?utf-8?q?a_?= =?utf-8?q?b?=", "a b"},
		{"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"},
		{"=?utf-8?q?a?= =?iso-8859-1?q?=e9?=", "aé"},
		{"=?utf-8?q?a?= =?iso-8859-1?q?=e9?= =?utf-8?b?Yg==?= c", "aéb c"},
		// a character split between two words
		{"=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "€"},
		{"=?utf-8?q?=E2?= =?utf-8?q?=82=AC?=", "€"},
		{"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"},
		{"=?koi8-r?b?8NLJ18XU?=", "Привет"},
		{"=?gb2312?b?xOO6ww==?=", "你好"},
		{"=?big5?b?p0Gmbg==?=", "你好"},
		{"=?windows-1252?q?=80?=", "€"},
		{"=?cp1252?q?=80?=", "€"},
		// broken, but what is meant is plain
		{"=?utf-8?q?with spaces in it?=", "with spaces in it"},
		{"=?utf-8?b?Y2Fm w6k?=", "café"},
		{"=?utf-8?b?Y2Fmw6l?=", "café"},
		{"x=?utf-8?q?y?=z", "xyz"},
		{"=?utf-8?q?=zz?=", "=zz"},
		{"=?utf-8?q??=", ""},
		{"=?utf-8?q?a=3F=3D?=", "a?="},
		// 8-bit text in a word, which was made UTF-8 with all of the header
		{"=?iso-8859-1?q?J\u00fcrgen_=FC?=", "Jürgen ü"},
		{"=?utf-8?q?J\u00fcrgen_=C3=BC?=", "Jürgen ü"},
		{"=?koi8-r?q?J\u00fcrgen?=", "Jц╪rgen"}, // it was not in that charset
		// cut in the middle of a character
		{"=?utf-8?b?Y2Fmw6nD?=", "café\uFFFD"},
		{"=?utf-8?q?caf=C3=A9_=E2=82?= x", "café \uFFFD x"},
		// not to be decoded
		{"=?klingon?q?abc=FF?=", "=?klingon?q?abc=FF?="},
		{"=?utf-8?b?****?=", "=?utf-8?b?****?="},
		{"=?utf-8?b?****?= =?utf-8?b?****?= x", "=?utf-8?b?****?= =?utf-8?b?****?= x"},
		{"=?utf-8?b?****?= =?utf-8?q?a?= x", "=?utf-8?b?****?=a x"},
		{"=?utf-8?x?abc?=", "=?utf-8?x?abc?="},
		{"=?utf-8?q?abc", "=?utf-8?q?abc"},
		{"=?utf-8?q", "=?utf-8?q"},
		{"=?=?=?", "=?=?=?"},
	} {
		got := decodeWords(c.in)
		if got != c.want {
			t.Errorf("decodeWords(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestCharsets(t *testing.T) {
	for _, c := range []struct{ charset, in, want string }{
		// RFC 2781 section 4.3: by its mark, without one the high byte comes first
		{"utf-16", "\xfe\xff\x20\xac", "€"},
		{"UTF-16", "\xff\xfe\xac\x20", "€"},
		{"utf-16", "\x20\xac", "€"},
		{"utf-16le", "\xac\x20", "€"},
		{"utf-16be", "\x20\xac", "€"},
		{"iso-2022-jp", "\x1b$BF|K\\\x1b(B", "日本"},
		{"iso-2022-jp-ms", "\x1b$BF|K\\\x1b(B", "日本"},
		{"cp50221", "\x1b$BF|K\\\x1b(B", "日本"},
		{"CP932", "\x93\xfa\x96\x7b", "日本"},
		{"cp949", "\xc7\xd1", "한"},
		{"cp950", "\xa7\x41", "你"},
		{"cp850", "\x82", "é"},
		{"cp-850", "\x82", "é"},
		{"ibm850", "\x82", "é"},
		{"latin-1", "\xe9", "é"},
		{"latin9", "\xa4", "€"},
		{"windows1252", "\x80", "€"},
		{"iso8859-15", "\xa4", "€"},
		{"hz-gb-2312", "~{VPND~}", "中文"},
	} {
		if got, ok := toUTF8(c.in, c.charset); got != c.want || !ok {
			t.Errorf("%s %q: %q, %v", c.charset, c.in, got, ok)
		}
	}
	for _, unknown := range []string{"", "klingon", "utf-7", "unicode-1-1-utf-7", "iso-2022-kr", "iso-2022-cn", "x-unknown"} {
		if _, ok := lookupCharset(unknown); ok {
			t.Errorf("%q is known", unknown)
		}
	}
	// 8-bit text in a word is in the charset of the word.
	raw := "Subject: =?iso-8859-1?q?J\xfcrgen?=\r\n\r\n"
	if got := parseBytes([]byte(raw)).Envelope.Subject(); got != "Jürgen" {
		t.Errorf("Subject is %q", got)
	}
	// ASCII stays what it is, whatever the body is written in.
	raw = "From: \xe9 <a@b>\r\nContent-Type: text/plain; charset=utf-16\r\n\r\n"
	if got := parseBytes([]byte(raw)).Envelope.From(); got != "é <a@b>" {
		t.Errorf("From is %v", got)
	}
}

// Beginnings of words without an end must not make each of them search for it.
func TestDecodeWordsIsLinear(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"=?a?q?", "=?", "=?a", "=?utf-8?q?a?= ", "=?a?q?=?= "} {
		in := strings.Repeat(piece, maxHeader/len(piece))
		decodeWords(in)
		decodeWords(in + "?=")
		appendAddresses(nil, []byte(in), maxAddresses)
	}
}
