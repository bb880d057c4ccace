// Package submission takes mail that programs on this machine want to send (RFC
// 6409) and hands it over to be queued. It knows nothing of the queue nor of the
// provider: the reply to a message says whether it is safe here, never whether it
// has left.
//
// A conn is a connection, a session speaks with its client in one goroutine: it reads
// a line, finds the command in the table of session.go and runs it. dots.go reads the
// message, fixup.go has the few edits that it gets.
//
// What always holds:
//
//   - 250 to a message is written only after Account.Submit has returned nil.
//   - A message is submitted only when CR LF . CR LF has ended it, in these octets. A
//     client that is cut off, stalls or floods leaves nothing behind.
//   - What is no command is not run as one: lines behind STARTTLS, a refused DATA or a
//     BDAT end the connection.
//   - No password is asked for nor checked before TLS, where TLS is required.
//   - 535 means that user name or password are wrong, and nothing else does.
//   - What is stored has CR LF as its only line ends.
//
// A Server owns its sessions: Serve returns after all of them have ended.
package submission

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
)

// Options are the needs of a Server.
type Options struct {
	// Login says who has this name and password, or returns a fault.Auth. It is called
	// again for each login that was right. from is the address of the client.
	Login    func(ctx context.Context, from net.Addr, name, password string) (Account, error)
	TLS      *tls.Config // for StartTLS and Implicit
	Security serving.Security
	Log      zerolog.Logger
	// MaxSize returns the size in bytes that is announced before it is known who
	// sends: the largest of all accounts, 0 where none has a limit. May be nil.
	MaxSize func() int64
	// UTF8 reports whether any account can send mail that needs SMTPUTF8 (RFC 6531).
	// May be nil: none can.
	UTF8 func() bool
	// DSN reports whether the provider of any account has DSN (RFC 3461).
	DSN func() bool
}

// Account is who has logged in.
type Account struct {
	User, Device string
	MaySend      error // nil, or why this device may not send (fault.Denied)
	// Route returns the way out of mail from that address, which may be "". Its
	// fault.Denied names the addresses that are allowed; the client sees the text.
	Route func(from string) (Route, error)
	// Spool copies a message from r to the disk, and returns an error of r as it is.
	Spool func(ctx context.Context, r io.Reader) (*mailstore.Spooled, error)
	// Submit makes a message durable in the queue. fault.Full is answered with 452,
	// fault.Denied with 550, others with 451.
	Submit func(ctx context.Context, s Submission) error
}

// Route is the way out of a message.
type Route struct {
	Account string        // its name
	From    string        // the envelope sender as it leaves
	MaxSize int64         // bytes that the provider takes; 0: not known
	UTF8    bool          // the provider has SMTPUTF8
	Delay   time.Duration // before it may leave
}

// A Submission is a message that a mail program hands over to be sent.
type Submission struct {
	Message    *mailstore.Spooled // as it will be in Sent: with Bcc, Date and Message-ID
	Account    string             // name of the account by whose server it leaves
	Device     string             // which login handed it over
	From       string             // envelope sender as it leaves: a@b.example, or "" for MAIL FROM:<>
	Recipients []string           // envelope, each once, at least one, without brackets: "a b"@c.example
	DSN        map[string]string  // what is asked of the provider (RFC 3461), as parameters by recipient, those of MAIL by ""
	EightBit   bool               // it has bytes above 127
	UTF8       bool               // it needs SMTPUTF8
	MessageID  string             // of the header, with its brackets; "" where it has none that can be read
	Added      int                // bytes at the start of Message that were added: Date, Message-ID
	InReplyTo  []string           // message ids that it answers, with brackets; of none where no person has written it
	NotBefore  time.Time          // it must not leave earlier
}

// Server takes mail on any number of listeners.
type Server struct {
	opt     Options
	foreign serving.Rare
	clients *serving.Server[*session]
}

// New returns a Server.
func New(o Options) *Server {
	if o.MaxSize == nil {
		o.MaxSize = func() int64 { return 0 }
	}
	no := func() bool { return false }
	if o.UTF8 == nil {
		o.UTF8 = no
	}
	if o.DSN == nil {
		o.DSN = no
	}
	return &Server{opt: o, clients: serving.New[*session](serving.Options{Protocol: "SMTP", PerDevice: maxPerDevice, Log: o.Log})}
}

// maxSize is what is announced.
func (s *Server) maxSize() int64 { return atMost(s.opt.MaxSize()) }

// atMost is a limit of bytes that may be 0 for none.
func atMost(limit int64) int64 {
	if limit <= 0 {
		return maxMessage
	}
	return min(limit, maxMessage)
}

// Disconnect ends the sessions of a device that was revoked or changed, with ""
// those of all devices of the user. A message that is being received is not
// submitted; one that is whole already is. It waits at most serving.ByeTimeout.
func (s *Server) Disconnect(user, device string) {
	s.clients.Disconnect(user, device, "This device has been revoked or changed")
}

// Serve accepts clients on ln until ctx ends. Then it says goodbye to all of them,
// waits until their sessions are closed, at most serving.ByeTimeout and
// serving.JoinTimeout, and returns nil. A message whose last line has come by then is
// submitted.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return s.clients.Serve(ctx, ln, func(ctx context.Context, c net.Conn, closed func()) *session {
		return newSession(ctx, s, newConn(ctx, c, closed))
	})
}
