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
	stops    string // what does not happen until then
}

// NewSignInNeeded marks an error as one. It says what the sign-in is for: to fetch mail, or
// to send it.
func NewSignInNeeded(err error, identity string, fetch, send bool) error {
	stops := "no mail is fetched or sent, and none is lost"
	switch {
	case !send:
		stops = "no mail is fetched, and none is lost"
	case !fetch:
		stops = "what it sends waits, and mail is fetched"
	}
	return &SignInNeeded{err, identity, stops}
}

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
		Text: fmt.Sprintf("account %s has to be signed in; until then %s: %v", name, needed.stops, err), Hint: hint}, true
}
