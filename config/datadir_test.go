package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/config"
)

func TestDataDirOfAFileWithErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	tests := []struct{ text, want string }{
		{"data_dir = \"mail\"\n[imap]\ntls = 3\n", filepath.Join(dir, "mail")},
		{"# data_dir = \"no\"\n  data_dir='mail' # here\nnonsense\n", filepath.Join(dir, "mail")},
		{"version = 1\n[imap]\ndata_dir = \"not here\"\n", config.DefaultDataDir()},
		{"nonsense\n[imap]\ndata_dir = \"not here\"\n", config.DefaultDataDir()},
		{"data_dir = 3\n", config.DefaultDataDir()},
		{"data_dir = 3 nonsense\n", config.DefaultDataDir()},
		{"", config.DefaultDataDir()},
	}
	for _, tt := range tests {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := config.DataDir(path); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
	if got := config.DataDir(filepath.Join(dir, "missing")); got != config.DefaultDataDir() {
		t.Errorf("without a file: %s", got)
	}
}
