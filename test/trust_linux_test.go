package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// Thunderbird asks no question once `trust install` was run: not at the first
// connection, and not when the certificate of the server is renewed. It refuses the
// server before that, and after `trust remove`. No exception is ever stored.
func TestThunderbirdTrustsByTheCommand(t *testing.T) {
	rig.Need(t, "dovecot", "thunderbird", "certutil")
	t.Parallel()
	d := dovecot(t, nil)
	if err := d.Put("home", testkit.Message(0), testkit.Message(1)); err != nil {
		t.Fatal(err)
	}
	p := overTLS(t, "starttls", d)
	// Its profile lies where the command looks for it.
	profile := filepath.Join(p.Dir, ".thunderbird", "abc.default")
	must(t, os.MkdirAll(filepath.Dir(profile), 0o700))
	must(t, os.Rename(thunderbirdProfile(t, p), profile))
	write(t, filepath.Join(p.Dir, ".thunderbird", "profiles.ini"), "[Profile0]\nName=mail\nIsRelative=1\nPath=abc.default\n")

	thunderbirdAsks(t, profile, "before", func(t *testing.T) {
		out := command(t, p, 0, "trust", "install", "--yes")
		for _, want := range []string{"Thunderbird, profile mail: trusted; it runs, and has to be started again\n", "can pretend to be a server", filepath.Join(p.Data, "tls", "ca-key.pem"), "  localhost, "} {
			if !strings.Contains(out.Stdout, want) {
				t.Errorf("not said: %s\n%s", want, out.Stdout)
			}
		}
	})
	thunderbirdReads(t, p, d, profile)

	if out := command(t, p, 0, "trust", "remove"); !strings.Contains(out.Stdout, "Thunderbird, profile mail: removed\n") {
		t.Error(out.Stdout)
	}
	if exceptions, err := os.ReadFile(filepath.Join(profile, "cert_override.txt")); err == nil && bytes.Contains(exceptions, []byte("127.0.0.1")) {
		t.Errorf("an exception was stored: %s", exceptions)
	}
	// One that has been at the INBOX goes there when it starts, and asks for the password
	// before it can be driven.
	again := thunderbirdProfile(t, p)
	for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt"} {
		data, err := os.ReadFile(filepath.Join(profile, name))
		must(t, err)
		write(t, filepath.Join(again, name), string(data))
	}
	thunderbirdAsks(t, again, "removed", nil)
}

// thunderbirdReads starts Thunderbird, reads the INBOX, and reads it again with a
// certificate that was renewed meanwhile.
func thunderbirdReads(t *testing.T, p *rig.Popbridge, d *rig.Dovecot, profile string) {
	t.Helper()
	if !t.Run("trusted", func(t *testing.T) {
		b := knowingThunderbird(t, profile)
		b.script(t, nil, `await tb.list("INBOX"); await tb.open("INBOX", 2)`)

		stop(t, p)
		due := agedCertificate(t, p)
		start(t, p)
		renewed := readCertificate(t, filepath.Join(p.Data, "tls", "server.pem"))
		if renewed.Equal(due) || renewed.NotAfter.Before(due.NotAfter.AddDate(0, 6, 0)) {
			t.Fatalf("the certificate was not renewed: it ends on %v", renewed.NotAfter)
		}
		must(t, d.Put("home", testkit.Message(2)))
		command(t, p, 0, "sync")
		var asked []string
		b.script(t, &asked, `tb.getMessages(); await tb.counted("INBOX", 3); return tb.distrusted`)
		if len(asked) > 0 {
			t.Errorf("Thunderbird asked: %v", asked)
		}
	}) {
		t.FailNow()
	}
}

// thunderbirdAsks starts Thunderbird, which does not believe the server.
func thunderbirdAsks(t *testing.T, profile, name string, meanwhile func(*testing.T)) {
	t.Helper()
	if !t.Run(name, func(t *testing.T) {
		b := knowingThunderbird(t, profile)
		var status string
		b.script(t, &status, `return tb.distrusts()`)
		if status != "SEC_ERROR_UNKNOWN_ISSUER" {
			t.Errorf("Thunderbird says %s", status)
		}
		if meanwhile != nil {
			meanwhile(t)
		}
	}) {
		t.FailNow()
	}
}

// knowingThunderbird has the password, and no authority but what its profile has.
func knowingThunderbird(t *testing.T, profile string) *thunderbird {
	t.Helper()
	b := startThunderbird(t, profile)
	b.script(t, nil, `tb.watchCertificates(); tb.account.incomingServer.password = args[0]`, devicePw)
	return b
}

// agedCertificate leaves the certificate in the data folder that was issued more than a
// year ago, with the keys that are there, and returns it: it ends in ten days.
func agedCertificate(t *testing.T, p *rig.Popbridge) *x509.Certificate {
	t.Helper()
	at := func(name string) string { return filepath.Join(p.Data, "tls", name) }
	ca, old := readCertificate(t, at("ca.pem")), readCertificate(t, at("server.pem"))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost", Organization: []string{"popbridge"}},
		NotBefore: time.Now().AddDate(0, 0, -387), NotAfter: time.Now().AddDate(0, 0, 10),
		KeyUsage: old.KeyUsage, ExtKeyUsage: old.ExtKeyUsage, DNSNames: old.DNSNames, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, old.PublicKey, readKey(t, at("ca-key.pem")))
	if err != nil {
		t.Fatal(err)
	}
	write(t, at("server.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return readCertificate(t, at("server.pem"))
}

func readBlock(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("%s is not PEM", path)
	}
	return block.Bytes
}

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(readBlock(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readKey(t *testing.T, path string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(readBlock(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}
