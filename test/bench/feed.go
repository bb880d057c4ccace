package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// feed times how long a change of one flag takes from one client's STORE to
// another client's IDLE, in mailboxes of growing size: the price of publishing
// whole snapshots (docs/decisions/0005-change-feed.md).
func feed(ctx context.Context, o options, t *table, dir string) error {
	dir = filepath.Join(dir, "feed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	p, err := rig.NewPopbridge(o.binary, dir)
	if err != nil {
		return err
	}
	// No one answers on this port: there is nothing to fetch.
	if err := p.Configure(benchAccount(1)); err != nil {
		return err
	}
	if err := p.AddDevice(ctx, "bench", "bench", devicePassword); err != nil {
		return err
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	defer p.Stop()
	writer, err := dial(ctx, p.Port, devicePassword)
	if err != nil {
		return err
	}
	defer writer.Close()
	if _, err := writer.command(fmt.Sprintf("APPEND INBOX {%d}", len(draft)), draft); err != nil {
		return err
	}
	size := 1
	for _, n := range []int{1 << 10, 1 << 14, 1 << 17} {
		for ; size < n; size *= 2 {
			if _, err := writer.command("COPY 1:* INBOX", ""); err != nil {
				return err
			}
			if _, err := writer.command("NOOP", ""); err != nil {
				return err
			}
		}
		took, err := feedOnce(ctx, writer, p.Port)
		if err != nil {
			return err
		}
		t.atMost(row{Messages: n, Group: "change of one flag", Name: "STORE to IDLE"}, float64(took.Microseconds())/1000, "ms", 0)
	}
	return nil
}

// feedPause is longer than what the server waits to tell a burst as one, so that
// each change is measured by itself.
const feedPause = 100 * time.Millisecond

func feedOnce(ctx context.Context, writer *client, port int) (time.Duration, error) {
	reader, err := dial(ctx, port, devicePassword)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	if _, err := reader.Write([]byte("i IDLE\r\n")); err != nil {
		return 0, err
	}
	if _, err := reader.r.ReadString('\n'); err != nil {
		return 0, err
	}
	var all []time.Duration
	for round := range 40 {
		time.Sleep(feedPause)
		sign := "+-"[round%2 : round%2+1]
		start := time.Now()
		if _, err := writer.command(`STORE 1 `+sign+`FLAGS.SILENT (\Flagged)`, ""); err != nil {
			return 0, err
		}
		if err := reader.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			return 0, err
		}
		if _, err := reader.r.ReadString('\n'); err != nil {
			return 0, err
		}
		all = append(all, time.Since(start))
	}
	return median(all), nil
}
