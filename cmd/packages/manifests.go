package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/popbridge/popbridge/installer"
)

//go:embed manifests
var templates embed.FS

// manifests writes what winget, Scoop, Homebrew and the AUR are given, from the files
// of this release and their checksums.
func (r *release) manifests(context.Context) error {
	sums, err := r.sums()
	if err != nil {
		return err
	}
	named, err := template.New("").Funcs(template.FuncMap{
		"file": func(os, arch, end string) string { return r.name(target{os, arch}, end) },
		"url": func(os, arch, end string) string {
			return installer.Homepage + "/releases/download/v" + r.version + "/" + r.name(target{os, arch}, end)
		},
		"sha256": func(os, arch, end string) (string, error) {
			name := r.name(target{os, arch}, end)
			sum, ok := sums[name]
			if !ok {
				return "", fmt.Errorf("%s is not part of this release", name)
			}
			return sum, nil
		},
		"productcode": func(arch string) string { return r.productCode(target{"windows", arch}) },
		"upper":       strings.ToUpper,
		"json": func(s string) (string, error) {
			text, err := json.Marshal(s)
			return string(text), err
		},
	}).ParseFS(templates, "manifests/*/*")
	if err != nil {
		return err
	}
	data := map[string]any{
		"Version": r.version, "Pkgver": strings.ReplaceAll(r.version, "-", "_"), "Date": r.date.Format("2006-01-02"),
		"Commit": r.commit, "UpgradeCode": guid("upgrade"), "Homepage": installer.Homepage, "Summary": summary, "Description": strings.ReplaceAll(description, "\n", " "),
	}
	folders, err := templates.ReadDir("manifests")
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if _, made := sums[r.name(target{"windows", "amd64"}, ".msi")]; folder.Name() == "winget" && !made {
			continue // installers says why
		}
		files, err := templates.ReadDir(path.Join("manifests", folder.Name()))
		if err != nil {
			return err
		}
		dir := filepath.Join(r.out, "manifests", folder.Name())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for _, file := range files {
			var text bytes.Buffer
			if err := named.ExecuteTemplate(&text, file.Name(), data); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file.Name()), text.Bytes(), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
