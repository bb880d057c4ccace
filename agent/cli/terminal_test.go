package cli

import (
	"bytes"
	"testing"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/terminal"
)

// TestNoVerbSendsEscapesToTheTerminal: what servers, certificates, senders and
// clients call things is made visible, on stdout and stderr, as text and as JSON.
func TestNoVerbSendsEscapesToTheTerminal(t *testing.T) {
	const evil = "\x1b]0;owned\a\u009b31m\u202etxt\u2066\r\x9b"
	var out, errs bytes.Buffer
	a := newApp(nil, &out, &errs)
	a.printProbe(operations.Probe{Account: "home", TLS: evil, Pin: evil, Certificate: evil, Capabilities: evil, Warnings: []string{evil}})
	if err := a.printJSON(map[string]string{evil: evil}); err != nil {
		t.Fatal(err)
	}
	if code := a.exit(fault.New(fault.Temporary, evil, evil)); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	var tab table
	tab.row(evil, "b")
	if err := tab.print(a.stdout); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{out.String(), errs.String()} {
		if text == "" {
			t.Error("nothing was printed")
		}
		for _, r := range text {
			if !terminal.Safe(r) {
				t.Errorf("%U in %q", r, text)
			}
		}
	}
}
