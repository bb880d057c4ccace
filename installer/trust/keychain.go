package trust

import (
	"context"
	"crypto/sha1" // #nosec: by which macOS names certificates
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// keychain is the login keychain of the user, by security(1). Its trust settings are
// the user's: macOS asks for the user's password when they change.
func (h host) keychain() []Store {
	if h.home == "" {
		return nil
	}
	path := filepath.Join(h.home, "Library", "Keychains", "login.keychain-db")
	return []Store{{Name: "the login keychain (Apple Mail, Outlook)", Path: path, place: loginKeychain{h, path}}}
}

type loginKeychain struct {
	host host
	path string
}

func (k loginKeychain) security(ctx context.Context, args ...string) ([]byte, error) {
	return k.host.run(ctx, nil, append([]string{"/usr/bin/security"}, args...)...)
}

func (k loginKeychain) read(ctx context.Context) ([]Entry, error) {
	out, err := k.security(ctx, "find-certificate", "-a", "-p", "-c", commonName, k.path)
	if f, ok := errors.AsType[*failed](err); ok && strings.Contains(f.said, "could not be found") {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Denied, "it cannot be read", "unlock the login keychain in Keychain Access, and run this again")
	}
	certs := made(out)
	if len(certs) == 0 {
		return nil, nil
	}
	settings, err := k.settings(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(certs))
	for _, c := range certs {
		// The property list has a key for each certificate: its SHA-1.
		entries = append(entries, Entry{c, strings.Contains(settings, "<key>"+sha1Of(c)+"</key>")})
	}
	return entries, nil
}

// settings returns the trust settings of the user, a property list; "" where there are
// none.
func (k loginKeychain) settings(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "popbridge")
	if err != nil {
		return "", fault.Wrap(err, fault.Temporary, "the trust settings cannot be read", "look at the permissions of the folder for temporary files")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "settings.plist")
	_, err = k.security(ctx, "trust-settings-export", file)
	if f, ok := errors.AsType[*failed](err); ok && strings.Contains(f.said, "No Trust Settings") {
		return "", nil
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(file)
	}
	return string(data), fault.Wrap(err, fault.Denied, "the trust settings cannot be read", "look at the authority in Keychain Access")
}

func (k loginKeychain) add(ctx context.Context, ca *x509.Certificate) error {
	dir, err := os.MkdirTemp("", "popbridge")
	if err != nil {
		return fault.Wrap(err, fault.Temporary, "it cannot be changed", "look at the permissions of the folder for temporary files")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, encode(ca), 0o600); err != nil {
		return fault.Wrap(err, fault.Temporary, "it cannot be changed", "look at the permissions of the folder for temporary files")
	}
	_, err = k.security(ctx, "add-trusted-cert", "-r", "trustRoot", "-p", "ssl", "-k", k.path, file)
	return k.unwritable(err)
}

func (k loginKeychain) remove(ctx context.Context, ca *x509.Certificate) error {
	_, err := k.security(ctx, "delete-certificate", "-t", "-Z", sha1Of(ca), k.path)
	return k.unwritable(err)
}

func (k loginKeychain) unwritable(err error) error {
	return fault.Wrap(err, fault.Denied, "it cannot be changed", "run this in a session at the screen of the Mac, which asks for your password; or double-click "+k.host.file+", and choose Always Trust for SSL")
}

func sha1Of(c *x509.Certificate) string {
	return fmt.Sprintf("%X", sha1.Sum(c.Raw)) // #nosec
}
