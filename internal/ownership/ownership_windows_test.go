package ownership

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

const everyone = "S-1-1-0"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func self(t *testing.T) string {
	t.Helper()
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	must(t, err)
	return user.User.Sid.String()
}

func TestWhatOthersCanChangeIsFoundAndProtected(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, replaceAccess(file, []string{self(t)}))
	info, err := os.Stat(file)
	must(t, err)
	// Wine 8 adds what the folder above grants, although the list is protected.
	wine := os.Getenv("WINEPREFIX") != ""
	if f := Check(file, Options{}); f != nil || Readable(file, info) && !wine {
		t.Errorf("an own file: %+v, readable %v", f, Readable(file, info))
	}
	must(t, replaceAccess(file, []string{self(t), everyone}))
	if f := Check(file, Options{}); f == nil || !strings.Contains(f.Hint, "icacls") || !Readable(file, info) {
		t.Errorf("a file for everyone: %+v, readable %v", f, Readable(file, info))
	}
	if f := Check(dir, Options{}); f != nil {
		t.Errorf("a folder is refused: %+v", f)
	}

	must(t, replaceAccess(dir, []string{self(t), everyone}))
	f := Protect(dir)
	if a, ok := accessOf(dir); !ok || a.changer() != "" || (f != nil || a.open()) && !wine {
		t.Errorf("the folder is open: %+v, %+v", a, f)
	}
}
