// Package supervise runs the long-lived parts of the program: Run restarts what
// fails, a Group waits for all that was started in it, a Task can be ended alone,
// what must not be cut off may Outlive it. A panic ends one part and not the process.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// The pause before something that failed is started again: it doubles up to
// the longest one, and is the first one again after a stable run.
const (
	firstRestart  = time.Second
	longestPause  = time.Minute
	stableRuntime = 10 * time.Minute
)

var errEnded = errors.New("it ended by itself")

// Run keeps serve running until ctx ends, whatever happens to it.
// failed is told each time it was not ctx that ended it. retryNow, which may be
// nil, ends a pause: what went wrong may be over.
func Run(ctx context.Context, serve func(context.Context) error, failed func(error), retryNow <-chan struct{}) {
	pause := firstRestart
	for {
		started := time.Now()
		err := Protect(func() error { return serve(ctx) })
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

// Sleep waits, and reports false when ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Outlive returns a context that ends d after ctx.
func Outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() { stop(); cancel() }
}

// Protect turns a panic into an error.
func Protect(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, fmt.Sprintf("a defect of popbridge: %v", p), "please report it with the log")
		}
	}()
	return work()
}

// A Group is what goroutines that come and go belong to.
type Group struct {
	Context context.Context // ends when the group is to end
	wg      sync.WaitGroup
}

// Wait returns when all tasks of the group have ended.
func (g *Group) Wait() { g.wg.Wait() }

// Task is a goroutine that can be ended on its own, as a reload does.
type Task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Start runs work as a task of the group. Its context ends with the group or with
// the task.
func (g *Group) Start(work func(context.Context)) *Task {
	ctx, cancel := context.WithCancel(g.Context)
	t := &Task{cancel: cancel, done: make(chan struct{})}
	g.wg.Go(func() {
		defer cancel()
		defer close(t.done)
		work(ctx)
	})
	return t
}

// Done is closed when the task has ended.
func (t *Task) Done() <-chan struct{} { return t.done }

// Stop ends a task and waits for it. A nil task has ended.
func (t *Task) Stop() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}
