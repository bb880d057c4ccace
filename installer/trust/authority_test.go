package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// loopback is an authority as popbridge makes them.
func loopback() *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "popbridge local CA of attic", Organization: []string{"popbridge"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost", "attic.local"},
		PermittedIPRanges: []*net.IPNet{ipNet("127.0.0.0/8"), ipNet("::1/128")},
	}
}

func ipNet(s string) *net.IPNet {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		panic(err)
	}
	return n
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// authority returns another one each time, of the same key where that is given.
func authority(t *testing.T, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := loopback()
	return sign(t, template, template, key, key)
}

func TestOnlyAnAuthorityForThisComputerIsTrusted(t *testing.T) {
	key := newKey(t)
	if err := Check(authority(t, key)); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		why    string
		change func(*x509.Certificate)
	}{
		{"popbridge has not made it", func(c *x509.Certificate) { c.Subject.Organization = []string{"Example"} }},
		{"popbridge has not made it", func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }},
		{"is not held to", func(c *x509.Certificate) { c.PermittedDNSDomains = nil }},
		{"is not held to", func(c *x509.Certificate) { c.PermittedIPRanges = nil }},
		{"is not held to", func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false }},
		{"everything below \"com\"", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"localhost", "com"} }},
		{"everything below \"co.uk\"", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{".co.uk"} }},
		{"everything below \"local\"", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"local"} }},
		{"the addresses 0.0.0.0/0", func(c *x509.Certificate) { c.PermittedIPRanges[0] = ipNet("0.0.0.0/0") }},
		{"the addresses 192.168.0.0/16", func(c *x509.Certificate) { c.PermittedIPRanges[0] = ipNet("192.168.0.0/16") }},
		{"the addresses ::/0", func(c *x509.Certificate) { c.PermittedIPRanges[1] = ipNet("::/0") }},
		{"it is for more than servers", func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
		{"it is for more than servers", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) }},
	} {
		template := loopback()
		tt.change(template)
		err := Check(sign(t, template, template, key, key))
		if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), tt.why) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
	template := loopback()
	if err := Check(sign(t, template, template, key, newKey(t))); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("signed by another key: %v", err)
	}
}

func TestWhatItSpeaksFor(t *testing.T) {
	if got, want := SpeaksFor(authority(t, newKey(t))), "localhost, attic.local, 127.0.0.0/8, ::1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
