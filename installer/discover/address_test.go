package discover

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestParseAddress(t *testing.T) {
	tests := []struct{ in, local, domain, text string }{
		{"ann@example.com", "ann", "example.com", "ann@example.com"},
		{"  ann@Example.COM \n", "ann", "example.com", "ann@example.com"},
		{"Ann.Smith+x@EXAMPLE.com.", "Ann.Smith+x", "example.com", "Ann.Smith+x@example.com"},
		{"ann@müller.de", "ann", "xn--mller-kva.de", "ann@xn--mller-kva.de"},
		{"ann@MÜLLER.de", "ann", "xn--mller-kva.de", "ann@xn--mller-kva.de"},
		{"ann@xn--mller-kva.de", "ann", "xn--mller-kva.de", "ann@xn--mller-kva.de"},
		{"jürgen@例え.jp", "jürgen", "xn--r8jz45g.jp", "jürgen@xn--r8jz45g.jp"},
		{`"ann smith"@example.com`, "ann smith", "example.com", `"ann smith"@example.com`},
		{`"a@b\"c"@example.com`, `a@b"c`, "example.com", `"a@b\"c"@example.com`},
		{"o'neil/x=y@a.b-c.museum", "o'neil/x=y", "a.b-c.museum", "o'neil/x=y@a.b-c.museum"},
	}
	for _, tt := range tests {
		a, err := ParseAddress(tt.in)
		if err != nil || a.Local != tt.local || a.Domain != tt.domain || a.String() != tt.text {
			t.Errorf("%q: %+v, %v", tt.in, a, err)
		}
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "there is no mail address",
		"ann":                              "there is no @ in it",
		"@example.com":                     "nothing stands before the @",
		"ann@":                             "nothing stands after the @",
		"ann@ example.com":                 "a space stands after the @",
		"ann smith@example.com":            "stands before the @",
		"ann@bob@example.com":              "stands before the @",
		"Ann <ann@example.com>":            "it has < or > in it",
		"ann@[192.0.2.1]":                  "an address of a machine",
		"ann@192.0.2.1":                    "is not a domain",
		"ann@127.1":                        "is not a domain",
		"ann@localhost":                    "is not a domain",
		"ann@exa_mple.com":                 "is not a domain",
		"ann@-a.com":                       "is not a domain",
		"ann@\xff.a":                       "is not a domain", // is mapped to a name that is none
		"ann@a..com":                       "is not a domain",
		"ann@example.com/x":                "is not a domain",
		"a\x00nn@example.com":              "it has the character",
		"a\x1b[31m@example.com":            "it has the character",
		"a\xff@example.com":                "it has the character",
		".ann@example.com":                 "a dot stands at the wrong place",
		"a..b@example.com":                 "a dot stands at the wrong place",
		`"ann@example.com`:                 "the quotes before the @",
		`"a"b"@example.com`:                "the quotes before the @",
		`""@example.com`:                   "the quotes before the @",
		`"a\"@example.com`:                 "the quotes before the @",
		strings.Repeat("a", 65) + "@b.com": "longer than 64 bytes",
		"ann@" + strings.Repeat("a", 64) + ".com":   "is not a domain",
		"ann@" + strings.Repeat("a.", 4000) + "com": "is not a domain",
	} {
		_, err := ParseAddress(in)
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Config || fault.Hint(err) == "" {
			t.Errorf("%.50q: %v", in, err)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\x00\x1b") || !utf8.ValidString(err.Error()) || len(err.Error()) > 400) {
			t.Errorf("%.50q: unsafe or long text: %q", in, err)
		}
	}
}
