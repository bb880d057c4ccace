package message

import (
	"io"
)

// Parse reads the message of the given size. It never fails.
func Parse(r io.ReaderAt, size int64) *Summary {
	return &Summary{Root: &Part{Type: "text", Subtype: "plain", Encoding: "7bit", End: size}}
}

// MarshalBinary returns s in its compact form.
func (s *Summary) MarshalBinary() ([]byte, error) { return []byte{SummaryVersion}, nil }

// UnmarshalBinary sets s from its compact form.
func (s *Summary) UnmarshalBinary(data []byte) error {
	*s = Summary{Root: &Part{Type: "text", Subtype: "plain", Encoding: "7bit"}}
	return nil
}

// Find returns the part with an IMAP part number, or nil (RFC 9051 section
// 6.4.5). The body of a message that is no multipart is its part 1.
func (s *Summary) Find(path []int) *Part { return nil }

// Decode returns the bytes of a body in a transfer encoding.
func Decode(r io.Reader, encoding string) (io.Reader, error) { return r, nil }

// FilterHeader copies the fields of header that are named in fields, or with
// not those that are not, as they are, then the blank line.
func FilterHeader(w io.Writer, header io.Reader, fields []string, not bool) error { return nil }

// HeaderValues returns the values of the named field, decoded and unfolded.
func HeaderValues(header io.Reader, name string) ([]string, error) { return nil, nil }

// Matcher finds a string in text, without regard to case.
type Matcher struct{ needle string }

// NewMatcher returns a Matcher for needle.
func NewMatcher(needle string) *Matcher { return &Matcher{needle} }

// Match reports whether s contains the needle.
func (m *Matcher) Match(s string) bool { return false }

// MatchBody reports whether the decoded text of the message contains the needle.
func (s *Summary) MatchBody(r io.ReaderAt, m *Matcher) (bool, error) { return false, nil }

// MatchText reports whether the headers or the text of the message contain the needle.
func (s *Summary) MatchText(r io.ReaderAt, m *Matcher) (bool, error) { return false, nil }
