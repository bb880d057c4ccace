package accounts

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
	"github.com/popbridge/popbridge/internal/textfile"
)

// maxCAFile is far more than all public authorities together.
const maxCAFile = 16 << 20

// ReadCAFile returns the certificates in a ca_file: PEM, whatever the encoding
// of the text, or DER. The hint of an error names the account.
func ReadCAFile(path, account string) ([]*x509.Certificate, error) {
	hint := "check ca_file of account " + account
	if f := ownership.Check(path, ownership.Options{}); f != nil {
		return nil, fault.New(fault.Config, "the ca_file is not used, because other users can change it: "+f.Why, f.Hint)
	}
	info, err := os.Stat(path) // opening a named pipe would wait for ever
	if err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.Config, "the ca_file "+path+" is not a plain file", hint)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the ca_file cannot be read", hint)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxCAFile))
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the ca_file cannot be read", hint)
	}
	certs, wrong, way := certificates(data)
	if wrong != "" {
		return nil, fault.New(fault.Config, "the ca_file "+path+" "+wrong, strings.TrimSuffix(hint+"; "+way, "; "))
	}
	return certs, nil
}

// certificates reads what a ca_file holds, or says what is wrong with it and
// what helps.
func certificates(data []byte) (certs []*x509.Certificate, wrong, way string) {
	text, _ := textfile.Decode(data)
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		return fromDER(data)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch {
		case strings.Contains(block.Type, "PRIVATE KEY"):
			return nil, holdsKey, keepKey
		case strings.HasPrefix(block.Type, "PKCS"):
			return nil, holdsPKCS7, makePEM
		case strings.HasSuffix(block.Type, "CERTIFICATE"):
			// One of several that cannot be read does not spoil the others.
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
				certs = append(certs, cert)
			}
		}
	}
	if len(certs) == 0 {
		return nil, holdsNone, "it must be PEM, which begins with -----BEGIN CERTIFICATE-----, or DER"
	}
	return certs, "", ""
}

const (
	holdsNone  = "holds no certificate that can be read"
	holdsKey   = "holds a private key"
	keepKey    = "it must hold certificates only; keep the key where no one else can read it"
	holdsPKCS7 = "is in the format PKCS #7 or PKCS #12"
	makePEM    = "make PEM of it: openssl pkcs7 -print_certs -in OLD -out NEW, or openssl pkcs12 -nokeys -in OLD -out NEW"
)

// oidPKCS7 is the beginning of 1.2.840.113549.1.7, with its ASN.1 tag.
var oidPKCS7 = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07}

func fromDER(data []byte) (certs []*x509.Certificate, wrong, way string) {
	certs, err := x509.ParseCertificates(data)
	if err == nil && len(certs) > 0 {
		return certs, "", ""
	}
	for _, parse := range []func([]byte) error{
		func(der []byte) error { _, err := x509.ParsePKCS8PrivateKey(der); return err },
		func(der []byte) error { _, err := x509.ParsePKCS1PrivateKey(der); return err },
		func(der []byte) error { _, err := x509.ParseECPrivateKey(der); return err },
	} {
		if parse(data) == nil {
			return nil, holdsKey, keepKey
		}
	}
	if i := bytes.Index(data, oidPKCS7); i >= 0 && i < 32 {
		return nil, holdsPKCS7, makePEM
	}
	return nil, holdsNone, "it must be PEM, which begins with -----BEGIN CERTIFICATE-----, or DER"
}
