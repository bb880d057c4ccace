package health

import (
	"errors"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// SMTP translates an error of the SMTP server for mail programs on one address. One
// about the certificate is that of the IMAP server, too, and told there.
func SMTP(err error) []Condition {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*LocalTLSError](err); ok {
		return IMAP(err)
	}
	code := CodeSMTPFailed
	if fault.Is(err, fault.Conflict) {
		code = CodeSMTPPortBusy
	}
	return []Condition{{Code: code, Severity: Warning, Text: "mail programs cannot send through popbridge: " + err.Error(), Hint: fault.Hint(err)}}
}

// StopsSending reports whether it is a condition at which mail that a person sends waits, or
// is not taken. Mail may come all the same, so that its severity does not say it. What the
// server has refused of a message, or may have taken, stops no other.
func (c Condition) StopsSending() bool {
	return strings.HasPrefix(c.Code, "send-") || strings.HasPrefix(c.Code, "smtp-") || c.Code == CodeSignInNeeded
}

// Sending is the condition that the mail of an account does not leave. No message is
// lost by it: all wait.
func Sending(name, user string, err error, hint string) []Condition {
	if err == nil {
		return nil
	}
	if c, ok := signInNeeded(name, user, err, hint); ok {
		return []Condition{c}
	}
	if hint == "" {
		hint = fault.Hint(err)
	}
	_, severity := accountCode(err) // a person is needed for the same reasons as for fetching
	code := CodeSendFailed
	if fault.Is(err, fault.Auth) {
		code = CodeSendAuth
	}
	return []Condition{{Code: code, Severity: severity, User: user, Text: fmt.Sprintf("account %s: what it sends waits: %v", name, err), Hint: hint}}
}

// SentUnknown is the condition that of n messages it is not known whether the server took
// them. list is the command that shows them.
func SentUnknown(name, user string, n int, list string) Condition {
	return Condition{Code: CodeSentUnknown, Severity: Error, User: user,
		Text: fmt.Sprintf("account %s: the connection was lost while the server got %s; it has taken that or not", name, fault.Count(n, "message")),
		Hint: "ask who should have it, or look at the web mail of the provider; `" + list + "` shows it and how to decide"}
}

// SentRefused is the condition that n messages were refused for good, for some recipients
// at least, and that a report of some of them is in INBOX. list is the command that shows
// them, retry tries one again.
func SentRefused(name, user string, n, reported int, list, retry string) Condition {
	report := ""
	switch reported {
	case 0:
	case n:
		report = "; a report is in INBOX"
	default:
		report = fmt.Sprintf("; a report of %d of them is in INBOX", reported)
	}
	return Condition{Code: CodeSentRefused, Severity: Error, User: user,
		Text: fmt.Sprintf("account %s: %s could not be sent%s", name, fault.Count(n, "message"), report),
		Hint: "`" + list + "` says why; once that is put right, `" + retry + "` tries again for whom the server has not taken; deleting it in the folder Outbox ends this"}
}

// SendStuck is the condition that this computer keeps n messages from being sent. list is the
// command that shows them.
func SendStuck(name, user string, n int, list string) Condition {
	return Condition{Code: CodeSendStuck, Severity: Error, User: user,
		Text: fmt.Sprintf("account %s: %s cannot be sent for a reason on this computer", name, fault.Count(n, "message")),
		Hint: "`" + list + "` says why; it is tried again every 15 minutes, deleting it in the folder Outbox ends this"}
}

// SendNoAccount is the condition that n messages of a user leave by no account. why says
// which it should be, and what to do; list is the command that shows them.
func SendNoAccount(user string, why error, n int, list string) Condition {
	return Condition{Code: CodeSendNoAccount, Severity: Error, User: user,
		Text: fmt.Sprintf("user %s: %s in the Outbox cannot be sent: %v", user, fault.Count(n, "message"), why),
		Hint: fault.Hint(why) + "; `" + list + "` shows what waits"}
}

// SendHeld is the condition that n messages of a user are held since the mail was restored
// or moved. list is the command that shows them.
func SendHeld(user string, n int, list string) Condition {
	return Condition{Code: CodeSendHeld, Severity: Error, User: user,
		Text: fmt.Sprintf("user %s: held in the Outbox since the mail was restored or moved, as it may have been sent before: %s", user, fault.Count(n, "message")),
		Hint: "`" + list + "` shows what it is, and the commands that send or drop it"}
}
