package cli

import (
	"context"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/logging"
)

// The pause before an agent that has ended by itself is started again: it doubles.
const (
	firstPause   = 5 * time.Second
	longestPause = 5 * time.Minute
)

const logName = "popbridge.log"

// unattended runs the agent where no one sees what it prints, until ctx ends: as a
// service of Windows, or at log-on there. The log is opened before anything can go
// wrong. A config with errors is waited for, and an agent that ends is started again.
// ready is called once it serves, or has something to wait for.
func (a *app) unattended(ctx context.Context, ready func()) error {
	ready = sync.OnceFunc(ready)
	file, err := a.openLog()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // each line was written at once
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		began := time.Now()
		cfg, err := a.awaitConfig(ctx, file, ready)
		if err == nil {
			err = serve(ctx, cfg, file, ready)
		}
		if ctx.Err() != nil {
			return stopped(ctx, err)
		}
		logError(file, err, "agent ended and will be started again")
		ready()
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// awaitConfig waits until the config has no errors. Those it has are logged.
func (a *app) awaitConfig(ctx context.Context, log io.Writer, waiting func()) (*config.Config, error) {
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return nil, err
	}
	return agent.AwaitConfig(ctx, path, agent.Options{}, func(err error) {
		logError(log, err, "config has errors; it is read again when it changes")
		waiting()
	})
}

func logError(w io.Writer, err error, text string) {
	log := logging.New(w, "info", "auto")
	log.Error().Str("component", "agent").Err(err).Str("hint", fault.Hint(err)).Msg(text)
}

// openLog opens the log in the data folder, or in the state folder where that is
// missing.
func (a *app) openLog() (*logging.File, error) {
	dir, state := config.DataDir(a.configPath), config.StateDir(a.configPath)
	if cfg, err := a.loadConfig(); err == nil && users.Missing(cfg, "") != nil {
		dir = state // nothing is made where the data folder should be
	}
	file, err := logging.Open(filepath.Join(dir, logName))
	if err != nil && dir != state {
		file, err = logging.Open(filepath.Join(state, logName))
	}
	return file, fault.Wrap(err, fault.Config, "the log file cannot be opened", "check data_dir in the config, and that popbridge may write there")
}
