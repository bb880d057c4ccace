package smtp

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

// Reply is what a server said. The zero value is no reply.
type Reply struct {
	Code     int    // 200 to 599
	Enhanced string // RFC 3463 status code, such as "5.1.1"; "" where none was given
	Text     string // the rest, its lines joined by blanks: foreign text, without control characters, at most MaxText bytes
}

// MaxText is the longest Reply.Text in bytes.
const MaxText = 500

// Positive reports whether the server did what it was asked for.
func (r Reply) Positive() bool { return r.Code/100 == 2 }

// Temporary reports whether the same request may be answered otherwise later.
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent reports whether the same request would be refused again.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// Negative reports whether the server refused.
func (r Reply) Negative() bool { return r.Temporary() || r.Permanent() }

// String returns the reply in one line, its text as it is.
func (r Reply) String() string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d %s", r.Code, r.Enhanced), " ")+" "+r.Text, " ")
}

// ReplyError is a negative reply.
type ReplyError struct {
	Reply
	Command string // as sent, without secrets; "greeting" for the first reply of all, "message" for what came of its content, "idle" where nothing was asked
}

// Error returns the command and the server's words, quoted.
func (e *ReplyError) Error() string {
	enhanced := ""
	if e.Enhanced != "" {
		enhanced = " " + e.Enhanced
	}
	return fmt.Sprintf("%s: server answered %d%s %s", e.Command, e.Code, enhanced, fault.Quote(e.Text))
}

// What a reply may have at most: there is no limit in RFC 5321.
const (
	maxReplyBytes = 64 << 10
	maxReplyLines = 256
)

// closing is the reply of a server that closes the connection (RFC 5321 section
// 3.8).
const closing = 421

// reply reads the reply to a command and returns it where it is positive or asks
// for more; else it is a classified *ReplyError.
func (c *Client) reply(command string) (Reply, []string, error) {
	return c.replyWithin(command, c.cfg.Timeouts.Reply)
}

func (c *Client) replyWithin(command string, d time.Duration) (Reply, []string, error) {
	r, lines, err := c.receive(d)
	if err != nil {
		if nonsense, ok := err.(*nonsenseError); ok {
			err = fault.Wrap(nonsense, fault.Protocol, "the server's answer to "+verb(command)+" is no reply", hintBetween)
		}
		return Reply{}, nil, c.fail(err)
	}
	c.secret = false
	switch {
	case r.Code == closing:
		return r, nil, c.fail(&ReplyError{r, command})
	case r.Negative():
		return r, nil, c.classify(&ReplyError{r, command})
	}
	return r, lines, nil
}

// unexpected ends the connection because of a reply that cannot be one to command:
// requests and replies are out of step.
func (c *Client) unexpected(command string, r Reply) error {
	return c.fail(fault.New(fault.Protocol, fmt.Sprintf("the server answered %d %s to %s", r.Code, fault.Quote(r.Text), verb(command)), hintBetween))
}

// nonsenseError is a line that belongs to no reply.
type nonsenseError struct{ line string }

func (e *nonsenseError) Error() string { return fault.Quote(e.line) }

// receive reads one reply within d (RFC 5321 section 4.2). lines are the texts of
// its lines as they came; in r.Text secrets are masked.
func (c *Client) receive(d time.Duration) (r Reply, lines []string, err error) {
	c.wire.Within(d)
	c.wire.Limit(maxReplyBytes)
	for {
		raw, cut, err := c.wire.ReadLine()
		if err != nil {
			return Reply{}, nil, err
		}
		if cut || len(lines) == maxReplyLines {
			return Reply{}, nil, mailconn.ErrEndless
		}
		line := string(raw)
		c.cfg.Trace.Trace().Str("server", fault.Quote(c.secrets.Mask(line))).Msg("smtp reply")
		code, more, text, ok := parseLine(line)
		if !ok || len(lines) > 0 && code != r.Code {
			return Reply{}, nil, &nonsenseError{c.secrets.Mask(line)}
		}
		r.Code = code
		lines = append(lines, text)
		if !more {
			break
		}
	}
	r.Enhanced, r.Text = summarize(r.Code, lines)
	r.Text = clean(c.secrets.Mask(r.Text))
	return r, lines, nil
}

// parseLine parses a line of a reply: three digits, then nothing, or a blank and
// text, or "-" and text where more lines follow.
func parseLine(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, "", false
	}
	for _, b := range []byte(line[:3]) {
		if b < '0' || b > '9' {
			return 0, false, "", false
		}
		code = code*10 + int(b-'0')
	}
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', line[4:], true
}

// summarize joins the lines of a reply. An enhanced status code stands at the
// beginning of each line (RFC 2034 section 4).
func summarize(code int, lines []string) (enhanced, text string) {
	var b strings.Builder
	for _, line := range lines {
		if b.Len() > MaxText {
			break
		}
		word, rest, _ := strings.Cut(line, " ")
		if isEnhanced(word, code) && (enhanced == "" || word == enhanced) {
			enhanced, line = word, rest
		}
		b.WriteString(line)
		b.WriteByte(' ')
	}
	return enhanced, b.String()
}

// isEnhanced reports whether s is a status code of RFC 3463 section 2 of the class
// of the reply.
func isEnhanced(s string, code int) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || int(parts[0][0]-'0') != code/100 {
		return false
	}
	for _, part := range parts {
		if part == "" || len(part) > 3 || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// clean makes one line of foreign text, in UTF-8 without control and format
// characters, of at most MaxText bytes.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "") // without the half of a character
	}
	return s
}
