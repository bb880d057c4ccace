package plan

import "time"

// Trouble is what keeps the whole queue of an account from leaving, and so costs
// no message an attempt.
type Trouble uint8

// The kinds of trouble.
const (
	None    Trouble = iota
	Offline         // no session came about, or it broke
	Busy            // the server asks to come back later
	Login           // it refuses the login
	Quota           // it takes no more mail today
	Barred          // it takes the login, and wants one at a message
	Silent          // its answers to final dots do not arrive
)

// How long an account rests. Refused logins are tried again as those of POP3 are:
// more and more rarely, so that the provider does not lock the account.
const (
	refusedFirst = time.Minute
	refusalsLong = 3 // refusals in a row before the long pauses
	refusedLong  = time.Hour
	refusedCap   = 24 * time.Hour
	quotaFor     = 24 * time.Hour // limits are per day, or roll over 24 hours

	// wakeOffline and resumeLogin are the least times from an attempt to one that Wake and
	// Resume bring about.
	wakeOffline = 5 * time.Second
	resumeLogin = 15 * time.Minute

	// patience is the number of transactions in a row that may break, or be put
	// off as a whole, before the account rests: one message alone never makes it.
	patience = 2

	// silences are the final dots in a row, each of another message, without an answer after
	// which the account rests: each more is one more message of which a person has to find
	// out.
	silences = 2
)

// Pause is how an account does as a whole. The zero value is one that does well.
type Pause struct {
	Trouble Trouble
	Until   time.Time // zero: it does not rest

	at       time.Time // when the trouble was met last
	offline  int       // in a row
	busy     int
	refusals int
	barred   int
	barren   int  // transactions in a row that the server or the connection broke off
	silent   int  // final dots in a row without an answer
	inside   bool // there was trouble that a login says nothing about, since it worked last
}

// Met notes trouble and rests. u is a random number in [0,1).
func (p *Pause) Met(t Trouble, now time.Time, u float64) {
	p.Trouble, p.at = t, now
	p.inside = p.inside || t == Busy || t == Quota || t == Barred || t == Silent
	var rest time.Duration
	switch t {
	case Offline:
		p.offline++
		rest = Retry(p.offline, u)
	case Busy:
		p.busy++
		rest = Retry(p.busy, u)
	case Login:
		p.refusals++
		rest = jitter(loginPause(p.refusals), 0.1, u)
	case Barred:
		p.barred++
		rest = jitter(loginPause(p.barred), 0.1, u)
	case Silent:
		rest = jitter(loginPause(p.silent-silences+refusalsLong), 0.1, u)
	case Quota:
		rest = quotaFor
	}
	p.Until = now.Add(rest)
}

// Said makes a rest that was just met as long as the server has said; 0: it has not. One that
// is offline or refuses a login is not asked sooner for that.
func (p *Pause) Said(wait time.Duration) {
	until := p.at.Add(wait)
	if wait > 0 && (p.Trouble == Quota || until.After(p.Until)) {
		p.Until = until
	}
}

func loginPause(refusals int) time.Duration {
	if refusals >= refusalsLong {
		return doubled(refusedLong, refusedCap, refusals-refusalsLong+1)
	}
	return doubled(refusedFirst, refusedCap, refusals)
}

// Tried notes what came of a transaction, and returns for what the account should rest where
// that broke, or was put off as a whole: Busy, Silent, or None. again: the message has met
// trouble before, and the server has taken none since.
func (p *Pause) Tried(d Decision, again bool) Trouble {
	switch {
	case d.Answered:
		p.silent = 0
	case d.Attempt.Unknown && !again:
		p.silent++
	}
	if !d.Stalled {
		return None
	}
	p.barren++
	switch {
	case d.Attempt.Unknown && p.silent >= silences:
		return Silent
	case p.barren > patience:
		return Busy
	}
	return None
}

// LoggedIn notes that the server has taken the login, and reports whether that was all of
// the trouble: what the server says after a login is not over with the next one.
func (p *Pause) LoggedIn() bool {
	p.offline, p.refusals = 0, 0
	ended := p.Trouble == Offline || p.Trouble == Login
	if ended {
		p.Trouble, p.Until = None, time.Time{}
	}
	return ended && !p.inside
}

// Worked notes that the server deals with messages: it may have refused one before the final
// dot.
func (p *Pause) Worked() { *p = Pause{silent: p.silent} }

// Wake ends a rest without a network: there is one, the provider answers elsewhere. That says
// nothing about a login that it refuses here.
func (p *Pause) Wake() {
	if p.Trouble == Offline {
		p.shorten(wakeOffline)
	}
}

// Resume does what Wake does, and shortens the rest after a refused login: the program or the
// computer rested, so that much may be another now.
func (p *Pause) Resume() {
	p.Wake()
	if p.Trouble == Login {
		p.shorten(resumeLogin)
	}
}

// shorten has a rest end so long after the trouble that it is for.
func (p *Pause) shorten(rest time.Duration) {
	if until := p.at.Add(rest); until.Before(p.Until) {
		p.Until = until
	}
}

// NewSecret ends a rest for a refused login, as there is another secret now. A token is another
// one each hour, whatever the server thinks of it: one that was not signed in for by a person
// ends a rest of which a quarter is over, and makes the next one no shorter.
func (p *Pause) NewSecret(renewed bool, now time.Time) {
	switch {
	case p.Trouble != Login && p.Trouble != Barred:
	case !renewed:
		*p = Pause{}
	case now.Sub(p.at) >= p.Until.Sub(p.at)/4:
		p.End()
	}
}

// End ends any rest.
func (p *Pause) End() { p.Until = time.Time{} }

// A Lasting pause is what of a Pause outlasts a restart of the program, which would
// otherwise make one more login that the provider counts, or one more message in doubt. It is
// stored as JSON.
type Lasting struct {
	Trouble  Trouble   `json:"trouble,omitempty"` // Login, Quota, Barred or Silent; else there is none
	At       time.Time `json:"at,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	Refusals int       `json:"refusals,omitempty"`
	Barred   int       `json:"barred,omitempty"`
	Silent   int       `json:"silent,omitempty"`
}

func (t Trouble) lasts() bool { return t == Login || t == Quota || t == Barred || t == Silent }

// Lasting returns what is to be kept.
func (p *Pause) Lasting() Lasting {
	l := Lasting{Refusals: p.refusals, Barred: p.barred, Silent: p.silent}
	if p.Trouble.lasts() {
		l.Trouble, l.At, l.Until = p.Trouble, p.at.Round(0), p.Until.Round(0)
	}
	return l
}

// Pause goes on with what was kept. A restart counts as Resume does: a person may have
// changed something.
func (l Lasting) Pause() Pause {
	p := Pause{refusals: max(l.Refusals, 0), barred: max(l.Barred, 0), silent: max(l.Silent, 0), inside: l.Barred > 0}
	if !l.Trouble.lasts() {
		return p
	}
	p.Trouble, p.Until, p.at, p.inside = l.Trouble, l.Until, l.At, p.inside || l.Trouble != Login
	p.Resume()
	return p
}

// Rests reports whether the account rests at now. A rest that ends further away than
// any does is that of a clock that was wrong, and so is one for trouble that is to come.
func (p *Pause) Rests(now time.Time) bool {
	return p.Until.After(now) && p.Until.Sub(now) <= 2*refusedCap && !p.at.After(now)
}
