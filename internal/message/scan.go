package message

import (
	"bufio"
	"bytes"
	"io"
	"sync"
)

// scanner reads a message line by line and recognises the boundaries of the
// multiparts that are open.
type scanner struct {
	br    *bufio.Reader
	pos   int64 // offset of the next byte
	lines int64 // line ends before pos
	eol   int   // bytes of the line end just before pos; 0 within a line
	cr    bool  // a CR stands just before pos
	err   error // other than io.EOF

	open [][]byte // boundaries of the open multiparts, innermost last

	// Where the part that has just ended ends: before the boundary line and
	// the line end in front of it, which belongs to the boundary (RFC 2046
	// section 5.1.1), or at the end of the message.
	end, endLines int64
	cutOff        int // bytes of that line end
}

// A delimiter says what ended a part: which of the open multiparts a boundary
// line belongs to, or -1 at the end of the message, and whether it was the last
// one ("--text--").
type delimiter struct {
	level int
	last  bool
}

var noDelimiter = delimiter{level: -1}

const bufferSize = 32 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

func newScanner(r io.ReaderAt, size int64) *scanner {
	br := readers.Get().(*bufio.Reader)
	br.Reset(io.NewSectionReader(r, 0, size))
	return &scanner{br: br}
}

// close gives the buffer back.
func (s *scanner) close() {
	s.br.Reset(nil)
	readers.Put(s.br)
	s.br = nil
}

// next returns the next line with its line end, or a piece of it where it is
// longer than the buffer. begins is true for the beginning of a line. The bytes
// are valid until the next call. At the end of the message it returns nil.
func (s *scanner) next() (line []byte, begins bool) {
	begins = s.eol > 0 || s.pos == 0
	line, err := s.br.ReadSlice('\n')
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		s.err = err
	}
	if len(line) == 0 {
		return nil, false
	}
	s.pos += int64(len(line))
	if s.eol = eolSize(line); s.eol > 0 {
		s.lines++
		if len(line) == 1 && s.cr && !begins { // in two pieces
			s.eol = 2
		}
	}
	s.cr = line[len(line)-1] == '\r'
	return line, begins
}

// eolSize returns the size of the line end at the end of line: 2, 1 or 0.
func eolSize(line []byte) int {
	n := len(line)
	switch {
	case n == 0 || line[n-1] != '\n':
		return 0
	case n > 1 && line[n-2] == '\r':
		return 2
	}
	return 1
}

// skip reads on to the next boundary line of an open multipart, or to the end. The
// line end before the first line read stays with what was before it where that is a
// boundary of level keep or above.
func (s *scanner) skip(keep int) delimiter {
	for start := s.pos; ; {
		at, lines, eol := s.pos, s.lines, s.eol
		line, begins := s.next()
		if line == nil {
			return s.ended(s.pos, s.lines, 0, noDelimiter)
		}
		if begins && len(s.open) > 0 {
			if d := s.match(line); d != noDelimiter {
				if at == start && d.level >= keep {
					eol = 0
				}
				return s.ended(at, lines, eol, d)
			}
		}
	}
}

// ended notes where a part ends whose boundary line starts at offset at.
func (s *scanner) ended(at, lines int64, eol int, d delimiter) delimiter {
	s.end, s.endLines, s.cutOff = at-int64(eol), lines, eol
	if eol > 0 {
		s.endLines--
	}
	return d
}

// cutShort reports whether the message ended within the line just read: without its
// line end a boundary line begins no part (RFC 2046 section 5.1.1).
func (s *scanner) cutShort() bool {
	if s.eol > 0 {
		return false
	}
	_, err := s.br.Peek(1)
	return err != nil
}

// match says which open multipart the line is a boundary of. As in Dovecot the
// line needs only begin with the boundary; of several that fit the longest
// counts, of equal ones the innermost.
func (s *scanner) match(line []byte) delimiter {
	if len(line) < 2 || line[0] != '-' || line[1] != '-' {
		return noDelimiter
	}
	line = line[2 : len(line)-eolSize(line)]
	best, size := -1, -1
	for i := len(s.open) - 1; i >= 0; i-- {
		b := s.open[i]
		if len(b) <= size || !bytes.HasPrefix(line, b) {
			continue
		}
		best, size = i, len(b)
		if rest := line[size:]; len(rest) == 0 || string(rest) == "--" {
			break // exactly this one
		}
	}
	if best < 0 {
		return noDelimiter
	}
	return delimiter{best, bytes.HasPrefix(line[size:], []byte("--"))}
}
