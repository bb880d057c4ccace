package pop3

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

// What an -ERR may mean beyond its kind; find them with errors.Is.
var (
	ErrInUse        = errors.New("the mailbox is in use by another session")
	ErrLoginDelay   = errors.New("the server wants more time between logins")
	ErrSessionLimit = errors.New("the server wants no more requests in this session")
	ErrPOPOff       = errors.New("the provider has POP access switched off")
	ErrAppPassword  = errors.New("the provider wants an app password")
	ErrWebLogin     = errors.New("a person has to log in at the provider's web page first")
)

const (
	hintToken = "sign in again to get a new token"
	hintAuth  = "check the user name and the password; some providers want an app password or POP access switched on in their settings"
	hintSTLS  = `set tls = "implicit" (port 995) where the provider has it; tls = "none" sends the password readable`
	hintWait  = mailconn.HintWait
	hintDelay = "set a longer poll_every"
	busy      = "the server has a temporary problem"
)

// meaning is what a reply is known to mean.
type meaning struct {
	code string // RFC 2449, 3206 or 6856 response code, or
	any  string // phrases in lower case with "|" between; "a+b" is one of two pieces
	kind fault.Kind
	text string
	hint string
	is   error // one of the Err values
}

// meanings are tried in order, the first that fits counts. Words come before a
// code that says less, as "not enabled for POP access" before SYS/PERM; words
// that would excuse a refusal come after AUTH.
var meanings = []meaning{
	{code: "IN-USE", kind: fault.Temporary, text: ErrInUse.Error(), hint: hintWait, is: ErrInUse},
	{code: "LOGIN-DELAY", kind: fault.Temporary, text: ErrLoginDelay.Error(), hint: hintDelay, is: ErrLoginDelay},
	{code: "SYS/TEMP", kind: fault.Temporary, text: busy, hint: hintWait},

	{any: "not enabled+pop|pop+disabled", kind: fault.Config, text: ErrPOPOff.Error(), hint: "switch POP on in the settings of the provider's web mail", is: ErrPOPOff},
	{any: "plaintext authentication disallowed", kind: fault.Config, text: "the server takes passwords over TLS only", hint: `set tls = "implicit" or tls = "starttls"`},
	{any: "application-specific password|app password", kind: fault.Auth, text: ErrAppPassword.Error(), hint: "make an app password in the provider's security settings and use it here", is: ErrAppPassword},
	{any: "web browser", kind: fault.Auth, text: "the provider wants a login by web browser first", hint: "sign in at the provider's web page once, then try again", is: ErrWebLogin},

	{code: "SYS/PERM", kind: fault.Config, text: "the server has a problem that does not go away by itself", hint: "ask the provider"},
	{code: "AUTH", kind: fault.Auth, text: "user name or password refused", hint: hintAuth},
	{code: "UTF8", kind: fault.Protocol, text: "the server gives this message to UTF-8 clients only"},

	{any: "download exceed|session+limit|exceed+messages", kind: fault.Temporary, text: ErrSessionLimit.Error(), is: ErrSessionLimit},
	{any: "duplicate login|in use|another session|another pop|already+ locked| lock+maildrop| lock+mailbox", kind: fault.Temporary, text: ErrInUse.Error(), hint: hintWait, is: ErrInUse},
	{any: "login+too frequent|minimum+interval", kind: fault.Temporary, text: ErrLoginDelay.Error(), hint: hintDelay, is: ErrLoginDelay},
	{any: "account+ locked", kind: fault.Auth, text: "the provider has locked the account", hint: "sign in at the provider's web page", is: ErrWebLogin},
	{any: "too many|try again|try later|temporar|unavailable|system error|internal error|timeout", kind: fault.Temporary, text: busy, hint: hintWait},
}

func (e *ReplyError) meaning() (meaning, bool) {
	text := strings.ToLower(e.Text)
	for _, m := range meanings {
		// RFC 2449 section 8: levels may follow a code, as in SYS/TEMP/DISK.
		if m.code != "" && (e.Code == m.code || strings.HasPrefix(e.Code, m.code+"/")) || m.any != "" && says(text, m.any) {
			return m, true
		}
	}
	return meaning{}, false
}

// says reports whether text has one of the phrases of meaning.any.
func says(text, phrases string) bool {
	for phrase := range strings.SplitSeq(phrases, "|") {
		first, second, _ := strings.Cut(phrase, "+")
		if strings.Contains(text, first) && strings.Contains(text, second) {
			return true
		}
	}
	return false
}

// Is makes errors.Is find the Err values of meanings.
func (e *ReplyError) Is(target error) bool {
	m, _ := e.meaning()
	return m.is != nil && m.is == target
}

func (e *ReplyError) temporary() bool {
	m, _ := e.meaning()
	return m.kind == fault.Temporary
}

// aboutMechanism reports whether the words are about the way of logging in
// rather than about the credentials.
func (e *ReplyError) aboutMechanism() bool {
	return says(strings.ToLower(e.Text), "mechanism|no secret|authentication type|auth type|not supported|unsupported|unknown command|unrecognized|not implemented|protocol error|syntax")
}

// loginError classifies an -ERR that nothing else explains as a refusal of the
// credentials.
func (c *Client) loginError(err error) error {
	reply, ok := errors.AsType[*ReplyError](err)
	if !ok {
		return err
	}
	if _, known := reply.meaning(); known {
		return err
	}
	return fault.Wrap(reply, fault.Auth, "user name or password refused", hintAuth)
}

// classify makes the fault of an error in an open session.
func (c *Client) classify(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if reply, ok := errors.AsType[*ReplyError](err); ok {
		return reply.classified()
	}
	_, greeting := errors.AsType[*greetingError](err)
	_, body := errors.AsType[*bodyError](err)
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	text, hint, closed := c.closedAt()
	switch {
	case greeting && timeout && c.cfg.Port == 995 && c.cfg.Security != Implicit:
		return fault.Wrap(err, fault.Config, "the server at port 995 does not speak without TLS", usual.Hint())
	case greeting && timeout:
		return fault.Wrap(err, fault.Temporary, "the server accepted the connection but does not greet", mailconn.HintHost)
	case timeout && c.atPassword():
		return fault.Wrap(err, fault.Temporary, "the server does not answer after the password", hintWait)
	case timeout && body:
		return fault.Wrap(err, fault.Temporary, "the server stopped in the middle of a message", hintWait)
	case timeout:
		return fault.Wrap(err, fault.Temporary, "the server does not answer", hintWait)
	case errors.Is(err, io.ErrUnexpectedEOF) && body:
		return fault.Wrap(err, fault.Temporary, "the server closed the connection in the middle of a message", hintWait)
	case closed && !timeout:
		return fault.Wrap(err, fault.Temporary, text, hint)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(err, fault.Temporary, "the server closed the connection", hintWait)
	}
	return fault.Wrap(err, fault.Temporary, "the connection was lost", hintWait)
}

func (e *ReplyError) classified() error {
	if m, ok := e.meaning(); ok {
		return fault.Wrap(e, m.kind, m.text, m.hint)
	}
	return fault.Wrap(e, fault.Temporary, "the server refused a command", "")
}
