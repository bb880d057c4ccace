package agent

import (
	"context"

	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
)

// AwaitConfig loads a config, and waits while it has errors: reject is told of each,
// and it is noted that the agent waits. Where another agent runs with the config the
// error of the config is returned, as it is when ctx ends.
func AwaitConfig(ctx context.Context, path string, o Options, reject func(error)) (*config.Config, error) {
	cfg, err := config.Load(path)
	if err == nil {
		return cfg, nil
	}
	book := state.Open(o.StateDir, path)
	release, other, claimErr := book.Claim(ctx)
	if claimErr != nil || other != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchErr := config.Watch(ctx, path, func() {
		if cfg, err = config.Load(path); err == nil {
			cancel()
			return
		}
		_ = book.Update(func(f *state.File) { // only for a person
			f.Runs(config.DataDir(path))
			f.Agent.Waiting = err.Error()
		})
		reject(err)
	})
	if err == nil {
		_ = book.Update(func(f *state.File) { f.Agent = nil }) // it did not end by a kill
		return cfg, nil
	}
	NoteEnd(ctx, path, o, nil)
	if watchErr != nil {
		return nil, watchErr
	}
	return nil, err
}
