package message

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// FilterHeader copies the named fields of header to w as they are written, or
// with not all but those, then the blank line (RFC 9051 section 6.4.5,
// HEADER.FIELDS and HEADER.FIELDS.NOT). It reads no further than the header.
func FilterHeader(w io.Writer, header io.Reader, fields []string, not bool) error {
	br := bufio.NewReaderSize(header, 8<<10)
	begins, keep := true, false
	end := "\r\n"
	for {
		line, err := br.ReadSlice('\n')
		if len(line) == 0 || begins && len(line) == eolSize(line) {
			if len(line) > 0 {
				end = string(line)
			}
			if err == io.EOF || err == bufio.ErrBufferFull {
				err = nil
			}
			if err != nil {
				return err
			}
			break
		}
		if begins && line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			name = bytes.TrimRight(name, " \t\r\n")
			keep = slices.ContainsFunc(fields, func(f string) bool { return strings.EqualFold(f, string(name)) }) != not
		}
		begins = eolSize(line) > 0
		if begins {
			end = string(line[len(line)-eolSize(line):])
		}
		if keep {
			if _, err := w.Write(line); err != nil {
				return err
			}
			if err == io.EOF && !begins { // the header ends within a line
				if _, err := io.WriteString(w, end); err != nil {
					return err
				}
			}
		}
	}
	_, err := io.WriteString(w, end)
	return err
}

// HeaderValues returns the values of all fields of that name in header, decoded
// and unfolded. Of a header longer than 1 MiB the beginning is read.
func HeaderValues(header io.Reader, name string) ([]string, error) {
	var values []string
	err := eachField(header, func(field, value string) bool {
		if strings.EqualFold(field, name) {
			values = append(values, value)
		}
		return true
	})
	return values, err
}

// eachField calls yield with the fields of a header, decoded and unfolded,
// until it returns false.
func eachField(header io.Reader, yield func(name, value string) bool) error {
	raw, err := io.ReadAll(io.LimitReader(header, maxHeader))
	if err != nil {
		return err
	}
	fallback := ""
	if !utf8.Valid(raw) {
		fallback = headerCharset(raw)
	}
	for len(raw) > 0 {
		var name, value []byte
		name, value, raw = nextField(raw)
		if len(name) == 0 {
			if len(value) == eolSize(value) {
				break // the blank line
			}
			continue
		}
		text := unfold(value)
		if !utf8.ValidString(text) {
			text = guessUTF8(text, fallback)
		}
		text, _ = decodeWords(text)
		if !yield(string(name), clean(text)) {
			break
		}
	}
	return nil
}

// headerCharset returns the charset parameter of the Content-Type in a header.
func headerCharset(raw []byte) string {
	for len(raw) > 0 {
		var name, value []byte
		if name, value, raw = nextField(raw); strings.EqualFold(string(name), "Content-Type") {
			_, _, params, _ := parseContentType(unfold(value))
			return params["charset"]
		}
	}
	return ""
}
