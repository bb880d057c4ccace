package installer

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// A service gets no access to a whole drive or profile.
func TestWindowsGrantsNoMoreThanItsFolders(t *testing.T) {
	for _, c := range []struct {
		config, data string
		refused      bool
	}{
		{`D:\popbridge.toml`, "", true}, {`D:/popbridge.toml`, "", true}, {`\\?\D:\popbridge.toml`, "", true}, {`\\server\share\popbridge.toml`, "", true},
		{`C:\Users\ann\popbridge.toml`, "", true}, {`c:\users\BOB\popbridge.toml`, "", true}, {`C:\Users\popbridge.toml`, "", true},
		{`D:\pop\popbridge.toml`, "", false}, {`\\server\share\pop\popbridge.toml`, "", false}, {`C:\Users\ann\pop\popbridge.toml`, "", false},
		{`D:\pop\popbridge.toml`, `D:\`, true}, {`D:\pop\popbridge.toml`, `C:\Users\ann\`, true}, {`D:\pop\popbridge.toml`, `D:\mail`, false},
	} {
		s := &Service{def: definition{config: c.config, dataDir: c.data, system: true}, host: anns("windows")}
		if err := s.ownFolders(); (err != nil) != c.refused || c.refused && (!fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "of its own")) {
			t.Errorf("%s, %s: %v", c.config, c.data, err)
		}
		s.def.system = false
		must(t, s.ownFolders())
	}
}
