package bridge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// TestThirtyDays lets ten accounts be served for 30 days of virtual time by
// servers that lock, cap, delay, renumber, go down for hours and answer short
// listings, while mail arrives. In the end each message is here once; at no
// time was a server visited more often than it allows, or later than the
// schedule has it once it was back. Where tests are short it is four days.
func TestThirtyDays(t *testing.T) {
	t.Parallel()
	days := rounds.Of(4, 30)
	synctest.Test(t, func(t *testing.T) {
		store := newMemStore(openSpool(t), time.Now)
		sim := newSimulation(t, 1, store, 10)
		sim.run(time.Duration(days) * 24 * time.Hour)
		sim.check(func(account string, m *popMessage) int {
			return store.count(account, sha256.Sum256(m.data))
		})
		store.check(t)
	})
}

// TestTwoDays is the same for a shorter time with a store on a disk.
func TestTwoDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t, new(clock))
		sim := newSimulation(t, 3, store, 4)
		sim.run(2 * 24 * time.Hour)
		count := make(map[string]int)
		for _, a := range sim.accounts {
			for _, data := range mail(t, store, a.name) {
				count[a.name+data]++
			}
		}
		sim.check(func(account string, m *popMessage) int { return count[account+string(m.data)] })
	})
}

// simulation is some accounts with their servers.
type simulation struct {
	t        *testing.T
	store    Store
	accounts []*simAccount
}

// simAccount is an account and what its server does to it.
type simAccount struct {
	t      *testing.T
	name   string
	rand   *rand.Rand
	every  time.Duration
	delay  time.Duration // between two logins, enforced; announced or not
	silent bool          // CAPA does not announce it
	keep   plan.Keep
	pop    *popServer
	runner *Runner

	mu       sync.Mutex
	ids      int
	arrived  []*popMessage
	attempts []attempt
	plans    []told
	lastIn   time.Time // the last login the server counts
	downFrom time.Time // when the server went down; zero while it is up
	outages  []outage
	locked   bool
}

// attempt is a connection and how the server took it.
type attempt struct {
	at    time.Time
	early bool // before the server's delay had passed
	up    bool
}

// told is the schedule as it was told at some time, or the end of a run.
type told struct {
	at     time.Time
	status Status
	ended  bool
}

type outage struct{ from, to time.Time }

func newSimulation(t *testing.T, seed uint64, store Store, accounts int) *simulation {
	sim := &simulation{t: t, store: store}
	everies := []time.Duration{20 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
	keeps := []plan.Keep{plan.KeepNever(), plan.KeepFor(3 * 24 * time.Hour), plan.KeepFor(12 * time.Hour), plan.KeepNever(), plan.KeepNewest(20)}
	for i := range accounts {
		a := &simAccount{
			t: t, name: fmt.Sprint("account", i), rand: rand.New(rand.NewPCG(seed, uint64(i))),
			every: everies[i%len(everies)], keep: keeps[i%len(keeps)], pop: newPopServer(t),
		}
		switch i % 5 {
		case 1:
			a.delay = 20 * time.Minute
			a.pop.caps = append(a.pop.caps, "LOGIN-DELAY 1200")
		case 3:
			a.delay, a.silent = 45*time.Minute, true
		case 4:
			a.pop.caps = []string{"UIDL"}
		}
		sim.accounts = append(sim.accounts, a)
	}
	return sim
}

// start makes the runner, as the start of the program does.
func (a *simAccount) start(store Store, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	a.runner = NewRunner(Account{
		Name: a.name, PollEvery: a.every, Keep: a.keep, Folder: a.name,
		Server: pop3.Config{Host: "pop.test", Security: pop3.Plain, Dialer: a.dial},
		Credentials: func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: a.name, Secret: "secret"}, nil
		},
	}, store, Options{Rand: random.Float64, Changed: a.changed})
}

// changed notes the schedule after each poll.
func (a *simAccount) changed(s Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plans = append(a.plans, told{at: time.Now(), status: s})
}

// serve runs the account until ctx ends; every few days the program restarts.
func (a *simAccount) serve(ctx context.Context, store Store) {
	lives := rand.New(rand.NewPCG(uint64(len(a.name)), uint64(a.every)))
	for n := uint64(0); ctx.Err() == nil; n++ {
		a.start(store, n)
		days := 1 + lives.ExpFloat64()*4
		life, cancel := context.WithTimeout(ctx, time.Duration(days*24*float64(time.Hour)))
		if err := a.runner.Serve(life); err != nil {
			a.t.Error(err)
		}
		cancel()
		a.mu.Lock()
		a.plans = append(a.plans, told{at: time.Now(), ended: true})
		a.mu.Unlock()
	}
}

// run serves all accounts for d, then lets the servers be good for two days
// more, so that what waits is fetched.
func (sim *simulation) run(d time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var serving, living sync.WaitGroup
	for _, a := range sim.accounts {
		serving.Go(func() { a.serve(ctx, sim.store) })
		living.Go(func() { a.live(d) })
	}
	living.Wait()
	time.Sleep(2 * 24 * time.Hour)
	cancel()
	serving.Wait()
}

func (a *simAccount) dial(context.Context, string, string) (net.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	up := a.downFrom.IsZero()
	early := up && a.delay > 0 && !a.lastIn.IsZero() && now.Sub(a.lastIn) < a.delay
	a.attempts = append(a.attempts, attempt{at: now, early: early, up: up})
	if !up {
		return nil, errors.New("no route to host")
	}
	refuse := ""
	switch {
	case a.locked:
		refuse = "-ERR [IN-USE] mailbox locked"
	case early:
		refuse = "-ERR [LOGIN-DELAY] minimum time between mail checks violation"
	}
	a.pop.change(func() {
		a.pop.refuse = refuse
		if a.pop.active > 0 {
			a.t.Errorf("%s: a second session", a.name)
		}
	})
	if refuse == "" {
		a.lastIn = now
	}
	client, server := scripted.Pipe(10 * time.Millisecond)
	a.pop.accept(server)
	return client, nil
}

// live is what happens at the server for d.
func (a *simAccount) live(d time.Duration) {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		time.Sleep(time.Duration(a.rand.ExpFloat64() * float64(90*time.Minute)))
		a.mu.Lock()
		a.event()
		a.mu.Unlock()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.locked = false
	a.up()
	a.pop.change(func() {
		a.pop.trouble = trouble{}
		for _, m := range a.pop.messages {
			m.err, m.cut, m.void = "", false, false
		}
	})
}

// event is one thing that happens, most often that mail arrives.
func (a *simAccount) event() {
	if a.rand.IntN(2) == 0 {
		for range 1 + a.rand.IntN(4) {
			a.arrive()
		}
		return
	}
	tr := trouble{limitText: "-ERR Download exceed. msg=3"}
	switch a.rand.IntN(12) {
	case 0: // back with the trouble, unless the next event ends it
		if a.downFrom.IsZero() {
			a.downFrom = time.Now()
		}
		return
	case 1:
		a.locked = !a.locked
		return
	case 2:
		a.renumber()
		return
	case 3:
		tr.limit = 3
	case 4:
		tr.short = 1 + a.rand.IntN(3)
	case 5:
		tr.hide = 1 + a.rand.IntN(4)
	case 6:
		tr.cutRetr, tr.cutAfter = 1+a.rand.IntN(5), a.rand.IntN(200)
	case 7:
		tr.noUIDL = a.rand.IntN(2) == 0
	case 8:
		tr.quit = quitTrouble(a.rand.IntN(5))
	case 9:
		a.poison()
	}
	a.locked = a.locked && a.rand.IntN(2) == 0
	a.up()
	a.pop.change(func() {
		tr.short = min(tr.short, len(a.pop.messages))
		a.pop.trouble = tr
	})
}

func (a *simAccount) up() {
	if !a.downFrom.IsZero() {
		a.outages = append(a.outages, outage{a.downFrom, time.Now()})
		a.downFrom = time.Time{}
	}
}

func (a *simAccount) id() string {
	a.ids++
	return fmt.Sprint("id", a.ids)
}

func (a *simAccount) arrive() {
	n := len(a.arrived)
	data := fmt.Appendf(nil, "Subject: %s %d\r\n\r\n%0*d\r\n", a.name, n, 1+a.rand.IntN(400), n)
	m := a.pop.add(a.id(), data)
	a.arrived = append(a.arrived, m)
}

func (a *simAccount) renumber() {
	a.pop.change(func() {
		for _, m := range a.pop.messages {
			m.uidl = a.id()
		}
	})
}

func (a *simAccount) poison() {
	a.pop.change(func() {
		for _, m := range a.pop.messages {
			m.err, m.cut, m.void = "", false, false
			switch a.rand.IntN(12) {
			case 0:
				m.err = "-ERR try again later"
			case 1:
				m.cut = true
			case 2:
				m.void = true
			}
		}
	})
}
