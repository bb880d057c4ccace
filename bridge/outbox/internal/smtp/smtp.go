// Package smtp has the shapes of bridge/smtp that the runner needs.
package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/popbridge/popbridge/bridge/outbox/internal/sasl"
	"github.com/popbridge/popbridge/internal/fault"
)

// Config says where the server is.
type Config struct {
	Host string
	Port int
}

// Extensions are what a server announces.
type Extensions struct {
	Size                                           int64
	EightBit, UTF8, DSN, Pipelining, EnhancedCodes bool
}

// Envelope is what one transaction is about.
type Envelope struct {
	From           string
	To             []string
	Size           int64
	EightBit, UTF8 bool
}

// Phase says how far a transaction came.
type Phase uint8

// The phases of a transaction.
const (
	Connected Phase = iota
	Mail
	Rcpt
	Data
	AfterDot
	Answered
)

// Reply is an answer of the server.
type Reply struct {
	Code     int
	Enhanced string
	Text     string
}

// Temporary reports whether the answer is 4yz.
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent reports whether the answer is 5yz.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// ReplyError is a refusal.
type ReplyError struct {
	Reply
	Command string
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("%s: server answered %d %s", e.Command, e.Code, fault.Quote(e.Text))
}

// Outcome is what came of a transaction.
type Outcome struct {
	Recipients []Reply
	Final      Reply
	Phase      Phase
}

// Client is a session.
type Client struct{}

// Why a message was not offered.
var (
	ErrEightBit = errors.New("8-bit content without 8BITMIME")
	ErrUTF8     = errors.New("international address or header without SMTPUTF8")
	ErrTooLarge = errors.New("larger than the server's SIZE")
	ErrAddress  = errors.New("not an address")
	ErrLineEnd  = errors.New("a line end that is not CRLF")
)

var errNone = errors.New("not there yet")

// Dial connects.
func Dial(context.Context, Config) (*Client, error) { return nil, errNone }

// Login logs in.
func (c *Client) Login(context.Context, sasl.Credentials) error { return errNone }

// Extensions tells what the server announces.
func (c *Client) Extensions() Extensions { return Extensions{} }

// Send is one transaction.
func (c *Client) Send(context.Context, Envelope, io.Reader, func(context.Context) error) (Outcome, error) {
	return Outcome{}, errNone
}

// Close ends the connection.
func (c *Client) Close() error { return nil }

// Quit ends the session.
func (c *Client) Quit(context.Context) error { return nil }
