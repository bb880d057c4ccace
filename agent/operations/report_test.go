package operations_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/logging"
)

// files are those of a report.
func files(t *testing.T, r operations.Report) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(r.Zip), int64(len(r.Zip)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var names []string
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name] = string(data)
		names = append(names, f.Name)
	}
	if diff := cmp.Diff(r.Files, names); diff != "" {
		t.Error(diff)
	}
	return all
}

// secretiveRig is a running agent in which all that is personal can be recognised, and
// these texts; the log is in the ring.
func secretiveRig(t *testing.T) (*agenttest.Rig, *logging.Ring, []string) {
	t.Helper()
	ring := logging.NewRing()
	r := agenttest.New(t, func(ctx context.Context, cfg *config.Config, setLevel func(string), ready func([]string)) (agenttest.Agent, error) {
		log, _ := logging.NewAdjustable(io.Discard, "trace", "json", ring)
		return agent.Open(ctx, cfg, agent.Options{Log: log, Records: ring, SetLevel: setLevel, Ready: ready})
	})
	const username = "annemarie.muster@privat.example"
	srv, port := agenttest.POP(t, username, 0)
	for i := range 3 {
		srv.Add(fmt.Appendf(nil, "From: Rechtsanwalt <kanzlei@streng.example>\r\nTo: %s\r\nSubject: Scheidung %d\r\nMessage-Id: <geheim%d@streng.example>\r\n\r\nVertraulich: Kontonummer 4711\r\n", username, i, i))
	}
	a := agenttest.Account{Name: "Zuhause", User: "annemarie", Folder: "Familie/Prozess", Port: port, More: "# PIN hunter2"}
	a.Change(`username = "Zuhause"`, `username = "`+username+`"`)
	down := agenttest.Account{Name: "Buero", User: "annemarie", Folder: "INBOX", Port: 1, More: `ca_file = "geheimnis.pem"`}
	signed := agenttest.Account{Name: "Verein", User: "annemarie", Folder: "INBOX", Port: 1, More: "auth = \"oauth2\"\noauth = \"Vormund\"\n" +
		"[oauth.Vormund]\nprovider = \"google\"\nclient_id = \"kundennummer\""}
	signed.Change(`password_file = "password"`, "")
	down.Change(`host = "127.0.0.1"`, `host = "mail.firma.invalid"`)
	down.Change(`tls = "none"`, `tls = "implicit"`)
	down.Change(`password_file = "password"`, `password_command = ["echo", "hunter2"]`)
	r.Configure(agenttest.Plain, a, down, signed)
	if err := os.WriteFile(filepath.Join(r.Dir, "geheimnis.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return r, ring, []string{"Vormals", "annemarie", "muster", "privat.example", "Rechtsanwalt", "kanzlei", "streng", "Scheidung", "geheim", "Vertraulich", "4711",
		"Zuhause", "Verein", "Vormund", "kundennummer", "Familie", "Prozess", "Buero", "firma", "hunter2", "Handy", agenttest.POPPassword, agenttest.DevicePassword, filepath.Base(r.Dir)}
}

// No secret, name, address, subject or text of a message is in any file of a report.
func TestReportHasNothingPersonal(t *testing.T) {
	r, ring, personal := secretiveRig(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	r.Sync("Zuhause")
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Path(), bytes.Replace(text, []byte("# PIN"), []byte("keep_on_server = \"newest 1\" # PIN"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Agent = r.Open()
	r.Sync("Zuhause")
	gone := logging.New(ring, "info", "json") // of an account that the config has no more
	gone.Warn().Str("source", "account Vormals").Str("text", "account Vormals: it was refused").Msg("health condition raised")
	if results, err := r.Ops().Sync(t.Context(), []string{"Buero"}, nil); err != nil || results[0].Error == "" {
		t.Fatalf("%+v, %v", results, err)
	}
	if _, err := r.Ops().AddDevice(t.Context(), operations.AddDevice{User: "annemarie", Name: "Annemaries Handy", Password: agenttest.DevicePassword}); err != nil {
		t.Fatal(err)
	}
	s := r.Status()
	if s.Accounts[0].DeletionsTotal != 2 || s.Accounts[0].Deletions[0].Subject == "" {
		t.Fatalf("no deletions wait that a report could tell of: %+v", s.Accounts[0])
	}
	report, err := r.Ops().Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := files(t, report)
	for name, text := range all {
		for _, word := range personal {
			if i := strings.Index(strings.ToLower(text), strings.ToLower(word)); i >= 0 {
				t.Errorf("%s has %q: ...%s...", name, word, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
	for name, want := range map[string][]string{
		"README.txt":   {"config.txt"},
		"version.json": {`"go": "go`, `"sqlite": "3.`},
		"config.txt":   {"account[1].name = account-1\n", "account[1].host = 127.0.0.1\n", "account[2].host = host-1\n", "account[1].username = username-1\n", "account[1].keep_on_server = newest 1\n", "password_command = (set)\n", "ca_file = (set)\n"},
		"status.json":  {`"name": "account-1"`, `"deletions_total": 2`, `"user": "user-1"`},
		"health.json":  {`"code": "account-`, `"source": "account account-2"`},
		"stores.json":  {`"messages": 3`, `"user": "user-1"`, `"devices": 1`},
		"log.jsonl":    {`"message":"poll done"`, `"account":"account-1"`, `"message":"pop3 command"`},
	} {
		for _, part := range want {
			if !strings.Contains(all[name], part) {
				t.Errorf("%s has no %q:\n%s", name, part, all[name])
			}
		}
	}
}

// A config with mistakes is told of without what is at the wrong place.
func TestReportOfABrokenConfig(t *testing.T) {
	r, _, _ := secretiveRig(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	for text, want := range map[string]string{
		"version = 1\nhunter2 = 1\n[log]\nlevel = \"hunter2\"\n[[account]]\nname = \"neu\"\nhost = \"hunter2 x\"\nusername = \"u\"\npasswort = \"hunter2\"\n": "log.level = (not valid)\n",
		"version = 1\npassword = hunter2\n":   "# line 2, ",
		"version = 1\ntimezone = \"hunter2\n": "# line 2, ",
	} {
		if err := os.WriteFile(r.Path(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := r.Ops().Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, file := range files(t, report) {
			if strings.Contains(file, "hunter2") || name == "config.txt" && !strings.Contains(file, want) {
				t.Errorf("%s:\n%s", name, file)
			}
		}
	}
}
