package agent

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// TestProbePrintsThePinThatThenDecides: the error of a server that is not
// trusted has its pin, the config takes it, and the probe prints it again.
func TestProbePrintsThePinThatThenDecides(t *testing.T) {
	r := newRig(t)
	port := popTLS(t, "home", testkit.CA(t, "another.example.com").ServerConfig)
	home := testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	home.change("tls = \"none\"", "tls = \"implicit\"")
	r.configure(plain, home)
	a := r.open()
	probes, err := a.ops.Probe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, pin, found := strings.Cut(probes[0].Hint, "set tls_pin = \"")
	pin, _, _ = strings.Cut(pin, "\"")
	if !found || probes[0].Pin != "" || probes[0].Error == "" {
		t.Fatalf("%+v", probes[0])
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	home.more = "tls_pin = \"" + pin + "\""
	r.configure(plain, home)
	r.start()
	r.sync()
	if probes, err = r.agent.ops.Probe(t.Context(), []string{"home"}); err != nil {
		t.Fatal(err)
	}
	p := probes[0]
	if p.Error != "" || p.Pin != pin || !p.Pinned || p.Messages != 2 || p.Bytes == 0 || !strings.HasPrefix(p.TLS, "TLS 1.3, ") {
		t.Errorf("%+v", p)
	}
	if codes := r.codes(); codes != "" {
		t.Errorf("health: %s", codes)
	}
}
