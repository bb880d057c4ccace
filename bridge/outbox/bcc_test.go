package outbox

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/popbridge/popbridge/internal/message"
)

func TestWithoutBcc(t *testing.T) {
	long := strings.Repeat("x", 3*lineBuffer)
	for _, tt := range []struct{ name, in, want string }{
		{"none", "To: a\r\n\r\nbody\r\n", "To: a\r\n\r\nbody\r\n"},
		{"one", "Bcc: b\r\nTo: a\r\n\r\nbody\r\n", "To: a\r\n\r\nbody\r\n"},
		{"any case", "bCC: b\r\nTO: a\r\nBCC:c\r\n\r\n", "TO: a\r\n\r\n"},
		{"folded", "To: a\r\n a2\r\nBcc: b,\r\n\tc,\r\n \r\n d\r\nCc: e\r\n f\r\n\r\n", "To: a\r\n a2\r\nCc: e\r\n f\r\n\r\n"},
		{"resent", "Resent-Bcc: b\r\nresent-bcc: c\r\nResent-To: a\r\nResent-Bcc-Note: n\r\n\r\n", "Resent-To: a\r\nResent-Bcc-Note: n\r\n\r\n"},
		{"white space before the colon", "Bcc \t: b\r\nTo: a\r\n\r\n", "To: a\r\n\r\n"},
		{"all there is", "Bcc: b\r\n c\r\n", ""},
		{"no end", "To: a\r\nBcc: b", "To: a\r\n"},
		{"nothing", "", ""},
		{"no body", "Bcc: b\r\nTo: a\r\n", "To: a\r\n"},
		{"in the body", "To: a\r\n\r\nBcc: b\r\n c\r\n", "To: a\r\n\r\nBcc: b\r\n c\r\n"},
		{"no header", "\r\nBcc: b\r\n", "\r\nBcc: b\r\n"},
		{"bare line ends", "To: a\nBcc: b\n c\nCc: d\n\nBcc: e\n", "To: a\nCc: d\n\nBcc: e\n"},
		{"others that begin so", "Bccx: b\r\nX-Bcc: c\r\nBcc\r\nBc: d\r\n\r\n", "Bccx: b\r\nX-Bcc: c\r\nBcc\r\nBc: d\r\n\r\n"},
		{"long", "Bcc: " + long + "\r\n " + long + "\r\nTo: " + long + "\r\n\r\n" + long, "To: " + long + "\r\n\r\n" + long},
		{"the name alone is long", "Bcc" + strings.Repeat(" ", lineBuffer) + ": b\r\nTo: a\r\n\r\n", "To: a\r\n\r\n"},
		{"a line that is nearly blank", "To: a\r\n\r\r\nBcc: b\r\n\r\n", "To: a\r\n\r\r\n\r\n"},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader, "with its end": iotest.DataErrReader} {
			got, err := io.ReadAll(withoutBcc(reader(strings.NewReader(tt.in))))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s, %s: %.200q, error %v", tt.name, how, got, err)
			}
		}
	}
}

// An error in the middle of a field that is left out is an error.
func TestWithoutBccFails(t *testing.T) {
	disk := errors.New("disk on fire")
	for _, begins := range []string{"", "To: a", "To: a\r\nBcc: b", "Bcc: b\r\n", "To: a\r\n\r\nbody"} {
		_, err := io.ReadAll(withoutBcc(io.MultiReader(strings.NewReader(begins), iotest.ErrReader(disk))))
		if !errors.Is(err, disk) {
			t.Errorf("after %q: error %v", begins, err)
		}
	}
}

// FuzzWithoutBcc compares with what the header filter of IMAP leaves out, and makes
// sure that nothing but the Bcc fields goes.
func FuzzWithoutBcc(f *testing.F) {
	for _, s := range []string{"Bcc: b\r\nTo: a\r\n\r\nbody", "To: a\r\nBcc: b,\r\n c\r\n\r\n", "Resent-Bcc : b\n\n", "\r\n", "B\rBcc: x\r\n", " \r\nBcc: x\r\n\tx"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := io.ReadAll(withoutBcc(bytes.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		again, _ := io.ReadAll(withoutBcc(bytes.NewReader(got)))
		if !bytes.Equal(again, got) {
			t.Fatalf("%q leaves %q, which leaves %q", in, got, again)
		}
		if len(in) > lineBuffer {
			return // names longer than a line may be
		}
		var want bytes.Buffer
		if err := message.FilterHeader(&want, bytes.NewReader(in), []string{"Bcc", "Resent-Bcc"}, true); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(got, want.Bytes()) || !bytes.HasSuffix(in, got[want.Len():]) {
			t.Fatalf("%q leaves %q, its header should be %q", in, got, want.Bytes())
		}
	})
}
