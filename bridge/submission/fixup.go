package submission

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/mail"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/message"
)

// readHeader reads the header of a message with CR LF as its line ends, and the empty
// line behind it where there is one. Of a message whose first line is no field it
// returns that line, or the beginning of it. What stands before a header by mistake is
// left out: the line From_ of an mbox, and a byte order mark.
func readHeader(in *bufio.Reader) (raw []byte, err error) {
	skipMark(in)
	whole := true // the line before is
	for {
		line, err := in.ReadSlice('\n')
		begins := whole
		whole = err == nil
		if len(raw)+len(line) > maxHeader {
			return nil, reply{code: 552, enhanced: "5.3.4", text: fmt.Sprintf("The header of the message is too large, at most %d bytes", maxHeader)}
		}
		first := len(raw) == 0
		if first && whole && isMboxLine(line) {
			skipMark(in)
			continue
		}
		raw = append(raw, line...)
		none := first && fieldName(line) == ""
		switch {
		case errors.Is(err, io.EOF):
			return raw, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case none && whole && bccFollows(in):
			return nil, reply{code: 550, enhanced: "5.6.0", text: "The message does not begin with a field of its header, so that everyone would see who its Bcc is"}
		case begins && len(line) == 2 && whole, none:
			return raw, nil
		}
	}
}

// skipMark skips a byte order mark (RFC 3629 section 6).
func skipMark(in *bufio.Reader) {
	const mark = "\ufeff"
	if next, _ := in.Peek(len(mark)); string(next) == mark {
		_, _ = in.Discard(len(mark)) // it is there
	}
}

// isMboxLine reports whether a line begins a message in a file of mail (RFC 4155), as
// programs that read from one send it, too.
func isMboxLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// bccFollows reports whether what follows looks like a header with blind copies.
func bccFollows(in *bufio.Reader) bool {
	next, _ := in.Peek(in.Size()) // or less, at its end
	for name, field := range fields(next) {
		if name == "bcc" || name == "resent-bcc" {
			return true
		}
		if name == "" || len(field) == 2 {
			return false
		}
	}
	return false
}

// fieldName returns the name of the field that a line begins, in lower case, or "".
func fieldName(line []byte) string {
	name, _, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t") // RFC 5322 section 4.5
	if !found || bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return strings.ToLower(string(name))
}

// fields returns the fields of a header in their order, each with the lines that
// continue it. The empty line at the end, and lines that are no field, have no name.
func fields(raw []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(raw) > 0 {
			end := 0
			for first := true; first || end < len(raw) && (raw[end] == ' ' || raw[end] == '\t'); first = false {
				i := bytes.IndexByte(raw[end:], '\n')
				if end += i + 1; i < 0 {
					end = len(raw)
				}
			}
			if !yield(fieldName(raw[:end]), raw[:end]) {
				return
			}
			raw = raw[end:]
		}
	}
}

// fixHeader returns a header with the fields that a message must have and this one
// has not, Date and Message-ID (RFC 6409 section 8), and without Return-Path, which
// only the last server writes (RFC 5321 section 4.4). All else stays as it is. raw is
// what readHeader returns; where that is no header it belongs to the body. The first n
// bytes are those that were added: package mailstore knows them by their form, too.
func fixHeader(raw []byte, date time.Time, id string) (header []byte, n int) {
	fixed := make([]byte, 0, len(raw)+200)
	has := make(map[string]bool)
	for name, field := range fields(raw) {
		has[name] = true
		if name != "return-path" {
			fixed = append(fixed, field...)
		}
	}
	var added []byte
	if !has["date"] {
		added = fmt.Appendf(added, "Date: %s\r\n", date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	}
	if !has["message-id"] {
		added = fmt.Appendf(added, "Message-ID: %s\r\n", id)
	}
	if len(raw) == 0 || fieldName(firstLine(raw)) == "" && !bytes.HasPrefix(raw, []byte("\r\n")) {
		added = append(added, "\r\n"...)
	}
	return append(added, fixed...), len(added)
}

func firstLine(raw []byte) []byte {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	return line
}

// messageID makes an id in the domain of one of the addresses: a mail program would
// take its own host name, which is no one's business.
func messageID(addresses ...string) string {
	host := "localhost"
	for _, a := range addresses {
		if _, domain := splitAddress(a); isDomain(domain) && domain[0] != '[' && isASCII(domain) {
			host = domain
			break
		}
	}
	return "<" + strings.ToLower(rand.Text()) + "@" + host + ">"
}

// sender returns the address whose account a message leaves by: who has sent it again
// (RFC 5322 section 3.6.6), else who has written it, else the sender of the envelope.
// Where several have written it, Sender says who sends it (section 3.6.2).
func sender(header []byte, envelope string) (string, error) {
	for _, who := range []struct{ from, sender string }{{"resent-from", "resent-sender"}, {"from", "sender"}} {
		from := addresses(header, who.from)
		if len(from) > 1 {
			from = addresses(header, who.sender)
			if len(from) != 1 {
				return "", reply{code: 550, enhanced: "5.6.0", text: "The message has several From addresses, and no Sender that says which of them sends it"}
			}
		}
		if len(from) == 1 {
			return from[0], nil
		}
	}
	return envelope, nil
}

// addresses returns the addresses in all fields of that name, of Resent fields in the
// first one, which is the newest.
func addresses(header []byte, name string) (list []string) {
	for n, field := range fields(header) {
		if n != name {
			continue
		}
		list = append(list, fieldAddresses(field, name)...)
		if strings.HasPrefix(name, "resent-") {
			break
		}
	}
	return list
}

func fieldAddresses(field []byte, name string) (list []string) {
	_, value, _ := bytes.Cut(field, []byte(":"))
	if parsed, err := mail.ParseAddressList(string(bytes.TrimSpace(bytes.ReplaceAll(value, []byte("\r\n"), nil)))); err == nil {
		for _, a := range parsed {
			list = append(list, a.Address)
		}
		return list
	}
	// It is not as it should be: whatever IMAP clients are shown. Where it has no domain
	// that is a word without a dot.
	h, err := message.ReadHeader(bytes.NewReader(field))
	if err != nil {
		return nil
	}
	if a := h.Address(name); strings.Contains(a.Host, ".") && isAddress(a.Mailbox+"@"+a.Host) {
		list = append(list, a.Mailbox+"@"+a.Host)
	}
	return list
}
