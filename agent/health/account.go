package health

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
)

// Account translates the last error of an account and the number of messages
// that cannot be fetched. A nil err and no problems give no condition.
func Account(name string, err error, problems int) []Condition {
	var list []Condition
	if c, ok := signInNeeded(name, "", err, ""); ok {
		list = append(list, c)
	} else if err != nil {
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
	switch { // what the server's words name; other errors have a kind only
	case errors.Is(err, pop3.ErrPOPOff):
		return CodeAccountPOPOff, Error
	case errors.Is(err, pop3.ErrAppPassword):
		return CodeAccountAppPassword, Error
	case errors.Is(err, pop3.ErrWebLogin):
		return CodeAccountWebLogin, Error
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

// IsCertificate reports whether a server speaks TLS and its certificate is refused.
func IsCertificate(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}

// isTLS tells a refused certificate or handshake from an unreachable host.
func isTLS(err error) bool {
	if IsCertificate(err) {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.AlertError](err)
	return ok
}
