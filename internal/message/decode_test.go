package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/popbridge/popbridge/internal/fault"
)

func decodeString(t *testing.T, encoding, in string, wrap func(io.Reader) io.Reader) string {
	t.Helper()
	r, err := Decode(wrap(strings.NewReader(in)), encoding)
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ encoding, in, want string }{
		{"7bit", "a=41", "a=41"},
		{"", "a", "a"},
		{"8BIT", "\xe9", "\xe9"},
		{"binary", "\x00", "\x00"},

		{"base64", "", ""},
		{"base64", "aGVsbG8=", "hello"},
		{"BASE64", "aGVs\r\nbG8=\r\n", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "a G*V-s b\x00G8===", "hello"},
		{"base64", "aGVsbG8=aGVsbG8=", "hellohello"},
		{"base64", "a", ""},
		{"base64", "aGVsbG8gd", "hello "},
		{"base64", "====", ""},

		{"quoted-printable", "", ""},
		{"quoted-printable", "caf=C3=A9", "café"},
		{"quoted-printable", "caf=c3=a9", "café"},
		{"quoted-printable", "a=\r\nb=\nc", "abc"},
		{"quoted-printable", "a=  \t\r\nb", "ab"},
		{"quoted-printable", "a  \t\r\nb \nc  ", "a\r\nb\nc"},
		{"quoted-printable", "a b\tc", "a b\tc"},
		{"quoted-printable", "a=20\r\n", "a \r\n"},
		{"quoted-printable", "1+1=2, x=y, =\xe9, ==41, =4", "1+1=2, x=y, =\xe9, =A, =4"},
		{"quoted-printable", "a=", "a"},
		{"quoted-printable", "a= b", "a= b"},
		{"quoted-printable", "a=\rb\rc", "a=\rb\rc"},
		{"quoted-printable", "a \rb", "a \rb"},
		{"quoted-printable", "8-bit \xe9 and \x00", "8-bit \xe9 and \x00"},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":     func(r io.Reader) io.Reader { return r },
			"by byte":   iotest.OneByteReader,
			"data, EOF": iotest.DataErrReader,
		} {
			if got := decodeString(t, c.encoding, c.in, wrap); got != c.want {
				t.Errorf("%s %q %s: %q, want %q", c.encoding, c.in, name, got, c.want)
			}
		}
	}
}

func TestDecodeUnknown(t *testing.T) {
	for _, encoding := range []string{"x-uuencode", "base85", "utf-8"} {
		if _, err := Decode(strings.NewReader("x"), encoding); !fault.Is(err, fault.Protocol) {
			t.Errorf("%s: %v", encoding, err)
		}
	}
}

// What the standard library encodes comes back, over all sizes and borders of
// buffers.
func TestDecodeInverts(t *testing.T) {
	var data []byte
	for i := range 20000 {
		data = append(data, byte(i*i>>3))
	}
	for _, n := range []int{0, 1, 2, 3, 4095, 4096, 4097, 20000} {
		encoded := base64.StdEncoding.EncodeToString(data[:n])
		if got := decodeString(t, "base64", encoded, iotest.HalfReader); got != string(data[:n]) {
			t.Errorf("base64 of %d bytes differs", n)
		}
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		w.Binary = true
		if _, err := w.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if got := decodeString(t, "quoted-printable", b.String(), iotest.HalfReader); got != string(data[:n]) {
			t.Errorf("quoted-printable of %d bytes differs", n)
		}
	}
}

func TestDecodePassesErrorsOn(t *testing.T) {
	for _, encoding := range []string{"base64", "quoted-printable"} {
		r, err := Decode(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("aGVs"))), encoding)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err != iotest.ErrTimeout {
			t.Errorf("%s: %v", encoding, err)
		}
	}
}

// A long run of white space is not held without limit.
func TestQuotedSpaceIsBounded(t *testing.T) {
	in := strings.Repeat(" ", 3*maxHeld) + "x"
	if got := decodeString(t, "quoted-printable", in, func(r io.Reader) io.Reader { return r }); got != in {
		t.Errorf("%d bytes came out of %d", len(got), len(in))
	}
}
