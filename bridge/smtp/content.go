package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/popbridge/popbridge/internal/fault"
)

// chunk is how much of a message is read at a time, in bytes.
const chunk = 32 << 10

// content sends a message with its dots stuffed (RFC 5321 section 4.5.2) and a line
// end behind its last line, and returns how many bytes it had. After any error the
// connection has ended.
func (c *Client) content(body io.Reader, eightBit bool) (n int64, err error) {
	s := stuffer{begin: true, eightBit: eightBit}
	buf := make([]byte, chunk)
	for {
		got, readErr := body.Read(buf)
		n += int64(got)
		out, err := s.stuff(buf[:got])
		if err != nil {
			return n, c.end(err)
		}
		c.wire.Within(c.cfg.Timeouts.Write)
		if _, err := c.wire.W.Write(out); err != nil {
			return n, c.lost(err)
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return n, c.end(fmt.Errorf("reading the message: %w", readErr))
		}
	}
	end, err := s.end()
	if err != nil {
		return n, c.end(err)
	}
	_, _ = c.wire.W.WriteString(end) // the error is sticky
	if err := c.wire.W.Flush(); err != nil {
		return n, c.lost(err)
	}
	return n, nil
}

// stuffer makes the form of a message on the wire. It lets no line end pass but CRLF
// (RFC 5321 section 2.3.8): what some servers take for the end of a line, others
// don't, and a message could be two.
type stuffer struct {
	eightBit bool // bytes above 127 may pass
	begin    bool // at the beginning of a line
	cr       bool // the last byte was CR
	out      []byte
}

// stuff returns what to send for the next bytes of a message. It is valid until the
// next call.
func (s *stuffer) stuff(p []byte) ([]byte, error) {
	if !s.eightBit && bytes.ContainsFunc(p, func(r rune) bool { return r > 127 }) {
		return nil, fault.Wrap(ErrEightBit, fault.Denied, "the message has 8-bit text that was not announced", "send it from another mail program")
	}
	s.out = s.out[:0]
	for _, b := range p {
		if (b == '\n') != s.cr {
			return nil, errLineEnd
		}
		if s.begin && b == '.' {
			s.out = append(s.out, '.')
		}
		s.out = append(s.out, b)
		s.begin, s.cr = b == '\n', b == '\r'
	}
	return s.out, nil
}

// end returns what has to follow the last byte.
func (s *stuffer) end() (string, error) {
	switch {
	case s.cr:
		return "", errLineEnd
	case s.begin:
		return "", nil
	}
	return "\r\n", nil
}

var errLineEnd = fault.Wrap(ErrLineEnd, fault.Denied, "the message has a line end that no server takes", "send it from another mail program")
