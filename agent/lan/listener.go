package lan

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Refused connections are closed at a rate of refusedBurst at once and one each
// refusedEvery; more wait in the queue of the system, so that a flood costs little.
const (
	refusedBurst = 50
	refusedEvery = 5 * time.Millisecond
)

// A Listener accepts the connections that Peers admit and closes the others.
type Listener struct {
	net.Listener
	Peers *Peers
	// Refused is told of each connection that was closed; it must not block.
	Refused func(netip.Addr, Refusal)

	closed bucket // of Accept, which one goroutine calls
}

// Accept returns the next connection that is admitted.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := Remote(c.RemoteAddr())
		why := l.Peers.Open(from)
		if why == accepted {
			return &conn{TCPConn: c.(*net.TCPConn), closed: func() { l.Peers.Close(from) }}, nil
		}
		_ = c.(*net.TCPConn).SetLinger(0) // nothing of it stays behind
		_ = c.Close()
		l.Refused(from, why)
		if !l.closed.take(time.Now(), refusedBurst, refusedEvery) {
			time.Sleep(refusedEvery)
		}
	}
}

// conn is a connection that is counted.
type conn struct {
	*net.TCPConn
	once   sync.Once
	closed func()
}

// Close closes it.
func (c *conn) Close() error {
	defer c.once.Do(c.closed)
	return c.TCPConn.Close()
}
