package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// lab is a mailbox of n messages on a Dovecot, and a popbridge for it.
type lab struct {
	options
	*table
	dir   string
	n     int
	bytes int64
	d     *rig.Dovecot
	pop   *relay // to the POP3 port of d
	p     *rig.Popbridge
}

// message is number i of a mailbox; some have a word that no other has.
func message(i int) []byte {
	raw := testkit.Message(i)
	if i%3 == 2 && i%7 != 1 { // plain text, the attachment is at the end of others
		raw = append(raw, rareWord(i)+"\r\n"...)
	}
	return raw
}

func rareWord(i int) string { return fmt.Sprintf("only%08d", i) }

// newLab fills a Dovecot with n messages.
func newLab(ctx context.Context, o options, t *table, dir string, n int, message func(i int) []byte, settings ...string) (l *lab, err error) {
	l = &lab{options: o, table: t, n: n}
	if l.dir, err = os.MkdirTemp(dir, "lab-"); err != nil {
		return nil, err
	}
	if l.d, err = rig.StartDovecot(ctx, "", "", settings...); err != nil {
		return nil, err
	}
	for i := range n {
		raw := message(i)
		l.bytes += int64(len(raw))
		if err := l.d.Put("bench", raw); err != nil {
			return nil, errors.Join(err, l.d.Stop())
		}
	}
	// Once by a third party, so that Dovecot's own index is there for all.
	if err := bareFetch(rig.Addr(l.d.POP3), true); err != nil {
		return nil, errors.Join(err, l.d.Stop())
	}
	if l.pop, err = startRelay(l.d.POP3); err != nil {
		return nil, errors.Join(err, l.d.Stop())
	}
	return l, nil
}

func (l *lab) close() error {
	var err error
	if l.p != nil {
		err = l.p.Stop()
	}
	return errors.Join(err, l.pop.close(), l.d.Stop(), os.RemoveAll(l.dir))
}

// prepare makes a popbridge with nothing in it.
func (l *lab) prepare(ctx context.Context, port int) (*rig.Popbridge, error) {
	dir, err := os.MkdirTemp(l.dir, "popbridge-")
	if err != nil {
		return nil, err
	}
	p, err := rig.NewPopbridge(l.binary, dir)
	if err != nil {
		return nil, err
	}
	if err := p.Configure(benchAccount(port)); err != nil {
		return nil, err
	}
	return p, p.AddDevice(ctx, "bench", "bench", devicePassword)
}

func benchAccount(port int) rig.Account {
	return rig.Account{
		Name: "bench", Host: "127.0.0.1", Port: port, TLS: "none", Username: "bench",
		Password: rig.Password, PollEvery: "24h", User: "bench",
	}
}

// serve starts popbridge, and logs in when it has fetched everything.
func (l *lab) serve(ctx context.Context) (*client, error) {
	if err := l.start(ctx); err != nil {
		return nil, err
	}
	return dial(ctx, l.p.Port, devicePassword)
}

// start runs popbridge and waits until it has fetched everything.
func (l *lab) start(ctx context.Context) (err error) {
	if l.p, err = l.prepare(ctx, l.pop.port); err != nil {
		return err
	}
	if err := l.p.Start(ctx); err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(100 * time.Millisecond) {
		s, err := l.p.Status(ctx)
		if err != nil {
			return err
		}
		if len(s.Accounts) == 1 && s.Accounts[0].Stored >= l.n && !s.Accounts[0].LastSuccess.IsZero() {
			return nil
		}
	}
	return fmt.Errorf("popbridge did not fetch %d messages within an hour: %s", l.n, l.p.Log())
}

// both connects to popbridge and to Dovecot.
func (l *lab) both(ctx context.Context) (ours, theirs *client, err error) {
	if ours, err = dial(ctx, l.p.Port, devicePassword); err != nil {
		return nil, nil, fmt.Errorf("popbridge: %w", err)
	}
	if theirs, err = dial(ctx, l.d.IMAP, rig.Password); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("dovecot: %w", err), ours.Close())
	}
	return ours, theirs, nil
}

// indexed waits until the text index narrows: a word that is nowhere is then
// found missing in no time.
func (l *lab) indexed(c *client) error {
	start := time.Now()
	for took, longest := time.Duration(0), time.Duration(0); took*10 >= longest; longest = max(longest, took) {
		began := time.Now()
		if _, err := c.command("SEARCH TEXT nowherefound", ""); err != nil {
			return err
		}
		if took = time.Since(began); took < 20*time.Millisecond && longest < 200*time.Millisecond {
			return nil
		}
		if time.Since(start) > 30*time.Minute {
			return errors.New("the text index was not ready in half an hour")
		}
	}
	return nil
}

// disk adds how much the mail takes, with all that popbridge keeps for it.
func (l *lab) disk(name string, max float64) {
	used := folderSize(filepath.Join(l.p.Data, "users"))
	index := folderSize(filepath.Join(l.p.Data, "users", "bench", "search"))
	l.atMost(row{Messages: l.n, Group: "disk", Name: name, Note: fmt.Sprintf("%.1f MB of mail, text index %.1f %%", float64(l.bytes)/1e6, 100*float64(index)/float64(l.bytes))},
		float64(used)/float64(l.bytes), "x", max)
}

func has(list, item string) bool { return slices.Contains(strings.Split(list, ","), item) }

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
