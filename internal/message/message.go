// Package message reads raw mail and says what IMAP needs to know about it: the
// envelope, the body structure with byte offsets and the header fields that
// clients ask for.
//
// Parse never fails. Whatever the bytes are, the Summary is something IMAP can
// express: every part has a type, a multipart has at least one child, a
// message/rfc822 has exactly one. Oddities are
// treated the way Dovecot treats them, which is what mail clients are used to.
//
// Memory is bounded, whatever the size of the message: bodies are scanned, never
// held; headers, parts, nesting and kept text have the limits in limits.go. The
// bytes themselves are never changed: line ends may be CRLF or LF, offsets are
// those of the file.
//
// A Summary is kept by the store in the form of Marshal. Bodies, and headers
// that are not kept, are read again from the message file by offset when a
// client asks for them. What a search finds in them says internal/mailtext.
package message

import "time"

// SummaryVersion is the version of what Parse says and of its binary form. A
// stored summary of another version is made again from the message.
const SummaryVersion = 6

// Summary is what is known about a message without reading it again.
type Summary struct {
	Envelope  Envelope
	Structure []byte // BODYSTRUCTURE as it stands in a response (RFC 9051 section 7.5.2)
	Header    Header
	Root      *Part     // never nil after Parse
	Received  time.Time // date of the topmost Received field, not stored; zero where absent or unreadable
}

// Part is a node of the body structure, as far as that is of use for reading the
// message. All words are lower case but Charset.
type Part struct {
	Type, Subtype string
	Encoding      string // never empty
	Charset       string // empty where it is not said
	Flowed        bool   // format=flowed (RFC 3676)

	// The part in the message, in bytes from its start: the header is
	// [Header, Body), with its blank line where it has one, the body is
	// [Body, End).
	Header, Body, End int64
	Lines             int64 // line ends in the body, not stored

	Children []*Part // of a multipart: at least one; of message/rfc822: exactly one
}

// Multipart reports whether p is a multipart.
func (p *Part) Multipart() bool { return p.Type == "multipart" }

// Message reports whether p holds a message, which is then its only child.
func (p *Part) Message() bool { return p.Type == "message" && p.Subtype == "rfc822" }
