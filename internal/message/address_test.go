package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddresses(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []Address
	}{
		{"", nil},
		{"a@b", []Address{{"", "a", "b"}}},
		{"Ann Field <ann@example.org>", []Address{{"Ann Field", "ann", "example.org"}}},
		{`"Field, Ann" <ann@example.org>, bob@example.org`, []Address{{"Field, Ann", "ann", "example.org"}, {"", "bob", "example.org"}}},
		{"ann@example.org (Ann Field)", []Address{{"Ann Field", "ann", "example.org"}}},
		{"Ann (the one (and only)) Field <ann@example.org>", []Address{{"Ann Field", "ann", "example.org"}}},
		{`"a \"b\" c" <d@e>`, []Address{{`a "b" c`, "d", "e"}}},
		{"J. R. Hacker <j@r>", []Address{{"J. R. Hacker", "j", "r"}}},
		{`"a b"@c, <"x@y"@z>`, []Address{{"", "a b", "c"}, {"", "x@y", "z"}}},
		{"a@[127.0.0.1], <b@[IPv6:::1]>", []Address{{"", "a", "[127.0.0.1]"}, {"", "b", "[IPv6:::1]"}}},
		{"=?utf-8?q?J=C3=BCrgen?= =?utf-8?q?_M?= <j@m>", []Address{{"Jürgen M", "j", "m"}}},
		{`"=?utf-8?q?J=C3=BCrgen?=" <j@m>`, []Address{{"Jürgen", "j", "m"}}},
		{"=?utf-8?q?Meyer,_J?= <j@m>", []Address{{"Meyer, J", "j", "m"}}},
		{"=?utf-8?q?Meyer, J (x)?= <j@m>", []Address{{"Meyer, J (x)", "j", "m"}}},
		// groups
		{"undisclosed-recipients:;", []Address{{"", "undisclosed-recipients", ""}, {}}},
		{"The team: a@b, \"C\" <c@d>;, e@f", []Address{{"", "The team", ""}, {"", "a", "b"}, {"C", "c", "d"}, {}, {"", "e", "f"}}},
		{"g: a@b", []Address{{"", "g", ""}, {"", "a", "b"}, {}}},
		{":;", []Address{{"", "group", ""}, {}}},
		// RFC 5322 section 4.4
		{"<@x,@y:a@b>", []Address{{"", "a", "b"}}},
		{"a . b @ c . d", []Address{{"", "a.b", "c.d"}}},
		{", a@b,, c@d,", []Address{{"", "a", "b"}, {"", "c", "d"}}},
		{"jdoe@machine(comment).  example", []Address{{"comment", "jdoe", "machine.example"}}},
		// broken
		{"a@b; c@d", []Address{{"", "a", "b"}, {"", "c", "d"}}},
		{"ann", []Address{{"", "ann", missingDomain}}},
		{"Ann Field", []Address{{"Ann Field", missingMailbox, missingDomain}}},
		{`"Ann Field"`, []Address{{"Ann Field", missingMailbox, missingDomain}}},
		{"<>", []Address{{"", missingMailbox, missingDomain}}},
		{"MAILER-DAEMON <>", []Address{{"MAILER-DAEMON", missingMailbox, missingDomain}}},
		{"a@", []Address{{"", "a", missingDomain}}},
		{"@b", []Address{{"", missingMailbox, "b"}}},
		{"Ann <a@b, Bob <c@d>", []Address{{"Ann", "a", "b"}, {"Bob", "c", "d"}}},
		{"Ann <a@b", []Address{{"Ann", "a", "b"}}},
		{"Ann ann@b", []Address{{"Ann", "ann", "b"}}},
		{"a@b c", []Address{{"", "a", "b"}}},
		{"a@b@c", []Address{{"", "a@b", "c"}}},
		{"x@y <a@b>", []Address{{"x@y", "a", "b"}}},
		{`"unterminated <a@b>`, []Address{{"unterminated <a@b>", missingMailbox, missingDomain}}},
		{"(unterminated", nil},
		{"=?utf-8?b?****?= <a@b>", []Address{{"=?utf-8?b?****?=", "a", "b"}}},
	} {
		got := parseAddresses(c.in, maxAddresses)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
	}
}

func TestAddressesAreLimited(t *testing.T) {
	list := parseAddresses(strings.Repeat("a@b,", 100), 10)
	if len(list) != 10 {
		t.Errorf("%d addresses", len(list))
	}
}

// Beginnings without an end must not make each of them search for it.
func TestAddressesAreLinear(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"[", "(", "\"", "<", "<@", "<@,", "@", ":", "\"a\"", "a b ", "a:", "<a", "=?a?q?", "(a)", "\\", "[a"} {
		parseAddresses(strings.Repeat(piece, maxHeader/len(piece)), maxAddresses)
	}
}
