package serving

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// logEvery is how often the log says what happens again and again.
const logEvery = time.Minute

// Rare logs what may happen often, at most one line in a minute, with how often it was
// since. The zero value is ready.
type Rare struct {
	mu sync.Mutex
	at time.Time // of the last line
	n  int       // what was not told of since
}

// Log writes the line, or counts it.
func (f *Rare) Log(line *zerolog.Event, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; time.Since(f.at) < logEvery {
		return
	}
	line.Int("count", f.n).Msg(what)
	f.at, f.n = time.Now(), 0
}

// crowding tells that connections are dropped or refused because there are too
// many: at once by tell, and summed up in the log.
type crowding struct {
	protocol string
	log      zerolog.Logger
	tell     func(crowded bool) // may be nil

	mu    sync.Mutex
	n     int         // since the last line of the log
	timer *time.Timer // nil when it is not crowded
}

func (c *crowding) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.timer == nil {
		c.timer = time.AfterFunc(logEvery, c.sum)
		c.told(true)
	}
}

func (c *crowding) told(crowded bool) {
	if c.tell != nil {
		c.tell(crowded)
	}
}

func (c *crowding) sum() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timer == nil: // ended meanwhile
	case c.n > 0:
		c.logLocked()
		c.timer.Reset(logEvery)
	default:
		c.timer = nil
		c.told(false)
	}
}

func (c *crowding) logLocked() {
	c.log.Warn().Int("count", c.n).Msg(c.protocol + " connections were dropped, because there were too many without a login or in all")
	c.n = 0
}

// end is the end of serving.
func (c *crowding) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		return
	}
	c.timer.Stop()
	c.timer = nil
	if c.n > 0 {
		c.logLocked()
	}
	c.told(false)
}
