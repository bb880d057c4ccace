package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
)

const (
	organization = "popbridge"          // see internal/localtls
	commonName   = "popbridge local CA" // what its name begins with
)

// Made reports whether a certificate is, by its own words, an authority of popbridge: of
// this data folder or of another one.
func Made(c *x509.Certificate) bool {
	return c.IsCA && slices.Equal(c.Subject.Organization, []string{organization}) &&
		strings.HasPrefix(c.Subject.CommonName, commonName) && bytes.Equal(c.RawSubject, c.RawIssuer)
}

// Check refuses an authority that could speak for more than this computer, as where the
// file was exchanged: no one is to trust that unasked.
func Check(c *x509.Certificate) error {
	refuse := func(why string) error { return refusal(c, why) }
	switch {
	case !Made(c):
		return refuse("popbridge has not made it")
	case c.CheckSignatureFrom(c) != nil:
		return refuse("its signature is wrong")
	case !c.PermittedDNSDomainsCritical || len(c.PermittedDNSDomains) == 0 || len(c.PermittedIPRanges) == 0:
		return refuse("it is not held to the names and addresses of this computer")
	case !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) || len(c.UnknownExtKeyUsage) > 0:
		return refuse("it is for more than servers")
	}
	for _, name := range c.PermittedDNSDomains {
		if name = strings.Trim(name, "."); localtls.SharedName(name) {
			return refuse("it may speak for everything below " + fault.Quote(name))
		}
	}
	for _, n := range c.PermittedIPRanges {
		if !within(n) {
			return refuse("it may speak for the addresses " + n.String())
		}
	}
	return nil
}

func refusal(c *x509.Certificate, why string) error {
	return fault.New(fault.Denied, "the authority "+fault.Quote(c.Subject.CommonName)+" is not made to be trusted: "+why,
		"put tls/ca.pem in the data folder back from a backup, or delete the folder tls: popbridge makes another one")
}

// within reports whether all addresses of a range are loopback.
func within(n *net.IPNet) bool {
	ones, bits := n.Mask.Size()
	return n.IP.IsLoopback() && (bits == 32 && ones >= 8 || bits == 128 && ones == 128)
}

// SpeaksFor returns the names and addresses that the authority can speak for, for people.
func SpeaksFor(c *x509.Certificate) string {
	all := slices.Clone(c.PermittedDNSDomains)
	for _, n := range c.PermittedIPRanges {
		if ones, bits := n.Mask.Size(); ones == bits {
			all = append(all, n.IP.String())
		} else {
			all = append(all, n.String())
		}
	}
	return strings.Join(all, ", ")
}

// Fingerprint is the SHA-256 of the certificate, in hexadecimal digits.
func Fingerprint(c *x509.Certificate) string { return fmt.Sprintf("%x", sha256.Sum256(c.Raw)) }

// Read reads a file with one certificate in PEM. errors.Is tells a missing file.
func Read(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certs := parse(data)
	if len(certs) != 1 {
		return nil, errors.New("it does not hold one certificate")
	}
	return certs[0], nil
}

func sameKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// parse returns the certificates in PEM among other text; those that cannot be read are
// left out.
func parse(data []byte) (certs []*x509.Certificate) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return certs
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			certs = append(certs, c)
		}
		data = rest
	}
}

// made returns the authorities of popbridge among the certificates of a file in PEM.
func made(data []byte) []*x509.Certificate {
	return slices.DeleteFunc(parse(data), func(c *x509.Certificate) bool { return !Made(c) })
}
