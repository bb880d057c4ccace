// Package clientfiles makes what sets a mail client up for one mailbox: a profile
// for Apple's systems, a document for Thunderbird's discovery, config files of
// programs for the terminal, a page to print, and the values as text.
//
// What always holds: everything is made of one Mailbox, so that no two texts name
// different values. No password is in any of it; programs ask for it, or read it from
// a file or a command that the person names. Every value is escaped for the format it
// is written in, whatever characters it has. Nothing here reads or writes files, or
// uses the network.
package clientfiles

import (
	"net"
	"strconv"

	"github.com/popbridge/popbridge/installer/discover"
)

// Mailbox is what mail clients are told of one login.
type Mailbox struct {
	Device     string            // the name of the login; empty where none is chosen
	User       string            // the user name of the IMAP server
	Host       string            // of the IMAP server: a name or an IP address, without brackets
	Port       int               // 1 to 65535
	TLS        discover.Security // of the IMAP server
	Authority  []byte            // the certificate that the server's is issued by, as DER; nil where TLS is None
	CAFile     string            // the path of Authority as PEM on this machine, for programs that read it there
	Identities []Identity        // the mail addresses to write from; the first is the usual one
}

// Identity is a mail address to write from.
type Identity struct {
	Address string
	SMTP    discover.Server // by which mail from it leaves; zero where none is known
	Here    bool            // SMTP is popbridge, and takes the password of the login; else that of the provider, see Secret
}

// The kinds of secret that an outgoing server takes.
const (
	SecretLogin   = "login"   // the password of the login by which mail is read: the server is popbridge
	SecretMailbox = "mailbox" // the password of the mailbox at the provider
	SecretToken   = "token"   // none: the mail program signs in at the provider (OAuth 2)
)

// Secret is what the outgoing server takes.
func (i Identity) Secret() string {
	switch {
	case i.Here:
		return SecretLogin
	case i.SMTP.OAuth2Only():
		return SecretToken
	}
	return SecretMailbox
}

// Loopback reports whether only this machine reaches the server.
func (m Mailbox) Loopback() bool {
	ip := net.ParseIP(m.Host)
	return m.Host == "localhost" || ip != nil && ip.IsLoopback()
}

// addr is the server as HOST:PORT.
func (m Mailbox) addr() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

// address is the usual mail address, empty where none is known.
func (m Mailbox) address() string {
	if len(m.Identities) == 0 {
		return ""
	}
	return m.Identities[0].Address
}

// name is how the mailbox shows in a list of accounts.
func (m Mailbox) name() string {
	if m.address() == "" {
		return "popbridge: " + m.User
	}
	return "popbridge: " + m.address()
}

// SecurityWords says a security as mail clients do.
func SecurityWords(s discover.Security) string {
	switch s {
	case discover.Implicit:
		return "TLS"
	case discover.StartTLS:
		return "STARTTLS"
	}
	return "none"
}
