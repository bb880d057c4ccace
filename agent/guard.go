package agent

import (
	"context"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

const (
	// freeGuesses is how many wrong passwords in a row are tried at once: a person
	// who mistypes is not made to wait.
	freeGuesses = 5
	// guessEvery is how often a password is tried for a user after that.
	guessEvery = 500 * time.Millisecond
	// guessesForgotten is how long after the last wrong password all is as before.
	guessesForgotten = time.Minute
	// maxWaiting bounds the logins that wait for their turn, for each user.
	maxWaiting = 16
	// maxGuarded bounds the names that are told apart.
	maxGuarded = 100
	// restAfterGuess is how many times as long as the hashing of a wrong password
	// took nothing is hashed, so that guessing takes a quarter of one processor.
	restAfterGuess = 3
	// refusalsShown is how long a refused login is a health condition.
	refusalsShown = time.Hour
	// refusalsLogged is how often refused logins of one user are logged.
	refusalsLogged = time.Minute
)

// guard makes those wait who guess passwords. It is asked for passwords that are
// not known to be right, so that a mail program that has logged in before never
// waits for it. No one is locked out: a right password is let in as soon as it
// has been tried.
//
// Names that belong to no user are treated like those of users, so that nothing
// shows which is which.
type guard struct {
	report  func(refusals) // called with mu held
	hashing chan struct{}  // holds a token while a password is hashed

	mu      sync.Mutex
	guesses map[string]*guesses // by the name that was sent; "": all others
	refused map[string]refusals // by user; "": names that belong to no user
}

// guesses is what is known of the passwords that were tried for a name.
type guesses struct {
	turn    chan struct{} // holds a token while one is tried
	waiting int
	wrong   int // in a row
	last    time.Time
}

// refusals are refused logins as people are told of them.
type refusals struct {
	user     string // empty: none
	name     string // that was sent last
	from     string // the address that sent it; empty: this machine
	meant    string // the user whom that name is probably for; empty: not known
	n        int    // since the last login that was right; 0: the condition is over
	last     time.Time
	unlogged int
	logged   time.Time
	log      int // so many are to be logged now
}

func newGuard(report func(refusals)) *guard {
	return &guard{report: report, hashing: make(chan struct{}, 1), guesses: map[string]*guesses{}, refused: map[string]refusals{}}
}

var errTooManyGuesses = fault.New(fault.Temporary, "too many logins with a wrong password at this moment", "try again in a minute")

// try runs work, which hashes a password, when it is the turn of that name.
func (g *guard) try(ctx context.Context, name string, work func() error) error {
	e, err := g.enter(name)
	if err != nil {
		if !supervise.Sleep(ctx, time.Second) {
			return ctx.Err()
		}
		return err
	}
	defer g.leave(e)
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.turn }()
	if !supervise.Sleep(ctx, g.wait(e)) {
		return ctx.Err()
	}
	select {
	case g.hashing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.hashing }()
	began := time.Now()
	err = work()
	if g.note(e, err) {
		time.Sleep(min(restAfterGuess*time.Since(began), time.Second)) // whether or not the client is still there
	}
	return err
}

func (g *guard) enter(name string) (*guesses, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.guesses[name]
	if e == nil {
		if len(g.guesses) >= maxGuarded {
			name = ""
		}
		if e = g.guesses[name]; e == nil {
			e = &guesses{turn: make(chan struct{}, 1)}
			g.guesses[name] = e
		}
	}
	if e.waiting >= maxWaiting {
		return nil, errTooManyGuesses
	}
	e.waiting++
	return e, nil
}

func (g *guard) leave(e *guesses) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e.waiting--
}

// wait returns how long the next guess has to wait.
func (g *guard) wait(e *guesses) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	since := time.Since(e.last)
	if since >= guessesForgotten {
		e.wrong = 0
	}
	if e.wrong < freeGuesses {
		return 0
	}
	return guessEvery - since
}

// note counts a password that was tried, and reports whether someone guesses.
func (g *guard) note(e *guesses, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !fault.Is(err, fault.Auth) {
		return false
	}
	e.wrong++
	e.last = time.Now()
	return e.wrong > freeGuesses
}

// refuse notes a refused login for people. user is empty where the name belongs
// to none; meant is then the user whose next login ends the condition, as user is
// otherwise. from is the address in the local network, empty for this machine.
func (g *guard) refuse(user, name, meant, from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.refused[user]
	r.user, r.name, r.meant, r.from, r.last = user, name, meant, from, time.Now()
	r.n++
	r.unlogged++
	g.tellLocked(r)
}

// admit notes a login that was right.
func (g *guard) admit(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range []refusals{g.refused[user], g.refused[""]} {
		if r.n > 0 && r.meant == user {
			r.n = 0
			g.tellLocked(r)
		}
	}
}

// expire ends what is over: called now and then.
func (g *guard) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.refused {
		if time.Since(r.last) >= refusalsShown {
			r.n = 0
		}
		g.tellLocked(r)
	}
	for name, e := range g.guesses {
		if e.waiting == 0 && time.Since(e.last) >= guessesForgotten {
			delete(g.guesses, name)
		}
	}
}

func (g *guard) tellLocked(r refusals) {
	if r.unlogged > 0 && time.Since(r.logged) >= refusalsLogged {
		r.log, r.unlogged, r.logged = r.unlogged, 0, time.Now()
	}
	g.report(r)
	r.log = 0
	if r.n == 0 && r.unlogged == 0 {
		delete(g.refused, r.user)
		return
	}
	g.refused[r.user] = r
}
