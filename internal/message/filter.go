package message

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"sync"
)

var filterReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 8<<10) }}

// FilterHeader copies the named fields of header to w as they are written, or
// with not all but those, then the blank line where header has one (RFC 9051
// section 6.4.5, HEADER.FIELDS and HEADER.FIELDS.NOT). It reads no further than
// the header.
func FilterHeader(w io.Writer, header io.Reader, fields []string, not bool) error {
	br := filterReaders.Get().(*bufio.Reader)
	br.Reset(header)
	defer func() {
		br.Reset(nil)
		filterReaders.Put(br)
	}()
	begins, keep := true, not
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		blank := begins && len(line) == eolSize(line)
		if begins && !blank && !folded(line) {
			keep = named(line, fields) != not
		}
		begins = eolSize(line) > 0
		if keep || blank {
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		if blank {
			return nil
		}
	}
}

// folded reports whether a line goes on with the field before it.
func folded(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

// named reports whether a line begins one of the fields.
func named(line []byte, fields []string) bool {
	name, _, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	return found && slices.ContainsFunc(fields, func(f string) bool { return isName(name, f) })
}

// isName reports whether text is the name of a field, which has no other letters
// than those of ASCII (RFC 5322 section 2.2).
func isName(text []byte, name string) bool {
	if len(text) != len(name) {
		return false
	}
	for i, c := range text {
		if d := name[i]; c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
