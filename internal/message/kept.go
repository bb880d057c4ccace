package message

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// keptFields are the fields a Summary keeps the lines of: those that clients ask
// for to draw a list of messages, and so also those that people search. It is
// the union of what Thunderbird, mutt, NeoMutt, Evolution and K-9 ask for, less
// what those add by hand. Apple Mail also wants DKIM-Signature and
// Authentication-Results, which are longer than all of these together.
var keptFields = []string{
	"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject",
	"Message-ID", "In-Reply-To", "References", "Newsgroups",
	"MIME-Version", "Content-Type", "Content-Description", "Lines",
	"Priority", "X-Priority", "Importance", "X-Label",
	"Return-Path", "X-Original-To", "Delivered-To",
	"List-Id", "List-Post", "List-Subscribe", "List-Unsubscribe", "Mailing-List",
	"Originator", "X-BeenThere", "X-List", "X-Loop", "X-Mailing-List",
	"X-K9mail-Identity", "Chat-Version",
}

// Header is what a Summary keeps of the header of the message.
type Header struct {
	Size int64 // of the whole header in the message, with its blank line

	// lines is what FilterHeader makes of the whole header for keptFields, nil
	// where that is longer than maxLines or the header has no blank line after it.
	lines []byte
}

// Keeps reports whether the lines of all these fields are in a Header that is
// Complete.
func Keeps(fields []string) bool {
	return !slices.ContainsFunc(fields, func(name string) bool {
		return !slices.ContainsFunc(keptFields, func(kept string) bool { return isName([]byte(kept), name) })
	})
}

// Complete reports whether h answers for the fields that are kept; otherwise the
// message has to be read.
func (h *Header) Complete() bool { return len(h.lines) > 0 }

// AppendFields appends to dst what FilterHeader writes for these fields.
func (h *Header) AppendFields(dst []byte, fields []string) []byte {
	keep := false
	for rest := h.lines; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i+1]
		}
		if rest = rest[len(line):]; len(rest) == 0 {
			return append(dst, line...) // the blank line
		}
		if !folded(line) {
			keep = named(line, fields)
		}
		if keep {
			dst = append(dst, line...)
		}
	}
	return dst
}

// keepHeader keeps what is kept of the header that was just read, unless it has
// no blank line after it.
func (p *parser) keepHeader(raw []byte, blank, cut bool) {
	h := &p.sum.Header
	if h.Size = p.pos; !blank || cut || p.err != nil {
		return
	}
	var lines bytes.Buffer
	header := io.MultiReader(bytes.NewReader(raw), strings.NewReader("\r\n"[2-p.eol:]))
	if err := FilterHeader(&lines, header, keptFields, false); err == nil && lines.Len() <= maxLines {
		h.lines = lines.Bytes()
	}
}
