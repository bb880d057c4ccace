package operations_test

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/internal/testkit"
)

// TestProbePrintsThePinThatThenDecides: the error of a server that is not
// trusted has its pin, the config takes it, and the probe prints it again.
func TestProbePrintsThePinThatThenDecides(t *testing.T) {
	r := newRig(t)
	port := agenttest.POPTLS(t, "home", testkit.CA(t, "another.example.com").ServerConfig)
	home := agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port}
	home.Change("tls = \"none\"", "tls = \"implicit\"")
	r.Configure(agenttest.Plain, home)
	a := r.Open()
	probes, err := a.Operations().Probe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, pin, found := strings.Cut(probes[0].Hint, "set tls_pin = \"")
	pin, _, _ = strings.Cut(pin, "\"")
	if !found || probes[0].Pin != pin || probes[0].Error == "" {
		t.Fatalf("%+v", probes[0])
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	home.More = "tls_pin = \"" + pin + "\""
	r.Configure(agenttest.Plain, home)
	r.Start()
	r.Sync()
	if probes, err = r.Ops().Probe(t.Context(), []string{"home"}); err != nil {
		t.Fatal(err)
	}
	p := probes[0]
	if p.Error != "" || p.Pin != pin || !p.Pinned || p.Messages != 2 || p.Bytes == 0 || !strings.HasPrefix(p.TLS, "TLS 1.3, ") {
		t.Errorf("%+v", p)
	}
	if codes := r.Codes(); codes != "" {
		t.Errorf("health: %s", codes)
	}
}
