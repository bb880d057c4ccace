package editing_test

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/editing"
)

func TestAccountName(t *testing.T) {
	for address, want := range map[string]string{
		"ann@example.com": "ann@example.com", "o'brien@x.test": "o-brien@x.test", "jörg@x.test": "j-rg@x.test",
		".a@x.test": "a@x.test", strings.Repeat("a", 70) + "@x.test": strings.Repeat("a", 64),
	} {
		if got := editing.AccountName(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
