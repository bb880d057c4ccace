package textfile_test

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/textfile"
)

func encode(order binary.AppendByteOrder, mark bool, s string) []byte {
	if mark {
		s = "\ufeff" + s
	}
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

func TestDecode(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	for _, c := range []struct {
		data []byte
		want string
		ok   bool
	}{
		{[]byte("pass word \r\n"), "pass word \r\n", true},
		{[]byte("\ufeffpass"), "pass", true},
		{nil, "", true},
		{encode(le, true, "pä🔑ss\r\n"), "pä🔑ss\r\n", true},
		{encode(be, true, "pä🔑ss\r\n"), "pä🔑ss\r\n", true},
		{encode(le, false, "päss\r\n"), "päss\r\n", true},
		{encode(be, false, "päss\r\n"), "päss\r\n", true},
		{encode(le, true, ""), "", true},
		{encode(le, false, "p€ss"), "", false},              // may be anything
		{encode(le, true, "pass")[:7], "", false},           // cut off
		{[]byte{0xff, 0xfe, 0x00, 0xd8, 'x', 0}, "", false}, // half of a surrogate pair
		{[]byte{0xff, 0xfe, 0, 0, 'x', 0, 0, 0}, "", false}, // UTF-32
		{[]byte("pass\x00"), "", false},
		{[]byte("p\xe4ss"), "", false}, // Latin-1
	} {
		got, ok := textfile.Decode(c.data)
		if ok != c.ok || ok && string(got) != c.want {
			t.Errorf("%q: %q, %v", c.data, got, ok)
		}
	}
}

// What is text comes back as text without a mark or NUL, and once decoded it
// stays as it is; what was written in UTF-16 with a mark comes back as it was.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("pass\n"))
	f.Add([]byte("\xff\xfep\x00"))
	f.Add([]byte("\xfe\xff\x00p"))
	f.Add([]byte("\xef\xbb\xbfp"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, ok := textfile.Decode(data)
		if !ok {
			return
		}
		if !utf8.Valid(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			if again, ok := textfile.Decode(encode(order, true, string(text))); (!ok || string(again) != string(text)) && !containsError(text) {
				t.Fatalf("%q came back as %q, %v", text, again, ok)
			}
		}
	})
}

// containsError reports whether text has U+FFFD, which in UTF-16 is taken for
// a damaged character.
func containsError(text []byte) bool {
	for _, r := range string(text) {
		if r == utf8.RuneError {
			return true
		}
	}
	return false
}
