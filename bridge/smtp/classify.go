package smtp

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

const (
	hintToken    = "sign in again to get a new token"
	hintAuth     = "check the user name and the password; some providers want an app password, or sending by SMTP switched on in their settings"
	hintSTARTTLS = `set tls = "implicit" (port 465) where the provider has it; tls = "none" sends the password readable`
	hintWait     = mailconn.HintWait
	hintBetween  = "it is tried again by itself; if it stays so, ask the provider, or look for a firewall or virus scanner that changes what the server says"
	hintTamper   = "somebody may be tampering with the connection; try another network"
)

// meaning is what a negative reply is known to mean.
type meaning struct {
	codes    string // of the reply, with blanks between; "" fits all
	enhanced string // RFC 3463 code; "" fits all
	any      string // phrases in lower case with "|" between; "" fits all
	kind     fault.Kind
	text     string
	hint     string
}

// meanings are tried in order, the first that fits counts: words before codes that
// say less.
var meanings = []meaning{
	{codes: "421", kind: fault.Temporary, text: "the server closes the connection for now", hint: hintWait},
	{codes: "535 550 454", enhanced: "5.7.139", kind: fault.Config, text: "the provider has sending by SMTP with a password switched off for this account",
		hint: "ask the administrator to switch on SMTP AUTH, or sign in by token"},
	{any: "smtpclientauthentication", kind: fault.Config, text: "the provider has sending by SMTP switched off for this account", hint: "ask the administrator to switch on SMTP AUTH"},
	{any: "must issue a starttls|encryption required", kind: fault.Config, text: "the server takes passwords over TLS only", hint: `set tls = "implicit" or tls = "starttls"`},
	{codes: "538", kind: fault.Config, text: "the server takes passwords over TLS only", hint: `set tls = "implicit" or tls = "starttls"`},
	{codes: "534 535", any: "application-specific password|app password", kind: fault.Auth, text: "the provider wants an app password",
		hint: "make an app password in the provider's security settings and use it here"},
	{codes: "534 535", any: "web browser", kind: fault.Auth, text: "the provider wants a login by web browser first", hint: "sign in at the provider's web page once, then try again"},
	{codes: "530", kind: fault.Auth, text: "the server takes no mail without a login", hint: hintAuth},
	{codes: "503", kind: fault.Protocol, text: "the server does not take this command now", hint: hintBetween},
	{codes: "535", kind: fault.Auth, text: "user name or password refused", hint: hintAuth},
}

func (e *ReplyError) meaning() (meaning, bool) {
	code, text := strconv.Itoa(e.Code), strings.ToLower(e.Text)
	for _, m := range meanings {
		if (m.codes == "" || strings.Contains(m.codes, code)) && (m.enhanced == "" || m.enhanced == e.Enhanced) && (m.any == "" || says(text, m.any)) {
			return m, true
		}
	}
	return meaning{}, false
}

// says reports whether text has one of the phrases of meaning.any.
func says(text, phrases string) bool {
	for phrase := range strings.SplitSeq(phrases, "|") {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}

// aboutMechanism reports whether a reply in a login that has come to step is about
// the way of logging in rather than about the credentials. RFC 4954 section 4 has 504
// for that, others 500 to 502, or words; and before the first step there are no
// credentials.
func (e *ReplyError) aboutMechanism(step int) bool {
	m, known := e.meaning()
	switch {
	case e.Code >= 500 && e.Code <= 504 && e.Code != 503:
		return true
	case !e.Permanent():
		return false
	case step == 0:
		return !known || m.kind == fault.Auth
	}
	// Cyrus SASL has "no secret in database" where it knows the password in another form only.
	return (!known || m.kind == fault.Auth) && says(strings.ToLower(e.Text), "mechanism|no secret|authentication type|auth type|not supported|unsupported|unrecognized|not implemented")
}

// classified makes the fault of a reply.
func (e *ReplyError) classified() error {
	if m, ok := e.meaning(); ok {
		return fault.Wrap(e, m.kind, m.text, m.hint)
	}
	if e.Temporary() {
		return fault.Wrap(e, fault.Temporary, "the server has a temporary problem", hintWait)
	}
	return fault.Wrap(e, fault.Denied, "the server refused", "its words say why; where they don't, ask the provider")
}

// classify makes the fault of an error in an open session.
func (c *Client) classify(err error) error {
	if errors.Is(err, mailconn.ErrEndless) {
		return fault.Wrap(err, fault.Protocol, "the server says too much", hintBetween)
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if refused, ok := errors.AsType[*ReplyError](err); ok {
		return refused.classified()
	}
	_, greeting := errors.AsType[*greetingError](err)
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case greeting && timeout && c.cfg.Port == 465 && c.cfg.Security != Implicit:
		return fault.Wrap(err, fault.Config, "the server at port 465 does not speak without TLS", usual.Hint())
	case greeting && timeout:
		return fault.Wrap(err, fault.Temporary, "the server accepted the connection but does not greet", mailconn.HintHost)
	case timeout && c.secret:
		return fault.Wrap(err, fault.Temporary, "the server does not answer after the password", hintWait)
	case timeout:
		return fault.Wrap(err, fault.Temporary, "the server does not answer", hintWait)
	case c.secret:
		return fault.Wrap(err, fault.Temporary, "the server closed the connection when it got the password",
			"either it refuses the password without a word, or its login service has an outage: check the user name and the password; "+hintWait)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(err, fault.Temporary, "the server closed the connection", hintWait)
	}
	return fault.Wrap(err, fault.Temporary, "the connection was lost", hintWait)
}
