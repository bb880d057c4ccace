// Package samplemail has messages for the demo and for tests: the mail of a
// small home office that designs books, in the forms that mail takes. All of it
// was written for this project.
//
// The files in mail/ are messages with LF line ends and with marks that become
// times relative to the present, so that the mailbox looks alive:
//
//	{{date 26h}}   26 hours ago, as in a Date field
//	{{day -3h}}    the day in three hours, in words
//	{{ics 72h}}    in 72 hours, as in a calendar; note the sign
//
// A file whose name begins with "odd-" is broken on purpose; all others are
// sound.
package samplemail

import (
	"bytes"
	"cmp"
	"embed"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed mail/*.eml
var files embed.FS

var mark = regexp.MustCompile(`\{\{(date|day|ics) (-?[0-9a-z]+)\}\}`)

// sample is a message and the name of its file.
type sample struct {
	name string
	at   time.Time
	raw  []byte
}

// All returns the sample messages with CRLF line ends, oldest first, the newest
// some hours before now. They are the same for the same now.
func All(now time.Time) [][]byte {
	var out [][]byte
	for _, s := range load(now) {
		out = append(out, s.raw)
	}
	return out
}

func load(now time.Time) []sample {
	names, err := fs.Glob(files, "mail/*.eml")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	all := []sample{floorPlan(now)}
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			panic(err) // embedded files can be read
		}
		text, at := resolve(raw, now)
		all = append(all, sample{strings.TrimSuffix(strings.TrimPrefix(name, "mail/"), ".eml"), at, crlf(text)})
	}
	slices.SortFunc(all, func(a, b sample) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.name, b.name))
	})
	return all
}

// resolve replaces the marks in a message. The first date is the time it
// arrived.
func resolve(raw []byte, now time.Time) (text []byte, arrived time.Time) {
	text = mark.ReplaceAllFunc(raw, func(found []byte) []byte {
		parts := mark.FindSubmatch(found)
		d, err := time.ParseDuration(string(parts[2]))
		if err != nil {
			return found
		}
		switch string(parts[1]) {
		case "day":
			return []byte(now.Add(-d).Format("Monday, 2 January"))
		case "ics":
			return []byte(now.Add(d).UTC().Truncate(time.Hour).Format("20060102T150405Z"))
		}
		if arrived.IsZero() {
			arrived = now.Add(-d)
		}
		return []byte(now.Add(-d).Format(time.RFC1123Z))
	})
	return text, arrived
}

// crlf gives text the line ends of mail, whatever a checkout made of them.
func crlf(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}
