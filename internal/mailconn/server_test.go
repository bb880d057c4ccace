package mailconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"unicode"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestExpiredCertificate(t *testing.T) {
	err := Server{Host: "pop.example.com"}.classifyTLS(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}})
	if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "clock") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}

func TestDialFailures(t *testing.T) {
	pop := Ports{Implicit: 995, StartTLS: 110}
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for port, security := range map[int]Security{995: Implicit, 110: StartTLS} {
		if hint := fault.Hint(Server{Host: "x", Port: port, Security: security, Usual: pop}.classifyDial(refused)); hint != HintHost {
			t.Errorf("at the usual port %d: hint %s", port, hint)
		}
	}
	for _, tt := range []struct {
		err  error
		kind fault.Kind
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}, fault.Config},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}}, fault.Temporary},
	} {
		err := Server{Host: "x"}.classifyDial(tt.err)
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), `"x" was not found`) {
			t.Error(err)
		}
	}
	if hint := fault.Hint(Server{Host: "x", Port: 110, Security: Implicit, Usual: pop}.classifyDial(refused)); !strings.Contains(hint, "port 995 goes with") {
		t.Errorf("at the port of the other kind: %s", hint)
	}
}

// Names in certificates are the server's: they reach no terminal as they are.
func FuzzCertificateTextIsSafe(f *testing.F) {
	f.Add("plain.example.com", "Issuer")
	f.Add("\x1b]0;owned\a\u202e", "\u009b31m\u2066")
	f.Add(strings.Repeat("a.", 4000), strings.Repeat("x", 4000))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, issuer string) {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, DNSNames: []string{name}}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
		if err != nil {
			return // a name that no certificate can have
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		for _, cause := range []error{
			x509.HostnameError{Certificate: leaf, Host: "pop.example.com"},
			x509.UnknownAuthorityError{Cert: leaf},
			x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired, Detail: issuer},
			x509.CertificateInvalidError{Cert: leaf, Reason: x509.CANotAuthorizedForThisName, Detail: name},
		} {
			err := Server{Host: "pop.example.com"}.classifyTLS(&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{leaf}, Err: cause})
			for _, text := range []string{err.Error(), fault.Hint(err)} {
				if len(text) > 1500 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
					t.Errorf("%q", text)
				}
			}
		}
	})
}
