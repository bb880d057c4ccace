package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
)

// newServiceCommands returns the verbs of the background service.
func (a *app) newServiceCommands() []*cobra.Command {
	var system bool
	anyConfig := func() error { return nil }
	goodConfig := func() error { _, err := a.loadConfig(); return err } // nothing is installed that could not run
	verb := func(use, short string, check func() error, run func(*installer.Service) error) *cobra.Command {
		c := &cobra.Command{
			Use:     use,
			Short:   short,
			Example: "  popbridge " + use,
			Args:    cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				if err := check(); err != nil {
					return err
				}
				s, err := a.service(system)
				if err != nil {
					return err
				}
				return run(s)
			},
		}
		c.Flags().BoolVar(&system, "system", false, "the service of the whole machine instead of this user's")
		return c
	}
	done := func(text string, act func(*installer.Service) error) func(*installer.Service) error {
		return func(s *installer.Service) error {
			if err := act(s); err != nil {
				return err
			}
			a.printf("%s\n", text)
			return nil
		}
	}
	return []*cobra.Command{
		verb("install", "Install the background service", goodConfig, a.install),
		verb("uninstall", "Remove the background service; mail and config stay", anyConfig, done("the service was removed; mail and config stay", (*installer.Service).Uninstall)),
		verb("start", "Start the background service", anyConfig, done("the service was started", (*installer.Service).Start)),
		verb("stop", "Stop the background service", anyConfig, done("the service was stopped", (*installer.Service).Stop)),
		verb("restart", "Restart the background service", anyConfig, done("the service was restarted", (*installer.Service).Restart)),
	}
}

func (a *app) service(system bool) (*installer.Service, error) {
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the path of the config file cannot be made absolute", "name the whole path with --config")
	}
	return installer.New(installer.Options{ConfigPath: path, DataDir: config.DataDir(path), System: system})
}

func (a *app) install(s *installer.Service) error {
	note, err := s.Install()
	if err != nil {
		return err
	}
	a.printf("the service was installed; start it with: %s\n", a.command("start"))
	if note != "" {
		a.printf("%s\n", note)
	}
	return nil
}
