package localtls

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// former fills a folder as popbridge did before authorities had an extended key
// usage, and returns it opened, unchanged.
func former(t *testing.T, dir string, c *clock) (ca, leaf *x509.Certificate) {
	t.Helper()
	k := &keeper{dir: dir, scope: loopback("attic"), now: c.now}
	key, err := k.key(caKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	// Key identifiers were made in another way then.
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "popbridge local CA of attic", Organization: []string{"popbridge"}},
		SubjectKeyId: []byte("an identifier of then"), NotBefore: c.at.Add(-backdate), NotAfter: c.at.Add(caLife), KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, PermittedDNSDomainsCritical: true, PermittedDNSDomains: loopback("attic").names}
	if ca, err = sign(template, template, key, key); err != nil {
		t.Fatal(err)
	}
	if err := k.write(AuthorityFile, 0o600, encodeCertificate(ca.Raw)); err != nil {
		t.Fatal(err)
	}
	server, err := k.server(&pair{ca, key})
	if err != nil {
		t.Fatal(err)
	}
	return ca, server.Leaf
}

// TestAnAuthorityWithoutUsageIsRenewed: clients that trust the former verify new
// certificates, and those that trust the new one verify certificates of before.
func TestAnAuthorityWithoutUsageIsRenewed(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	oldCA, oldLeaf := former(t, dir, c)
	o := open(t, dir, "attic", c)
	newCA := o.authority(t)
	if !slices.Equal(newCA.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Fatalf("usage %v", newCA.ExtKeyUsage)
	}
	if !newCA.NotAfter.Equal(oldCA.NotAfter) || !newCA.NotBefore.Equal(oldCA.NotBefore) || !newCA.PublicKey.(*ecdsa.PublicKey).Equal(oldCA.PublicKey) {
		t.Error("the new authority has other dates or another key")
	}
	if !o.leaf(t).Equal(oldLeaf) {
		t.Error("the server's certificate changed without need")
	}
	if again := open(t, dir, "attic", c); !again.authority(t).Equal(newCA) {
		t.Error("renewed again")
	}
	c.pass(serverLife - renewBefore + day)
	newLeaf := o.leaf(t)
	if newLeaf.Equal(oldLeaf) {
		t.Fatal("the server's certificate was not renewed")
	}
	for _, ca := range []*x509.Certificate{oldCA, newCA} {
		for _, leaf := range []*x509.Certificate{oldLeaf, newLeaf} {
			roots := x509.NewCertPool()
			roots.AddCert(ca)
			for _, name := range []string{"localhost", "127.0.0.1", "attic.local"} {
				if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: leaf.NotBefore.Add(2 * backdate)}); err != nil {
					t.Errorf("authority %v, leaf of %v, %s: %v", ca.ExtKeyUsage, leaf.NotBefore, name, err)
				}
			}
			verifyWithOpenSSL(t, ca, leaf)
		}
	}
}

func verifyWithOpenSSL(t *testing.T, ca, leaf *x509.Certificate) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("POPBRIDGE_REAL") == "required" {
			t.Fatal(err)
		}
		return // crypto/x509 has spoken
	}
	dir := t.TempDir()
	caPath, leafPath := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem")
	for path, cert := range map[string]*x509.Certificate{caPath: ca, leafPath: leaf} {
		if err := os.WriteFile(path, encodeCertificate(cert.Raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("openssl", "verify", "-x509_strict", "-no_check_time", "-purpose", "sslserver",
		"-verify_hostname", "localhost", "-CAfile", caPath, leafPath).CombinedOutput()
	// An authority of before has no extension that -x509_strict could miss.
	if err != nil {
		t.Errorf("authority %v: openssl: %s", ca.ExtKeyUsage, out)
	}
}

// TestAnAuthorityIsForServersOnly: what it signs is no good for anything else.
func TestAnAuthorityIsForServersOnly(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	o := open(t, dir, "attic", c)
	roots := x509.NewCertPool()
	roots.AddCert(o.authority(t))
	k := &keeper{dir: dir, scope: loopback("attic"), now: c.now}
	ca, err := k.readAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageEmailProtection} {
		template := &x509.Certificate{NotBefore: c.at, NotAfter: c.at.Add(day), ExtKeyUsage: []x509.ExtKeyUsage{usage}, DNSNames: []string{"localhost"}}
		signed, err := sign(template, ca.cert, ca.key, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signed.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.at, KeyUsages: []x509.ExtKeyUsage{usage}}); err == nil {
			t.Errorf("usage %v is accepted", usage)
		}
	}
}

// TestAWrongClockMakesNothing: a machine that starts in 1970 or 2069 keeps its
// certificates, and goes on when the clock is right.
func TestAWrongClockMakesNothing(t *testing.T) {
	for _, wrong := range []time.Time{time.Unix(0, 0), time.Date(2069, 1, 1, 0, 0, 0, 0, time.UTC)} {
		c, dir := newClock(), t.TempDir()
		right := c.at
		leaf := open(t, dir, "attic", c).leaf(t)
		before := read(t, dir)
		c.at = wrong
		_, _, err := ensure(dir, loopback("attic"), c.now)
		if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "set the clock") {
			t.Errorf("%v: %v; hint: %s", wrong, err, fault.Hint(err))
		}
		if read(t, dir) != before {
			t.Errorf("%v: the folder was changed", wrong)
		}
		c.at = right
		if !open(t, dir, "attic", c).leaf(t).Equal(leaf) {
			t.Error("another certificate")
		}
	}
	c, dir := newClock(), t.TempDir()
	c.at = time.Unix(3600, 0)
	if _, _, err := ensure(dir, loopback("attic"), c.now); err == nil || read(t, dir) != "" {
		t.Errorf("an authority of 1970 was made: %v", err)
	}
}

// A clock that is set wrong while the program runs does not end its service.
func TestAClockThatGoesWrongLater(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	right := c.at
	o := open(t, dir, "attic", c)
	leaf := o.leaf(t)
	for _, wrong := range []time.Time{time.Unix(0, 0), time.Date(2069, 1, 1, 0, 0, 0, 0, time.UTC), right} {
		c.at = wrong
		if !o.leaf(t).Equal(leaf) {
			t.Errorf("%v: another certificate", wrong)
		}
	}
}

func TestAnAuthorityOfTheFutureIsNoticed(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	c.pass(400 * day)
	open(t, dir, "attic", c)
	c.pass(-400 * day)
	_, _, err := ensure(dir, loopback("attic"), c.now)
	if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "begins on") || !strings.Contains(fault.Hint(err), "delete the folder "+dir) {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
}
