package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/internal/testkit"
)

// What a person may meet on the way to a server: each is a condition of its
// own, with what to do, and is over once the cause is gone.
func TestConditionsOfAnAccount(t *testing.T) {
	r := newRig(t)
	ca := testkit.CA(t)
	_, port := agenttest.POP(t, "home", 2)
	tlsPort := agenttest.POPTLS(t, "home", ca.ServerConfig)
	wrong := filepath.Join(r.Dir, "wrong")
	if err := os.WriteFile(wrong, []byte("guess"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port}
	r.Configure(agenttest.Plain, good)
	r.Start()

	tests := []struct {
		code   string
		change func(a *agenttest.Account)
	}{
		{"account-auth", func(a *agenttest.Account) { a.Change("password_file = \"password\"", "password_file = \"wrong\"") }},
		{"account-config", func(a *agenttest.Account) { a.Change("password_file = \"password\"", "password_file = \"missing\"") }},
		{"account-unreachable", func(a *agenttest.Account) { a.Port = 1 }},
		{"account-unreachable", func(a *agenttest.Account) { a.Change("127.0.0.1", "pop.popbridge.invalid") }},
		{"account-tls", func(a *agenttest.Account) { a.Port = tlsPort; a.Change("tls = \"none\"", "tls = \"implicit\"") }},
		{"account-tls", func(a *agenttest.Account) { a.Change("tls = \"none\"", "tls = \"implicit\"") }}, // speaks no TLS
		{"", func(a *agenttest.Account) {
			a.Port = tlsPort
			a.Change("tls = \"none\"", "tls = \"implicit\"\nca_file = '"+ca.CAFile+"'")
		}},
	}
	for _, tt := range tests {
		bad := good
		tt.change(&bad)
		r.Configure(agenttest.Plain, bad)
		r.Agent.Reload()
		results, err := r.Ops().Sync(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		health := r.Status().Health
		if tt.code == "" {
			if results[0].Error != "" || len(health) > 0 {
				t.Errorf("a trusted server: %+v, %+v", results, health)
			}
			continue
		}
		if len(health) != 1 || health[0].Code != tt.code || health[0].Hint == "" || !strings.Contains(health[0].Text, "home") {
			t.Errorf("want %s, have %+v", tt.code, health)
		}
		if results[0].Error == "" || results[0].Hint == "" {
			t.Errorf("%s: sync said %+v", tt.code, results[0])
		}
	}
	r.Configure(agenttest.Plain, good)
	r.Agent.Reload()
	r.Sync()
	if got := r.Codes(); got != "" {
		t.Errorf("all is well again, but health is %q", got)
	}
}
