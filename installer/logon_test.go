package installer

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
)

// Windows ignores what is too long, in characters and not in octets.
func TestTheCommandAtLogOnIsNotTooLong(t *testing.T) {
	s, f := newService(t, "windows")
	f.path, f.errs["status"] = filepath.Join(t.TempDir(), "registered"), service.ErrNotInstalled
	fill := maxRun - len(logonCommand(definition{executable: `C:\`, config: s.def.config}))
	s.def.executable = `C:\` + strings.Repeat("ö", fill+1)
	if _, err := s.Install(); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "has 261") || !strings.Contains(fault.Hint(err), "move the program") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	f.want(t)
	s.def.executable = `C:\` + strings.Repeat("ö", fill)
	install(t, s)
	s.def.executable, s.def.system = `C:\`+strings.Repeat("ö", maxRun), true // which has no such limit
	must(t, s.fitsRun())
}
