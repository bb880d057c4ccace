package mailstore

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzMailboxName(f *testing.F) {
	for _, s := range []string{"inbox", "INBOX/a", "a/b/", "", "/", "Bu\u0308cher", "\xff", "a\x00", "//", "inbox/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := canonical(name)
		if err != nil {
			return
		}
		if again, err := canonical(got); err != nil || again != got {
			t.Errorf("%q became %q, that became %q, %v", name, got, again, err)
		}
		if got == "" || !utf8.ValidString(got) || strings.HasPrefix(got, "/") || strings.HasSuffix(got, "/") {
			t.Errorf("%q became %q", name, got)
		}
		if strings.EqualFold(strings.TrimSuffix(name, "/"), inbox) && got != inbox {
			t.Errorf("%q became %q", name, got)
		}
	})
}

func FuzzFlags(f *testing.F) {
	f.Add(`\Seen work`, `\Flagged WORK $x`)
	f.Add("", "\\")
	f.Add("K \u212a", "k")
	f.Fuzz(func(t *testing.T, first, second string) {
		var k keywords
		k.reset()
		_, a, err := parseFlags(strings.Fields(first))
		if err != nil {
			return
		}
		_, b, err := parseFlags(strings.Fields(second))
		if err != nil {
			return
		}
		a = k.canonical(a)
		k.add(a)
		b = k.canonical(b)
		for i, w := range b {
			if !validKeyword(w) || i > 0 && strings.ToLower(b[i-1]) >= strings.ToLower(w) {
				t.Errorf("set %q", b)
			}
			for _, v := range a {
				if strings.EqualFold(v, w) && v != w {
					t.Errorf("%q is spelt %q", v, w)
				}
			}
		}
	})
}
