package signin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/secret"
	"github.com/popbridge/popbridge/internal/supervise"
)

const (
	ahead       = time.Minute            // so long before it expires a token is renewed
	againAfter  = 20 * time.Second       // the least time between two refusals that mean it; a poll that failed is tried again after 30
	rarelyAfter = time.Hour              // between two tries of tokens that were refused
	stopWithin  = 5 * time.Second        // how long an exchange may go on after its caller has ended: its answer has the new token
	testingDies = 7 * 24 * time.Hour     // what Google gives a sign-in of a project in "Testing"
	testingSpan = testingDies + ahead*90 // and how late it may be noticed, of a poll that comes each hour at least
)

// Tokens are those of all identities. They are safe for use by several goroutines.
type Tokens struct {
	dataDir string
	log     zerolog.Logger
	now     func() time.Time
	command func(rest string) string
	http    *http.Client // nil: that of package oauth

	mu     sync.Mutex
	byPath map[string]*identity
}

// New returns the tokens in a data folder. command is how a verb is run, for hints.
func New(dataDir string, log zerolog.Logger, command func(rest string) string) *Tokens {
	return &Tokens{dataDir: dataDir, log: log.With().Str("component", "signin").Logger(),
		now: time.Now, command: command, byPath: map[string]*identity{}}
}

// identity is whose tokens are in one file.
type identity struct {
	path string
	turn chan struct{} // capacity 1; full while what follows is used

	rec     *record // nil: not read yet, or not there
	unsaved bool    // rec is newer than the file
	signIns int     // counts what Keep has kept
}

func (t *Tokens) identity(c config.Account) *identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	file := path(t.dataDir, c)
	if t.byPath[file] == nil {
		t.byPath[file] = &identity{path: file, turn: make(chan struct{}, 1)}
	}
	return t.byPath[file]
}

// wait waits until no one else uses the identity.
func (id *identity) wait(ctx context.Context) (end func(), err error) {
	select {
	case id.turn <- struct{}{}:
		return func() { <-id.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin waits until no one else uses the identity, and reads its file.
func (id *identity) begin(ctx context.Context) (end func(), err error) {
	if end, err = id.wait(ctx); err != nil {
		return nil, err
	}
	if id.rec == nil {
		id.rec, err = load(id.path)
	} else if id.unsaved {
		err = id.write()
	}
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

func (id *identity) write() error {
	err := save(id.path, id.rec)
	id.unsaved = err != nil
	return err
}

// Token returns an access token for an account that is signed in, renewed where it is
// about to expire. That a person has to sign in is a health.SignInNeeded.
func (t *Tokens) Token(ctx context.Context, c config.Account) (secret.Secret, error) {
	return t.token(ctx, c, "")
}

// Renew returns another access token than the one that a mail server refused, which is not
// used again.
func (t *Tokens) Renew(ctx context.Context, c config.Account, refused secret.Secret) (secret.Secret, error) {
	return t.token(ctx, c, refused)
}

func (t *Tokens) token(ctx context.Context, c config.Account, refused secret.Secret) (secret.Secret, error) {
	id := t.identity(c)
	end, err := id.begin(ctx)
	if fault.Is(err, fault.Corrupt) {
		return "", t.needed(c, err.Error(), fault.Hint(err))
	}
	if err != nil {
		return "", err
	}
	defer end()
	r, now := id.rec, t.now().Round(0) // without the clock that stands still in sleep
	if r != nil && r.Access == string(refused) {
		void := *r
		void.Access = ""
		id.rec, r = &void, &void
	}
	switch {
	case r == nil:
		return "", t.needed(c, "it is not signed in yet", "")
	case !r.issued(c.OAuth):
		return "", t.needed(c, "[oauth."+c.OAuth.Name+"] of the config has another client_id or token_url than it was signed in with", "")
	case r.fresh(now):
		return secret.Secret(r.Access), nil
	}
	err = t.renew(ctx, id, c, now)
	if r = id.rec; err != nil && (id.unsaved || r.Access == "" || !now.Before(r.Expires)) {
		return "", err
	}
	return secret.Secret(r.Access), nil
}

// fresh reports whether the access token can be used for a while. A clock that was set
// back says nothing about that.
func (r *record) fresh(now time.Time) bool {
	return r.Access != "" && now.Before(r.Expires.Add(-ahead)) && !now.Before(r.Renewed.Add(-ahead))
}

// renew exchanges the refresh token.
func (t *Tokens) renew(ctx context.Context, id *identity, c config.Account, now time.Time) error {
	r, since := id.rec, now.Sub(id.rec.RefusedAt).Abs()
	switch {
	case r.Refusals >= 2 && since < rarelyAfter:
		return t.refused(c, r)
	case r.Refusals == 1 && since < againAfter:
		return fault.New(fault.Temporary, "the provider refused the sign-in ("+r.Refusal+"), which is tried once more in a moment", "there is nothing to do yet: one refusal may be a slip, of the provider or the network")
	}
	client, err := t.client(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := supervise.Outlive(ctx, stopWithin)
	defer cancel()
	used := r.Refresh
	token, err := client.Refresh(ctx, used)
	if oauth.InvalidGrant(err) && r.Refusals > 0 && r.Former != "" {
		if other, otherErr := client.Refresh(ctx, r.Former); otherErr == nil || !oauth.InvalidGrant(otherErr) {
			used, token, err = r.Former, other, otherErr
		}
	}
	next := *r
	switch {
	case oauth.InvalidGrant(err):
		next.Refusals, next.RefusedAt, next.Refusal, next.Hint = r.Refusals+1, now, err.Error(), fault.Hint(err)
		id.rec = &next
		t.log.Warn().Str("account", c.Name).Str("oauth", c.OAuth.Name).Int("refusals", next.Refusals).Err(err).Msg("the provider refused the sign-in")
		if err := id.write(); err != nil {
			return err
		}
		if next.Refusals >= 2 {
			return t.refused(c, &next)
		}
		return fault.New(fault.Temporary, "the provider refused the sign-in ("+next.Refusal+"), which is tried once more in a moment", "there is nothing to do yet: one refusal may be a slip, of the provider or the network")
	case err != nil:
		return err
	}
	next.take(token, now)
	next.Former = ""
	if token.Refresh != used {
		next.Former = used
	}
	id.rec = &next
	t.log.Debug().Str("account", c.Name).Str("oauth", c.OAuth.Name).Time("expires", next.Expires).Bool("rotated", token.Refresh != used).Msg("the token was renewed")
	return id.write() // before the access token is used: the refresh token before it may be void
}

// take has the tokens of an answer in the record.
func (r *record) take(token oauth.Token, now time.Time) {
	r.Access, r.Refresh, r.Renewed, r.Expires = token.Access, token.Refresh, now, token.Expires.Round(0)
	r.Refusals, r.RefusedAt, r.Refusal, r.Hint = 0, time.Time{}, "", ""
}

// Verdict is what the mail servers say of a sign-in.
type Verdict int

// The verdicts.
const (
	Taken   Verdict = iota // or not known: they could not be reached
	Refused                // none takes it, and one does not let it in
	Untried                // they were not asked to the end
)

// Keep writes down what a person has signed in, and uses it. decide is called once the mail
// servers were tried with it, and reports whether the sign-in before is in its place again:
// that is so where it was refused or not tried, and the one before was not refused itself.
// An error says that nothing is stored, or that somebody has signed in since.
func (t *Tokens) Keep(ctx context.Context, c config.Account, token oauth.Token) (decide func(Verdict) (back bool, err error), err error) {
	id := t.identity(c)
	end, err := id.begin(ctx)
	if err != nil { // of what is replaced
		end, err = id.wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	defer end()
	now, replaced, unsaved := t.now().Round(0), id.rec, id.unsaved
	before := replaced
	if before != nil && before.Before != nil { // that one is not decided yet
		before = before.Before
	}
	if !before.good(c.OAuth) {
		before = nil
	}
	id.rec = &record{Version: recordVersion, OAuth: c.OAuth.Name, Username: c.Username,
		ClientID: c.OAuth.ClientID, TokenURL: c.OAuth.Endpoints.Token, SignedIn: now, Before: before}
	id.rec.take(token, now)
	if err := id.write(); err != nil {
		id.rec, id.unsaved = replaced, unsaved
		return nil, err
	}
	id.signIns++
	mine := id.signIns
	return func(v Verdict) (bool, error) {
		end, err := id.wait(context.WithoutCancel(ctx))
		if err != nil {
			return false, err
		}
		defer end()
		if id.signIns != mine {
			return false, fault.New(fault.Conflict, c.Username+" was signed in once more meanwhile, for another account", "look at what came of that one")
		}
		decided := *id.rec
		decided.Before, decided.Untaken = nil, v == Refused
		back := v != Taken && before != nil
		if back {
			decided = *before
		}
		id.rec = &decided
		if err := id.write(); err != nil { // it is tried again with the next use, and the file says the same after a start
			t.log.Warn().Err(err).Str("account", c.Name).Msg("what came of a sign-in is not written down yet")
		}
		return back, nil
	}, nil
}

// client speaks with the provider of an account.
func (t *Tokens) client(ctx context.Context, c config.Account) (*oauth.Client, error) {
	client := &oauth.Client{Endpoints: c.OAuth.Endpoints, ID: c.OAuth.ClientID, HTTP: t.http, Now: t.now}
	s, err := ClientSecret(ctx, *c.OAuth)
	client.Secret = string(s)
	return client, err
}

// ClientSecret reads the secret of a client id, "" for one without.
func ClientSecret(ctx context.Context, o config.OAuth) (secret.Secret, error) {
	if o.SecretFile == "" {
		return "", nil
	}
	s, err := secret.Source{File: o.SecretFile}.Read(ctx)
	if err != nil { // in its own words
		own := strings.NewReplacer("password_file", "client_secret_file", "password file", "file", "password", "client secret")
		err = fault.New(fault.Config, "the client secret of [oauth."+o.Name+"] cannot be read: "+own.Replace(err.Error()), own.Replace(fault.Hint(err)))
	}
	return s, err
}

// refused is that the provider does not take the sign-in any more.
func (t *Tokens) refused(c config.Account, r *record) error {
	hint := r.Hint
	if age := r.RefusedAt.Sub(r.SignedIn); c.OAuth.Provider == "google" && age > testingDies-time.Hour && age < testingSpan {
		hint = `it ended after 7 days, as Google does with projects in "Testing": set yours to "In production" (docs/oauth.md)`
	}
	return t.needed(c, "the provider does not take the sign-in any more ("+r.Refusal+")", hint)
}

// needed is that a person has to sign in.
func (t *Tokens) needed(c config.Account, why, hint string) error {
	again := "sign in: " + t.command("account signin "+c.Name)
	switch first, rest, ok := strings.Cut(hint, "sign in again (popbridge account signin)"); {
	case ok:
		again = first + again + rest
	case hint != "":
		again = hint + "; then " + again
	}
	return health.NewSignInNeeded(fault.New(fault.Auth, why, again), fmt.Sprintf("%s of [oauth.%s]", c.Username, c.OAuth.Name), c.SignsInToFetch(), c.SignsInToSend())
}
