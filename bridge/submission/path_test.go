package submission

import (
	"fmt"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for _, tt := range []struct{ in, address, params string }{
		{"FROM:<a@b>", "a@b", "[]"},
		{"from: <a@b>  X=1  Y", "a@b", "[X=1 Y]"},
		{"FROM:\t< a@b >", "a@b", "[]"},
		{"FROM:a@b SIZE=1", "a@b", "[SIZE=1]"},
		{"FROM:", "", "[]"},
		{"FROM:<> X", "", "[X]"},
		{`FROM:<"a b"@c> X`, `"a b"@c`, "[X]"},
		{`FROM:<"a>b"@c>`, `"a>b"@c`, "[]"},
		{`FROM:<"a\"> b"@c>`, `"a\"> b"@c`, "[]"},
		{`FROM:"a b"@c X`, `"a b"@c`, "[X]"},
		{"FROM:<@x,@y:a@b>", "a@b", "[]"},
		{"FROM:<a@b", "invalid", ""},
		{"FROM:<a@b>X", "invalid", ""},
		{`FROM:<"a@b>`, "invalid", ""},
		{`FROM:"a@b`, "invalid", ""},
		{"FROM", "invalid", ""},
		{"FROM <a@b>", "invalid", ""},
	} {
		address, params, valid := argument(tt.in, "FROM:")
		if !valid {
			address = "invalid"
		} else if got := fmt.Sprint(params); got != tt.params {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.params)
		}
		if address != tt.address {
			t.Errorf("%s: %s, want %s", tt.in, address, tt.address)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, good := range []string{
		"a@b", "a.b+c@d.example", "a..b.@d.example", "=?{}|~@x", `"a b"@x`, `"a@b\"\\>"@x`, `""@x`, "a@[127.0.0.1]", "a@[IPv6:::1]", "a@under_score.example", "ä@ö.example",
		strings.Repeat("a", 200) + "@b.example", "a@xn--4ca.example",
	} {
		if !isAddress(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{
		"", "a", "@", "a@", "@b", "a b@c", "a@b c", "a@b.", "a@.b", "a@b..c", "a@-b", "<a@b>", "a@b>", "a@b<", "a,b@c", "a@b,c@d", `"a@b`, `a"b@c`, `"a"b@c`, `"a\"@c`, `"@c`, "a@[", "a@[]", "a@[a b]", "a@[1]2", "a@[[1]]",
		"a\n@b", "a\x00@b", "a@b\r", "\"a\nb\"@c", "a\x7f@b", "a\xff@b", "a@b\u0085", "a:b@c", "a;b@c", "(x)a@b", "a@b@c", "a@[ä]", strings.Repeat("a", maxAddress) + "@b",
	} {
		if isAddress(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}
