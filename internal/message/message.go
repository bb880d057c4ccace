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
// client asks for them.
package message

import "time"

// SummaryVersion is the version of what Parse says and of its binary form. A
// stored summary of another version is made again from the message.
const SummaryVersion = 4

// Summary is what is known about a message without reading it again.
type Summary struct {
	Envelope Envelope
	Header   Header
	Root     *Part     // never nil after Parse
	Received time.Time // date of the topmost Received field; zero where absent or unreadable
}

// Envelope is the ENVELOPE of a message, decoded to UTF-8 (RFC 9051 section
// 7.5.2). Sender and ReplyTo are those of the message: where it has none they
// are empty, and IMAP takes From instead.
type Envelope struct {
	Date      time.Time // zero where absent or unreadable
	Subject   string
	From      []Address
	Sender    []Address
	ReplyTo   []Address
	To        []Address
	Cc        []Address
	Bcc       []Address
	InReplyTo []string // message ids without angle brackets
	MessageID string   // without angle brackets
}

// Address is one address of an envelope. A group starts with an Address that
// has only a Mailbox, the name of the group, and ends with an empty one. In all
// others neither Mailbox nor Host is empty.
type Address struct {
	Name    string
	Mailbox string
	Host    string
}

// String returns the address for a person to read.
func (a Address) String() string {
	text := a.Mailbox
	if a.Host != "" {
		text += "@" + a.Host
	}
	if a.Name != "" {
		text = a.Name + " <" + text + ">"
	}
	return text
}

// Part is a node of the body structure. Type, Subtype, Encoding, Disposition
// and the names of parameters are lower case.
type Part struct {
	Type, Subtype     string
	Params            map[string]string // RFC 2231 parameters decoded; nil where there are none
	ID                string            // Content-ID as written, with its angle brackets
	Description       string
	Encoding          string // never empty
	Disposition       string
	DispositionParams map[string]string
	Language          []string
	Location          string

	// The part in the message, in bytes from its start: the header is
	// [Header, Body), with its blank line where it has one, the body is
	// [Body, End).
	Header, Body, End int64
	Lines             int64 // line ends in the body

	Children []*Part   // of a multipart: at least one; of message/rfc822: exactly one
	Envelope *Envelope // of the message in a message/rfc822
}

// Multipart reports whether p is a multipart.
func (p *Part) Multipart() bool { return p.Type == "multipart" }

// Message reports whether p holds a message, which is then its only child.
func (p *Part) Message() bool { return p.Envelope != nil }
