package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// relay passes POP3 sessions on and times them, from the connection to its end.
type relay struct {
	port     int
	ln       net.Listener
	sessions chan time.Duration
	wg       sync.WaitGroup
}

func startRelay(target int) (*relay, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{port: ln.Addr().(*net.TCPAddr).Port, ln: ln, sessions: make(chan time.Duration, 1000)}
	r.wg.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.pass(near, target) })
		}
	})
	return r, nil
}

func (r *relay) pass(near net.Conn, target int) {
	start := time.Now()
	defer near.Close()
	far, err := net.Dial("tcp", rig.Addr(target))
	if err != nil {
		return
	}
	defer far.Close()
	r.wg.Go(func() {
		_, _ = io.Copy(far, near) // its end is the end of the session
		_ = far.Close()
	})
	_, _ = io.Copy(near, far)
	r.sessions <- time.Since(start)
}

func (r *relay) close() error {
	err := r.ln.Close()
	r.wg.Wait()
	return err
}

// bareFetch is the least that a poll can be: CAPA, login, UIDL, QUIT; with retr it
// also retrieves everything.
func bareFetch(addr string, retr bool) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 1<<16)
	if _, err := r.ReadString('\n'); err != nil {
		return err
	}
	listed := 0
	for _, line := range []string{"CAPA", "USER bench", "PASS " + rig.Password, "UIDL"} {
		if listed, err = ask(conn, r, line, line == "CAPA" || line == "UIDL"); err != nil {
			return err
		}
	}
	for i := range listed {
		if !retr {
			break
		}
		if _, err := ask(conn, r, fmt.Sprintf("RETR %d", i+1), true); err != nil {
			return err
		}
	}
	_, err = ask(conn, r, "QUIT", false)
	return err
}

// ask sends a command and returns how many lines were answered.
func ask(conn net.Conn, r *bufio.Reader, line string, multi bool) (n int, err error) {
	if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
		return 0, err
	}
	got, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(got, "+OK") {
		return 0, errors.Join(fmt.Errorf("%.4s was answered %q", line, got), err)
	}
	for multi {
		got, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
		if bytes.Equal(got, []byte(".\r\n")) {
			break
		}
		n++
	}
	return n, nil
}

// poll times polls that find nothing new, with all messages kept on the server,
// beside the least that such a session can be, and measures what they take of memory.
func (l *lab) poll(ctx context.Context) error {
	idle, err := memory(l.p.PID())
	if err != nil {
		return err
	}
	_ = resetPeak(l.p.PID()) // where that cannot be, the peak is that of all that was before
	for len(l.pop.sessions) > 0 {
		<-l.pop.sessions
	}
	var ours, bare []time.Duration
	for round := range l.rounds + 1 {
		if out, err := l.p.Run(ctx, "", "sync"); err != nil || out.Code != 0 {
			return fmt.Errorf("sync: exit %d: %s: %w", out.Code, out.Stderr, err)
		}
		a := <-l.pop.sessions
		if err := bareFetch(rig.Addr(l.pop.port), false); err != nil {
			return err
		}
		if b := <-l.pop.sessions; round > 0 {
			ours, bare = append(ours, a), append(bare, b)
		}
	}
	peak, err := memory(l.p.PID())
	if err != nil {
		return err
	}
	a, b := median(ours), median(bare)
	l.atMost(row{Messages: l.n, Group: "poll with nothing new", Name: "time over a bare session",
		Note: fmt.Sprintf("%.1f ms, bare %.1f ms", a.Seconds()*1000, b.Seconds()*1000)}, a.Seconds()/b.Seconds(), "x", 1.3)
	l.atMost(row{Messages: l.n, Group: "poll with nothing new", Name: "memory above idle"}, (peak.peak-idle.now)/1e6, "MB", 20)
	return nil
}
