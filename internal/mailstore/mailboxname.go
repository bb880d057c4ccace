package mailstore

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/popbridge/popbridge/internal/fault"
)

// maxName is the longest mailbox name, in bytes.
const maxName = 1000

// canonical returns the one form in which a mailbox name is stored: normal form
// C (RFC 9051 section 5.1), INBOX in upper case, no separator at the end, which
// only announces children.
func canonical(name string) (string, error) {
	bad := fault.New(fault.Config, "mailbox name "+fault.Quote(name)+" is not possible",
		"use at most 1000 bytes, no control characters, and text on both sides of each /")
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", bad
	}
	name = norm.NFC.String(name)
	parts := strings.Split(strings.TrimSuffix(name, "/"), "/")
	if len(name) > maxName || slices.Contains(parts, "") {
		return "", bad
	}
	if strings.EqualFold(parts[0], inbox) {
		parts[0] = inbox
	}
	return strings.Join(parts, "/"), nil
}

func parent(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return ""
	}
	return name[:i]
}
