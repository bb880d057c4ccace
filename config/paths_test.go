package config

import (
	"strings"
	"testing"
)

// What is wrong in a path is the same on whatever system the test runs.
func TestPathsThatMeanAnotherFolder(t *testing.T) {
	for _, c := range []struct{ goos, line, want, hint string }{
		{"windows", `data_dir = "D:\temp\new"`, "control character", `write 'D:\temp\new'`},
		{"windows", `data_dir = "D:\\mail\u0001"`, "control character", "write it without one"},
		{"windows", `data_dir = 'C:mail'`, `depends on the working folder of drive C:`, `write 'C:\mail'`},
		{"windows", `data_dir = "d:"`, `depends on the working folder of drive d:`, `write 'd:\'`},
		{"windows", `data_dir = '\mail'`, "does not say which drive", `write 'E:\mail'`},
		{"windows", `data_dir = "/mail"`, "does not say which drive", `write 'E:/mail'`},
		{"windows", `data_dir = '%LocalAppData%\mail'`, `"%LocalAppData%" is not replaced`, `write "C:\\Users\\ann o'hara\\mail"`},
		{"windows", `data_dir = '%ProgramData%\mail'`, `"%ProgramData%" is not replaced`, `write 'C:\ProgramData\mail'`},
		{"windows", `data_dir = '%Nothing%\mail'`, "is not replaced", "write the whole path"},
		{"windows", `data_dir = '%UserProfile%\mail'`, "is not replaced", `write "~\\mail"`},
		{"linux", `data_dir = "/srv/mail\n"`, "control character", "write it without one"},
		{"linux", `data_dir = "%LocalAppData%/mail"`, "is not replaced", "write the whole path"},
	} {
		s := ann(`LocalAppData=C:\Users\ann o'hara`, `ProgramData=C:\ProgramData`)
		s.goos = c.goos
		r := &reader{system: s, dir: `E:\popbridge`, cfg: &Config{}}
		doc, problem := parse([]byte(c.line))
		if problem != nil {
			t.Fatal(c.line, problem)
		}
		r.dataDirOf(doc.table())
		if len(doc.problems) != 1 || !strings.Contains(doc.problems[0].Text, c.want) {
			t.Errorf("%s: %s: %+v, want %q", c.goos, c.line, doc.problems, c.want)
		} else if hint := doc.problems[0].Hint; hint != c.hint {
			t.Errorf("%s: %s: hint %q, want %q", c.goos, c.line, hint, c.hint)
		}
	}
}

func TestPathsOfWindowsThatAreWhole(t *testing.T) {
	s := ann()
	s.goos = "windows"
	for _, path := range []string{`D:\mail`, `D:/mail`, `\\server\share\mail`, `\\?\D:\mail`, `//server/share`, "mail", `~\mail`, `.\mail`, "Müller & Co (100%)"} {
		if m := s.misspelt(`E:\popbridge`, path); m != nil {
			t.Errorf("%q: %+v", path, m)
		}
	}
}
