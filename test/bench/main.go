// Command bench measures popbridge against targets, and beside programs that do a
// part of its work: a first fetch beside mpop, IMAP commands beside Dovecot.
// Everything runs on this machine in one go, the two sides in turn, so the ratios
// mean something even where the figures don't. A ratio above 1 means popbridge is
// faster; it counts only where both have answered the same.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	binary    string
	sizes     []int // of the mailboxes
	growth    []int // of those of the growth rows
	rounds    int
	rtt       time.Duration
	parts     string
	json, svg string
	profiles  string
}

func main() {
	o := options{sizes: []int{5000}, growth: []int{1000, 10_000}}
	flag.StringVar(&o.binary, "popbridge", "bin/popbridge", "the binary to measure")
	flag.Func("messages", "messages in the mailbox, one or more sizes such as 5000,30000,100000 (default 5000)", numbers(&o.sizes))
	flag.Func("growth", "sizes of the mailboxes for the growth rows, such as 10000,100000,1000000 (default 1000,10000)", numbers(&o.growth))
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	flag.DurationVar(&o.rtt, "rtt", 50*time.Millisecond, "round trip of the slow link; 0 leaves it out")
	flag.StringVar(&o.parts, "parts", "fetch,imap,open,search,poll,memory,disk,start,large,growth,feed,web", "what to measure; more are send (as root), xapian, profile, and without all others reliability and reliability-send")
	flag.StringVar(&o.json, "json", "bench.json", "file for the table; empty for none")
	flag.StringVar(&o.svg, "svg", "", "file for the plot of the growth rows")
	flag.StringVar(&o.profiles, "profiles", "profiles", "folder for what the part profile takes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}

func numbers(list *[]int) func(string) error {
	return func(text string) error {
		*list = nil
		for field := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(field)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no number of messages", field)
			}
			*list = append(*list, n)
		}
		return nil
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "popbridge-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if has(o.parts, "reliability") || has(o.parts, "reliability-send") {
		if has(o.parts, "reliability") {
			err = reliability(ctx, o, dir)
		}
		if has(o.parts, "reliability-send") && err == nil {
			err = sending(ctx, o, dir)
		}
		return err
	}
	t := &table{out: os.Stdout}
	for _, n := range o.sizes {
		if err := mailbox(ctx, o, t, dir, n); err != nil {
			return fmt.Errorf("%d messages: %w", n, err)
		}
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, options, *table, string) error
	}{{"disk", attachments}, {"large", large}, {"xapian", xapian}, {"growth", growth}, {"feed", feed}, {"web", webPage}, {"send", send}} {
		if has(o.parts, part.name) {
			if err := part.run(ctx, o, t, dir); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	t.summary()
	if o.json == "" {
		return nil
	}
	return t.write(o.json)
}

// mailbox measures a mailbox of n messages.
func mailbox(ctx context.Context, o options, t *table, dir string, n int) (err error) {
	wanted := false
	for _, part := range []string{"fetch", "imap", "open", "search", "poll", "memory", "disk", "start", "profile"} {
		wanted = wanted || has(o.parts, part)
	}
	if !wanted {
		return nil
	}
	l, err := newLab(ctx, o, t, dir, n, message)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, l.close()) }()
	if has(o.parts, "fetch") {
		if err := l.fetch(ctx); err != nil {
			return err
		}
	}
	if err := l.fetched(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"imap", l.imap}, {"open", l.open}, {"start", l.starts}, {"memory", l.idle}, {"poll", l.poll}, {"profile", l.profile}} {
		if has(o.parts, part.name) {
			if err := part.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	return nil
}

const bodies = "search in bodies, beside Dovecot"

// fetched lets the agent fetch everything, and measures what has to be measured
// right after that.
func (l *lab) fetched(ctx context.Context) error {
	if err := l.start(ctx); err != nil {
		return err
	}
	if has(l.parts, "memory") {
		u, err := memory(l.p.PID())
		if err != nil {
			return err
		}
		l.atMost(row{Messages: l.n, Group: "memory", Name: "peak of the first fetch"}, u.peak/1e6, "MB", 130)
	}
	ours, theirs, err := l.both(ctx)
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	if has(l.parts, "search") {
		if err := l.words(bodies, ", right after the fetch", 50, 4, 1, ours, theirs); err != nil {
			return err
		}
	}
	if err := l.indexed(ours); err != nil {
		return err
	}
	if has(l.parts, "disk") {
		l.disk("text mail", 1.45)
	}
	if has(l.parts, "search") {
		return l.words(bodies, "", 50, 4, 1, ours, theirs)
	}
	return nil
}
