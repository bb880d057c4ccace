package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// describe puts into a program for Windows what its properties show there: the version,
// the commit, the copyright.
func (r *release) describe(ctx context.Context, program string) error {
	version, err := r.msiVersion()
	if err != nil {
		return err
	}
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	copyright := ""
	for line := range strings.Lines(string(licence)) {
		if strings.HasPrefix(line, "Copyright") {
			copyright = strings.TrimSpace(line)
		}
	}
	if copyright == "" {
		return errors.New("LICENSE has no line that begins with Copyright")
	}
	const english = "0409"
	text, err := json.Marshal(map[string]any{"RT_VERSION": map[string]any{"#1": map[string]any{english: map[string]any{
		"fixed": map[string]string{"file_version": version, "product_version": version},
		"info": map[string]any{english: map[string]string{
			"CompanyName": "The popbridge authors", "FileDescription": summary, "FileVersion": version, "InternalName": "popbridge", "LegalCopyright": copyright,
			"OriginalFilename": filepath.Base(program), "ProductName": "popbridge", "ProductVersion": r.version, "Comments": "commit " + r.commit,
		}},
	}}}})
	if err != nil {
		return err
	}
	path := filepath.Join(r.work, "resource.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return r.tool(ctx, nil, "github.com/tc-hib/go-winres", "patch", "--no-backup", "--in", path, program)
}

// sign signs a file for Windows, where -sign names a command for it.
func (r *release) sign(ctx context.Context, file string) error {
	if len(r.signer) == 0 {
		return nil
	}
	return runCommand(exec.CommandContext(ctx, r.signer[0], append(r.signer[1:len(r.signer):len(r.signer)], file)...))
}
