package message

import (
	"strconv"
	"strings"
	"time"
)

// parseDate reads a date as mail has it: RFC 5322 section 3.3, its obsolete
// forms (section 4.3), asctime, ISO 8601 and what lies between. It returns
// false where day, month or year cannot be made out; a time that cannot be is
// midnight, a zone that cannot be is Greenwich.
func parseDate(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, strings.TrimSpace(s)); err == nil {
		return checkDate(t)
	}
	d := dateParts{day: -1, month: -1, year: -1}
	for s = skipSpace(s); s != ""; s = skipSpace(s) {
		end := strings.IndexAny(s, " \t,(")
		switch {
		case end < 0:
			end = len(s)
		case end == 0: // a comma
			s = s[1:]
			continue
		}
		if !d.add(s[:end]) {
			break
		}
		s = s[end:]
	}
	return d.time()
}

type dateParts struct {
	day, month, year     int
	hour, minute, second int
	offset               int // seconds east of Greenwich
	haveTime, haveZone   bool
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

// zones are the names of RFC 5322 section 4.3 and a few more, in hours.
// Military letters mean nothing (same section) and count as -0000.
var zones = map[string]int{
	"ut": 0, "utc": 0, "gmt": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6,
	"pst": -8, "pdt": -7, "bst": 1, "cet": 1, "cest": 2, "met": 1, "mest": 2, "eet": 2, "eest": 3, "msk": 3, "jst": 9,
}

// add takes one word of a date. It returns false where the rest is not worth
// reading.
func (d *dateParts) add(word string) bool {
	lower := strings.ToLower(word)
	switch c := word[0]; {
	case strings.Contains(word, ":") && !d.haveTime:
		return d.clock(lower)
	case c == '+' || c == '-':
		return d.zone(word)
	case '0' <= c && c <= '9':
		if parts := strings.FieldsFunc(word, func(r rune) bool { return r == '-' || r == '/' || r == '.' }); len(parts) == 3 {
			return d.add(parts[0]) && d.add(parts[1]) && d.add(parts[2])
		}
		return d.number(word)
	case d.month < 0 && len(lower) >= 3 && strings.Index(months, lower[:3])%3 == 0:
		d.month = strings.Index(months, lower[:3])/3 + 1
	case d.haveTime && !d.haveZone:
		name, offset := lower, ""
		if i := strings.IndexAny(lower, "+-"); i > 0 { // GMT+0200
			name, offset = lower[:i], lower[i:]
		}
		switch hours, ok := zones[name]; {
		case offset != "":
			return d.zone(offset)
		case ok:
			d.offset, d.haveZone = hours*3600, true
		case name == "pm" && d.hour < 12:
			d.hour += 12
		case name == "am" && d.hour == 12:
			d.hour = 0
		}
	}
	return true
}

// clock reads "15:04", "15:04:05" or "15:04:05.999".
func (d *dateParts) clock(s string) bool {
	zone := ""
	if i := strings.IndexAny(s, "+-"); i > 0 {
		s, zone = s[:i], s[i:]
	}
	s, _, _ = strings.Cut(s, ".")
	for i, part := range strings.Split(s, ":") {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return false
		}
		switch i {
		case 0:
			d.hour = int(n)
		case 1:
			d.minute = int(n)
		case 2:
			d.second = int(n)
		}
	}
	d.haveTime = true
	return zone == "" || d.zone(zone)
}

// zone reads "+hhmm", also "+hh:mm" and "+h".
func (d *dateParts) zone(s string) bool {
	sign := 1
	if s[0] == '-' {
		sign = -1
	}
	digits := strings.ReplaceAll(s[1:], ":", "")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || d.haveZone {
		return d.haveZone
	}
	hours, minutes := int(n)/100, int(n)%100
	if len(digits) <= 2 {
		hours, minutes = int(n), 0
	}
	if hours > 24 || minutes > 59 {
		return true // nonsense, as good as none
	}
	d.offset, d.haveZone = sign*(hours*3600+minutes*60), true
	return true
}

// number reads a day or a year.
func (d *dateParts) number(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	switch {
	case err != nil:
		return false
	case d.day < 0 && len(s) <= 2:
		d.day = int(n)
	case d.year >= 0:
	case len(s) == 2 && n < 50: // RFC 5322 section 4.3
		d.year = int(n) + 2000
	case len(s) <= 3:
		d.year = int(n) + 1900
	default:
		d.year = int(n)
	}
	return true
}

func (d *dateParts) time() (time.Time, bool) {
	if d.day < 1 || d.day > 31 || d.month < 1 || d.year < 0 || d.hour > 24 || d.minute > 59 || d.second > 60 {
		return time.Time{}, false
	}
	return checkDate(time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.second, 0, zone(d.offset)))
}

// checkDate refuses years that IMAP cannot express, and cuts off what it does
// not keep.
func checkDate(t time.Time) (time.Time, bool) {
	_, offset := t.Zone()
	t = t.Truncate(time.Second).In(zone(offset / 60 * 60))
	if t.Year() < 1 || t.Year() > 9999 || t.IsZero() {
		return time.Time{}, false
	}
	return t, true
}

// zone returns the same location for the same offset, so that a date is equal
// to itself after it was stored.
func zone(offset int) *time.Location {
	if offset == 0 {
		return time.UTC
	}
	return time.FixedZone("", offset)
}

// skipSpace skips white space and comments.
func skipSpace(s string) string {
	if s = strings.TrimLeft(s, " \t"); !strings.HasPrefix(s, "(") {
		return s
	}
	l := lexer{in: []byte(s)}
	l.space()
	return string(l.in)
}
