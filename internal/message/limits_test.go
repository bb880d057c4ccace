package message

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// depth returns the levels of parts below and including p.
func depth(p *Part) int {
	deepest := 0
	for _, child := range p.Children {
		deepest = max(deepest, depth(child))
	}
	return deepest + 1
}

func count(p *Part) int {
	n := 1
	for _, child := range p.Children {
		n += count(child)
	}
	return n
}

// nested returns n multiparts, one in the other, around a text.
func nested(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d.\r\n\r\n--b%d.\r\n", i, i)
	}
	b.WriteString("\r\ntext\r\n")
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d.--\r\n", i)
	}
	return []byte(b.String())
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100, maxDepth - 1, maxDepth, 1000, 100_000} {
		for name, raw := range map[string][]byte{
			"multipart": nested(n),
			"message":   []byte(strings.Repeat("Content-Type: message/rfc822\r\n\r\n", n) + "\r\ntext"),
			"unclosed":  []byte(strings.Repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", n) + "\r\ntext"),
		} {
			s := checkMessage(t, raw)
			if got, want := depth(s.Root), min(n+1, maxDepth); got != want {
				t.Errorf("%s: %d levels answered of %d", name, got, n)
			}
		}
	}
}

func TestDeepTextIsFound(t *testing.T) {
	s := parseBytes(nested(100))
	path := slices.Repeat([]int{1}, 100)
	if p := s.Find(path); p == nil || p.Type != "text" || p.End-p.Body != 4 {
		t.Errorf("part 1.1...1 is %+v", p)
	}
}

func TestPartCount(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, maxParts - 1, maxParts, 100_000} {
		raw := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", n) + "--b--\r\n")
		s := checkMessage(t, raw)
		if got, want := count(s.Root), min(n+1, maxParts); got != want {
			t.Errorf("%d parts answered of %d, want %d", got, n+1, want)
		}
	}
}

// However much header a message has, what is kept of it is limited.
func TestHeaderSize(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"long subject":    "Subject: " + strings.Repeat("x", 5<<20) + "\r\n\r\ntext",
		"folded":          "Subject: x\r\n" + strings.Repeat(" y\r\n", 1<<20) + "\r\ntext",
		"many fields":     strings.Repeat("X-Y: z\r\n", 1<<20) + "\r\ntext",
		"many addresses":  "To: " + strings.Repeat("a@b,", 1<<20) + "\r\n\r\ntext",
		"many parameters": "Content-Type: text/plain" + strings.Repeat("; a=b", 1<<20) + "\r\n\r\ntext",
		"never ending":    strings.Repeat("Received", 1<<19),
		"large headers": "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
			strings.Repeat("--b\r\nContent-Description: "+strings.Repeat("x", 900<<10)+"\r\n\r\nx\r\n", 10) + "--b--\r\n",
	} {
		s := checkMessage(t, []byte(raw))
		data := s.Marshal()
		if n := len(data.Envelope) + len(data.Header) + len(data.Structure); n > maxKept+maxAddresses*10 {
			t.Errorf("%s: summary has %d bytes", name, n)
		}
		if name == "never ending" {
			continue
		}
		for p := s.Root; ; p = p.Children[len(p.Children)-1] {
			if len(p.Children) == 0 {
				if body := raw[p.Body:p.End]; body != "text" && body != "x" {
					t.Errorf("%s: body is %.20q", name, body)
				}
				break
			}
		}
	}
}

// A field that comes again and again takes no memory, and so no time, that grows
// with the square.
func TestRepeatedFields(t *testing.T) {
	raw := []byte(strings.Repeat("To:\n", maxHeader/4/4) + "\n")
	if n := testkit.Allocated(func() { parseBytes(raw) }); n > 64<<20 {
		t.Errorf("allocated %d bytes", n)
	}
	raw = []byte("To: a@b\nFrom: c@d\nTo:\nTo: e@f, g@h\n\n")
	if to := parseBytes(raw).Envelope.field(envelopeTo); string(to) != `((NIL NIL "a" "b")(NIL NIL "e" "f")(NIL NIL "g" "h"))` {
		t.Errorf("To is %s", to)
	}
}

// The line end before a boundary belongs to the boundary, wherever the borders
// of the buffer fall.
func TestLineEndAcrossBuffers(t *testing.T) {
	for _, eol := range []string{"\r\n", "\n"} {
		head := "Content-Type: multipart/mixed; boundary=b" + eol + eol + "--b" + eol + eol
		for n := bufferSize - 3; n < bufferSize+3; n++ {
			body := strings.Repeat("x", n)
			s := checkMessage(t, []byte(head+body+eol+"--b--"+eol))
			if p := s.Root.Children[0]; p.End-p.Body != int64(n) {
				t.Errorf("body of %d has %d bytes", n, p.End-p.Body)
			}
		}
	}
}

// repeated is a message of any size that needs no memory.
type repeated struct {
	head, line string
	size       int64
}

func (r repeated) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < r.size {
		var k int
		if off < int64(len(r.head)) {
			k = copy(p[n:], r.head[off:])
		} else {
			at := (off - int64(len(r.head))) % int64(len(r.line))
			k = copy(p[n:], r.line[at:])
		}
		n += k
		off += int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Memory does not depend on the size of the message.
func TestMemory(t *testing.T) {
	for name, line := range testkit.LongLines {
		r := repeated{testkit.LongHead, line, 8 << 20}
		if name == "lines" {
			r.size = 100 << 20
		}
		s := &Summary{}
		if n := testkit.Allocated(func() { s = Parse(r, r.size) }); n > 256<<10 {
			t.Errorf("%s: Parse allocated %d bytes", name, n)
		}
		if got := s.Root.Children[0].End; got != r.size {
			t.Errorf("%s: part ends at %d", name, got)
		}
	}
}

func TestReadError(t *testing.T) {
	raw := typical()
	s := Parse(testkit.FailingReader{Reader: bytes.NewReader(raw), N: 2000}, int64(len(raw)))
	checkPart(t, s.Root, raw, 0)
	if s.Envelope.Subject() == "" {
		t.Error("what came before the error is not kept")
	}
}
