package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// usage is what a process takes of memory, in bytes.
type usage struct{ now, peak float64 }

// memory reads /proc, which only Linux has.
func memory(pid int) (u usage, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			u.now = kb * 1024
		case "VmHWM":
			u.peak = kb * 1024
		}
	}
	return u, err
}

// resetPeak makes the peak what is in use now.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// wakeups counts how often the threads of a process have gone to wait.
func wakeups(pid int) (n float64, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range threads {
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(raw), "\nvoluntary_ctxt_switches:")
		field, _, _ := strings.Cut(rest, "\n")
		k, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
		if err != nil {
			return 0, err
		}
		n += k
	}
	return n, err
}

// cpu is the processor time of a process, in ticks of 10 ms.
func cpu(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// idle measures five clients that wait in IDLE, each further one, and the
// processor while nothing happens.
func (l *lab) idle(ctx context.Context) error {
	if err := l.restart(ctx); err != nil {
		return err
	}
	if err := l.polled(ctx); err != nil {
		return err
	}
	var clients []*client
	defer func() {
		for _, c := range clients {
			_ = c.Close() // nothing is expected of it any more
		}
	}()
	enter := func(n int) (float64, error) {
		for range n {
			c, err := dial(ctx, l.p.Port, devicePassword)
			if err != nil {
				return 0, err
			}
			clients = append(clients, c)
			if _, err := fmt.Fprint(c, "i IDLE\r\n"); err != nil {
				return 0, err
			}
			if _, err := c.r.ReadString('\n'); err != nil {
				return 0, err
			}
		}
		time.Sleep(3 * time.Second)
		u, err := memory(l.p.PID())
		return u.now, err
	}
	five, err := enter(5)
	if err != nil {
		return err
	}
	l.atMost(row{Messages: l.n, Group: "memory", Name: "five clients in IDLE"}, five/1e6, "MB", 50)
	const more = 50
	all, err := enter(more)
	if err != nil {
		return err
	}
	l.atMost(row{Messages: l.n, Group: "memory", Name: "each further client in IDLE"}, (all-five)/more/1e3, "KB", 30)
	before, err := cpu(l.p.PID())
	woken, err2 := wakeups(l.p.PID())
	if err := cmp.Or(err, err2); err != nil {
		return err
	}
	const wait = 60 * time.Second
	time.Sleep(wait)
	after, err := cpu(l.p.PID())
	wokenAfter, err2 := wakeups(l.p.PID())
	l.atMost(row{Messages: l.n, Group: "memory", Name: "processor when idle"}, 100*(after-before).Seconds()/wait.Seconds(), "%", 0.1)
	l.atMost(row{Messages: l.n, Group: "memory", Name: "waits of threads when idle"}, (wokenAfter-woken)/wait.Seconds(), "/s", 0)
	return cmp.Or(err, err2)
}

// polled waits until the poll at a start is over.
func (l *lab) polled(ctx context.Context) error {
	began := time.Now()
	for time.Since(began) < 10*time.Minute {
		s, err := l.p.Status(ctx)
		if err != nil {
			return err
		}
		if len(s.Accounts) == 1 && s.Accounts[0].State == "idle" && s.Accounts[0].LastSuccess.After(began.Add(-time.Second)) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("popbridge does not poll after its start")
}

// restart ends popbridge and starts it again, with its index ready.
func (l *lab) restart(ctx context.Context) error {
	if err := l.p.Stop(); err != nil {
		return err
	}
	return l.p.Start(ctx)
}

// starts times the start, until the greeting of the IMAP server.
func (l *lab) starts(ctx context.Context) error {
	var all []time.Duration
	for range l.rounds {
		if err := l.p.Stop(); err != nil {
			return err
		}
		start := time.Now()
		if err := l.p.Launch(ctx); err != nil {
			return err
		}
		if err := greeted(ctx, l.p.Port); err != nil {
			return err
		}
		all = append(all, time.Since(start))
	}
	l.atMost(row{Messages: l.n, Group: "start", Name: "serving"}, median(all).Seconds()*1000, "ms", 200)
	info, err := os.Stat(l.binary)
	if err != nil {
		return err
	}
	l.atMost(row{Group: "start", Name: "binary"}, float64(info.Size())/1e6, "MB", 30)
	return nil
}

// greeted waits for the first octet of a greeting.
func greeted(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", rig.Addr(port))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close() // nothing is expected of it any more
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
