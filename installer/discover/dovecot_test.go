package discover

import (
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A real server is found by its usual name, with TLS from the start and by STLS.
func TestDovecotIsFound(t *testing.T) {
	rig.Need(t, "dovecot")
	ca := testkit.CA(t, "pop.example.com")
	server, err := rig.StartDovecot(t.Context(), ca.CertFile, ca.KeyFile, "auth_mechanisms = plain login cram-md5")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for port, real := range map[int]int{995: server.POP3S, 110: server.POP3} {
		w := newWorld(t)
		w.host("pop.example.com", "192.0.2.1")
		w.at("192.0.2.1", port, "127.0.0.1:"+strconv.Itoa(real))
		pem, err := os.ReadFile(ca.CAFile)
		if err != nil || !w.roots.AppendCertsFromPEM(pem) {
			t.Fatal(err)
		}
		found, err := Discover(t.Context(), "ann@example.com", w.options())
		if err != nil || found.POP.Host != "pop.example.com" || found.POP.Port != port || !slices.Contains(found.POP.Auth, Password) || !slices.Contains(found.POP.Auth, Encrypted) {
			t.Errorf("port %d: %+v, %v", port, found, err)
		}
	}
}
