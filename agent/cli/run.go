package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/logging"
)

func (a *app) newRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the agent in the foreground until SIGTERM or Ctrl-C",
		Long: "Run the agent in the foreground. SIGTERM or Ctrl-C stops it cleanly, a second\n" +
			"one at once. A changed config file is taken up by itself; SIGHUP reads it now.",
		Example: "  popbridge run\n  popbridge run --config other.toml",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return stopped(c.Context(), a.run(c.Context())) },
	}
}

// stopped is what came of something that runs until it is told to stop: that it
// was told before it had begun is no error.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (a *app) run(ctx context.Context) error {
	if agent.ManagedByWindows() {
		return agent.RunService(ctx, installer.ServiceName, a.unattended)
	}
	w, end := a.runLog()
	return end(a.runAgent(ctx, w))
}

// runLog opens the log of `run`: stderr, or the file that the service names. end closes
// it; stderr has the error of run, so a file gets it here.
func (a *app) runLog() (w io.Writer, end func(error) error) {
	path := os.Getenv(installer.LogVariable)
	if path == "" {
		return a.direct, func(err error) error { return err }
	}
	file, err := logging.Open(path)
	if err != nil {
		logError(a.direct, err, "log file cannot be opened, so the log goes to stderr")
		return a.direct, func(err error) error { return err }
	}
	return file, func(err error) error {
		if err != nil {
			logError(file, err, "agent ended")
		}
		_ = file.Close() // each line was written at once
		return err
	}
}

// runAgent runs an agent that logs to w.
func (a *app) runAgent(ctx context.Context, w io.Writer) error {
	cfg, err := a.loadConfig()
	if err != nil && agent.Managed() && runtime.GOOS == "darwin" { // launchd would begin again for ever
		cfg, err = a.awaitConfig(ctx, w, func() {})
	}
	if err != nil {
		if path, absErr := filepath.Abs(a.configPath); absErr == nil && agent.Managed() && state.Open("", path).Running() == nil {
			agent.NoteEnd(ctx, path, agent.Options{}, err)
		}
		return err
	}
	if err := a.asAccount(); err != nil {
		return err
	}
	return serve(ctx, cfg, w, func() {})
}

// serve runs an agent that logs to w.
func serve(ctx context.Context, cfg *config.Config, w io.Writer, ready func()) error {
	records := logging.NewRing()
	log, level := logging.NewAdjustable(w, cfg.Log.Level, cfg.Log.Format, records)
	for _, p := range cfg.Warnings() {
		log.Warn().Str("component", "config").Int("line", p.Line).Str("key", p.Key).Str("text", p.Text).Str("hint", p.Hint).Msg("config has a warning")
	}
	ready = sync.OnceFunc(ready)
	o := agent.Options{Log: log, Records: records, SetLevel: level.Set, Ready: func([]string) { ready() }}
	var running atomic.Pointer[agent.Agent]
	hangup := make(chan os.Signal, 1) // from here on it does not end the program, also before the agent takes it up
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	reloading := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(reloading)
		onHangup(ctx, hangup, func() {
			if own := running.Load(); own != nil { // one that waits reads the config by itself
				own.Reload()
				own.Retry()
			}
		})
	}()
	err := agent.Serve(ctx, cfg, o, ready, running.Store)
	cancel()
	<-reloading
	return err
}

// onHangup calls reload for each SIGHUP until ctx ends.
func onHangup(ctx context.Context, hangup <-chan os.Signal, reload func()) {
	for {
		select {
		case <-hangup:
			reload()
		case <-ctx.Done():
			return
		}
	}
}
