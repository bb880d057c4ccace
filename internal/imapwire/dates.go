package imapwire

import (
	"strings"
	"time"
)

// Date reads a date as in SEARCH SINCE (RFC 9051 section 9, date): midnight UTC of
// that day.
func (r *Reader) Date() time.Time {
	return r.time("2-Jan-2006", r.AString(), "date such as \"1-Jan-2026\"")
}

// DateTime reads a date-time, as in APPEND.
func (r *Reader) DateTime() time.Time {
	return r.time("_2-Jan-2006 15:04:05 -0700", strings.TrimPrefix(r.String(), " "), "time such as \" 1-Jan-2026 12:00:00 +0000\"")
}

func (r *Reader) time(layout, text, what string) time.Time {
	t, err := time.Parse(layout, text)
	if err != nil {
		r.syntax("Expected a %s", what)
	}
	return t
}

// AppendDateTime appends a date-time in quotes.
func AppendDateTime(dst []byte, t time.Time) []byte {
	return t.AppendFormat(dst, `"_2-Jan-2006 15:04:05 -0700"`)
}
