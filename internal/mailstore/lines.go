package mailstore

import (
	"encoding/base64"
	"hash/crc32"
	"net/url"
	"strconv"
	"strings"
)

// shortHash stands for a Hash that an earlier line has in full.
type shortHash [9]byte

func short(h Hash) shortHash { return shortHash(h[:]) }

// lines are what a transaction has to say to the recovery log. Each line is a
// letter and fields with a blank between, then a checksum. Numbers are in base
// 36, hashes in base64, texts escaped as in the query of a URL.
type lines struct {
	buf   []byte
	start int    // of the line that is still open
	key   string // of an open line that takes more ranges
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is 6 characters long.
func checksum(b []byte) string {
	n := crc32.Checksum(b, castagnoli)
	return base64.RawURLEncoding.EncodeToString([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// close ends the open line.
func (l *lines) close() {
	if l.key != "" || len(l.buf) > l.start {
		sum := checksum(l.buf[l.start:])
		l.buf = append(append(append(l.buf, ' '), sum...), '\n')
	}
	l.start, l.key = len(l.buf), ""
}

// head starts a line.
func (l *lines) head(letter byte, fields ...any) {
	l.close()
	l.buf = append(l.buf, letter)
	for _, f := range fields {
		l.buf = append(l.buf, ' ')
		switch f := f.(type) {
		case string:
			l.buf = append(l.buf, url.QueryEscape(f)...)
		case Hash:
			l.buf = base64.RawURLEncoding.AppendEncode(l.buf, f[:])
		case shortHash:
			l.buf = base64.RawURLEncoding.AppendEncode(l.buf, f[:])
		case int64:
			l.buf = strconv.AppendInt(l.buf, f, 36)
		case bool:
			l.buf = append(l.buf, map[bool]byte{false: '0', true: '1'}[f])
		}
	}
}

// line writes a whole line.
func (l *lines) line(letter byte, fields ...any) {
	l.head(letter, fields...)
	l.close()
}

// ranges writes a line that ends with ranges of UIDs. Calls that follow each
// other with the same key make one line of them.
func (l *lines) ranges(key string, first, last UID, letter byte, fields ...any) {
	if l.key == key {
		l.buf = append(l.buf, ',')
	} else {
		l.head(letter, fields...)
		l.buf, l.key = append(l.buf, ' '), key
	}
	l.buf = strconv.AppendInt(l.buf, int64(first), 36)
	if last != first {
		l.buf = strconv.AppendInt(append(l.buf, ':'), int64(last), 36)
	}
}

// uids writes a line that ends with the UIDs of rows.
func (l *lines) uids(rows []picked, letter byte, fields ...any) {
	for i := 0; i < len(rows); {
		n := i + 1
		for n < len(rows) && rows[n].UID == rows[n-1].UID+1 {
			n++
		}
		l.ranges("uids", rows[i].UID, rows[n-1].UID, letter, fields...)
		i = n
	}
	l.close()
}

// fields reads a line again. After the first field that is not what it should
// be, bad is set and all further ones are zero.
type fields struct {
	letter byte
	rest   []string
	bad    bool
}

// parseLine takes a line apart; not ok when its checksum is wrong.
func parseLine(line string) (f fields, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 1 || checksum([]byte(line[:i])) != line[i+1:] {
		return f, false
	}
	parts := strings.Split(line[:i], " ")
	if len(parts[0]) != 1 {
		return f, false
	}
	return fields{letter: parts[0][0], rest: parts[1:]}, true
}

func (f *fields) next() string {
	if len(f.rest) == 0 {
		f.bad = true
		return ""
	}
	s := f.rest[0]
	f.rest = f.rest[1:]
	return s
}

func (f *fields) text() string {
	s, err := url.QueryUnescape(f.next())
	f.bad = f.bad || err != nil
	return s
}

func (f *fields) number() int64 {
	n, err := strconv.ParseInt(f.next(), 36, 64)
	f.bad = f.bad || err != nil
	return n
}

// values reads fields of the given kinds: t for a text, n for a number, h for a hash.
func (f *fields) values(kinds string) (out []any) {
	for _, kind := range kinds {
		switch kind {
		case 't':
			out = append(out, f.text())
		case 'n':
			out = append(out, f.number())
		case 'h':
			out = append(out, f.hash())
		}
	}
	return out
}

// optional reads a number that earlier versions did not write: 0 where only so many
// fields are left.
func (f *fields) optional(left int) int64 {
	if len(f.rest) <= left {
		return 0
	}
	return f.number()
}

func (f *fields) hash() []byte {
	b, err := base64.RawURLEncoding.DecodeString(f.next())
	f.bad = f.bad || err != nil || len(b) != len(Hash{}) && len(b) != len(shortHash{})
	return b
}

// uidRange is an inclusive range.
type uidRange struct{ first, last UID }

func (f *fields) ranges() (out []uidRange) {
	for part := range strings.SplitSeq(f.next(), ",") {
		a, b, two := strings.Cut(part, ":")
		if !two {
			b = a
		}
		first, err := strconv.ParseUint(a, 36, 32)
		last, err2 := strconv.ParseUint(b, 36, 32)
		f.bad = f.bad || err != nil || err2 != nil || last < first
		out = append(out, uidRange{UID(first), UID(last)})
	}
	return out
}
