package mailconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// Server is where a connection goes, and what is expected of its TLS.
type Server struct {
	Host     string
	Port     int
	Security Security
	TLS      *tls.Config // roots and the like; cloned; ServerName defaults to Host, MinVersion to TLS 1.2
	Pins     []Pin       // keys that the server may have; where there are any, the rest of its certificate is not looked at
	Dialer   Dialer
	Usual    Ports // of the protocol
}

// Security says how a connection is protected.
type Security uint8

// The ways to protect a connection.
const (
	Implicit Security = iota // TLS from the first byte (RFC 8314)
	StartTLS                 // TLS before anything else (RFC 2595, RFC 3207); required, not tried
	Plain                    // no TLS at all; secrets travel readable where the server offers nothing better
)

// Dialer connects; nil means a net.Dialer.
type Dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// Ports are the usual ports of a protocol.
type Ports struct{ Implicit, StartTLS int }

// Of returns the usual port where the connection is protected so; Plain has that of StartTLS.
func (p Ports) Of(s Security) int {
	if s == Implicit {
		return p.Implicit
	}
	return p.StartTLS
}

// Hint says which port goes with which kind of TLS.
func (p Ports) Hint() string {
	return fmt.Sprintf(`port %d goes with tls = "implicit", port %d with tls = "starttls"`, p.Implicit, p.StartTLS)
}

// Hints that many errors share.
const (
	HintWait = "it is tried again by itself"
	HintHost = "check host and port, and that this computer is online"
)

// Addr is the address in the form of net.Dial.
func (s Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Dial connects within d. Its error is a fault, or that of ctx once that has ended.
func (s Server) Dial(ctx context.Context, d time.Duration) (*Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	dial := s.Dialer
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(dialCtx, "tcp", s.Addr())
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, s.classifyDial(err)
	}
	return New(raw), nil
}

// Handshake goes on over TLS, and returns its version and cipher suite. Its error is
// a fault.
func (s Server) Handshake(c *Conn, d time.Duration) (string, error) {
	conn := tls.Client(c.raw, s.config())
	if err := c.raw.SetDeadline(time.Now().Add(d)); err != nil {
		return "", s.classifyTLS(err)
	}
	if err := conn.Handshake(); err != nil {
		return "", s.classifyTLS(err)
	}
	if err := c.raw.SetDeadline(time.Time{}); err != nil {
		return "", s.classifyTLS(err)
	}
	c.conn, c.secured = conn, conn
	c.R.Reset(c)
	c.W.Reset(c)
	state := conn.ConnectionState()
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite), nil
}

// classifyDial makes the fault of a connection that did not come about.
func (s Server) classifyDial(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		kind := fault.Temporary
		if dns.IsNotFound {
			kind = fault.Config
		}
		return fault.Wrap(err, kind, fmt.Sprintf("the server name %s was not found", fault.Quote(s.Host)), HintHost)
	}
	text := fmt.Sprintf("no connection to %s", s.Addr())
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		text = fmt.Sprintf("%s does not answer", s.Addr())
	}
	return fault.Wrap(err, fault.Temporary, text, s.hintHost())
}

// hintHost also names the usual ports where the one of the config is none for its
// kind of TLS.
func (s Server) hintHost() string {
	if s.Port == s.Usual.Of(s.Security) {
		return HintHost
	}
	return HintHost + "; " + s.Usual.Hint()
}
