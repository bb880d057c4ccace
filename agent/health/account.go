package health

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/popbridge/popbridge/internal/fault"
)

// Account translates the last error of an account and the number of messages
// that cannot be fetched. A nil err and no problems give no condition.
func Account(name string, err error, problems int) []Condition {
	var list []Condition
	if err != nil {
		code, severity := accountCode(err)
		list = append(list, Condition{Code: code, Severity: severity,
			Text: fmt.Sprintf("account %s: %v", name, err), Hint: fault.Hint(err)})
	}
	if problems > 0 {
		list = append(list, Condition{Code: CodeAccountMessages, Severity: Warning,
			Text: fmt.Sprintf("account %s: %s could not be fetched; another try comes later", name, fault.Count(problems, "message")),
			Hint: "see `popbridge status` for the reasons; everything else was fetched"})
	}
	return list
}

// DeletesUnconfirmed is the condition that n messages would be deleted on the
// server as soon as a person allows it. show and allow are the commands for that.
func DeletesUnconfirmed(name string, n int, show, allow string) Condition {
	return Condition{Code: CodeDeletesUnconfirmed, Severity: Warning,
		Text: fmt.Sprintf("account %s: %s stored here would be deleted on the server; that waits for you, because keep_on_server or delete_on_server is new", name, fault.Count(n, "message")),
		Hint: fmt.Sprintf("`%s` shows them; allow it with: %s", show, allow)}
}

// OldTLS is the condition that an account may use a version of TLS that protects
// badly.
func OldTLS(name, least string) Condition {
	return Condition{Code: CodeAccountOldTLS, Severity: Warning,
		Text: fmt.Sprintf("account %s: tls_minimum = %q allows a version of TLS that protects password and mail badly", name, least),
		Hint: "ask the provider for TLS 1.2, then delete that line of the config"}
}

// MessagesIncomplete is the condition that n messages are stored of which far
// less came than the server announced. Their originals are kept until a person
// allows their deletion with the command allow.
func MessagesIncomplete(name string, n int, allow string) Condition {
	return Condition{Code: CodeMessagesIncomplete, Severity: Warning,
		Text: fmt.Sprintf("account %s: of %s less came than the server lists; what came is stored, and nothing of it is deleted on the server", name, fault.Count(n, "message")),
		Hint: fmt.Sprintf("`popbridge status` names them; compare them with the provider's web mail, then allow their deletion with: %s", allow)}
}

// DeletesRefused is the condition that the server refuses to delete n messages.
// said is its answer, quoted.
func DeletesRefused(name string, n int, said string) Condition {
	return Condition{Code: CodeDeletesRefused, Severity: Warning,
		Text: fmt.Sprintf("account %s: the server refused to delete %s stored here: %s", name, fault.Count(n, "message"), said),
		Hint: "they are tried again, more and more rarely; `popbridge sync " + name + "` tries at once; delete them in the provider's web mail, or ask the provider"}
}

// Remembered is the condition that the last poll of an earlier run ended with
// an error of which only the text is known. sync is the command to try again.
func Remembered(name, text, sync string) Condition {
	return Condition{Code: CodeAccountFailed, Severity: Warning, Text: fmt.Sprintf("account %s: %s", name, text),
		Hint: "`" + sync + "` tries again, and says what to do"}
}

// PasswordExposed is the condition that others can read the password of an account.
func PasswordExposed(name, text, hint string) Condition {
	return Condition{Code: CodePasswordExposed, Severity: Warning, Text: "account " + name + ": " + text, Hint: hint}
}

// A PasswordError is why the password of an account could not be had. Whatever
// its kind, it is not the server's.
type PasswordError struct{ error }

// NewPasswordError marks an error as one.
func NewPasswordError(err error) error { return &PasswordError{err} }

// Unwrap returns the error itself.
func (e *PasswordError) Unwrap() error { return e.error }

// UserChanged is why an account is not polled whose mail another user has.
type UserChanged struct{ error }

// NewUserChanged marks an error as one.
func NewUserChanged(err error) error { return &UserChanged{err} }

// Unwrap returns the error itself.
func (e *UserChanged) Unwrap() error { return e.error }

// UserWithoutAccount is the condition that a user has messages and no account
// in the config.
func UserWithoutAccount(name string, messages int, hint string) Condition {
	return Condition{Code: CodeUserWithoutAccount, Severity: Warning, User: name,
		Text: fmt.Sprintf("user %s has %s here, and no account in the config; mail programs read them as before, check and backup have them", name, fault.Count(messages, "message")),
		Hint: hint}
}

func accountCode(err error) (string, Severity) {
	if _, ok := errors.AsType[*UserChanged](err); ok {
		return CodeAccountUserChanged, Error
	}
	if isTLS(err) {
		return CodeAccountTLS, Error
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return CodeAccountUnreachable, Error // most often a host that is misspelt
	}
	if _, ok := errors.AsType[*PasswordError](err); ok {
		return CodeAccountConfig, Error
	}
	switch fault.KindOf(err) {
	case fault.Auth:
		return CodeAccountAuth, Error
	case fault.Temporary, fault.NotFound:
		return CodeAccountUnreachable, Warning
	case fault.Config:
		return CodeAccountConfig, Error
	case fault.Protocol:
		return CodeAccountProtocol, Error
	case fault.Full:
		return CodeStoreFull, Error
	case fault.Corrupt:
		return CodeStoreCorrupt, Error
	default:
		return CodeAccountFailed, Error
	}
}

// isTLS tells a refused certificate or handshake from an unreachable host.
func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.AlertError](err)
	return ok
}
