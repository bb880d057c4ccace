package outbox

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// maxQuotedHeader bounds what a report quotes of the message.
const maxQuotedHeader = 32 << 10

// reporter is who a report is from. The domain is one that no one has (RFC 6761
// section 6.4): a report never leaves this computer.
const reporter = "mailer-daemon@popbridge.invalid"

// report is what a person is told about a message that has not reached someone.
type report struct {
	Message    mailstore.Outgoing
	Recipients []mailstore.OutgoingRecipient // those it is about
	About      about
	Reason     string    // why it is delayed
	Since      time.Time // when that began to keep all mail of the account; zero: it is of this message
	Now        time.Time
}

// about is what a report tells of.
type about uint8

const (
	refusal  about = iota // the message will not reach the recipients
	delay                 // it is still tried
	doubtful              // it has reached them or not
)

const reportDate = "Mon, 2 Jan 2006 15:04 -0700"

var subjects = [...]string{"Not delivered: ", "Not sent yet: ", "Sent or not: "}

// bytes writes the report as a message with CRLF line ends (RFC 3464): in words, for
// programs, and with the header of the message. It is the same for the same report.
func (r report) bytes(header []byte) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	words, fields := r.words(), r.fields()
	boundary := r.boundary(words, fields, string(header))
	line("From: popbridge <%s>", reporter)
	line("To: <%s>", oneLine(r.Message.From))
	line("Subject: %s", foldWords(subjects[r.About]+oneLine(r.Message.Subject)))
	line("Date: %s", r.Now.Format(time.RFC1123Z))
	line("Message-ID: <outbox.%d.%d.%d@popbridge.invalid>", r.Message.ID, r.Message.QueuedAt.Unix(), r.Now.UnixNano())
	if r.Message.MessageID != "" {
		line("In-Reply-To: %s", oneLine(r.Message.MessageID))
		line("References: %s", oneLine(r.Message.MessageID))
	}
	line("Auto-Submitted: auto-replied") // RFC 3834 section 5
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"", boundary)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: 8bit")
	line("")
	b.WriteString(words)
	line("\r\n--%s", boundary)
	status, headers := "message/delivery-status", "text/rfc822-headers"
	if !isASCII(fields) { // RFC 6533 section 3
		status = "message/global-delivery-status"
	}
	if !isASCII(string(header)) {
		headers = "message/global-headers"
	}
	line("Content-Type: %s", status)
	line("Content-Transfer-Encoding: 8bit")
	line("")
	b.WriteString(fields)
	line("\r\n--%s", boundary)
	line("Content-Type: %s", headers)
	line("Content-Transfer-Encoding: 8bit")
	line("")
	b.Write(header)
	line("\r\n--%s--", boundary)
	return b.Bytes()
}

// words is the part for the person.
func (r report) words() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	subject := "without a subject"
	if s := oneLine(r.Message.Subject); s != "" {
		subject = "\"" + s + "\""
	}
	queued := r.Message.QueuedAt.Format(reportDate)
	end := fmt.Sprintf("The message is in the folder Outbox. Deleting it there ends this, as `popbridge outbox drop %d`\r\ndoes; `popbridge outbox retry %d` tries it again.", r.Message.ID, r.Message.ID)
	switch r.About {
	case delay:
		line("Your message %s of %s\r\nhas not been sent yet. It is tried again by itself.", subject, queued)
	case doubtful:
		line("The connection was lost while your message %s\r\nof %s was handed to the mail server, before the\r\nanswer came. The server has it, or has not. It is not sent again by itself.", subject, queued)
		end = fmt.Sprintf("Ask who should have it, or look at the web mail of the provider. Then say what is so:\r\n`popbridge outbox sent %d`, or `popbridge outbox retry %d` to send it again.", r.Message.ID, r.Message.ID)
	default:
		line("Your message %s of %s\r\nhas not been sent to:", subject, queued)
	}
	line("")
	for _, rcpt := range r.Recipients {
		line("  %s", oneLine(rcpt.Address))
		if rcpt.Reply != "" {
			line("    %s", oneLine(rcpt.Reply))
		}
	}
	switch {
	case r.Reason == "":
	case r.Since.IsZero():
		line("\r\nThe last try: %s", oneLine(r.Reason))
	default:
		line("\r\nAll mail of account %s waits, since %s:\r\n%s", oneLine(r.Message.Account), r.Since.Format(reportDate), oneLine(r.Reason))
	}
	line("\r\n%s", end)
	return b.String()
}

// fields is the part for programs (RFC 3464 section 2).
func (r report) fields() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("Reporting-MTA: dns; popbridge.invalid")
	line("Arrival-Date: %s", r.Message.QueuedAt.Format(time.RFC1123Z))
	for _, rcpt := range r.Recipients {
		action, class := "failed", "5"
		if r.About != refusal {
			action, class = "delayed", "4"
		}
		line("")
		if address := oneLine(rcpt.Address); isASCII(address) {
			line("Final-Recipient: rfc822; %s", address)
		} else {
			line("Final-Recipient: utf-8; %s", address) // RFC 6533 section 3
		}
		line("Action: %s", action)
		line("Status: %s", statusOf(rcpt.Reply, class))
		if reply := oneLine(rcpt.Reply); isReply(reply) {
			line("Diagnostic-Code: smtp; %s", reply)
		}
		if r.Since.IsZero() { // else there need not have been one
			line("Last-Attempt-Date: %s", r.Now.Format(time.RFC1123Z))
		}
	}
	return b.String()
}

// boundary is one that no part has.
func (r report) boundary(parts ...string) string {
	for n := 0; ; n++ {
		b := fmt.Sprintf("=_outbox.%d.%d.%d", r.Message.ID, r.Now.Unix(), n)
		if !strings.Contains(strings.Join(parts, "\n"), b) {
			return b
		}
	}
}

// isReply reports whether words are those of a server: a code, and text.
func isReply(words string) bool {
	return len(words) >= 3 && strings.Trim(words[:3], "0123456789") == "" && (len(words) == 3 || words[3] == ' ')
}

// statusOf is the enhanced code of a reply (RFC 3463), or the general one of class.
func statusOf(reply, class string) string {
	if isReply(reply) {
		code, _, _ := strings.Cut(strings.TrimPrefix(reply[3:], " "), " ")
		if digits := strings.Split(code, "."); len(digits) == 3 && digits[0] == class && isNumber(digits[1]) && isNumber(digits[2]) {
			return code
		}
	}
	return class + ".0.0"
}

func isNumber(s string) bool {
	return len(s) >= 1 && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// maxForeign is how much of a foreign text, in bytes, is on a line of a report, which has
// 998 at most (RFC 5322 section 2.1.1).
const maxForeign = 800

// oneLine makes foreign text safe for a field: valid UTF-8 without control
// characters, and not too long.
func oneLine(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\ufffd"))
	if len(s) > maxForeign {
		s = strings.ToValidUTF8(s[:maxForeign], "") + "…"
	}
	return strings.TrimSpace(s)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}

// foldWords encodes a text for a field (RFC 2047), each encoded word on a line of its
// own.
func foldWords(s string) string {
	const most = 200 // bytes
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

// readHeader returns the header of a message without its Bcc and its blank line, as
// much of it as a report quotes, with CRLF line ends and no line that is too long.
func readHeader(message io.Reader) []byte {
	var out bytes.Buffer
	in := bufio.NewScanner(io.LimitReader(withoutBcc(message), maxQuotedHeader))
	in.Buffer(nil, maxQuotedHeader+1)
	for in.Scan() {
		line := bytes.TrimRight(in.Bytes(), "\r")
		if len(line) == 0 {
			break
		}
		const most = 998 // RFC 5322 section 2.1.1
		line = line[:min(len(line), most)]
		out.WriteString(strings.Map(func(c rune) rune {
			if c < ' ' && c != '\t' || c == 0x7f {
				return ' '
			}
			return c
		}, strings.ToValidUTF8(string(line), "?")))
		out.WriteString("\r\n")
	}
	return out.Bytes()
}
