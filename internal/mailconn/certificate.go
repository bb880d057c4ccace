package mailconn

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// A Pin is the SHA-256 of the SubjectPublicKeyInfo of a server's certificate (as
// in RFC 7469 section 2.4). It names the key that a server has, whoever issued
// the certificate, for which name and until when.
type Pin [sha256.Size]byte

// String returns the pin as the config has it.
func (p Pin) String() string { return "sha256:" + hex.EncodeToString(p[:]) }

// PinOf returns the pin of a certificate.
func PinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// ErrPin says that a server has another key than the config says.
var ErrPin = errors.New("the key is another one")

// config is what the handshake uses: a copy, as the name depends on Host.
func (s Server) config() *tls.Config {
	t := s.TLS.Clone()
	if t == nil {
		t = &tls.Config{}
	}
	if t.ServerName == "" {
		t.ServerName = s.Host
	}
	if t.MinVersion == 0 {
		t.MinVersion = tls.VersionTLS12
	}
	if t.MinVersion < tls.VersionTLS12 && t.CipherSuites == nil {
		t.CipherSuites = oldSuites()
	}
	if len(s.Pins) > 0 {
		t.InsecureSkipVerify = true // the pin decides instead
		t.VerifyConnection = func(state tls.ConnectionState) error {
			if slices.Contains(s.Pins, PinOf(state.PeerCertificates[0])) {
				return nil
			}
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: ErrPin}
		}
	}
	return t
}

// oldSuites are the cipher suites that servers have which know no TLS 1.2: also
// those without forward secrecy, and 3DES, but not RC4 (RFC 7465 prohibits it).
func oldSuites() (ids []uint16) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !strings.Contains(s.Name, "RC4") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// TLSInfo is how a connection is protected. Text from the certificate in it is
// quoted and cut.
type TLSInfo struct {
	Version, Cipher string
	Pin             Pin
	Pinned          bool   // the pin was checked, and nothing else
	Certificate     string // for whom, by whom, until when
}

// Info returns how the connection is protected, and false where it is not. pinned
// says that only a pin was checked.
func (c *Conn) Info(pinned bool) (TLSInfo, bool) {
	if c.secured == nil {
		return TLSInfo{}, false
	}
	s := c.secured.ConnectionState()
	leaf := s.PeerCertificates[0]
	return TLSInfo{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite),
		Pin: PinOf(leaf), Pinned: pinned,
		Certificate: fmt.Sprintf("for %s, by %s, until %s", fault.Quote(namesOf(leaf)), fault.Quote(leaf.Issuer.String()), leaf.NotAfter.Format("2006-01-02"))}, true
}

// namesOf are the names that a certificate is for.
func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return c.Subject.String()
	}
	return strings.Join(names, ", ")
}

// certificateError is an error that holds text from a certificate, made safe to
// show: one line, no control characters, not too long.
type certificateError struct{ error }

func (e certificateError) Unwrap() error { return e.error }

// Error implements error.
func (e certificateError) Error() string {
	quoted := fault.Quote(e.error.Error())
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// UntrustedPin returns the pin of a server whose certificate was refused, for a person who
// knows better. It is false for other errors, and where a pin of the config was not met.
func UntrustedPin(err error) (Pin, bool) {
	e, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(e.UnverifiedCertificates) == 0 || errors.Is(err, ErrPin) {
		return Pin{}, false
	}
	return PinOf(e.UnverifiedCertificates[0]), true
}

// classifyTLS makes the fault of a handshake that failed.
func (s Server) classifyTLS(err error) error {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return s.classifyCertificate(e)
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && s.Security == Implicit {
		return fault.Wrap(e, fault.Config, fmt.Sprintf("the server does not speak TLS at port %d", s.Port),
			fmt.Sprintf(`set tls = "starttls", or port = %d`, s.Usual.Implicit))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fault.Wrap(err, fault.Temporary, "the TLS handshake got no answer", s.hintHost())
	}
	// crypto/tls has no type for these: "server selected unsupported protocol
	// version 301", and an alert of the server in an OpError.
	alert, ok := errors.AsType[*net.OpError](err)
	version := strings.Contains(err.Error(), "protocol version")
	if ok && alert.Op == "remote error" || version {
		return s.classifyRefusal(err, version)
	}
	if ok && alert.Op == "read" || errors.Is(err, io.EOF) { // a server that does not speak TLS says something first
		return fault.Wrap(err, fault.Temporary, "the server closed the connection in the TLS handshake",
			"the server behind it may be down: "+HintWait+"; if it stays so, ask the provider")
	}
	return fault.Wrap(err, fault.Temporary, "the TLS handshake broke off", s.Usual.Hint())
}

// classifyRefusal is about servers that have no version or cipher suite in
// common with this program. A server of before TLS 1.2 may say either.
func (s Server) classifyRefusal(err error, version bool) error {
	least := s.config().MinVersion
	text, hint := "the server refused the TLS handshake", "its TLS may be too old: ask the provider for TLS 1.2"
	if version {
		text = "the server does not speak " + tls.VersionName(least) + " or newer"
		hint = "ask the provider for TLS 1.2"
	}
	if least > tls.VersionTLS10 {
		hint += `; if there is none, tls_minimum = "1.0" takes older versions, which protect badly`
	}
	return fault.Wrap(err, fault.Config, text, hint)
}

// classifyCertificate says what is wrong with a certificate, and how to go on
// where a person knows better.
func (s Server) classifyCertificate(err *tls.CertificateVerificationError) error {
	host := fault.Quote(s.Host)
	text, hint := "the certificate of "+host+" was refused", "check host; ask the provider"
	leaf := &x509.Certificate{}
	if len(err.UnverifiedCertificates) > 0 {
		leaf = err.UnverifiedCertificates[0]
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case errors.Is(err, ErrPin):
		return fault.Wrap(err, fault.Config, "the server "+host+" is not the one that tls_pin names",
			"its pin is now "+PinOf(leaf).String()+"; the provider may have changed its key, or another server answers: ask the provider before you change tls_pin")
	case otherName && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		text = "the certificate of " + host + " has no subject alternative name, and so is for no server"
		hint = "ask the provider"
	case otherName:
		text = "the certificate is not for " + host
		hint = "set host to the name the provider gives; the certificate is for " + fault.Quote(namesOf(leaf))
	case invalid.Reason == x509.Expired:
		text = "the certificate of " + host + " is not valid at this date"
		hint = "check this computer's clock; otherwise the provider has to renew the certificate"
	case unknown:
		text = "the certificate of " + host + " is signed by no authority that this computer trusts"
		hint = "check host; with a certificate of the provider's own authority, set ca_file"
	}
	if leaf.RawSubjectPublicKeyInfo != nil {
		hint += "; if you are sure that this is your provider's server, set tls_pin = " + strconv.Quote(PinOf(leaf).String()) +
			": its key then decides, and name, date and authority of the certificate do not"
	}
	return fault.Wrap(certificateError{err}, fault.Config, text, hint)
}
