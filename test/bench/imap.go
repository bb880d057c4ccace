package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// command is one line of the table: what is sent, in turn, in one round.
type command struct {
	name    string
	lines   []string
	literal string // for a line that ends in {n}
	once    bool
}

// draft is what append appends.
var draft = "Subject: bench\r\nFrom: a@example.com\r\n\r\n" + strings.Repeat("x", 70) + "\r\n"

// commands are what clients send, at the size of the whole mailbox.
func commands() []command {
	repeat := func(line string, n int) []string {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = line
		}
		return lines
	}
	return []command{
		{name: "select", lines: []string{"SELECT INBOX"}},
		{name: "flags", lines: []string{"FETCH 1:* (UID FLAGS)"}},
		{name: "sizes", lines: []string{"UID FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)"}},
		{name: "envelope", lines: []string{"FETCH 1:* (UID ENVELOPE)"}},
		{name: "structure", lines: []string{"FETCH 1:* (BODYSTRUCTURE)"}},
		{name: "headers", lines: []string{"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])"}},
		{name: "bodies", lines: []string{"FETCH 1:* (BODY.PEEK[])"}},
		{name: "search flag", lines: []string{"SEARCH UNSEEN"}},
		{name: "search subject", lines: []string{`SEARCH SUBJECT "w12"`}},
		{name: "search word", lines: []string{`SEARCH BODY "w1234"`}},
		{name: "search phrase", lines: []string{`SEARCH BODY "w1234 w43"`}},
		{name: "search rare", lines: []string{`SEARCH TEXT "0000002a"`}},
		{name: "search unindexed", lines: []string{`SEARCH BODY "-=-"`}, once: true}, // no letter: every message is read
		{name: "store", lines: []string{`UID STORE 1:* +FLAGS.SILENT (\Flagged)`, `UID STORE 1:* -FLAGS.SILENT (\Flagged)`}},
		{name: "append", lines: repeat(fmt.Sprintf("APPEND INBOX {%d}", len(draft)), 50), literal: draft},
		{name: "noop", lines: repeat("NOOP", 200)},
		{name: "status", lines: repeat("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)", 50)},
	}
}

// imapCommands times the same commands on popbridge and on Dovecot over the
// same mail, in turn.
func imapCommands(ctx context.Context, o options, d *rig.Dovecot, dir string) error {
	dir = filepath.Join(dir, "imap")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	p, err := rig.NewPopbridge(o.binary, dir)
	if err != nil {
		return err
	}
	if err := p.Configure(benchAccount(d.POP3)); err != nil {
		return err
	}
	if err := p.AddDevice(ctx, "bench", "bench", "bench-pass"); err != nil {
		return err
	}
	if out, err := p.Run(ctx, "", "sync"); err != nil || out.Code != 0 {
		return fmt.Errorf("sync: exit %d: %s: %w", out.Code, out.Stderr, err)
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	defer p.Stop()

	ours, err := dial(ctx, p.Port, "bench", "bench-pass")
	if err != nil {
		return fmt.Errorf("popbridge: %w", err)
	}
	defer ours.Close()
	theirs, err := dial(ctx, d.IMAP, "bench", rig.Password)
	if err != nil {
		return fmt.Errorf("dovecot: %w", err)
	}
	defer theirs.Close()

	if err := indexed(p, ours); err != nil {
		return err
	}
	fmt.Printf("\n%-16s %12s %12s %8s %10s\n", "imap", "popbridge", "dovecot", "ratio", "answer")
	for _, c := range commands() {
		if err := compare(o, c, ours, theirs); err != nil {
			return err
		}
	}
	return nil
}

// indexed waits until the text index narrows: a word that is nowhere is then
// found missing in no time. It prints how large the index is.
func indexed(p *rig.Popbridge, c *client) error {
	start := time.Now()
	for took, longest := time.Duration(0), time.Duration(0); took*10 >= longest; longest = max(longest, took) {
		var err error
		if took, _, err = c.run(command{lines: []string{"SEARCH TEXT nowherefound"}}); err != nil {
			return err
		}
		if time.Since(start) > 5*time.Minute {
			return errors.New("the text index was not ready in five minutes")
		}
	}
	mail, index := folderSize(filepath.Join(p.Data, "users", "bench", "mail")), folderSize(filepath.Join(p.Data, "users", "bench", "search"))
	fmt.Printf("\ntext index: ready after %.1f s, %.1f MB, %.1f %% of the mail\n", time.Since(start).Seconds(), float64(index)/1e6, 100*float64(index)/float64(mail))
	return nil
}

func folderSize(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil // what has gone meanwhile counts nothing
	})
	return size
}

func compare(o options, c command, ours, theirs *client) error {
	rounds := o.rounds
	if c.once {
		rounds = 1
	}
	var a, b []time.Duration
	var size int64
	for round := range rounds + 1 {
		first, n, err := ours.run(c)
		if err != nil {
			return fmt.Errorf("popbridge: %s: %w", c.name, err)
		}
		second, _, err := theirs.run(c)
		if err != nil {
			return fmt.Errorf("dovecot: %s: %w", c.name, err)
		}
		size = n
		// The first round only warms caches, unless it is the only one.
		if round > 0 || c.once {
			a, b = append(a, first), append(b, second)
		}
		if c.once {
			break
		}
	}
	ta, tb := median(a), median(b)
	fmt.Printf("%-16s %10.4f s %10.4f s %8.2f %7.2f MB\n", c.name, ta.Seconds(), tb.Seconds(), tb.Seconds()/ta.Seconds(), float64(size)/1e6)
	return nil
}

// client sends lines and counts bytes; it looks at nothing but tags.
type client struct {
	net.Conn
	r *bufio.Reader
	n int
}

func dial(ctx context.Context, port int, user, password string) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", rig.Addr(port))
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn, r: bufio.NewReaderSize(conn, 1<<20)}
	if _, err := c.r.ReadString('\n'); err != nil {
		return nil, err
	}
	for _, line := range []string{fmt.Sprintf("LOGIN %s %s", user, password), "SELECT INBOX"} {
		if _, err := c.command(line, ""); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// run sends every line of c and returns how long they took and how many bytes
// were answered.
func (c *client) run(cmd command) (time.Duration, int64, error) {
	start := time.Now()
	var size int64
	for _, line := range cmd.lines {
		n, err := c.command(line, cmd.literal)
		if err != nil {
			return 0, 0, err
		}
		size += n
	}
	return time.Since(start), size, nil
}

func (c *client) command(line, literal string) (int64, error) {
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return 0, err
	}
	c.n++
	tag := fmt.Sprintf("t%06d ", c.n)
	if _, err := c.Write([]byte(tag + line + "\r\n")); err != nil {
		return 0, err
	}
	if literal != "" {
		if got, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(got, "+") {
			return 0, fmt.Errorf("no continuation but %q, %w", got, err)
		}
		if _, err := c.Write([]byte(literal + "\r\n")); err != nil {
			return 0, err
		}
	}
	var size int64
	for {
		got, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		size += int64(len(got))
		// A line of a message could look like ours only on purpose.
		if bytes.HasPrefix(got, []byte(tag)) {
			if !bytes.HasPrefix(got[len(tag):], []byte("OK")) {
				return 0, fmt.Errorf("answered %q", got)
			}
			return size, nil
		}
	}
}
