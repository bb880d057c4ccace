package health

import (
	"errors"
	"fmt"

	"github.com/popbridge/popbridge/internal/fault"
)

// CodeSignInNeeded is that a person has to sign an account in.
const (
	CodeSignInNeeded = "signin-needed"
)

// A SignInNeeded is why an account cannot log in anywhere until a person has signed it in.
type SignInNeeded struct {
	error
	identity string // who has to sign in; for several accounts that is done once
}

// NewSignInNeeded marks an error as one.
func NewSignInNeeded(err error, identity string) error { return &SignInNeeded{err, identity} }

// Unwrap returns the error itself.
func (e *SignInNeeded) Unwrap() error { return e.error }

// signInNeeded is the condition of such an error; it is one, whoever meets it.
func signInNeeded(name, user string, err error, hint string) (Condition, bool) {
	needed, ok := errors.AsType[*SignInNeeded](err)
	if !ok {
		return Condition{}, false
	}
	if hint == "" {
		hint = fault.Hint(err)
	}
	return Condition{Code: CodeSignInNeeded, Severity: Error, Cause: "sign-in of " + needed.identity, User: user,
		Text: fmt.Sprintf("account %s has to be signed in; until then no mail is fetched or sent, and none is lost: %v", name, err), Hint: hint}, true
}
