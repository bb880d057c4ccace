package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
)

// actor is one mail program: a session at a time, a folder of its own for what
// it moves and deletes, and a memory of what it has stored where.
type actor struct {
	*client
	random *rand.Rand
	run    *run
	n      int
	user   string
	device string
	sent   int
	own    []stored        // in its own folder
	left   map[string]bool // "folder token" of what it has filed for good
}

// stored is a message of this actor.
type stored struct{ uid, token string }

func (a *actor) folder() string { return fmt.Sprintf("client%d", a.n) }

// shared are the folders in which all see the same. Nothing is removed there.
var shared = []string{"INBOX", "Shared", "Filed"}

// what an actor does, and how often.
var actions = []struct {
	weight int
	do     func(*actor) error
}{
	{15, (*actor).noop}, {8, (*actor).selectAny}, {10, (*actor).fetchFlags}, {10, (*actor).fetchHeaders}, {10, (*actor).fetchBodies},
	{10, (*actor).store}, {6, (*actor).search}, {6, (*actor).append}, {6, (*actor).tidy}, {6, (*actor).wait}, {8, (*actor).status}, {4, (*actor).list}, {3, (*actor).leave},
}

// work acts until ctx ends, and logs out. What goes wrong ends it.
func (a *actor) work(ctx context.Context) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	total := 0
	for _, action := range actions {
		total += action.weight
	}
	for ctx.Err() == nil {
		if a.client == nil {
			if err := a.connect(ctx); err != nil {
				return err
			}
		}
		at := a.random.IntN(total)
		for _, action := range actions {
			if at -= action.weight; at < 0 {
				if err := action.do(a); err != nil {
					return fmt.Errorf("client %d (%s): %w", a.n, a.user, err)
				}
				break
			}
		}
		a.pause(ctx, a.random.ExpFloat64())
	}
	if a.client == nil {
		return nil
	}
	return a.logout()
}

// pause is the time a person or a program takes before the next command.
func (a *actor) pause(ctx context.Context, times float64) {
	timer := time.NewTimer(time.Duration(times * float64(a.run.think)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// connect logs in; where connections that were broken off still count, it tries
// again, as mail programs do.
func (a *actor) connect(ctx context.Context) error {
	a.run.door <- struct{}{}
	defer func() { <-a.run.door }()
	for try := 0; ; try++ {
		c, err := dial(context.WithoutCancel(ctx), a.run.agent.Port, a.user, a.device, a.run.log)
		switch {
		case err == nil:
			a.client = c
			_, err = a.do("select", "SELECT INBOX")
			return err
		case !errors.Is(err, errBusy) || try == 50:
			return fmt.Errorf("client %d (%s): %w", a.n, a.user, err)
		}
		a.run.log.took("refused", 0)
		a.pause(context.WithoutCancel(ctx), 1)
	}
}

func (a *actor) noop() error { return a.only("noop", "NOOP") }

// only sends a command of whose answer nothing is needed.
func (a *actor) only(name, line string) error {
	_, err := a.do(name, line)
	return err
}

func (a *actor) selectAny() error {
	return a.only("select", "SELECT "+shared[a.random.IntN(len(shared))])
}

// some returns a set of the newest messages.
func (a *actor) some(n int) string {
	last := a.exists - a.random.IntN(min(a.exists, 30))
	return fmt.Sprintf("%d:%d", max(1, last-a.random.IntN(n)), last)
}

func (a *actor) fetchFlags() error {
	if a.exists == 0 {
		return a.noop()
	}
	return a.only("fetch flags", fmt.Sprintf("FETCH %d:* (UID FLAGS)", max(1, a.exists-200)))
}

func (a *actor) fetchHeaders() error {
	if a.exists == 0 {
		return a.noop()
	}
	return a.only("fetch headers", "FETCH "+a.some(30)+" (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT REFERENCES)])")
}

func (a *actor) fetchBodies() error {
	if a.exists == 0 {
		return a.noop()
	}
	items := "BODY.PEEK[]"
	if a.random.IntN(3) == 0 {
		items = "BODY[]"
	}
	return a.only("fetch bodies", "FETCH "+a.some(5)+" (UID "+items+")")
}

func (a *actor) store() error {
	if a.exists == 0 {
		return a.noop()
	}
	flags := []string{`+FLAGS.SILENT (\Seen)`, `-FLAGS (\Seen)`, `+FLAGS (\Flagged)`, `-FLAGS.SILENT (\Flagged $Work)`, `+FLAGS (\Answered $Work)`}
	return a.only("store", "STORE "+a.some(4)+" "+flags[a.random.IntN(len(flags))])
}

func (a *actor) search() error {
	keys := []string{"UNSEEN", "FLAGGED UNDELETED", "SUBJECT w12", "KEYWORD $Work", "TEXT " + fmt.Sprintf("w%d", a.random.IntN(3000))}
	n := a.random.IntN(len(keys))
	name := "search flags"
	if n == 2 || n == 4 {
		name = "search text"
	}
	return a.only(name, "UID SEARCH "+keys[n])
}

// message makes one with a token that is found again.
func message(token string, n int) string {
	return "X-Stress: " + token + "\r\n" + string(testkit.Message(n%500))
}

func (a *actor) append() error {
	a.sent++
	token := fmt.Sprintf("c%d-%d", a.n, a.sent)
	folder := a.folder()
	if a.random.IntN(3) == 0 {
		folder = shared[a.random.IntN(len(shared))]
	}
	answer, err := a.do("append", "APPEND "+folder+` (\Seen)`, message(token, a.n*31+a.sent))
	if err != nil {
		return err
	}
	id := newUID.FindStringSubmatch(answer[len(answer)-1])
	switch {
	case id == nil:
		return fmt.Errorf("APPEND without APPENDUID: %q", answer)
	case folder == a.folder():
		a.own = append(a.own, stored{id[1], token})
	default:
		a.left[folder+" "+token] = true
	}
	return nil
}

// tidy files or deletes the oldest message of its own folder.
func (a *actor) tidy() error {
	if len(a.own) == 0 {
		return a.append()
	}
	if err := a.only("select", "SELECT "+a.folder()); err != nil {
		return err
	}
	m := a.own[0]
	a.own = a.own[1:]
	switch a.random.IntN(3) {
	case 0:
		a.left["Filed "+m.token] = true
		return a.only("move", "UID MOVE "+m.uid+" Filed")
	case 1:
		a.left["Filed "+m.token] = true
		if err := a.only("copy", "UID COPY "+m.uid+" Filed"); err != nil {
			return err
		}
	}
	if err := a.only("store", "UID STORE "+m.uid+` +FLAGS.SILENT (\Deleted)`); err != nil {
		return err
	}
	return a.only("expunge", []string{"EXPUNGE", "UID EXPUNGE " + m.uid}[a.random.IntN(2)])
}

func (a *actor) wait() error {
	return a.idle(time.Duration((1 + 4*a.random.Float64()) * float64(a.run.think)))
}

func (a *actor) status() error {
	return a.only("status", "STATUS "+shared[a.random.IntN(len(shared))]+" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)")
}

func (a *actor) list() error { return a.only("list", `LIST "" *`) }

// leave ends the session: as one should, by breaking off while the answer comes,
// or in the middle of an APPEND, which must leave nothing behind.
func (a *actor) leave() (err error) {
	c := a.client
	a.client = nil
	switch a.random.IntN(3) {
	case 0:
		return c.logout()
	case 1:
		err = c.send("x FETCH 1:* (BODY.PEEK[])\r\n")
	default:
		half := message(fmt.Sprintf("half-%d", a.n), a.n)
		if err = c.send(fmt.Sprintf("x APPEND INBOX {%d}\r\n", len(half))); err == nil {
			if _, err = c.read(); err == nil {
				err = c.send(half[:strings.Index(half, "\r\n\r\n")])
			}
		}
	}
	return errors.Join(err, c.conn.Close())
}
