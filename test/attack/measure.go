package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// figures are what one attack cost.
type figures struct {
	rest, peak, kept float64 // MB resident: before, at most, ten seconds after
	processor        time.Duration
	answer           time.Duration // the longest wait of a well-behaved client
	runsOn           time.Duration
	note             string
}

// measure starts the agent again, so that its peak is that of this attack.
func (l *lab) measure(ctx context.Context, a attack) (f figures, err error) {
	if a.prepare != nil {
		if err := l.with(ctx, func() error { return a.prepare(ctx, l) }); err != nil {
			return f, fmt.Errorf("prepare: %w", err)
		}
	}
	err = l.with(ctx, func() error {
		for range 10 {
			if l.untilIdle() < patience { // it has indexed what was stored
				break
			}
		}
		if f.answer, err = l.probe(); err != nil {
			return fmt.Errorf("before the attack: %w", err)
		}
		if f.rest, _, err = l.memory(); err != nil {
			return err
		}
		before := l.processor()
		end := make(chan struct{})
		var probing sync.WaitGroup
		probing.Go(func() { f.answer = max(f.answer, l.probeUntil(end)) })
		f.note, err = a.play(ctx, l)
		close(end)
		if a.leaves {
			f.runsOn = l.untilIdle()
		}
		probing.Wait()
		f.processor = l.processor() - before
		time.Sleep(10 * time.Second)
		var memErr error
		f.kept, f.peak, memErr = l.memory()
		return errors.Join(err, memErr)
	})
	return f, err
}

// misses names the targets that were not met.
func (f figures) misses(a attack) (list []string) {
	if a.only {
		return nil
	}
	if f.peak-f.rest > maxGrowth {
		list = append(list, "memory")
	}
	if f.answer > maxAnswer {
		list = append(list, "answer")
	}
	if f.runsOn > maxRunsOn {
		list = append(list, "runs on")
	}
	return list
}

func (f figures) print(a attack) {
	verdict := "good"
	if missed := f.misses(a); missed != nil {
		verdict = "MISSED " + strings.Join(missed, ", ")
	} else if a.only {
		verdict = "measured"
	}
	runsOn := "-"
	if a.leaves {
		runsOn = fmt.Sprintf("%.1f s", f.runsOn.Seconds())
	}
	fmt.Printf("%-46s %8.0f %8.0f %7.1f s %7.1f s %9s  %s", a.name, f.peak, f.kept, f.processor.Seconds(), f.answer.Seconds(), runsOn, verdict)
	if f.note != "" {
		fmt.Printf("; %s", f.note)
	}
	fmt.Println()
}

// probeUntil logs in as a well-behaved client again and again and returns the
// longest wait.
func (l *lab) probeUntil(end <-chan struct{}) (longest time.Duration) {
	for {
		took, _ := l.probe() // one that never got in has waited for patience
		longest = max(longest, took)
		select {
		case <-end:
			return longest
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// untilIdle is how long the agent goes on using more than a fifth of a
// processor, at most patience.
func (l *lab) untilIdle() time.Duration {
	const window = 100 * time.Millisecond
	start, busy := time.Now(), time.Duration(0)
	for quiet := 0; quiet < 10 && time.Since(start) < patience; {
		before := l.processor()
		time.Sleep(window)
		if quiet++; l.processor()-before > window/5 {
			quiet, busy = 0, time.Since(start)
		}
	}
	return busy
}

// memory returns what is resident now and what was at most, in MB.
func (l *lab) memory() (now, peak float64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.agent.PID()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(raw)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(words[1], 64)
		switch words[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			peak = kib / 1024
		}
	}
	return now, peak, nil
}

// processor is the processor time that the agent has used.
func (l *lab) processor() time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.agent.PID()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	words := strings.Fields(rest)
	if len(words) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(words[11]) // fields 14 and 15 of proc(5), in hundredths of a second
	system, _ := strconv.Atoi(words[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
