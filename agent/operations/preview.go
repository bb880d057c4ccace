package operations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func (l *Local) Preview(ctx context.Context, names []string) ([]Preview, error) {
	return each(ctx, l, names, func(ac *accounts.Account) Preview {
		answer, err := l.preview(ctx, ac, ac.Config)
		answer.Error, answer.Hint = said(err)
		answer.Kind = kindOf(err)
		return answer
	})
}

// preview is what polls of an account would do if the config said as about deletions.
func (l *Local) preview(ctx context.Context, ac *accounts.Account, as config.Account) (Preview, error) {
	answer := Preview{Account: ac.Config.Name, Shadow: as.Shadow, Delete: []Deletion{}, Incomplete: []Deletion{}}
	err := withRunner(ctx, ac, func(r *bridge.Runner) error {
		p, err := r.PreviewAs(ctx, accounts.Deleting(as))
		if err != nil {
			return err
		}
		answer.Preview = p
		answer.Doubtful = len(p.Incomplete)
		answer.Digest = digest(p, as.Shadow)
		if answer.Delete, err = l.deletions(ctx, ac, p.Delete); err == nil {
			answer.Incomplete, err = l.deletions(ctx, ac, p.Incomplete)
		}
		return err
	})
	return answer, err
}

// digest stands for what Confirm would allow, or a change would bring about: another message
// more or less is another one, and so is what waits or is not done.
func digest(p bridge.Preview, shadow bool) string {
	ids := func(list []bridge.PreviewDelete) (ids []string) {
		for _, d := range list {
			ids = append(ids, fmt.Sprintf("%q %d", d.UIDL, d.Size))
		}
		slices.Sort(ids)
		return ids
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %t %t %q %q", p.Policy, shadow, p.NeedsConfirm, ids(p.Delete), ids(p.Incomplete)))
	return hex.EncodeToString(sum[:])
}

// deletions names the messages that would be deleted.
func (l *Local) deletions(ctx context.Context, ac *accounts.Account, list []bridge.PreviewDelete) ([]Deletion, error) {
	out := make([]Deletion, len(list))
	hashes := make([]mailstore.Hash, len(list))
	for i, d := range list {
		out[i] = Deletion{UIDL: d.UIDL, Size: d.Size, StoredAt: timeOrNil(d.StoredAt), Why: d.Why, Reason: d.Reason}
		hashes[i] = d.Hash
	}
	if len(list) == 0 {
		return out, nil
	}
	store, err := l.users.Store(ctx, ac.Config.User)
	if err != nil {
		return nil, err
	}
	contents, err := store.ContentsOf(ctx, hashes, mailstore.WantEnvelope)
	if err != nil {
		return nil, err
	}
	for i := range contents {
		e := store.Envelope(&contents[i])
		out[i].Subject, out[i].Date, out[i].From = e.Subject(), timeOrNil(e.Date()), e.From()
	}
	return out, nil
}

// Confirm asks to allow deletions.
type Confirm struct {
	Account string `json:"account"`
	// Seen is the Digest of the Preview that a person has seen; "": none was. Then only
	// the user of an account that waits for one is allowed.
	Seen string `json:"seen,omitempty"`
	// Everything allows whatever is due, seen or not: who runs the command says so.
	Everything bool `json:"everything,omitempty"`
	// Incomplete is about the messages of which little came, and about nothing else: those
	// of the Preview, all with an empty Seen.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Confirmed is what Confirm was about.
type Confirmed struct {
	User      string `json:"user,omitempty"` // who has the mail of the account from now on, where that was another one
	Deletions int    `json:"deletions"`      // on the server that had waited
	// Incomplete are messages of which little came, and that may be deleted there.
	Incomplete int  `json:"incomplete,omitempty"`
	Held       bool `json:"held,omitempty"` // nothing was deleted because the mail store was new to the account
}

func (l *Local) Confirm(ctx context.Context, ask Confirm) (done Confirmed, err error) {
	chosen, err := l.accounts.Choose([]string{ask.Account})
	if err != nil {
		return done, err
	}
	ac := chosen[0]
	var seen []string // the ids of what is incomplete
	if ask.Seen != "" {
		now, err := l.preview(ctx, ac, ac.Config)
		if err != nil {
			return done, err
		}
		if now.Digest != ask.Seen {
			return done, fault.New(fault.Conflict, "what would be deleted has changed since you looked, so nothing was allowed", "look at it again")
		}
		seen = make([]string, len(now.Incomplete))
		for i, d := range now.Incomplete {
			seen[i] = d.UIDL
		}
	}
	if ask.Incomplete {
		err := withRunner(ctx, ac, func(r *bridge.Runner) (err error) {
			done.Incomplete, err = r.ConfirmIncomplete(ctx, seen)
			return err
		})
		return done, err
	}
	if _, err := ac.Runner(ctx); accounts.IsHeld(err) {
		done.User = ac.Config.User
	}
	deletions := ask.Seen != "" || ask.Everything
	if !deletions && done.User == "" {
		return done, fault.New(fault.Config, "nobody has looked at what would be deleted for account "+ac.Config.Name+", so nothing was allowed",
			"look at it first: "+l.users.Command("sync --dry-run "+ac.Config.Name))
	}
	ac.Allow() // the runner remembers it in the store of the user
	r, err := ac.Runner(ctx)
	if err == nil {
		err = r.Load(ctx)
	}
	if err != nil {
		return done, err
	}
	if deletions {
		s := r.Status()
		done.Deletions, done.Held = s.Awaiting, s.Held
		if err := r.Confirm(ctx); err != nil {
			return done, err
		}
	}
	ac.RetryNow() // one that was held can be served
	return done, nil
}

func (l *Local) ConfirmSeen(ctx context.Context, ask Seen) (Confirmed, error) {
	if ask.Incomplete && ask.Seen == "" {
		return Confirmed{}, fault.New(fault.Config, "nobody has looked at the messages that are incomplete, so nothing was allowed", "load the page again")
	}
	return l.Confirm(ctx, Confirm{Account: ask.Account, Seen: ask.Seen, Incomplete: ask.Incomplete})
}
