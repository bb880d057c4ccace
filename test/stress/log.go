package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// log collects how long each command took.
type log struct {
	mu    sync.Mutex
	times map[string][]time.Duration
}

func newLog() *log { return &log{times: make(map[string][]time.Duration)} }

func (l *log) took(name string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times[name] = append(l.times[name], d)
}

// table prints a line for each command.
func (l *log) table(w io.Writer, over time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := 0
	fmt.Fprintf(w, "\n%-16s %8s %10s %10s %10s %10s   ms\n", "command", "count", "median", "p95", "p99", "max")
	for _, name := range slices.Sorted(maps.Keys(l.times)) {
		all := l.times[name]
		slices.Sort(all)
		total += len(all)
		at := func(share float64) float64 {
			return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
		}
		fmt.Fprintf(w, "%-16s %8d %10.2f %10.2f %10.2f %10.2f\n", name, len(all), at(0.5), at(0.95), at(0.99), at(1))
	}
	fmt.Fprintf(w, "%-16s %8d = %.0f a second\n", "all", total, float64(total)/over.Seconds())
}
