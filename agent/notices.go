package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

const (
	// settleTime is waited after a change, so that what comes and goes is no news.
	settleTime = 2 * time.Second
	// endedAfter is how long a condition that comes and goes has to be over before a
	// person is told of it again: an account that fails now and then gives one message.
	endedAfter = time.Hour
	// withdrawAfter is how long a condition that held in an earlier run may be absent
	// before it is over: accounts are polled one after the other after a start.
	withdrawAfter = 10 * time.Minute
	// replacedAfter is the same for a lasting one that held in this run: an account
	// that a changed config replaces says within it what still holds.
	replacedAfter = time.Minute
	// noticeOnce is how far apart two times of arrival of one notice may be.
	noticeOnce = 24 * time.Hour
)

// noticesFile remembers of which conditions people were told. Without it they are
// told once more.
const noticesFile = "notices.json"

// A notice is a message in INBOX that tells of a condition. All of it is fixed
// before the message is made, so that a second attempt makes the same message,
// which is stored once.
type notice struct {
	User   string    `json:"user"`
	Key    string    `json:"key"` // of the condition
	Since  time.Time `json:"since"`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
	Hint   string    `json:"hint"`
	Stored bool      `json:"stored"` // the message is in INBOX, or was

	Mail      string        `json:"mail,omitempty"` // identity of the store with the message
	UID       mailstore.UID `json:"uid,omitempty"`  // of the message; 0: none, or withdrawn
	Validity  uint32        `json:"uidvalidity,omitempty"`
	Withdrawn bool          `json:"withdrawn,omitempty"` // the condition was over before the message was read
}

// notices tells the users of conditions. It belongs to the goroutine of run.
type notices struct {
	agent  *Agent
	path   string
	list   []notice
	saved  []notice             // what the file says
	absent map[string]time.Time // since when what was told is over, by user and key
	held   map[string]bool      // what was told and held in this run, by the same
}

func newNotices(a *Agent) *notices {
	return &notices{agent: a, path: filepath.Join(a.first.DataDir, noticesFile), absent: map[string]time.Time{}, held: map[string]bool{}}
}

// run leaves one message for each condition that a user has to know of.
func (n *notices) run(ctx context.Context) {
	a := n.agent
	if err := n.load(); err != nil {
		a.log.Warn().Err(err).Msg("of which problems people were told is not known; they are told once more")
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := supervise.Protect(func() error { return n.look(ctx, time.Now()) }); err != nil && ctx.Err() == nil {
			a.log.Debug().Err(err).Msg("a notice could not be stored; tried again")
		}
		timer.Reset(probeEvery)
		select {
		case <-a.health.Changes():
			if !supervise.Sleep(ctx, settleTime) {
				return
			}
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *notices) load() error {
	data, err := atomicfile.ReadFile(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &n.list)
	}
	n.saved = slices.Clone(n.list)
	return err
}

func (n *notices) save() error {
	if slices.Equal(n.list, n.saved) {
		return nil
	}
	data, err := json.MarshalIndent(n.list, "", "\t")
	if err == nil {
		err = atomicfile.Write(n.path, 0o600, data)
	}
	if err == nil {
		n.saved = slices.Clone(n.list)
	}
	return err
}

// look compares the conditions with what was told. What is new is written down
// before its message is stored: after a crash in between, the same message is
// stored, once.
func (n *notices) look(ctx context.Context, now time.Time) error {
	n.follow()
	conditions := concerned(n.agent)
	n.forget(ctx, conditions, now)
	// A message would make the mailbox of a new user one that is not empty, which
	// `user rename` does not replace. The alert tells of it.
	quiet := map[string]bool{}
	for _, c := range conditions {
		quiet[c.User] = quiet[c.User] || c.Quiet()
	}
	if n.agent.Config().Notices {
		for _, c := range conditions {
			if !quiet[c.User] && c.Pressing(now) && !slices.ContainsFunc(n.list, func(o notice) bool { return o.tells(c) }) {
				n.list = append(n.list, notice{User: c.User, Key: c.Key(), Since: second(c.Since), At: second(now), Text: c.Text, Hint: c.Hint})
			}
		}
	}
	if err := n.save(); err != nil {
		return err
	}
	var errs []error
	for i := range n.list {
		o := &n.list[i]
		at := slices.IndexFunc(conditions, o.tells)
		if at >= 0 {
			n.held[o.id()] = true
		}
		if at < 0 || o.Stored || o.Withdrawn && now.Sub(conditions[at].Since) < endedAfter {
			continue
		}
		errs = append(errs, n.store(ctx, o))
	}
	return errors.Join(append(errs, n.save())...)
}

// follow lets the notices of a user who was renamed go with the mail.
func (n *notices) follow() {
	if len(n.list) == 0 {
		return
	}
	users := n.agent.users.Known().Users
	for i := range n.list {
		o := &n.list[i]
		if o.Mail == "" || users[o.User].Store == o.Mail {
			continue
		}
		for name, k := range users {
			if k.Store == o.Mail {
				held := n.held[o.id()]
				o.User = name
				n.held[o.id()] = held
			}
		}
	}
}

// concerned are the conditions that hold, with the users who are told of them: of
// those that are about none in particular, all of the config.
func concerned(a *Agent) (list []health.Condition) {
	for _, c := range a.health.List() {
		if c.User != "" {
			list = append(list, c)
			continue
		}
		for _, c.User = range a.Config().Users() {
			list = append(list, c)
		}
	}
	return list
}

// second drops what a date in a message does not have.
func second(t time.Time) time.Time { return t.Truncate(time.Second).UTC() }

func (o notice) tells(c health.Condition) bool { return o.User == c.User && o.Key == c.Key() }

// forget withdraws the messages of conditions that are over, and drops the
// notices of those that have been for a while.
func (n *notices) forget(ctx context.Context, conditions []health.Condition, now time.Time) {
	for i := range n.list {
		o := &n.list[i]
		id := o.id()
		if slices.ContainsFunc(conditions, o.tells) {
			delete(n.absent, id)
			continue
		}
		if _, known := n.absent[id]; !known {
			n.absent[id] = now
		}
		if o.UID > 0 && now.Sub(n.absent[id]) >= n.overAfter(*o) {
			if err := n.withdraw(ctx, o); err != nil && ctx.Err() == nil {
				n.agent.log.Debug().Err(err).Msg("a notice could not be withdrawn; tried again")
			}
		}
	}
	n.list = slices.DeleteFunc(n.list, func(o notice) bool {
		since, absent := n.absent[o.id()]
		forgetAfter := endedAfter
		if health.Lasting(o.Key) {
			forgetAfter = n.overAfter(o)
		}
		over := absent && o.UID == 0 && now.Sub(since) >= forgetAfter
		if over {
			delete(n.absent, o.id())
			delete(n.held, o.id())
		}
		return over
	})
}

// overAfter is how long a condition has to be absent before its message goes.
func (n *notices) overAfter(o notice) time.Duration {
	switch {
	case !n.held[o.id()]:
		return withdrawAfter
	case health.Lasting(o.Key):
		return replacedAfter
	default:
		return 0
	}
}

func (o notice) id() string { return o.User + "\x00" + o.Key }

// withdraw removes the message of a condition that is over, unless the person has
// seen it.
func (n *notices) withdraw(ctx context.Context, o *notice) error {
	store, err := n.agent.users.Store(ctx, o.User)
	if fault.Is(err, fault.Config) { // there is no such user any more
		o.UID = 0
		return nil
	}
	if err != nil {
		return err
	}
	box, err := store.Mailbox(ctx, "INBOX")
	if err != nil {
		return err
	}
	view, err := store.OpenView(ctx, box.ID)
	if err != nil {
		return err
	}
	defer view.Close()
	p := view.Snapshot()
	i, there := slices.BinarySearch(p.UIDs, o.UID)
	if there && box.UIDValidity == o.Validity && !slices.Contains(store.FlagNames(p.Flags[i]), `\Seen`) {
		if err := store.Discard(ctx, box.ID, []mailstore.UID{o.UID}); err != nil {
			return err
		}
		o.Stored, o.Withdrawn = false, true
	}
	o.UID = 0
	return nil
}

// store puts the message into INBOX. It has no origin: no account knows of it.
func (n *notices) store(ctx context.Context, o *notice) error {
	store, err := n.agent.users.Store(ctx, o.User)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(concerned(n.agent), o.tells) {
		return nil // it ended as the store was opened
	}
	box, err := store.EnsureMailbox(ctx, "INBOX")
	if err != nil {
		return err
	}
	text, err := o.message(n.agent.zone.Load(), n.agent.Config().Path)
	if err != nil {
		return err
	}
	spooled, err := store.Spool(ctx, bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer spooled.Discard()
	stored, err := store.Deliver(ctx, []mailstore.Delivery{{Mailbox: box.ID, Message: spooled, ReceivedAt: o.At, Once: noticeOnce}})
	if err != nil {
		return err
	}
	o.Stored, o.Withdrawn, o.Mail, o.UID, o.Validity = true, false, store.ID(), stored[0].UID, stored[0].UIDValidity
	return nil
}
