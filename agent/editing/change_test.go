package editing

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/config"
)

// Another command removes the account in front while one is changed.
func TestAChangeBesideARemoval(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "config.toml")}
	account := func(name string) string {
		return "[[account]]\nname = \"" + name + "\"\nhost = \"pop.example.com\"\nusername = \"" + name + "\"\npassword_file = \"p\"\n"
	}
	if err := os.WriteFile(f.Path, []byte("version = 1\n"+account("first")+account("second")), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(path string, change func([]byte) ([]byte, error)) (*config.Config, error) {
		if _, err := f.Remove("first"); err != nil {
			return nil, err
		}
		return config.Edit(path, change)
	}
	before, after, err := f.change(write, "SECOND", []config.Setting{config.Text("name", "renamed")})
	if err != nil || before.Name != "second" || after.Name != "renamed" {
		t.Errorf("%q became %q: %v", before.Name, after.Name, err)
	}
}
