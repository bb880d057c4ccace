package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// fetch times a first fetch into an empty folder, popbridge and mpop in turn:
// directly, and through a link with a round-trip time. Both sync each message
// before it counts. The folders stay until the lab is closed: ext4 passes over each
// inode that was freed in the last minutes, one by one, when it makes a file, so that
// a round would pay for what the round before has removed.
func (l *lab) fetch(ctx context.Context) error {
	if _, err := exec.LookPath("mpop"); err != nil {
		fmt.Fprintln(l.out, "\nfirst fetch: mpop is not installed, left out")
		return nil
	}
	if err := l.fetchOver(ctx, "beside mpop on loopback", l.d.POP3); err != nil || l.rtt == 0 {
		return err
	}
	link, err := rig.StartLink(l.d.POP3, l.rtt)
	if err != nil {
		return err
	}
	defer link.Close()
	return l.fetchOver(ctx, fmt.Sprintf("beside mpop at %v", l.rtt), link.Port)
}

func (l *lab) fetchOver(ctx context.Context, name string, port int) error {
	var ours, theirs []time.Duration
	for range l.rounds {
		_, a, err := l.fetchPopbridge(ctx, port)
		if err != nil {
			return err
		}
		b, err := l.fetchMpop(ctx, port)
		if err != nil {
			return err
		}
		ours, theirs = append(ours, a), append(theirs, b)
	}
	l.beside(row{Messages: l.n, Group: "first fetch", Name: name}, median(ours), median(theirs), 2)
	return nil
}

func (l *lab) fetchPopbridge(ctx context.Context, port int) (p *rig.Popbridge, took time.Duration, err error) {
	if p, err = l.prepare(ctx, port); err != nil {
		return nil, 0, err
	}
	start := time.Now()
	out, err := p.Run(ctx, "", "sync")
	took = time.Since(start)
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("popbridge sync: exit %d: %s", out.Code, out.Stderr)
	}
	if err != nil {
		return nil, 0, err
	}
	status, err := p.Status(ctx)
	if err == nil && status.Accounts[0].Stored != l.n {
		err = fmt.Errorf("popbridge stored %d messages, want %d", status.Accounts[0].Stored, l.n)
	}
	return p, took, err
}

func (l *lab) fetchMpop(ctx context.Context, port int) (time.Duration, error) {
	dir, err := os.MkdirTemp(l.dir, "mpop-")
	if err != nil {
		return 0, err
	}
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
	if err == nil && len(files) != l.n {
		err = fmt.Errorf("mpop delivered %d messages, want %d", len(files), l.n)
	}
	return took, err
}
