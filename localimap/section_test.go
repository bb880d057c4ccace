package localimap

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		offset, size, n, lo, hi int64
	}{
		{0, 10, 100, 0, 10},
		{90, 10, 100, 90, 100},
		{90, 20, 100, 90, 100},
		{100, 1, 100, 100, 100},
		{5000, 1, 100, 100, 100},
		{0, 0, 100, 0, 0},
		{0, 1<<63 - 1, 100, 0, 100},
		{50, 1<<63 - 1, 100, 50, 100},
		{1<<63 - 1, 1<<63 - 1, 100, 100, 100},
		{0, 5, 0, 0, 0},
	} {
		lo, hi := windowOf(&window{offset: tt.offset, size: tt.size}, tt.n)
		if lo != tt.lo || hi != tt.hi {
			t.Errorf("<%d.%d> of %d is [%d,%d), want [%d,%d)", tt.offset, tt.size, tt.n, lo, hi, tt.lo, tt.hi)
		}
	}
	if lo, hi := windowOf(nil, 7); lo != 0 || hi != 7 {
		t.Errorf("no partial: [%d,%d)", lo, hi)
	}
}

// TestGenerated: what is written is what was measured, whether it was kept or
// is made again, and for every window.
func TestGenerated(t *testing.T) {
	for _, size := range []int{0, 1, 1000, keepGenerated, keepGenerated + 1, 3*keepGenerated + 17} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * 7 >> 3)
		}
		generate := func(w io.Writer) error {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 5003)
				if _, err := w.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		}
		for _, p := range []*window{
			nil, {offset: 0, size: 10}, {offset: 5000, size: 10}, {offset: 4000, size: 300000}, {offset: int64(size) - 1, size: 5}, {offset: int64(size) + 5, size: 5},
		} {
			s, err := generated(p, keepGenerated, generate)
			if err != nil {
				t.Fatal(err)
			}
			lo, hi := windowOf(p, int64(size))
			var got bytes.Buffer
			if err := s.writeTo(&got); err != nil {
				t.Fatal(err)
			}
			if s.size != hi-lo || !bytes.Equal(got.Bytes(), data[lo:hi]) {
				t.Errorf("%d bytes, partial %v: announced %d, wrote %d, want %d", size, p, s.size, got.Len(), hi-lo)
			}
		}
	}
}

func TestGeneratedReportsTroubleBeforeAnythingIsWritten(t *testing.T) {
	broken := errors.New("disk")
	if _, err := generated(nil, keepGenerated, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("generated: %v", err)
	}
}

const nested = "From: a@example.com\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\npreamble\r\n" +
	"--B\r\nContent-Type: text/plain\r\n\r\none\r\n" +
	"--B\r\nContent-Type: message/rfc822\r\nContent-Description: inner\r\n\r\n" +
	"Subject: inner\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n" +
	"--C\r\nContent-Type: text/plain\r\n\r\ninner one\r\n--C\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--C--\r\n" +
	"--B\r\nContent-Type: text/x; charset=x\r\nContent-Transfer-Encoding: x-unknown\r\n\r\nodd\r\n--B--\r\nepilogue\r\n"

const inner = "Subject: inner\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n" +
	"--C\r\nContent-Type: text/plain\r\n\r\ninner one\r\n--C\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--C--\r\n"

// open gives a message a file and a summary, as the store does.
func openMessage(t *testing.T, raw string) (*os.File, *mailstore.Content) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.eml")
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file, &mailstore.Content{Size: int64(len(raw)), Summary: message.Parse(file, int64(len(raw)))}
}

func sectionText(t *testing.T, s section) string {
	t.Helper()
	var b bytes.Buffer
	if s.missing {
		return ""
	}
	if err := s.writeTo(&b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != s.size {
		t.Errorf("announced %d bytes, wrote %d", s.size, b.Len())
	}
	return b.String()
}

func TestBodySections(t *testing.T) {
	file, c := openMessage(t, nested)
	text := nested[len("From: a@example.com\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"):]
	for _, tt := range []struct {
		item sectionItem
		want string
	}{
		{sectionItem{}, nested},
		{sectionItem{what: "HEADER"}, nested[:len(nested)-len(text)]},
		{sectionItem{what: "TEXT"}, text},
		{sectionItem{what: "HEADER", fields: []string{"from"}}, "From: a@example.com\r\n\r\n"},
		{sectionItem{what: "HEADER", fields: []string{"from", "cc"}, partial: &window{offset: 6, size: 4}}, "a@ex"},
		{sectionItem{what: "HEADER", fields: []string{"none"}}, "\r\n"},
		{sectionItem{what: "HEADER", fields: []string{"From"}, not: true}, "Content-Type: multipart/mixed; boundary=B\r\n\r\n"},
		{sectionItem{path: []int{1}}, "one"},
		{sectionItem{path: []int{1}, what: "MIME"}, "Content-Type: text/plain\r\n\r\n"},
		{sectionItem{path: []int{1}, what: "HEADER"}, ""},
		{sectionItem{path: []int{1}, what: "HEADER", fields: []string{"from"}}, ""},
		{sectionItem{path: []int{2}}, inner},
		{sectionItem{path: []int{2}, what: "MIME"}, "Content-Type: message/rfc822\r\nContent-Description: inner\r\n\r\n"},
		{sectionItem{path: []int{2}, what: "HEADER"}, "Subject: inner\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n"},
		{sectionItem{path: []int{2}, what: "HEADER", fields: []string{"SUBJECT"}}, "Subject: inner\r\n\r\n"},
		{sectionItem{path: []int{2}, what: "TEXT"}, inner[len("Subject: inner\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n"):]},
		{sectionItem{path: []int{2, 1}}, "inner one"},
		{sectionItem{path: []int{2, 2}}, "PGI+aGk8L2I+"},
		{sectionItem{path: []int{2, 2}, partial: &window{offset: 4, size: 4}}, "aGk8"},
		{sectionItem{path: []int{4}}, ""},
		{sectionItem{path: []int{1, 2}}, ""},
		{sectionItem{path: []int{0}}, ""},
	} {
		check := func(kept bool) {
			t.Helper()
			tt.item.kept = kept
			s, err := bodySection(file, c, tt.item, keepGenerated)
			if err != nil {
				t.Errorf("%+v: %v", tt.item, err)
			} else if got := sectionText(t, s); got != tt.want || s.missing != (tt.want == "") {
				t.Errorf("%v %q %v:\n got %q\nwant %q", tt.item.path, tt.item.what, tt.item.fields, got, tt.want)
			}
		}
		check(false)
		if len(tt.item.path) == 0 && len(tt.item.fields) > 0 && !tt.item.not {
			check(true)
		}
	}
}

func TestBinarySections(t *testing.T) {
	file, c := openMessage(t, nested)
	for _, tt := range []struct {
		part    []int
		partial *window
		want    string
		code    imap.ResponseCode
	}{
		{part: nil, want: nested},
		{part: []int{1}, want: "one"},
		{part: []int{2, 2}, want: "<b>hi</b>"},
		{part: []int{2, 2}, partial: &window{offset: 3, size: 2}, want: "hi"},
		{part: []int{2}, want: inner},
		{part: []int{9}, want: ""},
		{part: []int{3}, code: imap.ResponseCodeUnknownCTE},
	} {
		s, err := binarySection(file, c, sectionItem{path: tt.part, partial: tt.partial}, keepGenerated)
		if r, ok := errors.AsType[*imap.Error](err); ok != (tt.code != "") || ok && r.Code != tt.code {
			t.Errorf("BINARY%v: %v", tt.part, err)
		}
		if err != nil {
			continue
		}
		if got := sectionText(t, s); got != tt.want {
			t.Errorf("BINARY%v: %q, want %q", tt.part, got, tt.want)
		}
	}
}

// counted counts what is read.
type counted struct {
	io.ReaderAt
	n int64
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, at)
	c.n += int64(n)
	return n, err
}

// TestPiecesAreReadOnce: a section fetched in pieces costs reading it once.
func TestPiecesAreReadOnce(t *testing.T) {
	raw := "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + strings.Repeat("0123456789abcde\n", 1<<16) + "\r\n--x--\r\n"
	_, c := openMessage(t, raw)
	file := &counted{ReaderAt: strings.NewReader(raw)}
	for _, part := range [][]int{nil, {1}} {
		whole, err := bodySection(file, c, sectionItem{path: part}, keepGenerated)
		if err != nil {
			t.Fatal(err)
		}
		file.n = 0
		for offset := int64(0); offset < whole.size; offset += 64 << 10 {
			s, err := bodySection(file, c, sectionItem{path: part, partial: &window{offset: offset, size: 64 << 10}}, keepGenerated)
			if err != nil {
				t.Fatal(err)
			}
			sectionText(t, s)
		}
		if file.n != whole.size {
			t.Errorf("BODY%v: %d bytes were read for %d", part, file.n, whole.size)
		}
	}
}
