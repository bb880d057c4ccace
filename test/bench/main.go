// Command bench measures popbridge beside programs that do a part of its work:
// a first fetch beside mpop, IMAP commands beside Dovecot. Everything runs on
// this machine in one go, the two sides in turn, so the ratios mean something
// even where the figures don't. A ratio above 1 means popbridge is faster.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

type options struct {
	binary   string
	messages int
	rounds   int
	rtt      time.Duration
	parts    string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "popbridge", "bin/popbridge", "the binary to measure")
	flag.IntVar(&o.messages, "messages", 5000, "messages in the mailbox")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	flag.DurationVar(&o.rtt, "rtt", 50*time.Millisecond, "round trip of the slow link; 0 leaves it out")
	flag.StringVar(&o.parts, "parts", "fetch,imap,feed", "what to measure: fetch, imap, feed, reliability")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
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
	if has(o.parts, "fetch") || has(o.parts, "imap") {
		if err := besideOthers(ctx, o, dir); err != nil {
			return err
		}
	}
	if has(o.parts, "feed") {
		if err := feed(ctx, o, dir); err != nil {
			return err
		}
	}
	if has(o.parts, "reliability") {
		return reliability(ctx, o, dir)
	}
	return nil
}

// besideOthers measures on the mailbox of a Dovecot.
func besideOthers(ctx context.Context, o options, dir string) error {
	d, err := rig.StartDovecot(ctx, "", "")
	if err != nil {
		return err
	}
	defer d.Stop()
	var size int64
	for n := range o.messages {
		raw := testkit.Message(n)
		size += int64(len(raw))
		if err := d.Put("bench", raw); err != nil {
			return err
		}
	}
	// Once by a third party, so that Dovecot's own index is there for both.
	if _, err := rig.Retrieve(rig.Addr(d.POP3), "bench"); err != nil {
		return err
	}
	fmt.Printf("%d messages, %.1f MB, %d rounds, medians; ratio above 1: popbridge is faster\n", o.messages, float64(size)/1e6, o.rounds)
	if has(o.parts, "fetch") {
		if err := fetch(ctx, o, d, dir); err != nil {
			return err
		}
	}
	if has(o.parts, "imap") {
		return imapCommands(ctx, o, d, dir)
	}
	return nil
}
