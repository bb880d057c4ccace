// Command attack plays what an attacker can do to a running popbridge over
// loopback, bounded in count and time, and prints one table: how much memory
// and processor time each attack takes, how long a well-behaved client waits
// meanwhile, and how long the work goes on after the attacker has left. It
// exits with 1 where a target is missed. Linux only: it reads /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// Targets of a single attack.
const (
	maxGrowth = 200             // MB above the agent at rest
	maxAnswer = 5 * time.Second // until a well-behaved client has logged in and opened INBOX
	maxRunsOn = time.Second     // of work after the client has left or its device was revoked
)

// attack is one row of the table.
type attack struct {
	name string
	// prepare fills the store; it is not measured. May be nil.
	prepare func(ctx context.Context, l *lab) error
	// play attacks the running agent and returns what there is to be noted.
	play func(ctx context.Context, l *lab) (note string, err error)
	// leaves says that the attack ends with its client going, or its device
	// being revoked, in the middle of a command.
	leaves bool
	only   bool // measured without a target
}

func main() {
	binary := flag.String("popbridge", "bin/popbridge", "the binary to attack")
	only := flag.String("run", "", "play the attacks that match this regular expression")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	missed, err := all(ctx, *binary, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	if err != nil || missed > 0 {
		stop()
		os.Exit(1)
	}
}

func all(ctx context.Context, binary, only string) (missed int, err error) {
	if binary, err = filepath.Abs(binary); err != nil {
		return 0, err
	}
	chosen, err := regexp.Compile(only)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "popbridge-attack-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := newLab(ctx, binary, dir)
	if err != nil {
		return 0, err
	}
	fmt.Printf("%-46s %8s %8s %9s %9s %9s  %s\n", "attack", "peak MB", "kept MB", "processor", "answer", "runs on", "verdict")
	for _, a := range attacks {
		if !chosen.MatchString(a.name) {
			continue
		}
		f, err := l.measure(ctx, a)
		if err != nil {
			return missed, fmt.Errorf("%s: %w", a.name, err)
		}
		if f.print(a); len(f.misses(a)) > 0 {
			missed++
		}
	}
	fmt.Printf("targets: peak at most %d MB above rest, answer within %v, work ends within %v; %d missed\n",
		maxGrowth, maxAnswer, maxRunsOn, missed)
	return missed, nil
}
