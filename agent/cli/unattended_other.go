//go:build !windows

package cli

import "github.com/spf13/cobra"

// platformCommands are those that only this system has.
func (a *app) platformCommands() []*cobra.Command { return nil }
