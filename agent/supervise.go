package agent

import (
	"context"
	"errors"
	"time"
)

// The pause before something that failed is started again: it doubles up to
// the longest one, and is the first one again after a stable run.
const (
	firstRestart  = time.Second
	longestPause  = time.Minute
	stableRuntime = 10 * time.Minute
)

var errEnded = errors.New("it ended by itself")

// supervise keeps serve running until ctx ends, whatever happens to it.
// failed is told each time it was not ctx that ended it. retryNow, which may be
// nil, ends a pause: what went wrong may be over.
func supervise(ctx context.Context, serve func(context.Context) error, failed func(error), retryNow <-chan struct{}) {
	pause := firstRestart
	for {
		started := time.Now()
		err := protect(func() error { return serve(ctx) })
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errEnded
		}
		failed(err)
		if time.Since(started) > stableRuntime {
			pause = firstRestart
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
			pause = min(2*pause, longestPause)
		case <-retryNow:
			t.Stop()
			pause = firstRestart
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// task is a goroutine that can be ended on its own, as a reload does.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs work as a task of s. Its context ends with s or with the task.
func (s *serving) start(work func(context.Context)) *task {
	ctx, cancel := context.WithCancel(s.ctx)
	t := &task{cancel: cancel, done: make(chan struct{})}
	s.wg.Go(func() {
		defer cancel()
		defer close(t.done)
		work(ctx)
	})
	return t
}

// stop ends a task and waits for it. A nil task has ended.
func (t *task) stop() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}
