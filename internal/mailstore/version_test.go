package mailstore_test

import (
	"regexp"
	"testing"

	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestSQLiteVersion(t *testing.T) {
	if v := mailstore.SQLiteVersion(); !regexp.MustCompile(`^3\.\d+\.\d+$`).MatchString(v) {
		t.Errorf("SQLiteVersion() = %q", v)
	}
}
