package localtls

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"time"
)

// pair is an authority.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority signs a certificate for key that can speak for the scope only.
func newAuthority(key *ecdsa.PrivateKey, scope Scope, now time.Time) (*x509.Certificate, error) {
	return signAuthority(&x509.Certificate{
		Subject:   pkix.Name{CommonName: scope.title, Organization: []string{"popbridge"}},
		NotBefore: now.Add(-backdate),
		NotAfter:  now.Add(caLife),

		PermittedDNSDomains: scope.names,
		PermittedIPRanges:   scope.networks,
	}, key)
}

// renewAuthority issues an authority again with everything that clients find it
// by: name, key and key identifier.
func renewAuthority(old *x509.Certificate, key *ecdsa.PrivateKey, scope Scope, until time.Time) (*x509.Certificate, error) {
	return signAuthority(&x509.Certificate{
		RawSubject:   old.RawSubject,
		SubjectKeyId: old.SubjectKeyId,
		NotBefore:    old.NotBefore,
		NotAfter:     until,

		PermittedDNSDomains: old.PermittedDNSDomains,
		PermittedIPRanges:   scope.networks,
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
	return sign(c, c, key, key)
}

// issue signs a server's certificate, which does not outlive the authority.
func (ca *pair) issue(key *ecdsa.PrivateKey, addresses []net.IP, now time.Time) (*x509.Certificate, error) {
	notBefore := now.Add(-backdate)
	notAfter := notBefore.Add(serverLife)
	if notAfter.After(ca.cert.NotAfter) {
		notAfter = ca.cert.NotAfter
	}
	return sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: ca.cert.PermittedDNSDomains[0], Organization: []string{"popbridge"}},
		NotBefore:   notBefore,
		NotAfter:    notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    ca.cert.PermittedDNSDomains,
		IPAddresses: addresses,
	}, ca.cert, key, ca.key)
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
