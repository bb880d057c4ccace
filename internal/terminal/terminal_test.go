package terminal_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/terminal"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain\tand\nlines":         "plain\tand\nlines",
		"Grüße 日本 👍":                "Grüße 日本 👍",
		"\x1b]0;title\a":            `\x1b]0;title\x07`,
		"over\rwritten\b":           `over\x0dwritten\x08`,
		"\u009b31m":                 `\x9b31m`,
		"\x9b31m":                   `\x9b31m`,
		"\u202etxt.exe\u2066\u061c": `\u202etxt.exe\u2066\u061c`,
		"\u200e\u200f\x7f":          `\u200e\u200f\x7f`,
	} {
		if got := terminal.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// JSON says the same before and after.
func TestJSONStaysTheSame(t *testing.T) {
	in := map[string]string{"subject": "\x1b[31m \u009b \u202e \u2066 \x7f Grüße"}
	var out bytes.Buffer
	if err := json.NewEncoder(terminal.JSONWriter(&out)).Encode(in); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["subject"] != in["subject"] {
		t.Errorf("%q, %v", back, err)
	}
	unsafe(t, out.String())
}

func unsafe(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if !terminal.Safe(r) {
			t.Errorf("%q has %U", text, r)
		}
	}
	if !utf8.ValidString(text) {
		t.Errorf("%q is not UTF-8", text)
	}
}

// However text is cut into writes, nothing unsafe comes out, and safe text as it
// went in.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("Grüße \x1b[0m\u202e"), 3)
	f.Add([]byte("\xe2\x80\xae\xe2\x80"), 1)
	f.Add([]byte("\xf0\x9f\x91\x8d\x9b"), 2)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		cut = max(1, cut)
		var out strings.Builder
		w := terminal.Writer(&out)
		for rest := text; len(rest) > 0; {
			n := min(cut, len(rest))
			if m, err := w.Write(rest[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		unsafe(t, out.String())
		if whole := terminal.Text(string(text)); !strings.HasPrefix(whole, out.String()) {
			t.Errorf("in pieces %q, whole %q", out.String(), whole)
		}
		if bytes.IndexFunc(text, func(r rune) bool { return !terminal.Safe(r) || r == utf8.RuneError }) < 0 && out.String() != string(text) {
			t.Errorf("%q became %q", text, out.String())
		}
	})
}
