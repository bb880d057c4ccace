package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// trace is a strace of what a process, and those that it starts, sync.
type trace struct {
	cmd  *exec.Cmd
	file string
}

func startTrace(ctx context.Context, pid int, file string) (*trace, error) {
	t := &trace{exec.CommandContext(ctx, "strace", "-f", "-qq", "-ttt", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs,sync,msync", "-o", file, "-p", strconv.Itoa(pid)), file}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && !strings.Contains(string(raw), "\nTracerPid:\t0\n") {
			time.Sleep(100 * time.Millisecond) // its other threads
			return t, nil
		}
		if err != nil || time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("strace does not attach to %d", pid), err, t.stop())
		}
	}
}

func (t *trace) stop() error {
	err := t.cmd.Process.Signal(os.Interrupt)
	_ = t.cmd.Wait() // it ends by the signal
	return err
}

// syncs are when the syncs began.
func (t *trace) syncs() (list []time.Time, err error) {
	f, err := os.Open(t.file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 1234 1700000000.123456 fsync(7) = 0; the end of an interrupted one is "<... resumed".
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || !strings.Contains(fields[2], "(") {
			continue
		}
		at, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return nil, err
		}
		list = append(list, time.UnixMicro(int64(at*1e6)))
	}
	return list, lines.Err()
}
