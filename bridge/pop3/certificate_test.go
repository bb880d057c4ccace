package pop3

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

const tlsScript = "@tls\nS: +OK\nC: CAPA\nS: -ERR\n"

// selfMade returns the TLS of a server with a certificate of its own.
func selfMade(t *testing.T, change func(*x509.Certificate)) (*tls.Config, Pin) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048) // as old suites want it
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pop.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"pop.example.com"}}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, mailconn.PinOf(parsed)
}

// TestAPinDecidesAlone: every certificate that is refused prints the pin with
// which it is accepted, and with the pin of another key none is.
func TestAPinDecidesAlone(t *testing.T) {
	_, other := selfMade(t, func(*x509.Certificate) {})
	for name, change := range map[string]func(*x509.Certificate){
		"self-made":    func(*x509.Certificate) {},
		"CN only":      func(c *x509.Certificate) { c.DNSNames = nil },
		"another name": func(c *x509.Certificate) { c.DNSNames = []string{"mail.example.org"} },
		"expired":      func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		"no name":      func(c *x509.Certificate) { c.DNSNames, c.Subject = nil, pkix.Name{} },
	} {
		t.Run(name, func(t *testing.T) {
			config, pin := selfMade(t, change)
			dial := func(pins ...Pin) error {
				server := scripted.New(t, tlsScript, scripted.WithTLS(config), scripted.Lenient())
				c, err := Dial(t.Context(), Config{Host: "pop.example.com", TLS: &tls.Config{RootCAs: x509.NewCertPool()}, Pins: pins, Dialer: server.Dial})
				if err != nil {
					return err
				}
				if info, ok := c.TLS(); !ok || info.Pin != pin || !info.Pinned || info.Version != "TLS 1.3" {
					t.Errorf("TLS: %+v", info)
				}
				return c.Close()
			}
			err := dial()
			if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), `set tls_pin = "`+pin.String()+`"`) {
				t.Errorf("%v\nhint: %s", err, fault.Hint(err))
			}
			if err := dial(pin); err != nil {
				t.Error(err)
			}
			if err := dial(other, pin); err != nil {
				t.Error(err)
			}
			err = dial(other)
			if !errors.Is(err, mailconn.ErrPin) || !strings.Contains(err.Error(), "tls_pin") || !strings.Contains(fault.Hint(err), pin.String()) {
				t.Errorf("%v\nhint: %s", err, fault.Hint(err))
			}
		})
	}
}

// TestOldTLSOnlyIfAskedFor: servers of before TLS 1.2 are refused, the error
// says how to reach them, and then they are, with the suites of then.
func TestOldTLSOnlyIfAskedFor(t *testing.T) {
	old, pin := selfMade(t, func(*x509.Certificate) {})
	old.MinVersion = tls.VersionTLS10
	for _, tt := range []struct {
		version, suite uint16
	}{
		{tls.VersionTLS10, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
		{tls.VersionTLS10, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
		{tls.VersionTLS11, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
	} {
		config := old.Clone()
		config.MaxVersion, config.CipherSuites = tt.version, []uint16{tt.suite}
		dial := func(least uint16) error {
			server := scripted.New(t, tlsScript, scripted.WithTLS(config), scripted.Lenient())
			c, err := Dial(t.Context(), Config{Host: "pop.example.com", TLS: &tls.Config{MinVersion: least}, Pins: []Pin{pin}, Dialer: server.Dial})
			if err == nil {
				err = c.Close()
			}
			return err
		}
		if err := dial(0); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), `tls_minimum = "1.0"`) {
			t.Errorf("%s: %v\nhint: %s", tls.VersionName(tt.version), err, fault.Hint(err))
		}
		if err := dial(tls.VersionTLS10); err != nil {
			t.Errorf("%s: %v", tls.VersionName(tt.version), err)
		}
	}
}
