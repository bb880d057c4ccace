package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// The two tries of every program.
const (
	killCount    = 25
	killMessages = 1500
	// A mailbox that runs low is filled up, so that every kill lands in work.
	killLow, killMore = 200, 300
	// A run is killed within the time a whole one takes, at most this long.
	killWithin = 6 * time.Second

	resetMessages = 400
)

// fetcher is a program that fetches mail from a POP3 server and keeps it.
type fetcher interface {
	name() string
	version() string // "" where it is not installed
	// prepare makes the program ready to fetch the mailbox of a user into dir,
	// which is empty, and to delete what it has unless keep is true.
	prepare(ctx context.Context, dir string, port int, user string, keep bool) error
	// command is one run, from the start to the end of a session.
	command(ctx context.Context) *exec.Cmd
	// finished reports whether a run that ended with this code went through.
	finished(code int) bool
	// delivered reads all that is there now.
	delivered(ctx context.Context) ([][]byte, error)
}

// outcome is what became of the messages of one try.
type outcome struct {
	messages      int
	lost, doubled int
	again         int // RETRs beyond one for each message
}

// reliability kills each program at random moments while it fetches and
// deletes, and then shows it a server that has renumbered its mail.
func reliability(ctx context.Context, o options, dir string) error {
	d, err := rig.StartDovecot(ctx, "", "")
	if err != nil {
		return err
	}
	defer d.Stop()
	if err := os.Chmod(dir, 0o711); err != nil { // getmail delivers as another user
		return err
	}
	b := &trial{d: d, dir: dir}
	all := fetchers(o)
	rows := make([]string, len(all))
	var wg sync.WaitGroup
	for i, f := range all { // time is not measured: all at once
		wg.Go(func() {
			var err error
			if rows[i], err = b.row(ctx, f); err != nil {
				rows[i] = fmt.Sprintf("%-18s | %v", f.name(), err)
			}
			fmt.Fprintln(os.Stderr, rows[i]) // some take minutes
		})
	}
	wg.Wait()
	fmt.Printf("kills: fetch and delete %d messages and more, %d times SIGKILL at a random moment\n", killMessages, killCount)
	fmt.Printf("reset: %d messages are kept on the server, then it gives all of them new ids\n\n", resetMessages)
	fmt.Printf("%-18s | %-39s | %-30s\n", "", "kills", "reset")
	fmt.Printf("%-18s | %8s %5s %8s %15s | %5s %8s %15s\n", "", "messages", "lost", "doubled", "fetched again", "lost", "doubled", "fetched again")
	for _, row := range rows {
		fmt.Println(row)
	}
	return nil
}

// row tries one program and returns its line of the table.
func (b *trial) row(ctx context.Context, f fetcher) (string, error) {
	version := f.version()
	if version == "" {
		return fmt.Sprintf("%-18s | not installed", f.name()), nil
	}
	killed, err := b.kills(ctx, f)
	if err != nil {
		return "", fmt.Errorf("%s, kills: %w", f.name(), err)
	}
	reset, err := b.reset(ctx, f)
	if err != nil {
		return "", fmt.Errorf("%s, reset: %w", f.name(), err)
	}
	return fmt.Sprintf("%-18s | %8d %5d %8d %15d | %5d %8d %15d", f.name()+" "+version,
		killed.messages, killed.lost, killed.doubled, killed.again, reset.lost, reset.doubled, reset.again), nil
}

type trial struct {
	d   *rig.Dovecot
	dir string
	mu  sync.Mutex // guards filling the mailboxes of d
}

// fill adds the messages with the numbers from up to to.
func (b *trial) fill(user string, from, to int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := from; i < to; i++ {
		if err := b.d.Put(user, numbered(i)); err != nil {
			return err
		}
	}
	return nil
}

// ready gives a program a mailbox with n messages and an empty place for them.
func (b *trial) ready(ctx context.Context, f fetcher, what string, n int, keep bool) (user string, err error) {
	user = what + "-" + f.name()
	dir := filepath.Join(b.dir, user)
	if err := os.Mkdir(dir, 0o711); err != nil {
		return "", err
	}
	if err := b.fill(user, 0, n); err != nil {
		return "", err
	}
	return user, f.prepare(ctx, dir, b.d.POP3, user, keep)
}

func (b *trial) kills(ctx context.Context, f fetcher) (outcome, error) {
	// How long it takes when no one interferes.
	if _, err := b.ready(ctx, f, "whole", killMessages, false); err != nil {
		return outcome{}, err
	}
	begin := time.Now()
	if _, err := killAfter(ctx, f, killWithin); err != nil {
		return outcome{}, err
	}
	whole := time.Since(begin)

	user, err := b.ready(ctx, f, "kill", killMessages, false)
	if err != nil {
		return outcome{}, err
	}
	sent := killMessages
	for done := 0; done < killCount; {
		left, err := b.d.Count(user)
		if err != nil {
			return outcome{}, err
		}
		if left < killLow {
			if err := b.fill(user, sent, sent+killMore); err != nil {
				return outcome{}, err
			}
			sent, left = sent+killMore, left+killMore
		}
		// A run with less to do takes less time.
		after := time.Duration(rand.Float64() * min(1, float64(left)/killMessages) * float64(whole))
		killed, err := killAfter(ctx, f, after)
		if err != nil {
			return outcome{}, err
		}
		if killed {
			done++
		}
	}
	if err := finish(ctx, f); err != nil {
		return outcome{}, err
	}
	return b.outcome(ctx, f, user, sent, 0)
}

func (b *trial) reset(ctx context.Context, f fetcher) (outcome, error) {
	user, err := b.ready(ctx, f, "reset", resetMessages, true)
	if err != nil {
		return outcome{}, err
	}
	if err := finish(ctx, f); err != nil {
		return outcome{}, err
	}
	if err := b.renumber(user); err != nil {
		return outcome{}, err
	}
	if err := finish(ctx, f); err != nil {
		return outcome{}, err
	}
	return b.outcome(ctx, f, user, resetMessages, resetMessages)
}

// renumber makes the server give all messages of a mailbox new ids.
func (b *trial) renumber(user string) error {
	before, err := rig.UIDLs(rig.Addr(b.d.POP3), user)
	if err != nil {
		return err
	}
	b.mu.Lock()
	err = b.d.Renumber(user)
	b.mu.Unlock()
	if err != nil {
		return err
	}
	after, err := rig.UIDLs(rig.Addr(b.d.POP3), user)
	if err != nil {
		return err
	}
	if len(after) != len(before) {
		return fmt.Errorf("%d ids before, %d after", len(before), len(after))
	}
	for i, id := range after {
		if slices.Contains(before, id) {
			return fmt.Errorf("message %d still has the id %s", i+1, id)
		}
	}
	return nil
}

// killAfter runs a program once and kills it, unless it ends before.
func killAfter(ctx context.Context, f fetcher, after time.Duration) (killed bool, err error) {
	cmd := f.command(ctx)
	if err := cmd.Start(); err != nil {
		return false, err
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // how it ended is asked for below
	return cmd.ProcessState.ExitCode() < 0, nil
}

// finish runs a program until a run goes through: the server may hold the lock
// of a session that was killed for a moment.
func finish(ctx context.Context, f fetcher) error {
	var out []byte
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute) // getmail forks for each message
	defer cancel()
	for range 100 { // and may stop at any
		cmd := f.command(ctx)
		out, _ = cmd.CombinedOutput()
		if f.finished(cmd.ProcessState.ExitCode()) {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("no run goes through: %s", out)
}

// outcome counts messages by the number each carries at its start and its end.
// One that is cut short counts only as a copy too many.
func (b *trial) outcome(ctx context.Context, f fetcher, user string, n, kept int) (outcome, error) {
	o := outcome{messages: n}
	all, err := f.delivered(ctx)
	if err != nil {
		return o, err
	}
	whole := make(map[string]bool, n)
	for _, raw := range all {
		if number, ok := rig.NumberOf(raw); ok {
			whole[number] = true
		}
	}
	o.lost, o.doubled = n-len(whole), len(all)-len(whole)
	if left, err := b.d.Count(user); err != nil || left != kept {
		return o, fmt.Errorf("%d messages are left on the server, want %d; %w", left, kept, err)
	}
	o.again = b.retrieved(user) - n
	return o, nil
}

var logout = regexp.MustCompile(`pop3\(([^)]+)\)<.*top=(\d+)/\d+, retr=(\d+)/`)

// retrieved is how many messages a user's sessions took, by Dovecot's log. It
// is written when a session ends, and the sessions of the killed are the last.
func (b *trial) retrieved(user string) int {
	n := 0
	for _, m := range logout.FindAllStringSubmatch(b.d.Log(), -1) {
		if m[1] == user {
			tops, _ := strconv.Atoi(m[2]) // digits; fetchmail takes whole messages with TOP
			retrs, _ := strconv.Atoi(m[3])
			n += tops + retrs
		}
	}
	return n
}

// numbered is message n with a number at its start and its end, which stay
// whatever a program does to the header and to line ends.
func numbered(n int) []byte {
	raw := append(fmt.Appendf(nil, "X-Number: %d\r\n", n), testkit.Message(n)...)
	return fmt.Appendf(raw, "end of %d\r\n", n)
}
