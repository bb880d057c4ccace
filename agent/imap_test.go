package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/localtls"
)

const secured = "data_dir = \"data\"\n[web]\nlisten = \"off\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\ntls = \"starttls\"\n"

// TestLocalTLSErrorsStopIMAPOnly: mail is fetched all the same, and mail clients
// get in as soon as the certificate is right.
func TestLocalTLSErrorsStopIMAPOnly(t *testing.T) {
	for _, tt := range []struct {
		name       string
		ruin, heal func(dir string) error
	}{
		{"the authority's key is missing",
			func(dir string) error { return os.Rename(filepath.Join(dir, "ca-key.pem"), filepath.Join(dir, "away")) },
			func(dir string) error { return os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "ca-key.pem")) }},
		{"the server's certificate is damaged",
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "server.pem"), []byte("x"), 0o600) },
			func(dir string) error { return os.Remove(filepath.Join(dir, "server.pem")) }},
		{"the folder is a file",
			func(dir string) error { return replaceBy(dir, func() error { return os.WriteFile(dir, nil, 0o600) }) },
			func(dir string) error { return os.Remove(dir) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			_, port := agenttest.POP(t, "home", 3)
			r.Configure(secured, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port})
			dir := filepath.Join(r.Dir, "data", "tls")
			if _, _, err := localtls.Ensure(dir, localtls.Loopback()); err != nil {
				t.Fatal(err)
			}
			if err := tt.ruin(dir); err != nil {
				t.Fatal(err)
			}
			r.Start()
			if got := r.Sync()[0].Stored; got != 3 {
				t.Errorf("%d messages were stored", got)
			}
			if s := r.Status(); len(s.Health) != 1 || s.Health[0].Code != health.CodeLocalTLS || s.Health[0].Hint == "" || len(s.Listen) != 0 {
				t.Errorf("listening on %v, health: %+v", s.Listen, s.Health)
			}
			if err := tt.heal(dir); err != nil {
				t.Fatal(err)
			}
			agenttest.Eventually(t, "the IMAP server listens", func() bool { return len(r.Status().Listen) == 1 })
			if codes := r.Codes(); codes != "" {
				t.Errorf("health: %s", codes)
			}
		})
	}
}

func replaceBy(dir string, with func() error) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return with()
}

// TestAnAddressThatIsMissingStopsNothing: as "[::1]" on a machine without IPv6,
// or a name that is not found yet while the machine starts.
func TestAnAddressThatIsMissingStopsNothing(t *testing.T) {
	r := newRig(t)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	cfg := *r.Load()
	cfg.IMAP.Listen = []string{"192.0.2.1:1143", "127.0.0.1:0"} // RFC 5737: of no machine
	a, err := Open(t.Context(), &cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	servers, err := a.openServers(context.Background(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer closeServers(servers)
	if servers["127.0.0.1:0"].listener == nil || servers["192.0.2.1:1143"].listener != nil {
		t.Error("the address that is there is not served")
	}
	if list := a.health.List(); len(list) != 1 || list[0].Code != health.CodeIMAPFailed {
		t.Errorf("health: %+v", list)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
