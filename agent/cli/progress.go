package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/popbridge/popbridge/agent/operations"
)

// bars shows progress on a terminal, a line per account or user; elsewhere it
// shows nothing.
type bars struct {
	container *mpb.Progress // nil elsewhere
	stop      func() bool   // ends what waits for Ctrl-C
	byName    map[string]*bar
}

type bar struct {
	*mpb.Bar
	now     atomic.Pointer[operations.Progress]
	started bool // what is counted has begun
}

// terminal is where progress is shown, nil where there is none.
func (a *app) terminal() *os.File {
	if f, ok := a.direct.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !a.json {
		return f
	}
	return nil
}

// tell says on a terminal what is waited for.
func (a *app) tell(text string) {
	if f := a.terminal(); f != nil {
		_, _ = fmt.Fprintln(f, text)
	}
}

func (a *app) newBars(ctx context.Context) *bars {
	b := &bars{byName: map[string]*bar{}}
	if f := a.terminal(); f != nil {
		b.container = mpb.NewWithContext(ctx, mpb.WithOutput(f), mpb.WithWidth(64))
		// Ctrl-C leaves its "^C" at the begin of the line.
		b.stop = context.AfterFunc(ctx, func() { _, _ = f.WriteString("\r") })
	}
	return b
}

// withProgress runs work with operations that report progress.
func withProgress[T any](ctx context.Context, a *app, work func(operations.Operations, context.Context, func(operations.Progress)) (T, error)) (result T, err error) {
	err = a.with(ctx, func(ops operations.Operations) (err error) {
		bars := a.newBars(ctx)
		defer bars.end()
		result, err = work(ops, ctx, bars.show)
		return err
	})
	return result, err
}

// show takes one progress. It is called from one goroutine at a time.
func (b *bars) show(p operations.Progress) {
	if b.container == nil {
		return
	}
	name := p.Account + p.User
	line := b.byName[name]
	if line == nil {
		line = b.add(name, p.Account != "")
		b.byName[name] = line
	}
	line.take(p)
}

// add begins a line: messages, the bar, and for accounts bytes, rate and time
// left. Users, whose messages are only read here, have no bytes.
func (b *bars) add(name string, bytes bool) *bar {
	line := &bar{}
	line.now.Store(&operations.Progress{})
	messages := decor.Any(func(decor.Statistics) string {
		now := line.now.Load()
		if now.TotalMessages == 0 {
			return now.Phase
		}
		return fmt.Sprintf("%d/%d", now.Messages, now.TotalMessages)
	}, decor.WCSyncSpace)
	right := []decor.Decorator{decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)}
	if bytes {
		right = append([]decor.Decorator{
			decor.CountersKiloByte("% .1f / % .1f", decor.WCSyncSpace),
			decor.AverageSpeed(decor.SizeB1000(0), "% .1f", decor.WCSyncSpace),
		}, right...)
	}
	for i, d := range right {
		right[i] = decor.Meta(d, func(text string) string { // nothing is known before a listing
			if line.now.Load().TotalMessages == 0 {
				return strings.Repeat(" ", len(text))
			}
			return text
		})
	}
	line.Bar = b.container.New(0, mpb.BarStyle(),
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), messages), mpb.AppendDecorators(right...))
	return line
}

func (line *bar) take(p operations.Progress) {
	line.now.Store(&p)
	current, total := p.Bytes, p.TotalBytes
	if p.User != "" {
		current, total = int64(p.Messages), int64(p.TotalMessages)
	}
	if !line.started && total > 0 {
		line.started = true
		line.DecoratorAverageAdjust(time.Now()) // connecting is not part of the rate
	}
	line.SetTotal(total, false)
	line.SetCurrent(current)
	switch {
	case p.Done && p.TotalMessages == 0:
		line.Abort(true) // nothing was fetched: there is nothing to show
	case p.Done:
		line.SetTotal(-1, true)
	}
}

// end leaves the last state on the screen.
func (b *bars) end() {
	if b.container == nil {
		return
	}
	b.stop()
	for _, line := range b.byName {
		line.Abort(false) // does nothing to one that is complete
	}
	b.container.Wait()
}
