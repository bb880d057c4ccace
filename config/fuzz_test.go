package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/popbridge/popbridge/internal/oauth"
)

// FuzzLoad gives Load any bytes: there are problems, each of which can be shown
// on a line of its own, or a configuration that says the same when its values
// are written out and read again.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(Example))
	f.Add([]byte(everything))
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range ar.Files {
			if file.Name != "want" {
				f.Add(file.Data)
			}
		}
	}
	here := ann("LocalAppData=" + abs("/home/ann")) // its defaults are absolute on the system the test runs on
	here.goos, here.home = runtime.GOOS, abs("/home/ann")
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := here.parse("config.toml", data)
		if err != nil {
			checkErrors(t, data, err)
			return
		}
		cfg.DataDirNamed = true // as in the text
		text := render(t, cfg)
		again, err := here.parse("config.toml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(cfg, again, cmpopts.IgnoreUnexported(Config{}), cmpopts.IgnoreFields(oauth.Endpoints{}, "Issuer"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s\n(-first +again)\n%s", text, diff)
		}
	})
}

func checkErrors(t *testing.T, data []byte, err error) {
	e, ok := errors.AsType[*Errors](err)
	if !ok || len(e.Problems) == 0 {
		t.Fatalf("not Errors: %v", err)
	}
	if got := strings.Count(e.Error(), "\n"); got != len(e.Problems)-1 {
		t.Errorf("%d problems on %d lines: %q", len(e.Problems), got+1, e.Error())
	}
	last := 0
	for _, p := range e.Problems {
		if p.Line < last || p.Line > 1+strings.Count(string(data), "\n") || p.Text == "" {
			t.Errorf("problem %+v after line %d", p, last)
		}
		last = p.Line
	}
}

func pins(list []Pin) (texts []string) {
	for _, p := range list {
		texts = append(texts, fmt.Sprintf("sha256:%x", p))
	}
	return texts
}

func renderOAuth(o OAuth) map[string]any {
	e := o.Endpoints
	m := map[string]any{"client_id": o.ClientID, "pkce": e.PKCE}
	for key, value := range map[string]string{"provider": o.Provider, "client_secret_file": o.SecretFile, "authorize_url": e.Authorize,
		"token_url": e.Token, "device_url": e.Device, "redirect": e.Redirect, "resource": e.Resource} {
		if value != "" {
			m[key] = value
		}
	}
	if e.Other == nil && slices.Equal(e.POP, e.SMTP) {
		m["scopes"] = append([]string{}, e.POP...)
	}
	return m
}

// render writes every value of a configuration.
func render(t *testing.T, c *Config) []byte {
	var accounts []map[string]any
	for _, a := range c.Accounts {
		m := map[string]any{
			"name": a.Name, "host": a.Host, "port": a.Port, "tls": a.TLS, "username": a.Username, "auth": a.Auth,
			"poll_every": a.PollEvery.String(), "keep_on_server": a.Keep.String(), "user": a.User, "folder": a.Folder,
			"max_message_size": fmt.Sprintf("%dB", a.MaxMessageSize),
			"confirm_deletes":  a.ConfirmDeletes, "shadow": a.Shadow, "paused": a.Paused, "delete_grace": a.DeleteGrace.String(),
		}
		if a.DeleteExpunged {
			m["delete_on_server"] = "when expunged"
		}
		if a.Quota > 0 {
			m["quota"] = fmt.Sprintf("%dB", a.Quota)
		}
		if a.TLS != None {
			m["tls_minimum"] = a.TLSMinimum
		}
		if len(a.Pins) > 0 {
			m["tls_pin"] = pins(a.Pins)
		}
		if a.CAFile != "" {
			m["ca_file"] = a.CAFile
		}
		if a.Password.File != "" {
			m["password_file"] = a.Password.File
		}
		if len(a.Password.Command) > 0 {
			m["password_command"] = a.Password.Command
		}
		if len(a.Addresses) > 0 {
			m["address"], m["addresses"] = a.Addresses[0], a.Addresses
		}
		send := map[string]any{}
		if s := a.Send; s.Host != "" {
			send["host"], send["port"], send["tls"] = s.Host, s.Port, s.TLS
		}
		if a.Send.Username != "" {
			send["username"] = a.Send.Username
		}
		if a.Send.Password.File != "" {
			send["password_file"] = a.Send.Password.File
		}
		if len(a.Send.Password.Command) > 0 {
			send["password_command"] = a.Send.Password.Command
		}
		if len(a.Send.Pins) > 0 {
			send["tls_pin"] = pins(a.Send.Pins)
		}
		send["auth"] = a.Send.Auth
		if a.SignsInToFetch() {
			m["oauth"] = a.OAuth.Name
		} else if a.SignsInToSend() {
			send["oauth"] = a.OAuth.Name
		}
		m["send"] = send
		accounts = append(accounts, m)
	}
	web := c.Web.Listen
	if web == "" {
		web = "off"
	}
	head := map[string]any{
		"version": c.Version, "data_dir": c.DataDir, "keep_expunged": c.KeepExpunged.String(), "notices": c.Notices, "account": accounts,
		"imap": map[string]any{"listen": c.IMAP.Listen, "tls": c.IMAP.TLS},
		"smtp": map[string]any{"listen": append([]string{}, c.SMTP.Listen...), "tls": c.SMTP.TLS, "send_delay": c.SMTP.SendDelay.String(), "mark_answered": c.SMTP.MarkAnswered},
		"web":  map[string]any{"listen": web},
		"lan":  map[string]any{"enabled": c.LAN.Enabled, "smtp_port": c.LAN.SMTPPort, "listen": append([]string{}, c.LAN.Listen...)},
		"log":  map[string]any{"level": c.Log.Level, "format": c.Log.Format},
	}
	if c.TimeZone != "" {
		head["timezone"] = c.TimeZone
	}
	tables := map[string]any{}
	for _, o := range c.OAuth {
		tables[o.Name] = renderOAuth(o)
	}
	head["oauth"] = tables
	text, err := toml.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
