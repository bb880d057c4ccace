// Package cli is the command line: one file per verb, each a constructor
// (newXCommand) and a plain method that does the work.
//
// Names, flags and exit codes are fixed; scripts rely on them. What a verb
// prints for a person goes to stdout; errors are `error: ...` and, where there
// is something to do, `hint: ...` on stderr. Both, and the exit code, are
// decided in exit.go and nowhere else.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/logging"
	"github.com/popbridge/popbridge/internal/ownership"
	"github.com/popbridge/popbridge/internal/terminal"
)

// Main runs the program with these arguments (without its name) and returns
// the exit code. Ctrl-C and SIGTERM end what runs in order; a second one, a
// moment later, ends the process at once.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ownership.KeepPrivate()
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, func() { time.AfterFunc(signalTwice, restore) })

	a := newApp(stdin, stdout, stderr)
	root := a.newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.ending != nil {
		err = errors.Join(err, a.ending)
	}
	if err != nil && !a.started {
		err = usage(root, args, err)
	}
	return a.exit(err)
}

// Root returns the commands without anything they would need to run: the source of
// man pages and completions.
func Root() *cobra.Command { return (&app{}).newRootCommand() }

// signalTwice is how long the first signal may come again without meaning
// more: a terminal, a shell and timeout(1) send it to the whole group.
const signalTwice = 500 * time.Millisecond

// app is what the verbs share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer // text for a person, safe for a terminal whoever wrote it
	machine        io.Writer // stdout for JSON, safe in the same way
	direct         io.Writer // stderr itself, for progress bars and the log, which see to that themselves

	started     bool // the arguments were good and a verb began
	configPath  string
	configNamed bool // by --config; only the verbs of the service ask
	json        bool
	ending      error // of closing the folder after an operation that went well, see ask

	reading sync.Mutex     // held by who waits for a line from stdin
	typed   chan typedLine // the one that is waited for; nil: none is
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{stdin: stdin, stdout: terminal.Writer(stdout), stderr: terminal.Writer(stderr),
		machine: terminal.JSONWriter(stdout), direct: stderr}
}

func (a *app) newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "popbridge",
		Short: "Keep POP3 mail on this machine and show it to every mail program by IMAP",
		Long: "popbridge polls POP3 accounts, keeps every message on local disk and shows\n" +
			"the result through an IMAP server on this machine, so that all mail programs\n" +
			"see one mailbox. Try it with: popbridge demo",
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.started = true
			return excluded(c.ValidateFlagGroups())
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentFlags().StringVar(&a.configPath, "config", config.DefaultPath(), "the config `FILE`")
	group := func(title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: title, Title: title})
		for _, c := range commands {
			c.GroupID = title
		}
		root.AddCommand(commands...)
	}
	group("To begin with:", a.newDemoCommand(), a.newSetupCommand(), a.newCheckConfigCommand(), a.newOpenCommand(), a.newDeviceCommand(), a.newClientSetupCommand(), a.newTrustCommand(), a.newRunCommand())
	group("Day by day:", a.newStatusCommand(), a.newSyncCommand(), a.newUndeleteCommand(), a.newOutboxCommand(), a.newAccountCommand(), a.newUserCommand())
	group("To keep mail safe:", a.newCheckCommand(), a.newBackupCommand(), a.newRestoreCommand())
	group("The background service:", append(a.newServiceCommands(), a.newLogsCommand(), a.newReportCommand())...)
	root.AddCommand(append(a.platformCommands(), a.newVersionCommand())...)
	return root
}

// parentOf makes a command of several verbs, which by itself only shows them.
func parentOf(use, short, long string, verbs ...*cobra.Command) *cobra.Command {
	parent := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	parent.AddCommand(verbs...)
	return parent
}

// addJSON gives a verb the flag for machines.
func (a *app) addJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON for programs")
	return c
}

func (a *app) loadConfig() (*config.Config, error) {
	cfg, err := config.Load(a.configPath)
	if err != nil && a.configPath == config.DefaultPath() {
		err = elsewhere(a.configPath, err)
	}
	return cfg, err
}

// operations returns what answers for the data folder, and what ends it: the
// running agent, or the folder itself, opened for this command.
func (a *app) operations(ctx context.Context) (operations.Operations, func() error, error) {
	cfg, configErr := a.loadConfig()
	if fault.Is(configErr, fault.Denied) {
		return nil, nil, configErr // whoever can change the file could send us anywhere
	}
	dataDir := ""
	if configErr == nil {
		dataDir = cfg.DataDir
	} else {
		dataDir = config.DataDir(a.configPath)
	}
	if err := a.asAccount(); err != nil {
		return nil, nil, err
	}
	if err := datadir.Check(dataDir); err != nil {
		return nil, nil, err
	}
	client, err := control.Connect(ctx, dataDir)
	switch {
	case err == nil:
		return client, client.Close, nil // it may run on with an older config that is good
	case configErr != nil:
		return nil, nil, configErr
	case !errors.Is(err, control.ErrNoAgent):
		return nil, nil, err
	}
	if running := state.Open("", cfg.Path).Running(); running != nil && running.DataDir != "" && running.DataDir != dataDir {
		// It runs on the folder that the config named when it started.
		if client, err := control.Connect(ctx, running.DataDir); err == nil {
			return client, client.Close, nil
		}
	}
	own, err := agent.Open(ctx, cfg, agent.Options{Log: a.commandLog(cfg)})
	if fault.Is(err, fault.Conflict) {
		// An agent may have started since we looked.
		if client, again := control.Connect(ctx, cfg.DataDir); again == nil {
			return client, client.Close, nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return own.Operations(), own.Close, nil
}

// command is how a verb is run again, for hints.
func (a *app) command(rest string) string { return config.Command(a.configPath, rest) }

// commandLog is silent unless the config asks for details: what a command has
// to say, it prints.
func (a *app) commandLog(cfg *config.Config) zerolog.Logger {
	if cfg.Log.Level == "debug" || cfg.Log.Level == "trace" {
		return logging.New(a.direct, cfg.Log.Level, cfg.Log.Format)
	}
	return zerolog.Nop()
}

// with runs work with operations and ends them.
func (a *app) with(ctx context.Context, work func(operations.Operations) error) error {
	ops, end, err := a.operations(ctx)
	if err != nil {
		return err
	}
	return errors.Join(work(ops), end())
}

// ask asks one operation. What is answered can be printed even where the folder does
// not close well, which is told at the end.
func ask[Question, Answer any](ctx context.Context, a *app, op func(operations.Operations, context.Context, Question) (Answer, error), q Question) (answer Answer, err error) {
	ops, end, err := a.operations(ctx)
	if err != nil {
		return answer, err
	}
	answer, err = op(ops, ctx, q)
	a.ending = errors.Join(a.ending, end())
	return answer, err
}

// printf writes for a person. What cannot be written is lost: there is no one
// to tell.
func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.stdout, format, args...) }

// printJSON writes for a program.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.machine)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
