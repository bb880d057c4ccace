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
	"os"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
	"github.com/popbridge/popbridge/internal/textfile"
)

// MaxSize is the size in bytes of the largest secret. Access tokens of some
// kilobytes are common.
const MaxSize = 64 << 10

// maxRead is how much of a source is read: a secret in UTF-16, with byte order
// mark and line end, and a little too much. It is even.
const maxRead = 2*MaxSize + 8

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
	File     string   // only root and this user can change it; holds one line
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

// Warning says what should be known about the source although it can be used,
// and what to do about it; text is empty where there is nothing.
func (s Source) Warning() (text, hint string) {
	info, err := os.Stat(s.File)
	if s.File == "" || err != nil || !ownership.Readable(s.File, info) {
		return "", ""
	}
	return "the password file " + s.File + " can be read by other users", "run: " + ownership.Hide(s.File) + "; " + otherwise(s.File)
}

// otherwise is the way out where a file has the mode that something else gives it.
func otherwise(path string) string {
	if runtime.GOOS == "windows" {
		return "where that does not work, use the keychain: `popbridge account password NAME`"
	}
	return "where that does not work, use a copy (install -m 600 " + fault.ShellQuote(path) + " NEW), password_command, or the keychain"
}

// decode makes UTF-8 of UTF-16. What is no text stays as it is, for clean.
func decode(data []byte) string {
	if text, ok := textfile.Decode(data); ok {
		return string(text)
	}
	return string(data)
}

// clean checks what was read from the place called where.
func clean(data, where string) (Secret, error) {
	s := strings.TrimRight(strings.TrimPrefix(data, "\ufeff"), "\r\n") // blanks at the end may belong to it
	switch {
	case s == "":
		return "", fault.New(fault.Config, where+" is empty", "it must hold the password")
	case len(s) > MaxSize:
		return "", fault.New(fault.Config, fmt.Sprintf("%s holds more than %d bytes", where, MaxSize), "it must hold the password and nothing else")
	case strings.ContainsAny(s, "\r\n"):
		return "", fault.New(fault.Config, where+" has more than one line", "it must hold the password and nothing else")
	case strings.ContainsRune(s, 0) || !utf8.ValidString(s):
		return "", fault.New(fault.Config, where+" is not UTF-8 text", "save it with the encoding UTF-8")
	}
	return Secret(s), nil
}

// Check reports why a text that a person gave cannot be stored as a secret and read again.
func Check(s Secret) error {
	kept, err := clean(string(s), "the password")
	if err == nil && kept != s {
		err = fault.New(fault.Config, "the password has more than one line", "it must be the password and nothing else")
	}
	return err
}
