package pop3

import (
	"errors"
	"os"

	"github.com/popbridge/popbridge/internal/fault"
)

// ErrHungUp says that the server closed the connection without a word when it
// had got the password: it refuses it, or its login service has an outage.
var ErrHungUp = errors.New("the server hung up at the password")

// LostError tells at which command a connection ended.
type LostError struct {
	Command string // without its arguments, "" before the first one
	hungUp  bool
	error
}

// Unwrap returns why it ended.
func (e *LostError) Unwrap() error { return e.error }

// Is makes errors.Is find ErrHungUp.
func (e *LostError) Is(target error) bool { return e.hungUp && target == ErrHungUp }

// lost marks the error that ended the connection with the command.
func (c *Client) lost(err error) error {
	hungUp := c.atPassword() && fault.Is(err, fault.Temporary) && !errors.Is(err, os.ErrDeadlineExceeded)
	return &LostError{Command: c.last, hungUp: hungUp, error: err}
}

// atPassword reports whether the server has the password and has not answered
// it.
func (c *Client) atPassword() bool {
	return c.secret && (c.last == "PASS" || c.last == "AUTH" || c.last == "APOP")
}

// closedAt says what it means that the server closed the connection at a
// command; ok is false where that says nothing.
func (c *Client) closedAt() (text, hint string, ok bool) {
	switch {
	case c.atPassword():
		return "the server closed the connection when it got the password",
			"either it refuses the password without a word, or its login service has an outage: check the user name and the password; " + hintWait, true
	case c.last == "STLS" && !c.wire.Secured():
		return "the server closed the connection when it was asked for TLS (STLS)", hintSTLS, true
	case c.last == "AUTH", c.last == "CAPA", c.last == "UIDL":
		return "the server closed the connection at " + c.last, hintWait, true
	}
	return "", "", false
}
