// Package secret fetches the secrets that the configuration only points at:
// from a file, from a command, from the keychain of the operating system.
//
// A secret is fetched when it is needed and not kept. It is a Secret, which
// shows itself as *** wherever it is printed or logged; it becomes a string
// only where it goes over the wire. Read always comes back: no password prompt
// of a keychain or command holds it for longer than its timeout.
//
// Only this package knows go-keyring.
package secret

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
)

// maxSize is the size in bytes of the largest secret. Access tokens of some
// kilobytes are common.
const maxSize = 64 << 10

// Secret is a password or token. Printed, formatted, marshalled or logged it
// is ***; string(s) gives what it is. (Only as an unexported field of a
// printed struct is it unprotected: package fmt calls no methods there.)
type Secret string

const mask = "***"

// String returns ***.
func (Secret) String() string { return mask }

// Format writes *** for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalText returns ***.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON returns "***".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalZerologObject adds a field that is ***.
func (Secret) MarshalZerologObject(e *zerolog.Event) { e.Str("secret", mask) }

// Source is where a secret is. The first field that is set counts.
type Source struct {
	File     string   // readable by its owner only; holds one line
	Command  []string // program and arguments; the first line it prints is the secret
	Keychain Item
}

// Item names a secret in the keychain.
type Item struct{ Service, Account string }

// Read fetches the secret. It is never empty and has no line end. Errors are
// faults: Temporary where trying again can help, otherwise Config.
func (s Source) Read(ctx context.Context) (Secret, error) {
	switch {
	case s.File != "":
		return readFile(s.File)
	case len(s.Command) > 0:
		return runCommand(ctx, s.Command, commandTimeout)
	case s.Keychain != Item{}:
		return system.get(ctx, s.Keychain)
	}
	return "", fault.New(fault.Config, "no source of a password is set", "set password_file or password_command")
}

// clean checks what was read from the place called where.
func clean(data, where string) (Secret, error) {
	s := strings.TrimRight(strings.TrimPrefix(data, "\ufeff"), "\r\n")
	switch {
	case s == "":
		return "", fault.New(fault.Config, where+" is empty", "it must hold the password")
	case len(s) > maxSize:
		return "", fault.New(fault.Config, fmt.Sprintf("%s holds more than %d bytes", where, maxSize), "it must hold the password and nothing else")
	case strings.ContainsAny(s, "\r\n"):
		return "", fault.New(fault.Config, where+" has more than one line", "it must hold the password and nothing else")
	case strings.ContainsRune(s, 0) || !utf8.ValidString(s):
		return "", fault.New(fault.Config, where+" is not UTF-8 text", "save it with the encoding UTF-8")
	}
	return Secret(s), nil
}
