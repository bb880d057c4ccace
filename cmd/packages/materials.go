package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func (r *release) licenceFile() string { return filepath.Join(r.work, "THIRD-PARTY-LICENSES.txt") }

func (r *release) materialsFile(t target) string {
	return filepath.Join(r.work, t.os+"-"+t.arch, "popbridge.cdx.json")
}

// materials writes a CycloneDX bill of materials for each program: which modules, in
// which versions, with which licences are in it.
func (r *release) materials(ctx context.Context) error {
	for _, t := range r.targets {
		file := r.materialsFile(t)
		err := r.tool(ctx, nil, "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod",
			"bin", "-json", "-licenses", "-noserial", "-notimestamp", "-version", "v"+r.version, "-output", file, r.program(t))
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.out, r.name(t, ".cdx.json")), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// goModule is what `go list -json` says of a module.
type goModule struct{ Path, Version, Dir string }

// licences joins the licence texts of Go and of all modules that are in the program
// on any platform.
func (r *release) licences(ctx context.Context) error {
	modules := map[string]goModule{}
	for _, t := range platforms { // whatever is made: one file for all of a release
		found, err := modulesOf(ctx, t)
		if err != nil {
			return err
		}
		for _, m := range found {
			modules[m.Path] = m
		}
	}
	var text strings.Builder
	text.WriteString("popbridge contains the following, each under its own licence.\n")
	goroot, err := output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	parts := []goModule{{"Go, its standard library and runtime", "", goroot}}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		parts = append(parts, modules[path])
	}
	for _, m := range parts {
		texts, err := licenceTexts(m)
		if err != nil {
			return err
		}
		for _, t := range texts {
			fmt.Fprintf(&text, "\n%s\n%s %s\n\n%s\n", strings.Repeat("=", 72), m.Path, m.Version, strings.TrimSpace(t))
		}
	}
	return os.WriteFile(r.licenceFile(), []byte(text.String()), 0o644)
}

// modulesOf are the modules that are linked into the program.
func modulesOf(ctx context.Context, t target) ([]goModule, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Module", "./cmd/popbridge")
	cmd.Env = append(os.Environ(), "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0")
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var found []goModule
	for dec := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p struct{ Module *goModule }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && p.Module.Version != "" {
			found = append(found, *p.Module)
		}
	}
}

// licenceTexts are the licences of a module. One without any must not be shipped.
func licenceTexts(m goModule) (texts []string, err error) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !slices.ContainsFunc([]string{"LICENSE", "LICENCE", "UNLICENSE", "COPYING", "NOTICE"}, func(s string) bool { return strings.HasPrefix(name, s) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s %s has no licence", m.Path, m.Version)
	}
	return texts, nil
}
