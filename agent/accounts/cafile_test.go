package accounts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// utf16 is ASCII as PowerShell writes it.
func utf16(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, b := range text {
		out = append(out, b, 0)
	}
	return out
}

func readPEM(t testing.TB, path string) (text, der []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return text, block.Bytes
}

func TestCAFile(t *testing.T) {
	ca := testkit.CA(t)
	one, oneDER := readPEM(t, ca.CAFile)
	two, twoDER := readPEM(t, ca.CertFile)
	keyPEM, keyDER := readPEM(t, ca.KeyFile)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs7 := slices.Concat([]byte{0x30, 0x82, 1, 0}, oidPKCS7, []byte{2, 0xa0})
	broken := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	for name, c := range map[string]struct {
		data []byte
		want int
		text string
	}{
		"PEM":                    {one, 1, ""},
		"PEM of Windows":         {bytes.ReplaceAll(one, []byte("\n"), []byte("\r\n")), 1, ""},
		"two":                    {slices.Concat(one, []byte("\n# the other \xe4\n"), two), 2, ""},
		"one of two is broken":   {slices.Concat(broken, two), 1, ""},
		"byte order mark":        {append([]byte("\ufeff"), one...), 1, ""},
		"UTF-16":                 {utf16(one), 1, ""},
		"DER":                    {oneDER, 1, ""},
		"two in DER":             {slices.Concat(oneDER, twoDER), 2, ""},
		"empty":                  {nil, 0, "holds no certificate"},
		"text":                   {[]byte("hello\n"), 0, "holds no certificate"},
		"broken":                 {broken, 0, "holds no certificate"},
		"DER, cut off":           {oneDER[:len(oneDER)-1], 0, "holds no certificate"},
		"key":                    {keyPEM, 0, "holds a private key"},
		"key beside certificate": {slices.Concat(one, keyPEM), 0, "holds a private key"},
		"key in DER":             {keyDER, 0, "holds a private key"},
		"EC key in DER":          {ecDER, 0, "holds a private key"},
		"PKCS 7 in DER":          {pkcs7, 0, "PKCS #7"},
		"PKCS 7 in PEM":          {pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: pkcs7}), 0, "PKCS #7"},
	} {
		path := filepath.Join(t.TempDir(), "ca")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		certs, err := ReadCAFile(path, "home")
		switch {
		case len(certs) != c.want:
			t.Errorf("%s: %d certificates, want %d; %v", name, len(certs), c.want, err)
		case c.text == "" && err != nil, c.text != "" && (!fault.Is(err, fault.Config) || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), "account home")):
			t.Errorf("%s: %v; hint: %s", name, err, fault.Hint(err))
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := ReadCAFile(path, "home"); !fault.Is(err, fault.Config) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.Chmod(ca.CAFile, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCAFile(ca.CAFile, "home"); runtime.GOOS != "windows" && (!fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "other users can change it")) {
		t.Errorf("writable by all: %v", err)
	}
}

func FuzzCAFile(f *testing.F) {
	ca := testkit.CA(f)
	for _, path := range []string{ca.CAFile, ca.KeyFile} {
		text, der := readPEM(f, path)
		f.Add(text)
		f.Add(der)
		f.Add(utf16(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, wrong, way := certificates(data)
		if (len(certs) == 0) != (wrong != "") || (wrong == "") != (way == "") {
			t.Errorf("%d certificates, %q, %q", len(certs), wrong, way)
		}
	})
}
