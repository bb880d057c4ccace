package rig

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Link is a TCP relay on loopback that is as slow as a distant server: every
// piece of data arrives half a round trip after it was sent, in both
// directions, without a limit on how much is under way.
type Link struct {
	Port int
	// Rate is how many bytes go through in a second, in each direction; 0: any. It is
	// set before the first connection.
	Rate int

	target string
	delay  time.Duration
	ln     net.Listener
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// StartLink relays to a loopback port with the given round-trip time.
func StartLink(port int, rtt time.Duration) (*Link, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Link{Port: ln.Addr().(*net.TCPAddr).Port, target: Addr(port), delay: rtt / 2, ln: ln, cancel: cancel}
	l.wg.Go(func() { l.accept(ctx) })
	return l, nil
}

// Close ends the relay and every connection through it.
func (l *Link) Close() error {
	l.cancel()
	err := l.ln.Close()
	l.wg.Wait()
	return err
}

func (l *Link) accept(ctx context.Context) {
	for {
		near, err := l.ln.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() { l.relay(ctx, near) })
	}
}

func (l *Link) relay(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { l.pump(far, near) })
	both.Go(func() { l.pump(near, far) })
	both.Wait()
}

type parcel struct {
	due  time.Time
	data []byte
}

// pump carries data from src to dst; the queue holds what is under way.
func (l *Link) pump(dst, src net.Conn) {
	queue := make(chan parcel, 1024)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer closeWrite(dst)
		var broken error
		var sent time.Time
		for p := range queue {
			if broken == nil {
				if l.Rate > 0 { // as long as it takes on the line, after what came before
					sent = later(sent, time.Now()).Add(time.Duration(len(p.data)) * time.Second / time.Duration(l.Rate))
					p.due = later(p.due, sent)
				}
				<-time.After(time.Until(p.due))
				_, broken = dst.Write(p.data)
			}
		}
	})
	buf := make([]byte, 1<<16)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			queue <- parcel{time.Now().Add(l.delay), append([]byte(nil), buf[:n]...)}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				dst.Close()
			}
			break
		}
	}
	close(queue)
	wg.Wait()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func closeWrite(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
