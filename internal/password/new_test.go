package password_test

import (
	"regexp"
	"testing"

	"github.com/popbridge/popbridge/internal/password"
)

func TestNewPasswordsCanBeTyped(t *testing.T) {
	form := regexp.MustCompile(`^[a-z2-7]{4}(-[a-z2-7]{4}){4}$`)
	seen := map[string]bool{}
	for range 100 {
		p := password.New()
		if !form.MatchString(p) || seen[p] {
			t.Fatalf("%q", p)
		}
		seen[p] = true
	}
}
