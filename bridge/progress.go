package bridge

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
)

// progressEvery bounds how often progress is reported. The first report of a
// phase and the last one of a poll always come.
const progressEvery = 100 * time.Millisecond

// meter adds up the progress of one poll. It is safe for concurrent use; emit
// is called synchronously by whoever made progress, so a slow consumer slows
// the poll down and an idle one costs nothing.
type meter struct {
	emit func(Progress)

	mu      sync.Mutex
	p       Progress
	current int64 // bytes of the message being received, at most its LIST size
	last    time.Time
}

// phase starts a phase.
func (m *meter) phase(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Phase = name
	m.report(true)
}

// expect adds messages to the totals.
func (m *meter) expect(fetch []plan.Fetch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.TotalMessages += len(fetch)
	for _, f := range fetch {
		m.p.TotalBytes += f.Size
	}
}

// received counts a message that has arrived in full.
func (m *meter) received(f plan.Fetch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Messages++
	m.p.Bytes += f.Size - m.current
	m.current = 0
	m.report(false)
}

// lost takes back that a message has arrived.
func (m *meter) lost(f plan.Fetch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Messages--
	m.p.Bytes -= f.Size
}

// drop takes messages that will not arrive in this session from the totals.
func (m *meter) drop(fetch ...plan.Fetch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Bytes -= m.current
	m.current = 0
	m.p.TotalMessages -= len(fetch)
	for _, f := range fetch {
		m.p.TotalBytes -= f.Size
	}
}

// done ends the poll.
func (m *meter) done(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Phase, m.p.Done = PhaseDone, true
	if err != nil {
		m.p.Err = err.Error()
	}
	m.report(true)
}

// reader counts a message while it is read.
func (m *meter) reader(r io.Reader, size int64) *reader {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Bytes -= m.current // of one that did not arrive
	m.current = 0
	return &reader{r: r, m: m, size: size}
}

func (m *meter) bytes(n int, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	step := min(int64(n), size-m.current) // LIST sizes are hints: never beyond one
	m.current += step
	m.p.Bytes += step
	m.report(false)
}

func (m *meter) report(now bool) {
	at := time.Now()
	if !now && at.Sub(m.last) < progressEvery {
		return
	}
	m.last = at
	m.emit(m.p)
}

// reader counts what is read of one message, and keeps the error reading
// ended with, so that the caller can tell a broken connection from a full disk.
type reader struct {
	r     io.Reader
	m     *meter
	size  int64
	n     int64
	lines int64 // line feeds
	err   error
}

var lineFeed = []byte{'\n'}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.n += int64(n)
	r.lines += int64(bytes.Count(b[:n], lineFeed))
	if err != nil && err != io.EOF {
		r.err = err
	}
	r.m.bytes(n, r.size)
	return n, err
}
