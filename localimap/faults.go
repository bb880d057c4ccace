package localimap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/serving"
)

// Response codes that go-imap has no name for.
const (
	codeExpungeIssued imap.ResponseCode = "EXPUNGEISSUED" // RFC 5530
	codeUseAttr       imap.ResponseCode = "USEATTR"       // RFC 6154
)

func no(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: responseText(text)}
}

func bad(text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeBad, Code: imap.ResponseCodeClientBug, Text: responseText(text)}
}

// isBad reports whether err is answered with BAD.
func isBad(err error) bool {
	if status, ok := errors.AsType[*imap.Error](err); ok {
		return status.Type == imap.StatusResponseTypeBad
	}
	_, syntax := errors.AsType[*imapwire.SyntaxError](err)
	_, limit := errors.AsType[*imapwire.LimitError](err)
	return syntax || limit
}

// response translates an error of the store into a tagged NO (RFC 5530). It is
// the one place that does. An error that is a response already stays as it is, and a
// command that the end of the connection cuts off has none.
func (s *session) response(err error) error {
	var ready *imap.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ready), s.conn.err != nil:
		return err
	case (errors.Is(err, context.Canceled) || errors.Is(err, serving.ErrClientGone)) && s.conn.Context.Err() != nil:
		return errAnswered // by BYE; Thunderbird shows a person every NO
	case errors.Is(err, context.Canceled):
		return no(imap.ResponseCodeUnavailable, "It was interrupted; try again")
	}
	if refused, ok := errors.AsType[*serving.Refused](err); ok {
		code := imap.ResponseCodeUnavailable
		if refused.Limit {
			code = imap.ResponseCodeLimit
		}
		return no(code, refused.Text)
	}
	kind, text := fault.KindOf(err), "Internal error, see the log of the server"
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind != fault.Internal {
		text = f.Text
		if hint := fault.Hint(err); hint != "" {
			text += "; " + hint
		}
	}
	code := responseCode(kind)
	if errors.Is(err, fault.ErrLimit) {
		code = imap.ResponseCodeLimit
	}
	if code == imap.ResponseCodeServerBug || code == imap.ResponseCodeOverQuota {
		s.log.Error().Err(err).Str("user", s.user).Msg("IMAP command failed")
	}
	return no(code, text)
}

func responseCode(kind fault.Kind) imap.ResponseCode {
	switch kind {
	case fault.NotFound:
		return imap.ResponseCodeNonExistent
	case fault.Conflict:
		return imap.ResponseCodeAlreadyExists
	case fault.Full:
		return imap.ResponseCodeOverQuota
	case fault.Denied:
		return imap.ResponseCodeNoPerm
	case fault.Temporary:
		return imap.ResponseCodeUnavailable
	case fault.Auth:
		return imap.ResponseCodeAuthenticationFailed
	case fault.Config, fault.Protocol:
		return imap.ResponseCodeCannot
	case fault.Corrupt, fault.Internal:
	}
	return imap.ResponseCodeServerBug
}

// recode gives the response for err another code where its fault has the given
// kind: what a missing or an existing mailbox means depends on the command.
func (s *session) recode(err error, kind fault.Kind, code imap.ResponseCode) error {
	translated := s.response(err)
	if r, ok := errors.AsType[*imap.Error](translated); ok && fault.Is(err, kind) {
		return &imap.Error{Type: r.Type, Code: code, Text: r.Text}
	}
	return translated
}

// responseText makes s a resp-text: one line of printable ASCII (RFC 9051
// section 9), starting with a capital letter.
func responseText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if s == "" {
		return "Failed"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// limited is an error for what is more than a limit.
func limited(format string, args ...any) error {
	return no(imap.ResponseCodeLimit, fmt.Sprintf(format, args...))
}
