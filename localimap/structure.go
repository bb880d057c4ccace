package localimap

import (
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/message"
)

// appendEnvelope writes ENVELOPE (RFC 9051 section 7.5.2).
func appendEnvelope(dst []byte, e *message.Envelope) []byte {
	dst = append(dst, '(')
	if e.Date.IsZero() {
		dst = append(dst, "NIL"...)
	} else {
		dst = imapwire.AppendString(dst, e.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	}
	dst = imapwire.AppendNString(append(dst, ' '), encoded(e.Subject))
	or := func(list []message.Address) []message.Address {
		if list == nil {
			return e.From
		}
		return list
	}
	for _, list := range [][]message.Address{e.From, or(e.Sender), or(e.ReplyTo), e.To, e.Cc, e.Bcc} {
		dst = appendAddresses(append(dst, ' '), list)
	}
	inReplyTo, id := "", ""
	if len(e.InReplyTo) > 0 {
		inReplyTo = "<" + strings.Join(e.InReplyTo, "> <") + ">"
	}
	if e.MessageID != "" {
		id = "<" + e.MessageID + ">"
	}
	dst = imapwire.AppendNString(append(dst, ' '), inReplyTo)
	return append(imapwire.AppendNString(append(dst, ' '), id), ')')
}

// encoded is text that is not ASCII as encoded words (RFC 2047).
func encoded(text string) string { return mime.QEncoding.Encode("utf-8", text) }

func appendAddresses(dst []byte, list []message.Address) []byte {
	if len(list) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, a := range list {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = imapwire.AppendNString(append(dst, '('), encoded(a.Name))
		dst = append(dst, " NIL "...)
		dst = imapwire.AppendNString(dst, a.Mailbox)
		dst = imapwire.AppendNString(append(dst, ' '), a.Host)
		dst = append(dst, ')')
	}
	return append(dst, ')')
}

// appendStructure writes BODYSTRUCTURE, or BODY (RFC 9051 section 7.5.2).
func appendStructure(dst []byte, p *message.Part, extended bool) []byte {
	dst = append(dst, '(')
	if p.Multipart() {
		for _, child := range p.Children { // without spaces: Outlook for iOS has no use for them
			dst = appendStructure(dst, child, extended)
		}
		dst = imapwire.AppendString(append(dst, ' '), p.Subtype)
		if extended {
			dst = appendParams(append(dst, ' '), p.Params)
			dst = appendExtension(dst, p)
		}
		return append(dst, ')')
	}
	dst = imapwire.AppendString(dst, p.Type)
	dst = imapwire.AppendString(append(dst, ' '), p.Subtype)
	dst = appendParams(append(dst, ' '), p.Params)
	dst = imapwire.AppendNString(append(dst, ' '), p.ID)
	dst = imapwire.AppendNString(append(dst, ' '), p.Description)
	dst = imapwire.AppendString(append(dst, ' '), strings.ToLower(p.Encoding))
	dst = strconv.AppendInt(append(dst, ' '), p.End-p.Body, 10)
	if p.Message() {
		dst = appendEnvelope(append(dst, ' '), p.Envelope)
		dst = appendStructure(append(dst, ' '), p.Children[0], extended)
	}
	if p.Message() || p.Type == "text" {
		dst = strconv.AppendInt(append(dst, ' '), p.Lines, 10)
	}
	if extended {
		dst = append(dst, " NIL"...) // MD5
		dst = appendExtension(dst, p)
	}
	return append(dst, ')')
}

// appendExtension writes disposition, language and location.
func appendExtension(dst []byte, p *message.Part) []byte {
	if p.Disposition == "" {
		dst = append(dst, " NIL"...)
	} else {
		dst = imapwire.AppendString(append(dst, " ("...), p.Disposition)
		dst = append(appendParams(append(dst, ' '), p.DispositionParams), ')')
	}
	if len(p.Language) == 0 {
		dst = append(dst, " NIL"...)
	} else {
		dst = append(dst, " ("...)
		for i, tag := range p.Language {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = imapwire.AppendString(dst, tag)
		}
		dst = append(dst, ')')
	}
	return imapwire.AppendNString(append(dst, ' '), p.Location)
}

func appendParams(dst []byte, params map[string]string) []byte {
	if len(params) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, name := range slices.Sorted(maps.Keys(params)) {
		if i > 0 {
			dst = append(dst, ' ')
		}
		value := params[name]
		if !isASCII(value) { // strings of the header, where clients look for RFC 2231
			name, value = name+"*", "utf-8''"+url.PathEscape(value)
		}
		dst = imapwire.AppendString(append(imapwire.AppendString(dst, name), ' '), value)
	}
	return append(dst, ')')
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
