package lan

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// The limits of an address of the local network, or of all IPv6 addresses with the
// same first 64 bits, among which one machine may choose.
const (
	// maxConns is how many connections it may have; a mail program has a few.
	maxConns = 32
	// burstConns it may open at once, and one each connEvery after that.
	burstConns = 32
	connEvery  = 2 * time.Second

	// freeGuesses wrong passwords have no consequence; each one after that makes the
	// next wait, from firstWait on twice as long. With banAfter the address is
	// banned for firstBan, and then for each wrong password twice as long as before,
	// at most maxBan. All of that is forgotten guessesForgotten after the last wrong
	// password, or the end of the ban.
	freeGuesses      = 3
	firstWait        = time.Second
	banAfter         = 10
	firstBan         = 10 * time.Minute
	maxBan           = 24 * time.Hour
	guessesForgotten = time.Hour
)

// The limits of all addresses together.
const (
	maxAllConns = 200
	// Of addresses from which no one has logged in yet, burstNew connections are
	// accepted at once and one each newEvery after that: a TLS handshake costs about
	// a millisecond.
	burstNew = 64
	newEvery = 50 * time.Millisecond
	// maxPeers bounds the addresses that are told apart.
	maxPeers = 1000
)

// A Refusal is why an address is not served; it is the text of a log line.
type Refusal string

// The refusals.
const (
	Foreign  Refusal = "a connection from outside of private networks was refused"
	Banned   Refusal = "a connection of a banned address was refused"
	TooMany  Refusal = "a connection was refused, because its address has too many or opens them too fast"
	TooBusy  Refusal = "a connection was refused, because there are too many from new addresses or in all"
	accepted Refusal = ""
)

// Peers are the addresses in the local network. It is safe for use by several
// goroutines.
type Peers struct {
	FirstWait time.Duration // see firstWait
	onBan     func(netip.Addr, time.Duration)

	mu    sync.Mutex
	all   map[netip.Prefix]*peer
	conns int
	fresh bucket
}

// peer is what is known of an address.
type peer struct {
	conns   int
	speed   bucket
	known   bool          // someone has logged in
	turn    chan struct{} // holds a token while a password is tried
	wrong   int           // passwords
	lastAt  time.Time
	waitTo  time.Time // no password is tried before
	banned  time.Time // until then
	banFor  time.Duration
	touched time.Time
}

// NewPeers returns Peers of which nothing is known. onBan is told of each ban; it is
// called with a lock held, and must not call back.
func NewPeers(onBan func(netip.Addr, time.Duration)) *Peers {
	return &Peers{FirstWait: firstWait, onBan: onBan, all: map[netip.Prefix]*peer{}}
}

// key is the network of an address that one machine may have.
func key(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // valid where a is
	return p
}

// Open counts a connection, or refuses it. Close undoes it.
func (p *Peers) Open(a netip.Addr) Refusal {
	if !config.Private(a) {
		return Foreign
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	q := p.all[key(a)]
	switch {
	case q != nil && now.Before(q.banned):
		return Banned
	case p.conns >= maxAllConns:
		return TooBusy
	case q != nil && (q.conns >= maxConns || !q.speed.take(now, burstConns, connEvery)): // not at the cost of others
		return TooMany
	case (q == nil || !q.known) && !p.fresh.take(now, burstNew, newEvery): // so a flood of addresses costs no more than that
		return TooBusy
	}
	isNew := q == nil
	if q = p.peerLocked(a, now); q == nil {
		return TooBusy
	}
	if isNew {
		q.speed.take(now, burstConns, connEvery)
	}
	q.conns++
	p.conns++
	return accepted
}

// Close ends a connection.
func (p *Peers) Close(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns--
	if q := p.all[key(a)]; q != nil {
		q.conns--
	}
}

// Banned reports whether an address is banned now.
func (p *Peers) Banned(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.all[key(a)]
	return q != nil && time.Now().Before(q.banned)
}

// Guess runs try, which hashes a password, when it is the turn of the address, one
// at a time and after the wait that wrong ones have earned. A fault.Auth of it is a
// wrong password. ErrBanned: it was not run.
func (p *Peers) Guess(ctx context.Context, a netip.Addr, try func() error) error {
	p.mu.Lock()
	q := p.peerLocked(a, time.Now())
	p.mu.Unlock()
	if q == nil {
		return ErrBanned
	}
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.turn }()
	p.mu.Lock()
	wait := time.Until(q.waitTo)
	p.mu.Unlock()
	if !supervise.Sleep(ctx, wait) {
		return ctx.Err()
	}
	if p.Banned(a) {
		return ErrBanned
	}
	err := try()
	if fault.Is(err, fault.Auth) {
		p.wrong(a, q)
	}
	return err
}

// ErrBanned is the answer of Guess where nothing was tried.
var ErrBanned = errors.New("the address is banned")

func (p *Peers) wrong(a netip.Addr, q *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	q.wrong++
	q.lastAt = now
	switch {
	case q.wrong >= banAfter:
		q.banFor = min(max(2*q.banFor, firstBan), maxBan)
		q.banned = now.Add(q.banFor)
		q.known = false
		p.onBan(a, q.banFor)
	case q.wrong > freeGuesses:
		q.waitTo = now.Add(p.FirstWait << (q.wrong - freeGuesses - 1))
	}
}

// Right notes that someone has logged in from an address.
func (p *Peers) Right(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.peerLocked(a, time.Now()); q != nil {
		q.known = true
	}
}

// Forgive ends all bans and forgets all guesses: a person at this machine sets a
// device up.
func (p *Peers) Forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.all {
		q.forgive()
	}
}

func (q *peer) forgive() {
	q.wrong, q.banFor, q.banned, q.waitTo = 0, 0, time.Time{}, time.Time{}
}

// Bans returns how many addresses are banned now.
func (p *Peers) Bans() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, q := range p.all {
		if now.Before(q.banned) {
			n++
		}
	}
	return n
}

// peerLocked returns what is known of an address, nil where there is no room for
// another one.
func (p *Peers) peerLocked(a netip.Addr, now time.Time) *peer {
	k := key(a)
	q := p.all[k]
	if q == nil {
		if len(p.all) >= maxPeers && !p.makeRoomLocked(now) {
			return nil
		}
		q = &peer{turn: make(chan struct{}, 1)}
		p.all[k] = q
	}
	if q.wrong > 0 && now.After(q.lastAt.Add(guessesForgotten)) && now.After(q.banned.Add(guessesForgotten)) {
		q.forgive()
	}
	q.touched = now
	return q
}

// makeRoomLocked forgets the address that has been silent for longest, without
// connection, ban or guesses that still count.
func (p *Peers) makeRoomLocked(now time.Time) bool {
	var oldest netip.Prefix
	for k, q := range p.all {
		counts := q.conns > 0 || len(q.turn) > 0 || q.wrong > 0 && now.Before(q.lastAt.Add(guessesForgotten)) || now.Before(q.banned.Add(guessesForgotten))
		if !counts && (!oldest.IsValid() || q.touched.Before(p.all[oldest].touched)) {
			oldest = k
		}
	}
	if !oldest.IsValid() {
		return false
	}
	delete(p.all, oldest)
	return true
}

// A bucket permits a burst, and one each while after that.
type bucket struct {
	emptyAt time.Time // when as many had been taken as it gives
}

func (b *bucket) take(now time.Time, burst int, every time.Duration) bool {
	at := b.emptyAt
	if full := now.Add(-time.Duration(burst) * every); at.Before(full) {
		at = full
	}
	if at = at.Add(every); at.After(now) {
		return false
	}
	b.emptyAt = at
	return true
}
