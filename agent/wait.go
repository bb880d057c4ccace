package agent

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// lookAgainAfter is how long a data folder that cannot be used is left alone.
const lookAgainAfter = 2 * time.Second

// Waits reports whether an error of Open may go away by itself: the drive of the
// data folder is not there, read-only or full. An agent waits for that, and
// makes nothing in the meantime.
func Waits(err error) bool { return fault.Is(err, fault.Temporary) || fault.Is(err, fault.Full) }

// Serve opens an agent and runs it until ctx ends. While the data folder cannot
// be used it waits, after it has called waiting once; a changed config is taken
// up. begin is called with the agent before it runs. Why it ended is noted.
func Serve(ctx context.Context, cfg *config.Config, o Options, waiting func(), begin func(*Agent)) (err error) {
	b := state.Open(o.StateDir, cfg.Path)
	release, other, err := b.Claim(ctx)
	if err != nil {
		return err
	}
	if other != nil {
		return fault.New(fault.Conflict, fmt.Sprintf("the data folder %s is in use by another popbridge (process %d), which runs with this config", other.DataDir, other.PID),
			"stop it first: `popbridge stop`, or Ctrl-C where it runs")
	}
	defer release()
	_ = b.Update(func(f *state.File) { f.Begins(cfg.DataDir) }) // the agent will say that it cannot be kept
	defer func() { NoteEnd(ctx, cfg.Path, o, err) }()
	a, err := openWhenReady(ctx, cfg, o, waiting)
	if err != nil {
		return err
	}
	a.users.Note(func(f *state.File) { f.Runs(a.first.DataDir) })
	begin(a)
	return a.Run(ctx)
}

// readOnlyWithin is how long an agent of systemd waits for a disk to become writable
// before it ends, to be started again. A service has a view of the file system of
// its own, in which a disk that was mounted read-only at its start stays so.
const readOnlyWithin = 10 * time.Second

func openWhenReady(ctx context.Context, cfg *config.Config, o Options, waiting func()) (*Agent, error) {
	registry := health.New(o.Log.With().Str("component", "health").Logger(), time.Now)
	start := time.Now()
	for told := false; ; {
		a, err := Open(ctx, cfg, o)
		if !Waits(err) || ctx.Err() != nil {
			registry.Report("data folder")
			return a, err
		}
		registry.Report("data folder", health.DataFolder(err))
		if errors.Is(err, syscall.EROFS) && managedBySystemd() && time.Since(start) > readOnlyWithin {
			return nil, err
		}
		if !told {
			waiting()
			_ = state.Open(o.StateDir, cfg.Path).Update(func(f *state.File) { f.Agent.Waiting = err.Error() }) // only for a person
			told = true
		}
		if !supervise.Sleep(ctx, lookAgainAfter) {
			return nil, ctx.Err()
		}
		if next, err := config.Load(cfg.Path); err == nil { // data_dir may be what was put right
			cfg = next
		}
	}
}

// NoteEnd notes why an agent has ended, or has not begun: by err, where ctx had
// not ended before. Only the agent of a config may do so, and one that could not
// read it.
func NoteEnd(ctx context.Context, configPath string, o Options, err error) {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	_ = state.Open(o.StateDir, configPath).Update(func(f *state.File) { f.Ends(time.Now(), err) }) // only for a person
}

// Unusable is the status of a config whose data folder cannot be used, by the
// error of Open.
func Unusable(cfg *config.Config, o Options, err error) operations.Status {
	s := operations.Status{DataDir: cfg.DataDir, Listen: []string{}, LAN: operations.LAN{Listen: []string{}, Clients: []operations.LANClient{}, SMTP: []string{}}, Accounts: []operations.Account{}, Health: []health.Condition{health.DataFolder(err)}}
	b := state.Open(o.StateDir, cfg.Path)
	s.LastEnd = b.LastEnd()
	if agent := b.Running(); agent != nil {
		s.Running, s.PID = true, agent.PID // it waits
	} else {
		s.Health = append(s.Health, health.NotRunning(s.LastEnd.Failure(), 0, config.Command(cfg.Path, "run")))
	}
	for _, c := range cfg.Accounts {
		s.Accounts = append(s.Accounts, operations.Account{Name: c.Name, User: c.User, Folder: c.Folder, State: "backoff", LastError: err.Error(),
			Deletions: []operations.Deletion{}})
	}
	return s
}
