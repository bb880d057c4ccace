package localtls

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// pair is an authority.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority signs a certificate for key that can speak for this host only.
func newAuthority(key *ecdsa.PrivateKey, host string, now time.Time) (*x509.Certificate, error) {
	names := hostNames(host)
	subject := "popbridge local CA"
	if len(names) > 1 {
		subject += " of " + names[1] // several machines, one keychain: people must be able to tell them
	}
	return signAuthority(&x509.Certificate{
		Subject:   pkix.Name{CommonName: subject, Organization: []string{"popbridge"}},
		NotBefore: now.Add(-backdate),
		NotAfter:  now.Add(caLife),

		PermittedDNSDomains: names,
	}, key)
}

// renewAuthority issues an authority again with everything that clients find it
// by: name, key and key identifier.
func renewAuthority(old *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	return signAuthority(&x509.Certificate{
		RawSubject:   old.RawSubject,
		SubjectKeyId: old.SubjectKeyId,
		NotBefore:    old.NotBefore,
		NotAfter:     old.NotAfter,

		PermittedDNSDomains: old.PermittedDNSDomains,
	}, key)
}

// signAuthority completes a template with what all authorities here have.
func signAuthority(c *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	c.KeyUsage = x509.KeyUsageCertSign
	// Apple and Windows hold what an authority issues to the usages that it has
	// itself: mail and programs cannot be signed under this one.
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c.IsCA, c.BasicConstraintsValid = true, true
	c.MaxPathLenZero = true // it issues no further authorities
	// RFC 5280 section 4.2.1.10. A DNS name stands for itself and everything
	// below it.
	c.PermittedDNSDomainsCritical = true
	c.PermittedIPRanges = []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
	return sign(c, c, key, key)
}

// issue signs a server's certificate, which does not outlive the authority.
func (ca *pair) issue(key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	notBefore := now.Add(-backdate)
	notAfter := notBefore.Add(serverLife)
	if notAfter.After(ca.cert.NotAfter) {
		notAfter = ca.cert.NotAfter
	}
	return sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost", Organization: []string{"popbridge"}},
		NotBefore:   notBefore,
		NotAfter:    notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    ca.cert.PermittedDNSDomains,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}, ca.cert, key, ca.key)
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// hostNames returns the names of this machine: localhost first, then its own
// name and that in the network at home, where it has one that certificates can
// hold.
func hostNames(host string) []string {
	names := []string{"localhost"}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	first, _, _ := strings.Cut(host, ".")
	for _, name := range []string{host, first + ".local"} {
		if validName(name) && !publicName(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func validName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-' && strings.IndexFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
		}) < 0
		if !ok {
			return false
		}
	}
	return len(name) <= 253 && net.ParseIP(name) == nil
}

// publicName reports whether strangers have names below this one: on a machine
// that is called "dev", the authority must not speak for all of .dev.
func publicName(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(name)
	return name == "local" || suffix == name && (icann || strings.Contains(suffix, "."))
}
