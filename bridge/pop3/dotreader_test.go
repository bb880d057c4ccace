package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/testkit"
)

// stuff is RFC 1939 section 3 the other way round: what a server sends for
// message. A message that does not end with CRLF is given one.
func stuff(message []byte) []byte {
	var out []byte
	begin := true
	for i, b := range message {
		if begin && b == '.' {
			out = append(out, '.')
		}
		out = append(out, b)
		begin = b == '\n' && i > 0 && message[i-1] == '\r'
	}
	if !begin {
		out = append(out, "\r\n"...)
	}
	return append(out, ".\r\n"...)
}

// packets reads from data, the n-th read at most sizes[n] bytes.
type packets struct {
	data  []byte
	sizes []byte
}

func (p *packets) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := min(len(b), len(p.data))
	if len(p.sizes) > 0 {
		n = min(n, max(int(p.sizes[0]), 1))
		p.sizes = p.sizes[1:]
	}
	copy(b, p.data[:n])
	p.data = p.data[n:]
	return n, nil
}

func TestDotReader(t *testing.T) {
	for _, tt := range []struct {
		in, want, rest string
		err            error
	}{
		{in: ".\r\n", want: ""},
		{in: ".\r\nrest", want: "", rest: "rest"},
		{in: "a\r\n.\r\n", want: "a\r\n"},
		{in: "a\r\n..\r\n.\r\n", want: "a\r\n.\r\n"},
		{in: "..a\r\n.\r\n", want: ".a\r\n"},
		{in: ".a\r\n.\r\n", want: ".a\r\n"}, // not stuffed
		{in: "a\n.\nb\r\n.\r\n", want: "a\n.\nb\r\n"},
		{in: "a\n.\r\nb\r\n.\r\n", want: "a\n.\r\nb\r\n"},
		{in: "a\r.\r\nb\r\n.\r\n", want: "a\r.\r\nb\r\n"},
		{in: "a\r\r\n.\r\n", want: "a\r\r\n"},
		{in: "a\r\n.\rb\r\n.\r\n", want: "a\r\n.\rb\r\n"},
		{in: "a\r\n.\nb\r\n.\r\n", want: "a\r\n.\nb\r\n"},
		{in: "a\r\n.\r\r\n.\r\n", want: "a\r\n.\r\r\n"},
		{in: "\r\n\r\n.\r\n", want: "\r\n\r\n"},
		{in: "\n.\r\n\r\n.\r\n", want: "\n.\r\n\r\n"},
		{in: "\x00\xff\r\n.\r\n", want: "\x00\xff\r\n"},
		{in: "", err: io.ErrUnexpectedEOF},
		{in: ".", err: io.ErrUnexpectedEOF},
		{in: ".\r", err: io.ErrUnexpectedEOF},
		{in: ".\n", err: io.ErrUnexpectedEOF},
		{in: "a", want: "a", err: io.ErrUnexpectedEOF},
		{in: "a\r\n", want: "a\r\n", err: io.ErrUnexpectedEOF},
		{in: "a\r\n.", want: "a\r\n", err: io.ErrUnexpectedEOF},
		{in: "a\n.\n", want: "a\n", err: io.ErrUnexpectedEOF},
		{in: "a.\r\n", want: "a.\r\n", err: io.ErrUnexpectedEOF}, // old Exchange
		{in: "123456789\r\n.\r\n", want: "1234567890"[:9] + "\r\n"},
		{in: "1234567890ab\r\n.\r\n", want: "1234567890ab", err: ErrTooLarge},
		{in: "1234567890\r\n.\r\n", want: "1234567890\r\n"},
	} {
		for _, size := range []int{1, 2, 3, 100} {
			r := bufio.NewReader(&packets{[]byte(tt.in), bytes.Repeat([]byte{byte(size)}, len(tt.in))})
			d := newDotReader(r, 12)
			got, err := io.ReadAll(iotest.OneByteReader(d))
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%q in packets of %d: got %q, %v", tt.in, size, got, err)
			}
			if _, again := d.Read(make([]byte, 1)); tt.err != nil && again != err {
				t.Errorf("%q: the error is %v at first and %v then", tt.in, err, again)
			}
			if rest, _ := io.ReadAll(r); tt.err == nil && string(rest) != tt.rest {
				t.Errorf("%q: left %q", tt.in, rest)
			}
		}
	}
}

func TestDotReaderKeepsEveryMessage(t *testing.T) {
	for name, message := range testkit.Corpus(t) {
		if !bytes.HasSuffix(message, []byte("\r\n")) {
			message = append(message, "\r\n"...)
		}
		got, err := io.ReadAll(newDotReader(bufio.NewReader(bytes.NewReader(stuff(message))), 1<<30))
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%s: changed, %v", name, err)
		}
	}
}

// FuzzDotReader: whatever the message and the packets are, what a server
// stuffs comes out as it was, the next reply is not touched, and a reply cut
// anywhere is no message.
func FuzzDotReader(f *testing.F) {
	f.Add([]byte("a\r\n.b\r\n..\r\n"), []byte{1, 2, 3}, uint(4))
	f.Add([]byte(".\r\n.\r\n\r\n.\n.\r.\r\r\n"), []byte{1, 1, 1, 1}, uint(7))
	f.Add([]byte(""), []byte{}, uint(0))
	f.Fuzz(func(t *testing.T, message, sizes []byte, cut uint) {
		want := message
		if len(want) > 0 && !bytes.HasSuffix(want, newLineDot[:2]) {
			want = append(bytes.Clone(want), "\r\n"...)
		}
		wire := stuff(want)
		r := bufio.NewReaderSize(&packets{append(bytes.Clone(wire), "+OK"...), sizes}, 16)
		got, err := io.ReadAll(newDotReader(r, int64(len(want))))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q became %q, %v", want, got, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "+OK" {
			t.Fatalf("%q: left %q", want, rest)
		}
		short := wire[:cut%uint(len(wire))]
		got, err = io.ReadAll(newDotReader(bufio.NewReaderSize(&packets{short, sizes}, 16), 1<<20))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%q cut after %d bytes: %q, %v", wire, len(short), got, err)
		}
	})
}

func BenchmarkDotReader(b *testing.B) {
	for name, line := range map[string]string{
		"text":  strings.Repeat("lorem ipsum ", 6) + "\r\n",
		"dots":  "..\r\n",
		"lf":    strings.Repeat("lorem ipsum ", 6) + "\n",
		"lines": "\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			wire := append(bytes.Repeat([]byte(line), 4<<20/len(line)), "\r\n.\r\n"...)
			source := bytes.NewReader(wire)
			r := bufio.NewReaderSize(source, mailconn.BufferSize)
			buf := make([]byte, 32<<10)
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				source.Reset(wire)
				r.Reset(source)
				d := newDotReader(r, 1<<30)
				for {
					if _, err := d.Read(buf); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
