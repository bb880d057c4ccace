package operations

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/popbridge/popbridge/installer"
)

// About is the program, what it is made of and where things lie.
type About struct {
	Version
	System  string   `json:"system"`  // "linux/amd64"
	Modules []Module `json:"modules"` // that are in the program, by name
	Config  string   `json:"config"`  // the file
	DataDir string   `json:"data_dir"`
	Log     string   `json:"log"`  // the file; "": where the program was started, or the journal
	Docs    string   `json:"docs"` // the address of the folder of the documentation
}

// Module is a Go module in the program.
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

func (l *Local) About(context.Context) (About, error) {
	a := About{Version: BuildVersion(), System: runtime.GOOS + "/" + runtime.GOARCH, Modules: []Module{},
		Config: l.users.Config().Path, DataDir: l.users.DataDir, Log: os.Getenv(installer.LogVariable), Docs: installer.Homepage + "/tree/main/docs"}
	if a.Log == "" && runtime.GOOS == "windows" { // of the service
		if path := filepath.Join(l.users.DataDir, "popbridge.log"); exists(path) {
			a.Log = path
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			a.Modules = append(a.Modules, Module{m.Path, m.Version})
		}
	}
	return a, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
