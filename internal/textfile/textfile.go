// Package textfile reads the text of small files that people write with any
// editor: UTF-8 with or without a byte order mark, and the UTF-16 of Windows.
package textfile

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// Decode returns the text in UTF-8 without a byte order mark. UTF-16 is
// recognised by its mark, or without one where every second byte is 0 and no
// other is. ok is false where data is no text in either encoding.
func Decode(data []byte) (text []byte, ok bool) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order, data = binary.LittleEndian, data[2:]
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order, data = binary.BigEndian, data[2:]
	case alternates(data, 1):
		order = binary.LittleEndian
	case alternates(data, 0):
		order = binary.BigEndian
	default:
		text = bytes.TrimPrefix(data, []byte("\ufeff"))
		return text, valid(text)
	}
	if len(data)%2 != 0 {
		return nil, false
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	for _, r := range utf16.Decode(units) {
		text = utf8.AppendRune(text, r)
	}
	return text, valid(text) && !bytes.ContainsRune(text, utf8.RuneError) // half of a surrogate pair
}

// valid reports whether text is UTF-8. A NUL is in no text.
func valid(text []byte) bool { return utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 }

// alternates reports whether the bytes at odd positions (at even ones for zero
// 0) are all 0, and the others are not.
func alternates(data []byte, zero int) bool {
	for i, b := range data {
		if (b == 0) != (i%2 == zero) {
			return false
		}
	}
	return len(data) > 0 && len(data)%2 == 0
}
