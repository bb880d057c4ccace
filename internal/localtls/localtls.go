// Package localtls makes the certificate with which the IMAP server shows
// itself to mail clients, and the local authority (CA) behind it. There is one
// folder for the mail clients of this machine, and one for those of the network
// at home, each with an authority of its own (see Scope).
//
//	DIR/ca.pem          the authority: ten years; what people trust in their clients
//	DIR/ca-key.pem      its key
//	DIR/server.pem      the server's certificate: 397 days
//	DIR/server-key.pem  its key
//
// Invariants: the authority can speak for its scope only (name constraints) and
// for servers only (extended key usage), so that trusting it gives no power over
// other sites, mail or programs. Its key is made once; a folder with something
// missing or damaged is an error, never a reason for a new one, because clients
// trust the old. Nothing is made while the clock is wrong: clients would refuse
// it when the clock is right. Both certificates are renewed by themselves, also
// while the program runs, long before they end: the server's keeps its key, for
// clients that remember the key instead of trusting the authority, and the
// authority keeps key and name, so that clients that trust the former verify what
// the new one signs, until the former ends.
//
// ECDSA P-256 is what every client in use accepts; Apple wants a serverAuth
// certificate with alternative names, of at most 825 days.
package localtls

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

const (
	// AuthorityFile is the certificate of the authority, in the folder.
	AuthorityFile = "ca.pem"
	// ServerFile is the certificate that a server shows, which the authority has signed.
	ServerFile = "server.pem"
)

// The other files there.
const (
	caKeyFile     = "ca-key.pem"
	serverKeyFile = "server-key.pem"
)

const (
	day = 24 * time.Hour

	caLife      = 3652 * day // ten years
	serverLife  = 397 * day  // the limit of browsers, stricter than Apple's 825
	renewBefore = 30 * day
	// caRenewBefore leaves clients two years to get the new one, and the server's
	// certificates their whole life.
	caRenewBefore = 2 * serverLife
	retryAfter    = time.Hour // a renewal that failed
	backdate      = time.Hour // for clocks that are behind this one
)

// earliest is before this program was made: a clock that says less is wrong, as
// at the start of a machine whose battery is empty.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Ensure returns a configuration for servers with the certificate in dir, which
// is made when there is none, and again when it lacks an address of the scope, and
// the path of the authority's certificate. Each folder has one scope. Errors are
// faults.
func Ensure(dir string, scope Scope) (*tls.Config, string, error) {
	return ensure(dir, scope, time.Now)
}

func ensure(dir string, scope Scope, now func() time.Time) (*tls.Config, string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", unwritable(err, dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // as a restored backup may not have it
		return nil, "", unwritable(err, dir)
	}
	k := &keeper{dir: dir, scope: scope, now: now}
	ca, err := k.authority()
	if err != nil {
		return nil, "", err
	}
	if k.current, err = k.server(ca); err != nil {
		return nil, "", err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: k.certificate}, filepath.Join(dir, AuthorityFile), nil
}

// keeper has the server's certificate at hand. The authority's key is not kept
// in memory; it is read when it is needed.
type keeper struct {
	dir   string
	scope Scope
	now   func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	retryAt time.Time
}

// certificate is called for every connection, so that a program that runs for
// years renews without a restart.
func (k *keeper) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if due(k.current.Leaf, now) && now.After(k.retryAt) {
		k.retryAt = now.Add(retryAfter)
		// An error is not the client's business. There are weeks of tries
		// before the certificate ends, and the next start reports it.
		if ca, err := k.authority(); err == nil {
			if renewed, err := k.server(ca); err == nil {
				k.current = renewed
			}
		}
	}
	return k.current, nil
}

// due reports whether it is time for a new certificate: the old one ends soon,
// or was made when the clock was ahead.
func due(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < renewBefore || now.Before(c.NotBefore)
}

// authority reads the authority, or makes it in an empty folder.
func (k *keeper) authority() (*pair, error) {
	have := map[string]bool{}
	for _, name := range []string{AuthorityFile, caKeyFile, ServerFile, serverKeyFile} {
		switch _, err := os.Stat(k.path(name)); {
		case err == nil:
			have[name] = true
		case !errors.Is(err, fs.ErrNotExist):
			return nil, k.damaged(name, err)
		}
	}
	switch {
	case have[ServerFile] && !have[serverKeyFile]:
		return nil, k.damaged(serverKeyFile, errors.New("it is missing"))
	case have[AuthorityFile] && have[caKeyFile]:
		return k.readAuthority()
	case have[AuthorityFile] || have[ServerFile] || have[serverKeyFile]:
		missing := AuthorityFile
		if have[AuthorityFile] {
			missing = caKeyFile
		}
		return nil, k.damaged(missing, errors.New("it is missing"))
	}
	if now := k.now(); now.Before(earliest) {
		return nil, wrongClock(now, "the certificate for mail programs is made once the clock is right")
	}
	// Perhaps with the key of a first start that did not get further: no client
	// can have trusted it yet.
	key, err := k.key(caKeyFile)
	if err != nil {
		return nil, err
	}
	cert, err := newAuthority(key, k.scope, k.now())
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the local certificate authority cannot be made", "")
	}
	if err := k.write(AuthorityFile, 0o600, encodeCertificate(cert.Raw)); err != nil {
		return nil, err
	}
	return &pair{cert, key}, nil
}

func (k *keeper) readAuthority() (*pair, error) {
	key, err := k.key(caKeyFile)
	if err != nil {
		return nil, err
	}
	cert, err := k.readCertificate(AuthorityFile)
	switch {
	case err != nil:
		return nil, err
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, k.damaged(AuthorityFile, errors.New("it does not belong to "+caKeyFile))
	case !cert.IsCA:
		return nil, k.damaged(AuthorityFile, errors.New("it is not the certificate of an authority"))
	case len(cert.PermittedDNSDomains) == 0: // it would speak for all names
		return nil, k.damaged(AuthorityFile, errors.New("it is not one that popbridge has made: it is not held to names"))
	}
	switch now := k.now(); {
	case now.Before(earliest):
		return nil, wrongClock(now, "")
	case now.Before(cert.NotBefore):
		return nil, fault.New(fault.Config, fmt.Sprintf("the local certificate authority begins on %s, and by the clock of this computer it is %s",
			cert.NotBefore.Format(time.DateOnly), now.Format(time.DateOnly)),
			"set the clock; if it is right, the authority was made while it was ahead: "+k.replace())
	case now.After(cert.NotAfter):
		return nil, fault.New(fault.Config, fmt.Sprintf("the local certificate authority ended on %s, and by the clock of this computer it is %s",
			cert.NotAfter.Format(time.DateOnly), now.Format(time.DateOnly)),
			"set the clock if it is wrong; otherwise "+k.replace())
	}
	return &pair{k.upToDate(cert, key), key}, nil
}

// upToDate returns an authority that lasts, and one for servers only, as those were
// not that were made before authorities said so. It is issued again with the same
// key and name: clients that trust either verify what both have signed (RFC 5280
// section 6.1 takes name and key from the trust anchor). Its beginning stays, too:
// a clock that is ahead for a day makes no authority that begins in years. Where it
// cannot be stored the former serves on.
func (k *keeper) upToDate(cert *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	until := cert.NotAfter
	if until.Sub(k.now()) < caRenewBefore {
		until = k.now().Add(caLife)
	} else if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0 {
		return cert
	}
	renewed, err := renewAuthority(cert, key, k.scope, until)
	if err != nil || k.write(AuthorityFile, 0o600, encodeCertificate(renewed.Raw)) != nil {
		return cert
	}
	return renewed
}

func (k *keeper) replace() string {
	return "delete the folder " + k.dir + ", and trust the new ca.pem in every mail program"
}

func wrongClock(now time.Time, then string) error {
	hint := "set the clock of this computer"
	if then != "" {
		hint += "; " + then
	}
	return fault.New(fault.Config, "the clock of this computer is wrong: it says "+now.Format(time.DateOnly), hint)
}

// server reads the server's certificate, and issues it when there is none, when
// it is due, or when it lacks an address. Its names are those that the authority
// may speak for: the host may have got another name since.
func (k *keeper) server(ca *pair) (*tls.Certificate, error) {
	key, err := k.key(serverKeyFile)
	if err != nil {
		return nil, err
	}
	cert, err := k.readCertificate(ServerFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cert = nil
	case err != nil:
		return nil, err
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, k.damaged(ServerFile, errors.New("it does not belong to "+serverKeyFile))
	case cert.CheckSignatureFrom(ca.cert) != nil:
		return nil, k.damaged(ServerFile, errors.New("it was not issued by "+AuthorityFile))
	}
	current := &tls.Certificate{PrivateKey: key, Leaf: cert}
	if cert == nil || !k.scope.within(cert) || due(cert, k.now()) && cert.NotAfter.Before(ca.cert.NotAfter) {
		if current.Leaf, err = ca.issue(key, k.scope.addresses, k.now()); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the certificate for mail programs cannot be made", "")
		}
		if err := k.write(ServerFile, 0o600, encodeCertificate(current.Leaf.Raw)); err != nil && cert == nil {
			return nil, err // a renewal that cannot be stored is used all the same
		}
	}
	current.Certificate = [][]byte{current.Leaf.Raw}
	return current, nil
}

func (k *keeper) path(name string) string { return filepath.Join(k.dir, name) }

func (k *keeper) write(name string, mode fs.FileMode, data []byte) error {
	if err := atomicfile.Write(k.path(name), mode, data); err != nil {
		return unwritable(err, k.dir)
	}
	return nil
}

func (k *keeper) damaged(name string, err error) error {
	return fault.Wrap(err, fault.Corrupt, "the certificate file "+k.path(name)+" cannot be used",
		"restore it from a backup; or "+k.replace())
}

func unwritable(err error, dir string) error {
	return fault.Wrap(err, fault.Config, "the certificate for mail programs cannot be stored", "the folder must be writable: "+dir)
}
