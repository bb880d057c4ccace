package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
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
				a.configNamed = c.Flags().Changed("config")
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
	var u uninstall
	uninstallVerb := verb("uninstall", "Remove the background service; mail and config stay",
		func(ctx context.Context, o installer.Options) error { return a.uninstall(ctx, o, u) })
	u.describe(uninstallVerb)
	return []*cobra.Command{
		verb("install", "Install the background service", a.install),
		uninstallVerb,
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

func (a *app) install(ctx context.Context, o installer.Options) error {
	if err := installer.Check(o.System); err != nil {
		return err
	}
	if err := a.checkForService(ctx, &o); err != nil { // nothing is installed that could not run
		return err
	}
	s, err := installer.New(o)
	if err != nil {
		return err
	}
	note, err := s.Install()
	if err != nil {
		return err
	}
	start := "popbridge start"
	if installer.RunsAs(o.System) != "" {
		start = ownership.CalledBy(os.Getenv).By + " " + start
	}
	a.printf("the service was installed; start it with: %s\n", start)
	if note != "" {
		a.printf("%s\n", note)
	}
	return nil
}

// checkForService loads the config that the service will run with, and completes o
// by what it says. With sudo it is that of the user who called sudo.
func (a *app) checkForService(ctx context.Context, o *installer.Options) error {
	if name := installer.RunsAs(o.System); name != "" {
		path := ""
		if a.configNamed {
			path = o.ConfigPath
		}
		seen, err := a.checkAs(ctx, name, path)
		if err != nil {
			return err
		}
		a.configPath = seen.File
		o.ConfigPath, o.DataDir = seen.File, seen.DataDir
		return nil
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	o.HasDataDir = cfg.DataDirNamed
	return nil
}

// background is what is used of installer.Service to start it.
type background interface {
	Runs() installer.Run
	Start() error
	Restart() error
	State() (installer.State, error)
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
	now, err := s.State()
	switch former = book.RunningPID(); {
	case err != nil:
		return err
	case former != 0 && now.Status != installer.Running:
		return fault.New(fault.Conflict, fmt.Sprintf("an agent runs already, as process %d, and not as the service", former),
			fmt.Sprintf("end it first: with Ctrl-C in its terminal, or by: kill %d", former))
	case !again && now.Status == installer.Running:
		former, runs = 0, "runs already,"
	}
	if err := do(); err != nil {
		return err
	}
	a.tell("waiting for the agent to answer ...")
	found, err := agent.Await(ctx, book, former, since, stillThere(s.State))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fault.New(fault.KindOf(err), err.Error(), s.LogHint())
	case found.Waiting != "":
		a.printf("the service %s as process %d, and waits: %s\n", runs, found.PID, found.Waiting)
	case found.Private:
		a.printf("the service %s as process %d, and answers user %s only\n", runs, found.PID, run.User)
	case !found.Answers:
		a.printf("the service %s as process %d, and has not answered yet: `%s` says how it is doing\n", runs, found.PID, a.command("status"))
	case len(found.Listen) == 0:
		a.printf("the service %s as process %d, and no mail program can connect to it\n", runs, found.PID)
	default:
		a.printf("the service %s as process %d, with IMAP on %s\n", runs, found.PID, strings.Join(found.Listen, ", "))
	}
	return partly(found.Deaf)
}

// partly is the error that these conditions are there; nil where none is.
func partly(conditions []health.Condition) error {
	f := &failures{part: true}
	for _, c := range conditions {
		f.errs = append(f.errs, fault.New(fault.Conflict, c.Text, c.Hint))
	}
	if len(f.errs) == 0 {
		return nil
	}
	return f
}

// stoppedFor is how long a service may be between two states before it is taken for
// stopped.
const stoppedFor = 3 * time.Second

// stillThere reports that the service manager has given the service up, or that it
// has failed and will be started again.
func stillThere(ask func() (installer.State, error)) func() error {
	seen := time.Now()
	return func() error {
		state, err := ask()
		switch {
		case err != nil, state.Status == installer.Running:
			seen = time.Now()
		case state.LastEnd != "":
			return fault.New(fault.Temporary, "the service is "+string(state.Status)+": "+state.LastEnd, "")
		case state.Status == installer.Failed, time.Since(seen) > stoppedFor:
			return fault.New(fault.Temporary, "the service manager does not run the service: it is "+string(state.Status), "")
		}
		return nil
	}
}

// elsewhere is the error of a config that could not be loaded. If there is none in
// the usual place, the one of the service is named.
func elsewhere(usual string, err error) error {
	if _, missing := os.Stat(usual); !errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	for _, s := range installer.Installed(installer.Options{}) {
		path := s.Runs().Config
		if _, unusable := os.Stat(path); unusable == nil && path != usual {
			return fault.New(fault.Config, err.Error()+", and the service runs with another one", "add --config "+path)
		}
	}
	return err
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

// serviceAccount is the user as whom the service runs with this config, where this is
// root and that is another one; else "".
func (a *app) serviceAccount() string {
	path, err := filepath.Abs(a.configPath)
	if err != nil || os.Geteuid() != 0 {
		return "" // what is wrong with the path is said where it is opened
	}
	return installer.AccountOf(path)
}

// asAccount refuses root the config with which the service runs as another user: there
// is other mail in the folders of root, and what root leaves in those of the service is
// root's.
func (a *app) asAccount() error {
	name := a.serviceAccount()
	if name == "" {
		return nil
	}
	return fault.New(fault.Denied, "the service runs with this config as user "+name+", to whom the mail belongs",
		"run it as that user: sudo -u "+name+" popbridge … --config "+a.configPath)
}

// checkForAccount says what the account of the service would fail by.
func (a *app) checkForAccount(ctx context.Context) error {
	name := a.serviceAccount()
	if name == "" {
		return nil
	}
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return err
	}
	seen, err := a.checkAs(ctx, name, path)
	if err != nil {
		return err
	}
	f := &failures{part: true}
	for _, wrong := range seen.Errors {
		f.errs = append(f.errs, fault.New(fault.Config, "user "+name+" of the service: "+config.Problem(wrong).In(a.configPath), wrong.Hint))
	}
	if len(f.errs) == 0 {
		return nil
	}
	return f
}
