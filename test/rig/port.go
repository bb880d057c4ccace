package rig

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"
)

// WaitPort waits until something listens on a loopback port, for at most
// fifteen seconds, and gives up at once when gone is closed.
func WaitPort(ctx context.Context, port int, gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", Addr(port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-gone:
			return errors.New("the program has ended")
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// Addr is the loopback address of a port.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
