package signin

import (
	"context"
	"sync"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
)

// SignIn is how far a sign-in has come. It has no token. Its JSON keys are fixed.
type SignIn struct {
	Account  string    `json:"account"`
	Method   string    `json:"method"`    // browser or device
	URL      string    `json:"url"`       // to be opened in a browser
	UserCode string    `json:"user_code"` // to be entered there; "" with method browser
	Paste    bool      `json:"paste"`     // the address that the browser ends at has to be pasted: it does not lead here
	Expires  time.Time `json:"expires"`   // of the waiting
	// State is waiting (for the person), trying (signed in, the servers are tried), done,
	// or failed. Done says that the token is stored: what the servers said is in POP and
	// SMTP. Failed says that it is not, and that a sign-in there was before is kept.
	State string `json:"state"`
	POP   Try    `json:"pop"`
	SMTP  Try    `json:"smtp"`
	Error string `json:"error"` // why it failed
	Hint  string `json:"hint"`
}

// Try is what a login with a new token came to.
type Try struct {
	State string `json:"state"` // "": not yet; ok, failed, or none: the account does not log in there with it
	Text  string `json:"text"`
	Hint  string `json:"hint"`
	// Refused says that the server does not let this token in.
	Refused bool `json:"-"`
}

// The states of a SignIn and of a Try.
const (
	Waiting = "waiting"
	Trying  = "trying"
	Done    = "done"
	Failed  = "failed"
	OK      = "ok"
	None    = "none"
)

// Sessions are the sign-ins that persons do, at most one for an account.
type Sessions struct {
	tokens *Tokens
	life   context.Context
	end    context.CancelFunc
	wg     sync.WaitGroup

	beginning sync.Mutex // held by Begin

	mu        sync.Mutex
	byAccount map[string]*session
}

type session struct {
	config config.Account
	login  *oauth.Login // nil with a device code
	cancel context.CancelFunc
	done   chan struct{} // closed at its end
	// Guarded by Sessions.mu.
	status    SignIn
	cancelled bool // by the person
}

// NewSessions returns none yet. Close them.
func NewSessions(t *Tokens) *Sessions {
	life, end := context.WithCancel(context.Background())
	return &Sessions{tokens: t, life: life, end: end, byAccount: map[string]*session{}}
}

// Close ends them all, and waits for that.
func (s *Sessions) Close() {
	s.end()
	s.wg.Wait()
}

// Servers are tried with a new token.
type Servers interface {
	// TryPOP and TrySMTP log in at the servers of an account.
	TryPOP(ctx context.Context, c config.Account) Try
	TrySMTP(ctx context.Context, c config.Account) Try
	// SignedIn is told of an account after that.
	SignedIn(c config.Account)
}

// Begin begins to sign an account in, in place of a sign-in that is under way for it.
func (s *Sessions) Begin(ctx context.Context, c config.Account, device bool, servers Servers) (SignIn, error) {
	client, err := s.tokens.client(ctx, c)
	if err != nil {
		return SignIn{}, err
	}
	s.beginning.Lock()
	defer s.beginning.Unlock()
	s.mu.Lock()
	old := s.byAccount[c.Name]
	s.mu.Unlock()
	if old != nil { // it may have the port that is registered with the provider
		old.cancel()
		<-old.done
	}
	one := &session{config: c, done: make(chan struct{}), status: SignIn{Account: c.Name, Method: "browser", State: Waiting}}
	var wait func(context.Context) (oauth.Token, error)
	if device {
		d, err := client.BeginDevice(ctx)
		if err != nil {
			return SignIn{}, err
		}
		one.status.Method, one.status.URL, one.status.UserCode, one.status.Expires = "device", d.URL, d.UserCode, d.Expires
		wait = d.Wait
	} else {
		l, err := client.Begin(s.life, c.Username)
		if err != nil {
			return SignIn{}, err
		}
		one.login, one.status.URL, one.status.Expires, one.status.Paste = l, l.URL(), l.Ends(), l.PasteOnly()
		wait = l.Wait
	}
	life, cancel := context.WithCancel(s.life)
	one.cancel = cancel
	s.mu.Lock()
	s.byAccount[c.Name] = one
	status := one.status
	s.mu.Unlock()
	s.wg.Go(func() {
		defer close(one.done)
		defer cancel()
		s.run(life, one, wait, servers)
	})
	return status, nil
}

// run waits for the person, keeps the token, and tries the servers with it.
func (s *Sessions) run(ctx context.Context, one *session, wait func(context.Context) (oauth.Token, error), servers Servers) {
	c := one.config
	token, err := wait(ctx)
	if err == nil && token.Refresh == "" {
		err = fault.New(fault.Protocol, "the provider gave no refresh token, so that the sign-in would end within the hour",
			"sign in once more, and agree when you are asked; scopes without offline access give none")
	}
	if err == nil {
		err = s.takes(one)
	}
	var decide func(Verdict) (bool, error)
	if err == nil {
		decide, err = s.tokens.Keep(context.WithoutCancel(ctx), c, token)
	}
	var pop, smtp Try
	if err == nil {
		var both sync.WaitGroup
		both.Go(func() { pop = servers.TryPOP(ctx, c) })
		both.Go(func() { smtp = servers.TrySMTP(ctx, c) })
		both.Wait()
		verdict, why := verdictOf(ctx, pop, smtp)
		var back bool
		if back, err = decide(verdict); back {
			err = why
		}
		servers.SignedIn(c)
	}
	s.update(one, func(st *SignIn) {
		st.State, st.POP, st.SMTP = Done, pop, smtp
		if err != nil {
			st.State, st.Error, st.Hint = Failed, err.Error(), fault.Hint(err)
		}
	})
}

// verdictOf judges a sign-in by what came of trying it. why is for the person where the
// sign-in before is kept for it.
func verdictOf(ctx context.Context, pop, smtp Try) (v Verdict, why error) {
	switch {
	case pop.State == OK || smtp.State == OK:
		return Taken, nil
	case pop.Refused:
		return Refused, fault.New(fault.Auth, "the server does not let in who has signed in, so the sign-in before is kept ("+pop.Text+")", pop.Hint)
	case smtp.Refused:
		return Refused, fault.New(fault.Auth, "the outgoing server does not let in who has signed in, so the sign-in before is kept ("+smtp.Text+")", smtp.Hint)
	case ctx.Err() != nil:
		return Untried, fault.New(fault.Temporary, "it was interrupted before the servers were tried, so the sign-in before is kept", "sign in once more")
	}
	return Taken, nil
}

// takes has a sign-in go on with its token, which cannot be cancelled from then on.
func (s *Sessions) takes(one *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.cancelled {
		return fault.New(fault.Temporary, "the sign-in was cancelled, so nothing was stored", "begin another one")
	}
	one.status.State = Trying
	return nil
}

func (s *Sessions) update(one *session, change func(*SignIn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&one.status)
}

// find returns the sign-in of an account, under way or over.
func (s *Sessions) find(account string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.byAccount[account]; one != nil {
		return one, nil
	}
	return nil, fault.New(fault.NotFound, "no sign-in of account "+account+" is under way", "begin one: "+s.tokens.command("account signin "+account))
}

// State says how far the sign-in of an account has come, also after its end.
func (s *Sessions) State(account string) (SignIn, error) {
	one, err := s.find(account)
	if err != nil {
		return SignIn{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return one.status, nil
}

// Paste takes the address that the browser ended at, or the code in it. An error is for
// the person, and the sign-in goes on.
func (s *Sessions) Paste(ctx context.Context, account, text string) (SignIn, error) {
	one, err := s.find(account)
	if err != nil {
		return SignIn{}, err
	}
	if one.login == nil {
		return SignIn{}, fault.New(fault.Config, "this sign-in takes no address", "enter the code at the address that is shown with it")
	}
	if err := one.login.Paste(ctx, text); err != nil {
		return SignIn{}, err
	}
	return s.State(account)
}

// Cancel ends the sign-in of an account: nothing of it is stored. One whose token has come
// is not cancelled, which is a fault.Conflict.
func (s *Sessions) Cancel(account string) error {
	one, err := s.find(account)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.status.State == Trying || one.status.State == Done {
		return fault.New(fault.Conflict, "the person has signed in for account "+account+" already, so nothing was cancelled", "to sign it in as somebody else, sign in again")
	}
	one.cancelled = true
	one.cancel()
	return nil
}
