package mailtext

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folder brings text into the form in which it is compared: UTF-8, runes
// folded, white space as spaces.
type folder struct {
	loose bool   // a run of white space is one space
	tail  []byte // beginning of a rune at the end of the last piece
	blank byte   // the white space just before, '\r' or any other; 0 for none
}

// fold appends the folded form of text to dst. last says that no more follows.
func (f *folder) fold(dst, text []byte, last bool) []byte {
	if len(f.tail) > 0 {
		text = append(f.tail, text...)
		f.tail = nil
	}
	for i := 0; i < len(text); {
		c := text[i]
		if low := lowered[c]; low > ' ' {
			dst = append(dst, low)
			f.blank = 0
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			if !last && !utf8.FullRune(text[i:]) {
				f.tail = append(f.tail, text[i:]...)
				break
			}
			if r, size = utf8.DecodeRune(text[i:]); r == utf8.RuneError && size == 1 {
				r = rune(c)
			}
		}
		i += size
		switch {
		case unicode.IsSpace(r):
			dst = f.space(dst, c)
		case !unseen(r):
			dst = appendFolded(dst, r)
			f.blank = 0
		}
	}
	return dst
}

// unseen reports whether a reader sees nothing of r: soft hyphens, joiners and
// spaces without width, of which HTML mail is full.
func unseen(r rune) bool {
	switch r {
	case '\u00ad', '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff':
		return true
	}
	return false
}

func (f *folder) space(dst []byte, c byte) []byte {
	if f.loose && f.blank != 0 {
		return dst
	}
	if c == '\n' && f.blank == '\r' {
		f.blank = c
		return dst
	}
	f.blank = c
	return append(dst, ' ')
}

// lowered has the folded form of the printing ASCII characters, 0 for the
// others.
var lowered = func() (table [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		table[c] = lower(c)
	}
	return table
}()

// appendFolded appends the folding of what r is composed of (RFC 5051 section 2).
func appendFolded(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return utf8.AppendRune(dst, foldRune(r))
	}
	var buf [utf8.UTFMax]byte
	parts := buf[:utf8.EncodeRune(buf[:], r)]
	if composed := norm.NFKD.Properties(parts).Decomposition(); composed != nil {
		parts = composed
	}
	for len(parts) > 0 {
		r, size := utf8.DecodeRune(parts)
		if parts = parts[size:]; r == 'ß' || r == 'ẞ' {
			dst = append(dst, "ss"...)
			continue
		}
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

// foldRune returns the smallest of the runes that differ from r only in case, in
// lower case where that is ASCII.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	switch {
	case 'A' <= least && least <= 'Z':
		least += 'a' - 'A'
	case least == 'ı': // its upper case is I
		least = 'i'
	}
	return least
}
