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
