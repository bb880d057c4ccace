package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

func has(list, item string) bool { return slices.Contains(strings.Split(list, ","), item) }

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// fetch times a first fetch into an empty folder, popbridge and mpop in turn:
// directly, and through a link with a round-trip time.
func fetch(ctx context.Context, o options, d *rig.Dovecot, dir string) error {
	if _, err := exec.LookPath("mpop"); err != nil {
		fmt.Println("\nfirst fetch: mpop is not installed, left out")
		return nil
	}
	fmt.Printf("\n%-24s %18s %18s %8s\n", "first fetch", "popbridge", "mpop", "ratio")
	if err := fetchOver(ctx, o, "loopback", d.POP3, dir); err != nil || o.rtt == 0 {
		return err
	}
	link, err := rig.StartLink(d.POP3, o.rtt)
	if err != nil {
		return err
	}
	defer link.Close()
	return fetchOver(ctx, o, fmt.Sprintf("%v link", o.rtt), link.Port, dir)
}

func fetchOver(ctx context.Context, o options, name string, port int, dir string) error {
	var ours, theirs []time.Duration
	for round := range o.rounds {
		to := filepath.Join(dir, fmt.Sprintf("fetch-%d", round))
		if err := os.Mkdir(to, 0o700); err != nil {
			return err
		}
		took, err := fetchPopbridge(ctx, o, port, to)
		if err != nil {
			return err
		}
		ours = append(ours, took)
		if took, err = fetchMpop(ctx, o, port, to); err != nil {
			return err
		}
		theirs = append(theirs, took)
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	rate := func(t time.Duration) string {
		return fmt.Sprintf("%.2f s %6.0f/s", t.Seconds(), float64(o.messages)/t.Seconds())
	}
	a, b := median(ours), median(theirs)
	fmt.Printf("%-24s %18s %18s %8.2f\n", name, rate(a), rate(b), b.Seconds()/a.Seconds())
	return nil
}

func fetchPopbridge(ctx context.Context, o options, port int, dir string) (time.Duration, error) {
	p, err := rig.NewPopbridge(o.binary, dir)
	if err != nil {
		return 0, err
	}
	if err := p.Configure(benchAccount(port)); err != nil {
		return 0, err
	}
	start := time.Now()
	out, err := p.Run(ctx, "", "sync")
	took := time.Since(start)
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("popbridge sync: exit %d: %s", out.Code, out.Stderr)
	}
	if err != nil {
		return 0, err
	}
	status, err := p.Status(ctx)
	if err != nil {
		return 0, err
	}
	if n := status.Accounts[0].Stored; n != o.messages {
		return 0, fmt.Errorf("popbridge stored %d messages, want %d", n, o.messages)
	}
	return took, nil
}

func benchAccount(port int) rig.Account {
	return rig.Account{
		Name: "bench", Host: "127.0.0.1", Port: port, TLS: "none", Username: "bench",
		Password: rig.Password, PollEvery: "1h", User: "bench",
	}
}

func fetchMpop(ctx context.Context, o options, port int, dir string) (time.Duration, error) {
	to := filepath.Join(dir, "Maildir")
	for _, sub := range []string{to, to + "/cur", to + "/new", to + "/tmp"} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			return 0, err
		}
	}
	rc := filepath.Join(dir, "mpoprc")
	conf := fmt.Sprintf(`account bench
host 127.0.0.1
port %d
tls off
auth user
user bench
password %s
keep on
received_header off
uidls_file %s/uidls
delivery maildir %s
`, port, rig.Password, dir, to)
	if err := os.WriteFile(rc, []byte(conf), 0o600); err != nil {
		return 0, err
	}
	start := time.Now()
	out, err := exec.CommandContext(ctx, "mpop", "--file="+rc, "--quiet", "bench").CombinedOutput()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("mpop: %w: %s", err, out)
	}
	files, err := os.ReadDir(filepath.Join(to, "new"))
	if err == nil && len(files) != o.messages {
		err = fmt.Errorf("mpop delivered %d messages, want %d", len(files), o.messages)
	}
	return took, err
}
