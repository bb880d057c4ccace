package contents

import (
	"strings"
	"testing"
)

func FuzzHash(f *testing.F) {
	f.Add(Hash{1, 0xab}.String())
	f.Add("../../x")
	f.Add(strings.Repeat("A", 64))
	f.Fuzz(func(t *testing.T, s string) {
		if h, ok := parseHash(s); ok && (h.String() != s || len(s) != 64) {
			t.Errorf("%q is taken for %v", s, h)
		}
	})
}
