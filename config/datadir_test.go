package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDataDirOfAFileWithErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	tests := []struct{ text, want string }{
		{"data_dir = \"mail\"\n[imap]\ntls = 3\n", filepath.Join(dir, "mail")},
		{"# data_dir = \"no\"\n  data_dir='mail' # here\nnonsense\n", filepath.Join(dir, "mail")},
		{"version = 1\n[imap]\ndata_dir = \"not here\"\n", thisSystem().dataDir()},
		{"nonsense\n[imap]\ndata_dir = \"not here\"\n", thisSystem().dataDir()},
		{"data_dir = 3\n", thisSystem().dataDir()},
		{"data_dir = 3 nonsense\n", thisSystem().dataDir()},
		{"", thisSystem().dataDir()},
	}
	for _, tt := range tests {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := DataDir(path); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
	if got := DataDir(filepath.Join(dir, "missing")); got != thisSystem().dataDir() {
		t.Errorf("without a file: %s", got)
	}
}
