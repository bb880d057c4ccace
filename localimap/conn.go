package localimap

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
)

const (
	// writeBuffer is how much of a response is gathered before it goes to the
	// network.
	writeBuffer = 64 << 10
	smallBuffer = 4 << 10 // what is kept while waiting for a command
	idleBuffer  = 512     // and while telling what changes
	// probeAfter is how long a client has to be silent before the system looks
	// whether it is there.
	probeAfter = 5 * time.Minute
	// goneAfter is how long a command goes on that a client did not wait for that
	// has closed the connection.
	goneAfter = 250 * time.Millisecond
)

// conn is a connection to a client. The goroutine of its session writes to it and
// reads from it; a second one receives while a command takes long or waits, so that
// a client that goes or speaks is noticed (receive.go).
//
// What is written is gathered and goes out when the session waits for the client,
// or when there is writeBuffer of it.
type conn struct {
	*serving.Conn
	writeTimeout atomic.Int64 // for a piece to be written
	between      bool         // no command is being read
	out          []byte
	err          error // of writing
	timer        *time.Timer

	mu    sync.Mutex // guards the fields below
	buf   []byte     // what in lies in
	in    []byte     // received, not taken
	inErr error

	readAt time.Time // when the session has read
	asked  uint      // how often for alive

	receiving     bool // the receiver reads from stream
	waiting       bool // the session is in Read
	receiverEnded chan struct{}

	more chan struct{} // in or inErr have changed
	room chan struct{} // in has been taken
}

func newConn(ctx context.Context, c net.Conn, closed func()) *conn {
	if k, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		// Each probe wakes a telephone up; Go would send one every 15 seconds.
		_ = k.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: time.Minute, Count: 3})
	}
	n := &conn{
		Conn: serving.NewConn(ctx, c, closed), timer: time.NewTimer(time.Hour),
		more: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	n.writeTimeout.Store(int64(serving.FlushTimeout))
	return n
}

// Write gathers p, or sends it together with what was gathered before.
func (c *conn) Write(p []byte) (int, error) {
	if len(c.out)+len(p) > writeBuffer {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) >= writeBuffer {
		return len(p), c.send(p)
	}
	c.out = append(c.out, p...)
	return len(p), c.err
}

// line gathers a line.
func (c *conn) line(format string, args ...any) {
	c.out = append(fmt.Appendf(c.out, format, args...), "\r\n"...)
}

// overflow sends what was gathered where that is much; it is called between lines.
func (c *conn) overflow() error {
	if len(c.out) < writeBuffer {
		return c.err
	}
	return c.flush()
}

func (c *conn) flush() error {
	if len(c.out) == 0 || c.err != nil {
		return c.err
	}
	err := c.send(c.out)
	c.out = c.out[:0]
	return err
}

// send gives the client time for each piece: one that reads slowly gets all of a
// long message, one that has stopped is not waited for.
func (c *conn) send(p []byte) error {
	for piece := range slices.Chunk(p, writeBuffer) {
		if err := c.Send(piece, time.Duration(c.writeTimeout.Load())); err != nil {
			c.err = err
			return err
		}
	}
	return nil
}

// finish says goodbye and closes. It is called by the session.
func (c *conn) finish(why string) {
	why = cmp.Or(c.ByeText(), why)
	if why != "" {
		c.line("* BYE %s", why)
	}
	c.Shut(c.flush)
	c.mu.Lock()
	ended := c.receiverEnded
	c.mu.Unlock()
	if ended != nil {
		<-ended
	}
	c.Abort()
}

// The responses below are gathered (RFC 9051 section 7.5, and RECENT of RFC 3501
// section 7.3.2).

func (c *conn) tellExpunged(i int) { c.counted(i+1, "EXPUNGE\r\n") }

func (c *conn) tellExists(n int) { c.counted(n, "EXISTS\r\n") }

func (c *conn) tellRecent(n uint32) { c.counted(int(n), "RECENT\r\n") }

func (c *conn) tellFlags(i int, uid mailstore.UID, flags string, modseq mailstore.ModSeq) {
	c.counted(i+1, "FETCH (")
	out := c.out
	if uid != 0 {
		out = append(strconv.AppendUint(append(out, "UID "...), uint64(uid), 10), ' ')
	}
	if flags != "" {
		out = append(append(append(out, "FLAGS "...), flags...), ' ')
	}
	if modseq != 0 {
		out = append(appendModSeq(append(out, "MODSEQ "...), modseq), ' ')
	}
	c.out = append(out[:len(out)-1], ")\r\n"...)
	_ = c.overflow() // kept in c.err
}

func (c *conn) counted(n int, what string) {
	c.out = append(strconv.AppendInt(append(c.out, "* "...), int64(n), 10), ' ')
	c.out = append(c.out, what...)
}
