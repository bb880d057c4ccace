package config_test

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/config"
)

func TestAddOAuth(t *testing.T) {
	id := []config.Setting{config.Text("client_id", "a \"b\"")}
	const block = "[oauth.google]\nclient_id = \"a \\\"b\\\"\"\n"
	second := "[oauth.google-2]\nprovider  = \"google\"\nclient_id = \"a \\\"b\\\"\"\n"
	for text, want := range map[string]string{
		"":                                   "version = 1\n\n" + block,
		edited:                               edited + "\n" + block,
		"version = 1\r\n":                    strings.ReplaceAll("version = 1\n\n"+block, "\n", "\r\n"),
		"[oauth.google] # of Ann\n":          "[oauth.google] # of Ann\n\n" + second,
		"[oauth]\ngoogle.client_id = \"x\"":  "[oauth]\ngoogle.client_id = \"x\"\n\n" + second,
		"oauth.google.client_id = \"x\"\n":   "oauth.google.client_id = \"x\"\n\n" + second,
		"[oauth.google]\n[oauth.google-2]\n": "[oauth.google]\n[oauth.google-2]\n\n" + strings.Replace(second, "-2", "-3", 1),
	} {
		got, name, err := config.AddOAuth([]byte(text), "google", id)
		if err != nil || string(got) != want || !strings.Contains(want, "[oauth."+name+"]") {
			t.Errorf("%q: %s, %v\n%q\nwant:\n%q", text, name, err, got, want)
		}
	}
	for _, broken := range []string{"[oauth", "a = "} {
		if _, _, err := config.AddOAuth([]byte(broken), "google", id); err == nil {
			t.Errorf("%q is added to", broken)
		}
	}
	if _, _, err := config.AddOAuth(nil, "google", append(id, id...)); err == nil {
		t.Error("the same key twice")
	}
}
