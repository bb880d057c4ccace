package mailstore

import (
	"regexp"
	"testing"
)

func TestSQLiteVersion(t *testing.T) {
	if v := SQLiteVersion(); !regexp.MustCompile(`^3\.\d+\.\d+$`).MatchString(v) {
		t.Errorf("SQLiteVersion() = %q", v)
	}
}
