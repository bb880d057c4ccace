package localtls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// clock is the time of a test.
type clock struct{ at time.Time }

func newClock() *clock                { return &clock{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }
func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

// opened is an ensured folder.
type opened struct {
	config *tls.Config
	ca     string
}

func open(t *testing.T, dir, host string, c *clock) opened {
	t.Helper()
	config, ca, err := ensure(dir, loopback(host), c.now)
	if err != nil {
		t.Fatal(err)
	}
	return opened{config, ca}
}

func (o opened) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	cert, err := o.config.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil || !bytes.Equal(parsed.Raw, cert.Leaf.Raw) {
		t.Fatal("the leaf is not what is sent", err)
	}
	return parsed
}

func (o opened) authority(t *testing.T) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(o.ca)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// verify is what a client does that trusts the authority only.
func (o opened) verify(t *testing.T, leaf *x509.Certificate, name string, c *clock) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(o.authority(t))
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

func TestChain(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "tls")
	o := open(t, dir, "Anns-Mac.local", c)
	leaf := o.leaf(t)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "anns-mac.local"} {
		if err := o.verify(t, leaf, name, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"example.com", "local", "127.0.0.2", "other.local"} {
		if o.verify(t, leaf, name, c) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 397*day {
		t.Errorf("valid for %v", life)
	}
	if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) || leaf.IsCA {
		t.Errorf("usage %v, authority %v", leaf.ExtKeyUsage, leaf.IsCA)
	}
	ca := o.authority(t)
	if !ca.IsCA || !ca.MaxPathLenZero || ca.Subject.CommonName != "popbridge local CA of anns-mac.local" || ca.NotAfter.Before(c.at.AddDate(9, 11, 0)) {
		t.Errorf("authority %v, path %v, until %v", ca.Subject, ca.MaxPathLen, ca.NotAfter)
	}
	again := open(t, dir, "Anns-Mac.local", c)
	if !again.leaf(t).Equal(leaf) || !again.authority(t).Equal(ca) {
		t.Error("the second start made new certificates")
	}
	if runtime.GOOS != "windows" {
		modes := map[string]os.FileMode{"": 0o700, caKeyFile: 0o600, serverKeyFile: 0o600}
		for name, want := range modes {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%q: mode %v, want %v (%v)", name, info.Mode().Perm(), want, err)
			}
		}
	}
}

// TestConstraints abuses the authority's key.
func TestConstraints(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	o := open(t, dir, "attic", c)
	k := &keeper{dir: dir, scope: loopback("attic"), now: c.now}
	ca, err := k.readAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if !ca.cert.PermittedDNSDomainsCritical {
		t.Error("clients may ignore the constraints")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := func() *x509.Certificate {
		return &x509.Certificate{NotBefore: c.at, NotAfter: c.at.Add(day), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	}
	for _, name := range []string{"example.com", "mail.local", "com", "192.168.1.1", "2001:db8::1", "attic", "attic.local", "127.0.0.9"} {
		leaf := template()
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = []net.IP{ip}
		} else {
			leaf.DNSNames = []string{name}
		}
		signed, err := sign(leaf, ca.cert, key, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		own := strings.HasPrefix(name, "attic") || strings.HasPrefix(name, "127.")
		if err := o.verify(t, signed, name, c); (err == nil) != own {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nor may it make another authority.
	sub := template()
	sub.IsCA, sub.BasicConstraintsValid, sub.KeyUsage = true, true, x509.KeyUsageCertSign
	subCert, err := sign(sub, ca.cert, key, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := template()
	leaf.DNSNames = []string{"localhost"}
	signed, err := sign(leaf, subCert, key, key)
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.cert)
	between.AddCert(subCert)
	if _, err := signed.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: c.at}); err == nil {
		t.Error("an authority below it is accepted")
	}
}

func TestHostNames(t *testing.T) {
	for host, want := range map[string]string{
		"":                                   "localhost",
		"localhost":                          "localhost localhost.local",
		"attic":                              "localhost attic attic.local",
		"ATTIC.":                             "localhost attic attic.local",
		"Anns-Mac.local":                     "localhost anns-mac.local",
		"attic.example.com":                  "localhost attic.example.com attic.local",
		"dev":                                "localhost dev.local", // a top-level domain
		"com":                                "localhost com.local",
		"co.uk":                              "localhost co.local",
		"github.io":                          "localhost github.local",
		"local":                              "localhost local.local",
		"ann_pc":                             "localhost",
		"büro":                               "localhost",
		"-x":                                 "localhost",
		"10.0.0.1":                           "localhost 10.local",
		"a..b":                               "localhost a.local",
		strings.Repeat("x", 64) + ".example": "localhost",
	} {
		if got := strings.Join(loopback(host).names, " "); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}

func TestRenewalWhileRunning(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	o := open(t, dir, "attic", c)
	first := o.leaf(t)
	c.pass(serverLife - renewBefore - 2*day)
	if !o.leaf(t).Equal(first) {
		t.Fatal("renewed too early")
	}
	c.pass(3 * day)
	second := o.leaf(t)
	if second.Equal(first) {
		t.Fatal("not renewed")
	}
	if !second.PublicKey.(*ecdsa.PublicKey).Equal(first.PublicKey) {
		t.Error("renewed with another key")
	}
	if err := o.verify(t, second, "attic.local", c); err != nil {
		t.Error(err)
	}
	if !open(t, dir, "attic", c).leaf(t).Equal(second) {
		t.Error("the renewed certificate was not stored")
	}
	// The host has got another name; the authority stays what it is.
	c.pass(serverLife)
	third := open(t, dir, "renamed", c)
	if err := third.verify(t, third.leaf(t), "localhost", c); err != nil {
		t.Error(err)
	}
}

// TestRenewalThatFails serves the old certificate, tries again later, and says
// what is wrong at the next start.
func TestRenewalThatFails(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	o := open(t, dir, "attic", c)
	first := o.leaf(t)
	key, hidden := filepath.Join(dir, caKeyFile), filepath.Join(dir, "hidden")
	if err := os.Rename(key, hidden); err != nil {
		t.Fatal(err)
	}
	c.pass(serverLife - renewBefore + day)
	if !o.leaf(t).Equal(first) {
		t.Fatal("another certificate")
	}
	if _, _, err := ensure(dir, loopback("attic"), c.now); !fault.Is(err, fault.Corrupt) {
		t.Errorf("start: %v", err)
	}
	if err := os.Rename(hidden, key); err != nil {
		t.Fatal(err)
	}
	if !o.leaf(t).Equal(first) {
		t.Error("tried again at once")
	}
	c.pass(retryAfter + time.Second)
	if o.leaf(t).Equal(first) {
		t.Error("not tried again")
	}
}

func TestClockThatWasAhead(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	open(t, dir, "attic", c)
	c.pass(30 * day)
	ahead := &keeper{dir: dir, now: func() time.Time { return c.at.Add(365 * day) }}
	ca, err := ahead.readAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ahead.server(ca); err != nil {
		t.Fatal(err)
	}
	o := open(t, dir, "attic", c)
	if err := o.verify(t, o.leaf(t), "localhost", c); err != nil {
		t.Error(err)
	}
}

// TestTheAuthorityIsRenewed while it lasts: clients that trust the former go on
// until it ends, those that trust the new one verify all.
func TestTheAuthorityIsRenewed(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	o := open(t, dir, "attic", c)
	former := o.authority(t)
	verify := func(leaf, ca *x509.Certificate) error {
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, CurrentTime: c.now()})
		return err
	}
	c.pass(caLife - caRenewBefore - 2*day)
	o.leaf(t)
	if !o.authority(t).Equal(former) {
		t.Fatal("renewed too early")
	}
	for c.pass(serverLife); c.now().Before(former.NotAfter); c.pass(200 * day) {
		leaf, renewed := o.leaf(t), o.authority(t)
		if renewed.Equal(former) {
			t.Fatal("not renewed")
		}
		if err := errors.Join(verify(leaf, former), verify(leaf, renewed)); err != nil {
			t.Fatal(c.now(), err)
		}
	}
	leaf := o.leaf(t)
	if err := verify(leaf, o.authority(t)); err != nil || verify(leaf, former) == nil {
		t.Error("after the former has ended:", err)
	}
	// An agent that did not run for years.
	c.pass(caLife)
	if _, _, err := ensure(dir, loopback("attic"), c.now); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "trust the new ca.pem") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
}

// TestTheNetworkAtHome has an authority of its own, for private addresses, and a
// certificate with those of the moment.
func TestTheNetworkAtHome(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	at := func(addrs ...string) (opened, *x509.Certificate) {
		t.Helper()
		var ips []net.IP
		for _, a := range addrs {
			ips = append(ips, net.ParseIP(a))
		}
		config, ca, err := ensure(dir, lan("attic", ips), c.now)
		if err != nil {
			t.Fatal(err)
		}
		o := opened{config, ca}
		return o, o.leaf(t)
	}
	o, first := at("192.168.1.20", "fd00::20", "203.0.113.5", "127.0.0.1")
	for name, want := range map[string]bool{"192.168.1.20": true, "fd00::20": true, "attic": true, "attic.local": true,
		"203.0.113.5": false, "127.0.0.1": false, "localhost": false, "192.168.1.21": false} {
		if err := o.verify(t, first, name, c); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, again := at("fd00::20"); !again.Equal(first) {
		t.Error("issued again for an address that it has")
	}
	o2, moved := at("10.0.0.7")
	if err := o2.verify(t, moved, "10.0.0.7", c); err != nil || !o2.authority(t).Equal(o.authority(t)) || !moved.PublicKey.(*ecdsa.PublicKey).Equal(first.PublicKey) {
		t.Error("after the address has changed:", err)
	}
	if o2.authority(t).Subject.CommonName != "popbridge LAN CA of attic" {
		t.Error(o2.authority(t).Subject)
	}
	// What the authority's key may sign for, at most.
	k := &keeper{dir: dir, scope: lan("attic", nil), now: c.now}
	ca, err := k.readAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"172.31.0.1": true, "fe80::1": true, "8.8.8.8": false, "127.0.0.1": false, "2001:db8::1": false, "192.169.0.1": false} {
		leaf, err := ca.issue(ca.key, []net.IP{net.ParseIP(name)}, c.now())
		if err != nil {
			t.Fatal(err)
		}
		if err := o.verify(t, leaf, name, c); (err == nil) != want {
			t.Errorf("signed for %s: %v", name, err)
		}
	}
}

// A machine without a name of its own: its authority cannot speak for every name.
func TestTheNetworkOfANamelessMachine(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	config, ca, err := ensure(dir, lan("", []net.IP{net.ParseIP("10.0.0.7")}), c.now)
	if err != nil {
		t.Fatal(err)
	}
	o := opened{config, ca}
	if err := o.verify(t, o.leaf(t), "10.0.0.7", c); err != nil {
		t.Error(err)
	}
	if names := o.authority(t).PermittedDNSDomains; !slices.Equal(names, []string{noName}) {
		t.Error(names)
	}
}

func TestInterruptedFirstStart(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	open(t, dir, "attic", c)
	for _, missing := range [][]string{{ServerFile}, {ServerFile, serverKeyFile}, {ServerFile, serverKeyFile, AuthorityFile}} {
		for _, name := range missing {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		o := open(t, dir, "attic", c)
		if err := o.verify(t, o.leaf(t), "localhost", c); err != nil {
			t.Errorf("without %v: %v", missing, err)
		}
	}
}

func TestDamage(t *testing.T) {
	c := newClock()
	other := t.TempDir()
	open(t, other, "attic", c)
	foreign := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(other, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	cases := []struct {
		name, file string
		data       []byte // nil: the file is missing
	}{
		{"authority missing", AuthorityFile, nil},
		{"authority's key missing", caKeyFile, nil},
		{"server's key missing", serverKeyFile, nil},
		{"other authority", AuthorityFile, foreign(AuthorityFile)},
		{"other authority's key", caKeyFile, foreign(caKeyFile)},
		{"other server", ServerFile, foreign(ServerFile)},
		{"other server's key", serverKeyFile, foreign(serverKeyFile)},
		{"key instead of a certificate", ServerFile, foreign(serverKeyFile)},
		{"two certificates", AuthorityFile, append(foreign(AuthorityFile), foreign(AuthorityFile)...)},
	}
	for _, file := range []string{AuthorityFile, caKeyFile, ServerFile, serverKeyFile} {
		cases = append(cases,
			struct {
				name, file string
				data       []byte
			}{"empty " + file, file, []byte{}},
			struct {
				name, file string
				data       []byte
			}{"garbled " + file, file, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")})
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir, "attic", c)
			path := filepath.Join(dir, tc.file)
			var err error
			if tc.data == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, tc.data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			before := read(t, dir)
			_, _, err = ensure(dir, loopback("attic"), c.now)
			if !fault.Is(err, fault.Corrupt) || !strings.Contains(fault.Hint(err), "backup") {
				t.Errorf("%v; hint: %s", err, fault.Hint(err))
			}
			if read(t, dir) != before {
				t.Error("the folder was changed")
			}
		})
	}
}

// An authority of another program, with the same key and without names, is none that
// anything can be issued with.
func TestAnAuthorityWithoutNames(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	open(t, dir, "attic", c)
	k := &keeper{dir: dir, scope: loopback("attic"), now: c.now}
	ca, err := k.readAuthority()
	if err != nil {
		t.Fatal(err)
	}
	ca.cert.PermittedDNSDomains, ca.cert.PermittedDNSDomainsCritical = nil, false
	nameless, err := sign(ca.cert, ca.cert, ca.key, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.write(AuthorityFile, 0o600, encodeCertificate(nameless.Raw)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, ServerFile)); err != nil {
		t.Fatal(err)
	}
	before := read(t, dir)
	for _, scope := range []Scope{loopback("attic"), lan("attic", nil)} {
		if _, _, err := ensure(dir, scope, c.now); !fault.Is(err, fault.Corrupt) || !strings.Contains(fault.Hint(err), "backup") {
			t.Errorf("%v; hint: %s", err, fault.Hint(err))
		}
	}
	if read(t, dir) != before {
		t.Error("the folder was changed")
	}
}

// read returns what is in a folder.
func read(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(e.Name() + "\n" + string(data))
	}
	return all.String()
}

func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ensure(filepath.Join(file, "tls"), loopback("attic"), time.Now); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), file) {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
}

// TestHandshake is a real one, with what Ensure says of this machine.
func TestHandshake(t *testing.T) {
	config, ca, err := Ensure(filepath.Join(t.TempDir(), "tls"), Loopback())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		here, there := net.Pipe()
		done := make(chan error)
		go func() { done <- tls.Server(there, config).Handshake() }()
		client := tls.Client(here, &tls.Config{RootCAs: roots, ServerName: name})
		if err := client.Handshake(); err != nil {
			t.Errorf("%s: client: %v", name, err)
			here.Close()
		}
		if err := <-done; err != nil {
			t.Errorf("%s: server: %v", name, err)
		}
		here.Close()
	}
}
