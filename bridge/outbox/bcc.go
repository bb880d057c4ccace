package outbox

import (
	"bufio"
	"bytes"
	"io"
)

// lineBuffer bounds what withoutBcc holds of a line; a longer one is passed on in
// pieces.
const lineBuffer = 4 << 10

// withoutBcc returns a message without its Bcc and Resent-Bcc fields (RFC 5322
// sections 3.6.3 and 3.6.6), all else byte for byte.
func withoutBcc(message io.Reader) io.Reader {
	return &bccFilter{in: bufio.NewReaderSize(message, lineBuffer), begins: true}
}

type bccFilter struct {
	in     *bufio.Reader
	line   []byte // to be read before the rest
	begins bool   // a line begins
	drop   bool   // it goes on with a field that is left out
	body   bool   // the header is over
}

func (f *bccFilter) Read(p []byte) (int, error) {
	for len(f.line) == 0 && !f.body {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if len(f.line) == 0 {
		return f.in.Read(p)
	}
	n := copy(p, f.line)
	f.line = f.line[n:]
	return n, nil
}

// next reads a line of the header, or a piece of a long one, into line, and leaves
// line empty where it is left out.
func (f *bccFilter) next() error {
	line, err := f.in.ReadSlice('\n')
	if len(line) == 0 && err != nil {
		return err
	}
	if f.begins {
		switch {
		case string(line) == "\r\n" || string(line) == "\n":
			f.drop, f.body = false, true
		case line[0] != ' ' && line[0] != '\t': // else the field goes on (RFC 5322 section 2.2.3)
			f.drop = isBcc(line, err == bufio.ErrBufferFull)
		}
	}
	f.begins = err == nil
	if f.line = line; f.drop {
		f.line = nil
	}
	if err != nil && err != bufio.ErrBufferFull && len(f.line) == 0 {
		return err
	}
	return nil // an error comes again at the next read
}

// isBcc reports whether a line, or the first piece of one, begins a Bcc field. White
// space before the colon was once allowed (RFC 5322 section 4.5).
func isBcc(line []byte, piece bool) bool {
	name, _, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	return (found || piece) && (bytes.EqualFold(name, []byte("Bcc")) || bytes.EqualFold(name, []byte("Resent-Bcc")))
}
