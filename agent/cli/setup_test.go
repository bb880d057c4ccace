package cli

import (
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	for text, want := range map[string]string{
		"pop.example.com":               "pop.example.com:995 (TLS), pop.example.com:110 (STARTTLS)",
		" POP.example.com. ":            "pop.example.com:995 (TLS), pop.example.com:110 (STARTTLS)",
		"pop.example.com:1995":          "pop.example.com:1995 (TLS), pop.example.com:1995 (STARTTLS)",
		"pop.example.com:110":           "pop.example.com:110 (STARTTLS)",
		"pop.example.com:995":           "pop.example.com:995 (TLS)",
		"pop.example.com starttls":      "pop.example.com:110 (STARTTLS)",
		"pop.example.com:1110 STARTTLS": "pop.example.com:1110 (STARTTLS)",
		"pop.example.com:1995 ssl/tls":  "pop.example.com:1995 (TLS)",
		"192.0.2.1 none":                "192.0.2.1:110 (not encrypted)",
		"[2001:db8::1]:995":             "[2001:db8::1]:995 (TLS)",
		"müller.example":                "xn--mller-kva.example:995 (TLS), xn--mller-kva.example:110 (STARTTLS)",
		"pop.example.com:0":             `"0" is not a port (1 to 65535)`,
		"pop.example.com:pop3":          `"pop3" is not a port (1 to 65535)`,
		"pop.example.com with tls":      `"with tls" is no way to protect a connection: tls, starttls or none`,
		"ann@example.com":               `"ann@example.com" is a mail address, not a server`,
		"https://pop.example.com":       `"https://pop.example.com" is a URL`,
		"pop..example.com":              `"pop..example.com" is not the name of a server`,
	} {
		list, err := parseServer(text)
		var words []string
		for _, s := range list {
			words = append(words, s.String())
		}
		if err != nil {
			words = []string{err.Error()}
		}
		if got := strings.Join(words, ", "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
