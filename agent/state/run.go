package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const maxReason = 2000 // octets

// Agent is the agent that runs, or did when it was killed.
type Agent struct {
	PID     int    `json:"pid"`
	DataDir string `json:"data_dir"`
	Waiting string `json:"waiting,omitempty"` // why the data folder cannot be used; "" where it is
}

// End says why an agent that does not run any more has ended.
type End struct {
	At     *time.Time `json:"at"` // nil: not known
	Reason string     `json:"reason"`
	Failed bool       `json:"failed"` // false: it was told to stop
}

// Failure is why an agent has ended that was not told to, "" where there is nothing
// to say. e may be nil.
func (e *End) Failure() string {
	if e == nil || !e.Failed {
		return ""
	}
	return e.Reason
}

// killed is the end of an agent that could not note its own.
var killed = End{Reason: "it was killed, it crashed, or the computer lost power", Failed: true}

// Claim makes this process the agent of the config until release is called.
// Where another one is, it is returned; where that cannot be found out, there
// is none.
func (b *Book) Claim(ctx context.Context) (release func(), other *Agent, err error) {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o700); err != nil {
		return func() {}, nil, nil
	}
	lock := flock.New(b.path+".run", flock.SetPermissions(0o600))
	wait, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	ok, err := lock.TryLockContext(wait, 20*time.Millisecond)
	switch {
	case ok:
		return func() { _ = lock.Close() }, nil, nil
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		f, _ := b.Read()
		if f.Agent == nil {
			f.Agent = &Agent{}
		}
		return nil, f.Agent, nil
	}
	return func() {}, nil, nil
}

// Begins notes that this process is the agent now, after Claim. One that was
// before, and has not noted its end, was killed.
func (f *File) Begins(dataDir string) {
	if f.Agent != nil {
		end := killed
		f.LastEnd = &end
	}
	f.Runs(dataDir)
}

// Runs notes the data folder of this process, which is the agent.
func (f *File) Runs(dataDir string) { f.Agent = &Agent{PID: os.Getpid(), DataDir: dataDir} }

// Ends notes the end of the agent, before it is released. err is why it ended,
// nil when it was told to.
func (f *File) Ends(at time.Time, err error) {
	at = at.UTC().Truncate(time.Millisecond)
	f.Agent, f.LastEnd = nil, &End{At: &at, Reason: "it was told to stop"}
	if err != nil {
		f.LastEnd.Failed = true
		if f.LastEnd.Reason = err.Error(); len(f.LastEnd.Reason) > maxReason {
			f.LastEnd.Reason = strings.ToValidUTF8(f.LastEnd.Reason[:maxReason], "")
		}
	}
}

// Running returns the agent that runs with the config, nil where none does.
func (b *Book) Running() *Agent {
	f, _ := b.Read()
	if f.Agent != nil && b.claimed() == yes {
		return f.Agent
	}
	return nil
}

// RunningPID is the process of the agent that runs with the config, 0 where none does.
func (b *Book) RunningPID() int {
	if a := b.Running(); a != nil {
		return a.PID
	}
	return 0
}

// LastEnd says why the last agent of the config has ended that does not run any
// more, nil where that is not known.
func (b *Book) LastEnd() *End {
	f, _ := b.Read()
	if f.Agent != nil && b.claimed() == no {
		end := killed
		return &end
	}
	return f.LastEnd
}

type answer int

const (
	unknown answer = iota
	yes
	no
)

// claimed tells whether a process has claimed the config.
func (b *Book) claimed() answer {
	lock := flock.New(b.path+".run", flock.SetFlag(os.O_RDONLY)) // root asks, too: nothing is made
	ok, err := lock.TryRLock()
	defer lock.Close() // it was only tried
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return no
	case err != nil:
		return unknown
	case ok:
		return no
	}
	return yes
}
