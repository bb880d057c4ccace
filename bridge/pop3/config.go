package pop3

import (
	"cmp"
	"crypto/tls"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailconn"
)

// Security says how the connection is protected.
type Security = mailconn.Security

// The ways to protect a connection; StartTLS is by STLS.
const Implicit, StartTLS, Plain = mailconn.Implicit, mailconn.StartTLS, mailconn.Plain

var usual = mailconn.Ports{Implicit: 995, StartTLS: 110}

// Config says where the server is and what to expect of it. The zero value of
// every field but Host is a usable default.
type Config struct {
	Host     string
	Port     int // 0: 995 for Implicit, 110 otherwise
	Security Security
	TLS      *tls.Config // roots and the like; cloned; ServerName defaults to Host, MinVersion to TLS 1.2
	Pins     []Pin       // keys that the server may have; where there are any, the rest of its certificate is not looked at

	Dialer mailconn.Dialer

	Timeouts   Timeouts
	MaxMessage int64 // bytes; a larger message fails, and only that one; 0: 200 MB

	Window       Window
	NoCAPA       bool // of a server that hangs up at CAPA: nothing is known of it
	NoAUTH       bool // of a server that hangs up at AUTH: USER and PASS, unless that would show a password that AUTH does not
	NoPipelining bool // one command at a time, whatever the server announces; see ErrPipelining

	BareLF    bool // the server ends its lines with LF alone; see ErrBareLF
	Unstuffed bool // the server does not byte-stuff; see Dots

	Trace zerolog.Logger // protocol lines at trace level, without secrets and message content
}

// Timeouts bound the steps of a session. Zero values are replaced by defaults.
type Timeouts struct {
	Dial     time.Duration // name lookup and TCP connection: 30 s
	TLS      time.Duration // handshake: 30 s
	Greeting time.Duration // 1 min
	Reply    time.Duration // from a command to its status line; overloaded servers take a minute to log in: 2 min
	Read     time.Duration // between two packets of a listing or a message: 1 min
}

// Window bounds what is asked for ahead of the answers when pipelining. At
// least one request is always under way.
type Window struct {
	Count int   // requests; 256
	Bytes int64 // octets of the messages asked for, by their listed sizes; 4 MiB
}

func (c Config) withDefaults() Config {
	c.Port = cmp.Or(c.Port, usual.Of(c.Security))
	c.Timeouts.Dial = cmp.Or(c.Timeouts.Dial, 30*time.Second)
	c.Timeouts.TLS = cmp.Or(c.Timeouts.TLS, 30*time.Second)
	c.Timeouts.Greeting = cmp.Or(c.Timeouts.Greeting, time.Minute)
	c.Timeouts.Reply = cmp.Or(c.Timeouts.Reply, 2*time.Minute)
	c.Timeouts.Read = cmp.Or(c.Timeouts.Read, time.Minute)
	c.MaxMessage = cmp.Or(c.MaxMessage, 200<<20)
	c.Window.Count = cmp.Or(c.Window.Count, 256)
	c.Window.Bytes = cmp.Or(c.Window.Bytes, 4<<20)
	return c
}

// A Pin names the key that a server has; see Config.Pins.
type Pin = mailconn.Pin

// TLSInfo is how a connection is protected.
type TLSInfo = mailconn.TLSInfo

func (c Config) server() mailconn.Server {
	return mailconn.Server{Host: c.Host, Port: c.Port, Security: c.Security, TLS: c.TLS, Pins: c.Pins, Dialer: c.Dialer, Usual: usual}
}
