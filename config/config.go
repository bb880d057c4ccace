// Package config reads popbridge's configuration: one TOML file, whose keys
// are fixed (see Example).
//
// Load reports everything that is wrong with a file at once, each problem with
// its line, key and a hint, and hands out a Config in which every default is
// filled in, every path is absolute and every value has been checked: no one
// behind it has to doubt one. A Config is a snapshot. It is never changed after
// Load returned it, may be shared freely, and its slices must not be written
// to. Watch tells when the file has changed.
//
// The file never holds a password, only where one is to be found (PasswordSource);
// package internal/secret fetches it. Other files that the configuration names
// (password files, certificates) are not opened here: they may come and go
// while the configuration stays the same.
//
// Only this package knows TOML and fsnotify.
package config

import (
	"crypto/sha256"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Version is the newest version of the file format that this program knows.
const Version = 1

// Config is a checked configuration file. It is immutable.
type Config struct {
	Version int
	Path    string // the file it was read from, absolute
	DataDir string // absolute
	// DataDirNamed tells that the file names it: otherwise it depends on who runs.
	DataDirNamed bool
	IMAP         IMAP
	SMTP         SMTP
	LAN          LAN
	Web          Web
	Log          Log
	// KeepExpunged is how long expunged messages can be restored; at least a day.
	KeepExpunged time.Duration
	TimeZone     string    // IANA name; empty: that of the machine
	Notices      bool      // a message in INBOX when mail does not flow, and alerts
	OAuth        []OAuth   // by name
	Accounts     []Account // in file order; names differ in more than case

	warnings []Problem
}

// Security is how a connection is protected.
type Security string

// The values of the keys account.tls (the first three, None last) and imap.tls
// (Off instead of None).
const (
	Implicit Security = "implicit" // TLS from the first byte
	StartTLS Security = "starttls" // TLS after STLS or STARTTLS
	None     Security = "none"     // account.tls: in the clear
	Off      Security = "off"      // imap.tls: in the clear, loopback only
)

// IMAP is where mail clients connect.
type IMAP struct {
	Listen []string // "host:port", at least one, all of them loopback; port 0 takes a free one
	TLS    Security // StartTLS, Implicit or Off
}

// Web is where the web page is served.
type Web struct {
	Listen string // "127.0.0.1:port" or "[::1]:port"; port 0 takes a free one; empty: nowhere
}

// Log says how much is logged and in which form.
type Log struct {
	Level  string // "trace", "debug", "info", "warn" or "error"
	Format string // "auto", "console" or "json"
}

// Auth is the way an account logs in.
type Auth string

// The values of the key account.auth.
const (
	AuthPassword Auth = "password" // the strongest mechanism that the server offers
	AuthOAuth2   Auth = "oauth2"   // the secret is an access token
	AuthAPOP     Auth = "apop"     // RFC 1939 section 7, for servers with nothing better
)

// Account is one POP3 mailbox and where its mail goes.
type Account struct {
	Name           string
	Host           string // lower case, ASCII; or an IP address without brackets
	Port           int    // 1 to 65535
	TLS            Security
	Username       string
	Password       PasswordSource
	Auth           Auth
	OAuth          *OAuth // how it is signed in, to fetch, to send or for both; nil: it is not
	CAFile         string // absolute; empty: the system's own authorities
	Pins           []Pin  // keys that the server may have; none: its certificate decides
	TLSMinimum     TLSVersion
	PollEvery      time.Duration
	Keep           KeepOnServer
	Quota          int64         // bytes that the mailbox on the server can hold; 0: not said
	ConfirmDeletes bool          // the first deletion after a change of policy waits for a person
	Shadow         bool          // nothing is ever deleted on the server
	Paused         bool          // it is not polled
	DeleteExpunged bool          // what is expunged here is deleted there, too
	DeleteGrace    time.Duration // so long after it was expunged
	User           string        // the local IMAP login; safe as a folder name on every system
	Folder         string        // UTF-8, parts separated by '/'; INBOX in upper case
	MaxMessageSize int64         // bytes
	Addresses      []string      // whose mail it sends, its own first; none: no mail leaves by it
	Send           Send
}

// A Pin is the SHA-256 of the SubjectPublicKeyInfo of a server's certificate.
type Pin [sha256.Size]byte

// TLSVersion is the least version of TLS that is accepted.
type TLSVersion string

// The values of the key account.tls_minimum.
const (
	TLS12 TLSVersion = "1.2"
	TLS11 TLSVersion = "1.1"
	TLS10 TLSVersion = "1.0"
)

// PasswordSource says where the secret of an account is. At most one of its
// fields is set; when none is, the secret is in the keychain of the operating
// system, under KeychainService and Account.KeychainItem, unless the account is
// signed in for it (Account.SignsInToFetch).
type PasswordSource struct {
	File    string   // absolute
	Command []string // program and arguments; the first line it prints is the secret
}

// InKeychain reports whether the secret is in the keychain.
func (p PasswordSource) InKeychain() bool { return p.File == "" && len(p.Command) == 0 }

// SignsInToFetch reports whether the POP3 server gets the token of the sign-in, and no
// password.
func (a Account) SignsInToFetch() bool {
	return a.OAuth != nil && a.Auth == AuthOAuth2 && a.Password.InKeychain()
}

// SignsInToSend reports whether the SMTP server gets the token of the sign-in, and no
// password.
func (a Account) SignsInToSend() bool {
	return a.OAuth != nil && a.Send.Auth == AuthOAuth2 && a.Send.Password.InKeychain()
}

// KeychainService is the service name of every secret in the keychain.
const KeychainService = "popbridge"

// KeychainItem names the account's secret in the keychain. It holds the host,
// so that an account which is pointed at another host never sends it the
// password of the first.
func (a Account) KeychainItem() string { return a.Username + "@" + a.Host }

// Equal reports whether both accounts are the same in everything, so that a
// runner for one of them can go on for the other.
func (a Account) Equal(b Account) bool { return reflect.DeepEqual(a, b) }

// Account returns the account of that name, in any case.
func (c *Config) Account(name string) (Account, bool) {
	i := slices.IndexFunc(c.Accounts, func(a Account) bool { return strings.EqualFold(a.Name, name) })
	if i < 0 {
		return Account{}, false
	}
	return c.Accounts[i], true
}

// Sender returns the account by which mail of a user leaves that is from exactly this
// address, as an account has it: where several have it, the first whose own address it is,
// else the first. It reports false where none has it.
func (c *Config) Sender(user, address string) (first Account, ok bool) {
	for _, a := range c.Accounts {
		i := slices.IndexFunc(a.Addresses, func(own string) bool { return a.User == user && strings.EqualFold(own, address) })
		if i == 0 {
			return a, true
		}
		if i > 0 && !ok {
			first, ok = a, true
		}
	}
	return first, ok
}

// Users returns the local IMAP logins, each once, in the order of the file.
func (c *Config) Users() []string {
	var users []string
	for _, a := range c.Accounts {
		if !slices.Contains(users, a.User) {
			users = append(users, a.User)
		}
	}
	return users
}

// Warnings returns what is allowed but should be known, in file order.
func (c *Config) Warnings() []Problem { return slices.Clone(c.warnings) }
