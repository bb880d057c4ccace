package localimap

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// aliveEvery is how often a long command looks whether its client is still there.
const aliveEvery = 250 * time.Millisecond

var errClientGone = errors.New("the client has disconnected")

// watch returns the context of a command that may take long. It ends when the
// device is revoked, the server stops, or the client goes, which is not noticed
// otherwise while nothing is read. The command calls stop before it returns, for
// then the library reads again.
func (s *session) watch() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(aliveEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !s.conn.alive() {
				cancel(errClientGone)
				s.conn.abort()
				return
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		watching.Wait()
	}
}

// watchedFile is a message file that can be read as long as the command goes on:
// all that takes long reads it in pieces.
type watchedFile struct {
	ctx context.Context
	*os.File
}

// ReadAt reads, unless the command has ended.
func (f watchedFile) ReadAt(p []byte, off int64) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	return f.File.ReadAt(p, off)
}
