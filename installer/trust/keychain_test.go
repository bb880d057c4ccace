package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// security answers as security(1) does, from what was put into it.
type security struct {
	t     *testing.T
	certs []*x509.Certificate // in the keychain
	trust map[string]bool     // by SHA-1
	asked []string
}

func (k *security) run(_ context.Context, _ []byte, argv ...string) ([]byte, error) {
	k.asked = append(k.asked, strings.Join(argv[1:len(argv)-1], " "))
	no := func(said string) ([]byte, error) { return nil, &failed{"security", said, errors.New("exit status 44")} }
	switch argv[1] {
	case "find-certificate":
		var out []byte
		for _, c := range k.certs {
			out = append(out, encode(c)...)
		}
		if out == nil {
			return no("security: SecKeychainSearchCopyNext: The specified item could not be found in the keychain.")
		}
		return out, nil
	case "trust-settings-export":
		if len(k.trust) == 0 {
			return no("SecTrustSettingsCreateExternalRepresentation: No Trust Settings were found.")
		}
		text := "<dict><key>trustList</key><dict>"
		for sum := range k.trust {
			text += fmt.Sprintf("<key>%s</key><dict></dict>", sum)
		}
		return nil, os.WriteFile(argv[2], []byte(text+"</dict></dict>"), 0o600)
	case "add-trusted-cert":
		c, err := Read(argv[len(argv)-1])
		if err != nil {
			k.t.Error(err)
			return nil, err
		}
		k.trust[sha1Of(c)] = true
		if !slices.ContainsFunc(k.certs, c.Equal) {
			k.certs = append(k.certs, c)
		}
	case "delete-certificate":
		delete(k.trust, argv[4])
		k.certs = slices.DeleteFunc(k.certs, func(c *x509.Certificate) bool { return sha1Of(c) == argv[4] })
	}
	return nil, nil
}

func TestTheLoginKeychain(t *testing.T) {
	k := &security{t: t, trust: map[string]bool{}}
	h := host{goos: "darwin", home: "/Users/ann", run: k.run}
	s := h.native()[0]
	keepsTheContract(t, s)
	ca := authority(t, newKey(t))
	k.certs = append(k.certs, ca)
	state(t, s, ca, NotTrusted, 0) // it is there, and no more
	k.asked = nil
	install(t, s, ca, true)
	if want := "add-trusted-cert -r trustRoot -p ssl -k " + s.Path; k.asked[len(k.asked)-1] != want {
		t.Errorf("asked %q, want %s at the end", k.asked, want)
	}
	h.run = func(context.Context, []byte, ...string) ([]byte, error) {
		return nil, &failed{"security", "User interaction is not allowed.", errors.New("exit status 1")}
	}
	if got, _, err := h.native()[0].State(t.Context(), ca); got != Unknown || !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
		t.Errorf("%s, %v", got, err)
	}
}
