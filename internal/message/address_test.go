package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddresses(t *testing.T) {
	for _, c := range []struct {
		in   string
		ok   bool
		want []Address
	}{
		{"", true, nil},
		{"a@b", true, []Address{{"", "a", "b"}}},
		{"Ann Field <ann@example.org>", true, []Address{{"Ann Field", "ann", "example.org"}}},
		{`"Field, Ann" <ann@example.org>, bob@example.org`, true, []Address{{"Field, Ann", "ann", "example.org"}, {"", "bob", "example.org"}}},
		{"ann@example.org (Ann Field)", true, []Address{{"Ann Field", "ann", "example.org"}}},
		{"Ann (the one (and only)) Field <ann@example.org>", true, []Address{{"Ann Field", "ann", "example.org"}}},
		{`"a \"b\" c" <d@e>`, true, []Address{{`a "b" c`, "d", "e"}}},
		{"J. R. Hacker <j@r>", true, []Address{{"J. R. Hacker", "j", "r"}}},
		{`"a b"@c, <"x@y"@z>`, true, []Address{{"", "a b", "c"}, {"", "x@y", "z"}}},
		{"a@[127.0.0.1], <b@[IPv6:::1]>", true, []Address{{"", "a", "[127.0.0.1]"}, {"", "b", "[IPv6:::1]"}}},
		{"=?utf-8?q?J=C3=BCrgen?= =?utf-8?q?_M?= <j@m>", true, []Address{{"Jürgen M", "j", "m"}}},
		{`"=?utf-8?q?J=C3=BCrgen?=" <j@m>`, true, []Address{{"Jürgen", "j", "m"}}},
		{"=?utf-8?q?Meyer,_J?= <j@m>", true, []Address{{"Meyer, J", "j", "m"}}},
		{"=?utf-8?q?Meyer, J (x)?= <j@m>", true, []Address{{"Meyer, J (x)", "j", "m"}}},
		// groups
		{"undisclosed-recipients:;", true, []Address{{"", "undisclosed-recipients", ""}, {}}},
		{"The team: a@b, \"C\" <c@d>;, e@f", true, []Address{{"", "The team", ""}, {"", "a", "b"}, {"C", "c", "d"}, {}, {"", "e", "f"}}},
		{"g: a@b", true, []Address{{"", "g", ""}, {"", "a", "b"}, {}}},
		{":;", true, []Address{{"", "group", ""}, {}}},
		// RFC 5322 section 4.4
		{"<@x,@y:a@b>", true, []Address{{"", "a", "b"}}},
		{"a . b @ c . d", true, []Address{{"", "a.b", "c.d"}}},
		{", a@b,, c@d,", true, []Address{{"", "a", "b"}, {"", "c", "d"}}},
		{"jdoe@machine(comment).  example", true, []Address{{"comment", "jdoe", "machine.example"}}},
		// broken
		{"a@b; c@d", true, []Address{{"", "a", "b"}, {"", "c", "d"}}},
		{"ann", false, []Address{{"", "ann", missingDomain}}},
		{"Ann Field", false, []Address{{"Ann Field", missingMailbox, missingDomain}}},
		{`"Ann Field"`, false, []Address{{"Ann Field", missingMailbox, missingDomain}}},
		{"<>", false, []Address{{"", missingMailbox, missingDomain}}},
		{"MAILER-DAEMON <>", false, []Address{{"MAILER-DAEMON", missingMailbox, missingDomain}}},
		{"a@", false, []Address{{"", "a", missingDomain}}},
		{"@b", false, []Address{{"", missingMailbox, "b"}}},
		{"Ann <a@b, Bob <c@d>", true, []Address{{"Ann", "a", "b"}, {"Bob", "c", "d"}}},
		{"Ann <a@b", true, []Address{{"Ann", "a", "b"}}},
		{"Ann ann@b", true, []Address{{"Ann", "ann", "b"}}},
		{"a@b c", true, []Address{{"", "a", "b"}}},
		{"a@b@c", true, []Address{{"", "a@b", "c"}}},
		{"x@y <a@b>", true, []Address{{"x@y", "a", "b"}}},
		{`"unterminated <a@b>`, false, []Address{{"unterminated <a@b>", missingMailbox, missingDomain}}},
		{"(unterminated", true, nil},
		{"=?utf-8?b?****?= <a@b>", false, []Address{{"=?utf-8?b?****?=", "a", "b"}}},
	} {
		got, ok := parseAddresses(c.in, maxAddresses)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
		if ok != c.ok {
			t.Errorf("%q: ok is %v", c.in, ok)
		}
	}
}

func TestAddressesAreLimited(t *testing.T) {
	list, _ := parseAddresses(strings.Repeat("a@b,", 100), 10)
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
