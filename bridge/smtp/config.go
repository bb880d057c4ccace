package smtp

import (
	"cmp"
	"crypto/tls"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailconn"
)

// Security says how the connection is protected.
type Security = mailconn.Security

// The ways to protect a connection; StartTLS is by STARTTLS.
const Implicit, StartTLS, Plain = mailconn.Implicit, mailconn.StartTLS, mailconn.Plain

var usual = mailconn.Ports{Implicit: 465, StartTLS: 587}

// A Pin names the key that a server has; see Config.Pins.
type Pin = mailconn.Pin

// Config says where the server is and what to expect of it. The zero value of
// every field but Host is a usable default.
type Config struct {
	Host     string
	Port     int // 0: 465 for Implicit, 587 otherwise
	Security Security
	TLS      *tls.Config // roots and the like; cloned; ServerName defaults to Host, MinVersion to TLS 1.2
	Pins     []Pin       // keys that the server may have; where there are any, the rest of its certificate is not looked at

	Dialer   mailconn.Dialer
	Timeouts Timeouts

	Hello string // name for EHLO; "": the address of this side of the connection, where that is refused "localhost"

	Trace zerolog.Logger // protocol lines at trace level, without secrets and message content
}

// Timeouts bound the steps of a session. Zero values are replaced by defaults, which
// are at least those of RFC 5321 section 4.5.3.2 where that has one.
type Timeouts struct {
	Dial     time.Duration // name lookup and TCP connection: 30 s
	TLS      time.Duration // handshake: 30 s
	Greeting time.Duration // 5 min
	Reply    time.Duration // from a command to the end of its reply: 5 min
	Write    time.Duration // until the network takes a buffer of a message, 32 KiB at most: 3 min
	Final    time.Duration // from the final dot to the end of its reply: 10 min
}

// quitWait bounds the answer to QUIT, on which nothing depends.
const quitWait = 10 * time.Second

func (c Config) withDefaults() Config {
	c.Port = cmp.Or(c.Port, usual.Of(c.Security))
	c.Timeouts.Dial = cmp.Or(c.Timeouts.Dial, 30*time.Second)
	c.Timeouts.TLS = cmp.Or(c.Timeouts.TLS, 30*time.Second)
	c.Timeouts.Greeting = cmp.Or(c.Timeouts.Greeting, 5*time.Minute)
	c.Timeouts.Reply = cmp.Or(c.Timeouts.Reply, 5*time.Minute)
	c.Timeouts.Write = cmp.Or(c.Timeouts.Write, 3*time.Minute)
	c.Timeouts.Final = cmp.Or(c.Timeouts.Final, 10*time.Minute)
	return c
}

func (c Config) server() mailconn.Server {
	return mailconn.Server{Host: c.Host, Port: c.Port, Security: c.Security, TLS: c.TLS, Pins: c.Pins, Dialer: c.Dialer, Usual: usual}
}
