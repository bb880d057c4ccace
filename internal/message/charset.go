package message

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// charsets are names that neither index knows, or takes for something else than
// senders of mail do.
var charsets = map[string]encoding.Encoding{
	"utf-16": utf16Marked, "utf16": utf16Marked,
	"hz-gb-2312": simplifiedchinese.HZGB2312, // the index has only its replacement
	"cp-850":     charmap.CodePage850,
	"cp932":      japanese.ShiftJIS, "cp949": korean.EUCKR, "cp950": traditionalchinese.Big5,
	"iso-2022-jp-1": japanese.ISO2022JP, "iso-2022-jp-2": japanese.ISO2022JP, "iso-2022-jp-ms": japanese.ISO2022JP,
	"cp50220": japanese.ISO2022JP, "cp50221": japanese.ISO2022JP,
	"latin-1": charmap.Windows1252, "latin9": charmap.ISO8859_15, "latin-9": charmap.ISO8859_15,
}

// RFC 2781 section 4.3: the order of the bytes is said by a mark.
var utf16Marked = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)

// lookupCharset returns the encoding of a charset name; nil with true is
// UTF-8 or ASCII, which need no decoding, nil with false is unknown.
func lookupCharset(name string) (encoding.Encoding, bool) {
	name = strings.ToLower(strings.Trim(name, " \"'"))
	switch name {
	case "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968":
		return nil, true // the index has Windows-1252 for ASCII
	}
	if enc, ok := charsets[name]; ok {
		return enc, true
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != nil {
		if enc == encoding.Replacement {
			return nil, false // ISO-2022-KR, say: ASCII in good part, better as it is than not at all
		}
		if enc == unicode.UTF8 {
			return nil, true
		}
		return enc, true
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc, true
	}
	// cp-1252, windows1252, iso8859-16, ISO_8859-10 and the like.
	for _, prefix := range [...][2]string{{"cp-125", "windows-125"}, {"windows125", "windows-125"}, {"iso8859-", "iso-8859-"}, {"iso_8859-", "iso-8859-"}} {
		if rest, ok := strings.CutPrefix(name, prefix[0]); ok {
			if enc, err := htmlindex.Get(prefix[1] + rest); err == nil {
				return enc, true
			}
		}
	}
	return nil, false
}

// toUTF8 converts text in the named charset. Without a known charset it is
// guessed; ok is then false unless the text is ASCII or UTF-8.
func toUTF8(text, charset string) (s string, ok bool) {
	enc, known := lookupCharset(charset)
	if enc != nil {
		if out, err := enc.NewDecoder().String(text); err == nil {
			return out, true
		}
	}
	if utf8.ValidString(text) {
		return text, known
	}
	return guessUTF8(text, ""), false
}

// guessUTF8 makes UTF-8 of 8-bit text no one named the charset of: it is UTF-8
// already, or in the fallback charset, or in Windows-1252, which is what most
// senders of such text use. A fallback that has other bytes for ASCII is none.
func guessUTF8(text, fallback string) string {
	if utf8.ValidString(text) {
		return text
	}
	enc, _ := lookupCharset(fallback)
	if enc == nil {
		enc = charmap.Windows1252
	} else if ascii, err := enc.NewDecoder().String("a@"); err != nil || ascii != "a@" {
		enc = charmap.Windows1252
	}
	out, err := enc.NewDecoder().String(text)
	if err != nil {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return out
}
