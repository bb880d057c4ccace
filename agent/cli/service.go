package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
)

// newServiceCommands returns the verbs of the background service.
func (a *app) newServiceCommands() []*cobra.Command {
	var system bool
	verb := func(use, short string, run func(ctx context.Context, o installer.Options) error) *cobra.Command {
		c := &cobra.Command{
			Use:     use,
			Short:   short,
			Example: "  popbridge " + use,
			Args:    cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				o, err := a.serviceOptions(system)
				if err == nil && use != "install" && !c.Flags().Changed("system") {
					o.System, err = installer.Find()
				}
				if err != nil {
					return err
				}
				err = run(c.Context(), o)
				if use == "stop" || use == "restart" {
					err = withoutService(err, state.Open("", o.ConfigPath).RunningPID())
				}
				return err
			},
		}
		c.Flags().BoolVar(&system, "system", false, "the service of the whole machine instead of this user's")
		return c
	}
	act := func(text string, do func(*installer.Service) error) func(context.Context, installer.Options) error {
		return func(_ context.Context, o installer.Options) error {
			s, err := installer.New(o)
			if err == nil {
				err = do(s)
			}
			if err == nil {
				a.printf("%s\n", text)
			}
			return err
		}
	}
	start := func(again bool) func(context.Context, installer.Options) error {
		return func(ctx context.Context, o installer.Options) error {
			s, err := installer.New(o)
			if err != nil {
				return err
			}
			return a.start(ctx, s, again)
		}
	}
	return []*cobra.Command{
		verb("install", "Install the background service", a.install),
		verb("uninstall", "Remove the background service; mail and config stay", act("the service was removed; mail and config stay", (*installer.Service).Uninstall)),
		verb("start", "Start the background service, and wait until it answers", start(false)),
		verb("stop", "Stop the background service", act("the service was stopped", (*installer.Service).Stop)),
		verb("restart", "Restart the background service, and wait until it answers", start(true)),
	}
}

// withoutService is the error that there is no service to stop, where an agent runs
// all the same, as process pid (0: none does).
func withoutService(err error, pid int) error {
	if pid == 0 || !fault.Is(err, fault.NotFound) {
		return err
	}
	return fault.New(fault.NotFound, fmt.Sprintf("%v; an agent runs as process %d all the same", err, pid),
		fmt.Sprintf("it was started by `popbridge run`: end it with Ctrl-C in its terminal, or with SIGTERM: kill %d", pid))
}

func (a *app) serviceOptions(system bool) (installer.Options, error) {
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return installer.Options{}, fault.Wrap(err, fault.Config, "the path of the config file cannot be made absolute", "name the whole path with --config")
	}
	return installer.Options{ConfigPath: path, DataDir: config.DataDir(path), StateDir: config.StateDir(path), System: system}, nil
}

func (a *app) install(_ context.Context, o installer.Options) error {
	cfg, err := a.loadConfig() // nothing is installed that could not run
	if err != nil {
		return err
	}
	o.HasDataDir = cfg.DataDirNamed
	s, err := installer.New(o)
	if err != nil {
		return err
	}
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

// background is what is used of installer.Service to start it.
type background interface {
	Runs() installer.Run
	Start() error
	Restart() error
	Status() (installer.Status, error)
	LogHint() string
}

// start starts or restarts the service, and waits for its agent.
func (a *app) start(ctx context.Context, s background, again bool) error {
	run := s.Runs()
	dir, err := stateDirOf(run)
	if err != nil {
		return err
	}
	book := state.Open(dir, run.Config)
	former, since, do, runs := 0, time.Now(), s.Start, "runs"
	if again {
		do = s.Restart
	}
	if status, err := s.Status(); !again && err == nil && status == installer.Running {
		runs = "runs already,"
	} else {
		former = book.RunningPID() // also one that someone runs in a terminal
	}
	if err := do(); err != nil {
		return err
	}
	a.tell("waiting for the agent to answer ...")
	found, err := agent.Await(ctx, book, former, since, stillThere(s.Status))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fault.New(fault.KindOf(err), err.Error(), s.LogHint())
	case found.Waiting != "":
		a.printf("the service %s as process %d, and waits: %s\n", runs, found.PID, found.Waiting)
	case !found.Answers && run.User != "":
		a.printf("the service %s as process %d\n", runs, found.PID) // and answers its own user only
	case !found.Answers:
		a.printf("the service %s as process %d, and has not answered yet: `%s` says how it is doing\n", runs, found.PID, a.command("status"))
	case len(found.Listen) == 0:
		a.printf("the service %s as process %d; its IMAP server does not: `%s` says why\n", runs, found.PID, a.command("status"))
	default:
		a.printf("the service %s as process %d, with IMAP on %s\n", runs, found.PID, strings.Join(found.Listen, ", "))
	}
	return nil
}

// stoppedFor is how long a service may be between two states before it is taken for
// stopped.
const stoppedFor = 3 * time.Second

// stillThere reports that the service manager has given the service up.
func stillThere(status func() (installer.Status, error)) func() error {
	seen := time.Now()
	return func() error {
		switch now, err := status(); {
		case err != nil, now == installer.Running:
			seen = time.Now()
		case now == installer.Failed, time.Since(seen) > stoppedFor:
			return fault.New(fault.Temporary, "the service manager does not run the service: it is "+string(now), "")
		}
		return nil
	}
}

// stateDirOf is where the agent of the service keeps its state, "" for the default.
func stateDirOf(run installer.Run) (string, error) {
	switch {
	case run.StateHome != "":
		return filepath.Join(run.StateHome, "popbridge"), nil
	case run.User == "" && run.System: // root gets no home folder
		return config.StateDirOf("", run.Config), nil
	case run.User == "":
		return "", nil
	}
	u, err := user.Lookup(run.User)
	if err != nil {
		return "", fault.Wrap(err, fault.NotFound, "the service runs as user "+fault.Quote(run.User)+", of whom nothing is known", "uninstall it, and install it as another user")
	}
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		return "", nil
	}
	return config.StateDirOf(u.HomeDir, run.Config), nil
}
