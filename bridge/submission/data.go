package submission

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/message"
)

// data answers DATA (RFC 5321 section 4.1.1.4).
func (s *session) data(arg string) reply {
	switch {
	case arg != "":
		return s.refuseData(reply{code: 501, enhanced: "5.5.4", text: "DATA has no parameters"})
	case s.mail == nil:
		return s.refuseData(reply{code: 503, enhanced: "5.5.1", text: "Send MAIL first"})
	case len(s.mail.recipients) == 0:
		return s.refuseData(reply{code: 554, enhanced: "5.5.1", text: "There is no recipient"})
	}
	s.conn.reply(reply{code: 354, text: "Send the message, and a line with a dot alone at its end"})
	r := s.receive()
	s.mail = nil
	return r
}

// refuseData answers a DATA that is refused. A client that does not wait sends the
// message nevertheless: its text must not be run as commands. Nothing may follow DATA
// before its reply (RFC 2920 section 3.1).
func (s *session) refuseData(r reply) reply {
	s.doubt = true
	r.last = s.conn.in.Buffered() > 0
	return r
}

// receive takes a message to its end and has it queued.
func (s *session) receive() reply {
	d := &dots{in: s.conn.in}
	sub, err := s.read(d)
	if sub.Message != nil {
		defer sub.Message.Discard() // does nothing where it was taken
	}
	if lost := d.drain(); lost != nil { // the end has not come: nothing was sent
		r := farewellTo(lost)
		r.last = true
		return r
	}
	if err == nil {
		err = s.who.Submit(s.run, sub)
	}
	if err != nil {
		return s.replyTo(err)
	}
	failpoint.Hit(failpoint.Submitted)
	s.log.Info().Str("user", s.who.User).Str("device", s.who.Device).Str("account", sub.Account).
		Int64("size", sub.Message.Size()).Int("recipients", len(sub.Recipients)).Msg("a message was taken to be sent")
	return reply{code: 250, enhanced: "2.0.0", text: "The message is queued to be sent"}
}

// read reads a message, or as much as is needed to refuse it.
func (s *session) read(d *dots) (sub Submission, err error) {
	in := bufio.NewReaderSize(d, 4<<10)
	raw, err := readHeader(in)
	if err != nil {
		return sub, err
	}
	now := time.Now()
	from, err := sender(raw, s.mail.from)
	if err != nil {
		return sub, err
	}
	route, err := s.who.Route(from)
	if err != nil {
		return sub, err
	}
	fixed, added := fixHeader(raw, now, messageID(from, route.From))
	sub = Submission{
		Account: route.Account, Device: s.who.Device, From: route.From, Recipients: s.mail.recipients, DSN: s.mail.dsn, NotBefore: now.Add(route.Delay), Added: added,
		UTF8: s.mail.utf8 && !(isASCII(raw) && isASCII(route.From) && isASCII(strings.Join(s.mail.recipients, ""))),
	}
	if s.mail.from == "" {
		sub.From = "" // RFC 8098 section 3: a receipt must not be answered
	}
	if sub.UTF8 && !route.UTF8 {
		return sub, reply{code: 550, enhanced: "5.6.7", text: fmt.Sprintf("Account %s cannot send mail with addresses or header fields outside of ASCII", route.Account)}
	}
	header, err := message.ReadHeader(bytes.NewReader(fixed))
	if err != nil {
		return sub, err
	}
	if ids := bracketed(header.MessageIDs("Message-ID")); len(ids) > 0 {
		sub.MessageID = ids[0]
	}
	if sub.From != "" && !isAutomatic(header) {
		sub.InReplyTo = bracketed(header.MessageIDs("In-Reply-To"))
	}
	limit := atMost(route.MaxSize)
	m := &meter{r: io.MultiReader(bytes.NewReader(fixed), in), left: limit}
	sub.Message, err = s.who.Spool(s.ctx, m)
	sub.EightBit = m.eightBit
	if errors.Is(err, errTooLarge) {
		err = tooLarge(route.Account, limit)
	}
	return sub, err
}

// isAutomatic reports whether a program has written a message by itself (RFC 3834 section 5),
// or it is a receipt (RFC 8098 section 3), which nobody has written either.
func isAutomatic(h *message.Header) bool {
	word := func(field string) string {
		value := h.Text(field)
		if end := strings.IndexAny(value, ";("); end >= 0 { // parameters, a comment
			value = value[:end]
		}
		return strings.ToLower(strings.TrimSpace(value))
	}
	auto := word("Auto-Submitted")
	return auto != "" && auto != "no" || word("Content-Type") == "multipart/report"
}

func bracketed(ids []string) []string {
	for i, id := range ids {
		ids[i] = "<" + id + ">"
	}
	return ids
}

var errTooLarge = errors.New("the message is too large")

// meter ends a message that is too large, and notes what is in it.
type meter struct {
	r        io.Reader
	left     int64
	eightBit bool
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.left -= int64(n); m.left < 0 {
		return 0, errTooLarge
	}
	m.eightBit = m.eightBit || !isASCII(p[:n])
	return n, err
}
