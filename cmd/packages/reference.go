package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/popbridge/popbridge/agent/cli"
)

// reference writes the man pages and completions, from the same source as --help.
func (r *release) reference(context.Context) error {
	man, completions := filepath.Join(r.work, "man"), filepath.Join(r.work, "completions")
	for _, dir := range []string{man, completions} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	root := cli.Root()
	root.DisableAutoGenTag = true // it has the date
	err := doc.GenManTree(root, &doc.GenManHeader{Title: "POPBRIDGE", Section: "1", Source: "popbridge " + r.version, Manual: "popbridge", Date: &r.date}, man)
	if err != nil {
		return err
	}
	for name, write := range completionsOf(root) {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(completions, name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// completionsOf are the writers of completions by the name that the file has where it
// is installed.
func completionsOf(root *cobra.Command) map[string]func(*bytes.Buffer) error {
	return map[string]func(*bytes.Buffer) error{
		"popbridge":      func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"_popbridge":     func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"popbridge.fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
		"popbridge.ps1":  func(b *bytes.Buffer) error { return root.GenPowerShellCompletionWithDesc(b) },
	}
}
