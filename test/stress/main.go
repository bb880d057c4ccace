// Command stress lets many mail clients work at random on a running popbridge
// while its accounts are polled, and looks whether all answers are right, no
// message is lost or doubled, and nothing stays in memory when they have left.
// It prints how long the commands took, and exits with 1 when anything is
// wrong. Linux only: it reads /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/test/rig"
)

// run is one test.
type run struct {
	clients int
	load    time.Duration
	think   time.Duration // mean pause between two commands of a client
	preload int           // messages in each INBOX at the start

	agent  *rig.Popbridge
	pops   map[string]*popserver.Server // by user
	popped map[string]*atomic.Int64     // messages the POP servers were given
	log    *log
	door   chan struct{} // how many log in at the same time
	actors []*actor
}

// password opens everything here.
const password = "stress-pass"

// devices spread the clients; one device has at most 64 connections.
var devices = []string{"ann", "ann", "ann", "bob"}

func main() {
	binary := flag.String("popbridge", "bin/popbridge", "the binary to test")
	r := &run{pops: make(map[string]*popserver.Server), popped: make(map[string]*atomic.Int64), log: newLog(), door: make(chan struct{}, 20)}
	flag.IntVar(&r.clients, "clients", 200, "IMAP clients, at most 200")
	flag.DurationVar(&r.load, "for", time.Minute, "how long")
	flag.DurationVar(&r.think, "think", 100*time.Millisecond, "mean pause of a client between two commands")
	flag.IntVar(&r.preload, "messages", 1000, "messages in each INBOX at the start")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := r.all(ctx, *binary); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
	fmt.Println("no error, nothing lost or doubled, no growth")
}

func (r *run) all(ctx context.Context, binary string) (err error) {
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "popbridge-stress-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop()
	if err := r.start(ctx, binary, dir, &serving); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.agent.Kill())
		}
	}()
	before, after, err := r.measure(ctx)
	if err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if err := r.goroutines(); err != nil {
		return err
	}
	out, err := r.agent.Run(ctx, "", "check")
	if err != nil || out.Code != 0 {
		return fmt.Errorf("check: exit %d: %s%s: %w", out.Code, out.Stdout, out.Stderr, err)
	}
	if after.rss > limit(before) || after.files > maxFiles {
		return fmt.Errorf("growth: from %v to %v", before, after)
	}
	return nil
}

// maxFiles is what the agent keeps open without clients: for each user a few
// connections to the index, of three files each.
const maxFiles = 100

// limit is how much memory is no growth: mailboxes are larger at the end, and
// the collector has its own mind.
func limit(before process) int { return before.rss*6/5 + 4<<10 }

// start runs the POP servers and the agent, with mail in it.
func (r *run) start(ctx context.Context, binary, dir string, serving *sync.WaitGroup) (err error) {
	if r.agent, err = rig.NewPopbridge(binary, dir); err != nil {
		return err
	}
	var accounts []rig.Account
	for _, user := range []string{"ann", "bob"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		pop := popserver.New(popserver.Options{User: user, Password: password})
		r.pops[user], r.popped[user] = pop, &atomic.Int64{}
		serving.Go(func() { _ = pop.Serve(ctx, ln) }) // it ends with ctx
		accounts = append(accounts, rig.Account{
			Name: user, Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: "none",
			Username: user, Password: password, PollEvery: "1m", User: user,
		})
		r.arrive(user, r.preload)
	}
	if err := r.agent.Configure(accounts...); err != nil {
		return err
	}
	for i, user := range devices {
		if err := r.agent.AddDevice(ctx, user, deviceName(i), fmt.Sprintf("%s-%d", password, i)); err != nil {
			return err
		}
	}
	if err := r.sync(ctx); err != nil {
		return err
	}
	if err := r.agent.Start(ctx); err != nil {
		return err
	}
	for i := range r.clients {
		device := i % len(devices)
		r.actors = append(r.actors, &actor{
			n: i, run: r, user: devices[device], device: fmt.Sprintf("%s-%d", password, device),
			random: rand.New(rand.NewPCG(1, uint64(i))), left: make(map[string]bool),
		})
	}
	return r.folders(ctx)
}

func deviceName(i int) string { return fmt.Sprintf("device%d", i) }

// arrive gives a POP server new mail.
func (r *run) arrive(user string, n int) {
	for range n {
		k := int(r.popped[user].Add(1))
		r.pops[user].Add([]byte(message(fmt.Sprintf("pop-%d", k), k)))
	}
}

func (r *run) sync(ctx context.Context) error {
	out, err := r.agent.Run(ctx, "", "sync")
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("sync: exit %d: %s", out.Code, out.Stderr)
	}
	return err
}

// folders makes those that the clients use.
func (r *run) folders(ctx context.Context) error {
	for i, a := range r.actors {
		c, err := dial(ctx, r.agent.Port, a.user, a.device, r.log)
		if err != nil {
			return err
		}
		names := []string{a.folder()}
		if i == 0 || i == len(devices)-1 {
			names = append(names, shared[1:]...)
		}
		for _, name := range names {
			if _, err := c.do("create", "CREATE "+name); err != nil {
				return err
			}
		}
		if err := c.logout(); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the load twice, a short time to warm up and then in earnest, and
// returns what the agent takes after each.
func (r *run) measure(ctx context.Context) (before, after process, err error) {
	pid := r.agent.PID()
	fresh, err := lookAt(pid)
	if err != nil {
		return before, after, err
	}
	fmt.Printf("%-22s %v\n", "started", fresh)
	for _, phase := range []struct {
		name  string
		load  time.Duration
		into  *process
		limit func() int
	}{
		{"warmed up", max(r.load/6, 2*time.Second), &before, func() int { return 1 << 30 }},
		{"after the clients left", r.load, &after, func() int { return limit(before) }},
	} {
		if phase.into == &after {
			r.log = newLog()
		}
		peak, err := r.under(ctx, pid, phase.load)
		if err != nil {
			return before, after, err
		}
		fmt.Printf("%-22s %v\n", fmt.Sprintf("%d clients for %v", r.clients, phase.load), peak)
		load := r.log
		r.log = newLog() // not what comes now
		if *phase.into, err = r.settle(ctx, pid, phase.limit()); err != nil {
			return before, after, err
		}
		fmt.Printf("%-22s %v\n", phase.name, *phase.into)
		if phase.into == &after {
			load.table(os.Stdout, r.load)
		}
	}
	return before, after, nil
}

// under lets the clients work, while new mail comes and is fetched. It returns
// the most that the agent took meanwhile.
func (r *run) under(ctx context.Context, pid int, load time.Duration) (peak process, err error) {
	ctx, stop := context.WithTimeout(ctx, load)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range r.actors {
		group.Go(func() error { return a.work(ctx) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, user := range []string{"ann", "bob"} {
			r.arrive(user, 5)
		}
		if err := r.sync(context.WithoutCancel(ctx)); err != nil {
			return peak, errors.Join(err, group.Wait())
		}
		now, err := lookAt(pid)
		if err != nil {
			return peak, errors.Join(err, group.Wait())
		}
		peak = process{max(peak.rss, now.rss), max(peak.threads, now.threads), max(peak.files, now.files)}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return peak, group.Wait()
}

// settle waits for the garbage to be collected and given back, for which a
// client has to make some: the collector comes when there is work. What takes
// longer than that is growth.
func (r *run) settle(ctx context.Context, pid, enough int) (now process, err error) {
	c, err := dial(ctx, r.agent.Port, "ann", r.actors[0].device, r.log)
	if err != nil {
		return now, err
	}
	if _, err := c.do("", "EXAMINE Trash"); err != nil {
		return now, err
	}
	least := 1 << 30
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		for range 2000 {
			if _, err := c.do("", `LIST "" * RETURN (STATUS (MESSAGES))`); err != nil {
				return now, err
			}
		}
		if now, err = lookAt(pid); err != nil {
			return now, err
		}
		if now.rss <= enough && now.rss >= least-least/50 {
			break // low enough, and it does not fall any more
		}
		least = min(least, now.rss)
	}
	return now, c.logout()
}
