package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// What every program that sends goes through.
const (
	sendLetters = 200
	sendKills   = 40
	sendWithin  = 2 * time.Second        // a program lives at most so long before it is killed
	sendLongest = 800 * time.Millisecond // a server is silent at most so long
	sendRest    = 10 * time.Minute       // until all has left that leaves by itself
)

// mailer is a program that takes mail, keeps it and sends it.
type mailer interface {
	name() string
	// prepare makes the program ready to send by a server, in dir, which is empty, and
	// returns its version: "" where it cannot be had.
	prepare(ctx context.Context, dir string, port int) (version string, err error)
	// start begins or goes on.
	start(ctx context.Context) error
	// hand hands a letter over, and reports whether it was taken.
	hand(ctx context.Context, letter int) bool
	// kill ends all that runs of the program, as a power cut would, and does what a person
	// has to do after one.
	kill() error
	// left is how many letters will be sent, and which won't be, unless a person decides.
	left(ctx context.Context) (waiting int, doubts []int, err error)
	// close ends what is left of the program.
	close() error
}

// sending has each program send the same letters by a server that stalls, cuts, answers
// late and defers, and kills it at random moments.
func sending(ctx context.Context, o options, dir string) error {
	all := []mailer{&ourSending{binary: o.binary}, &msmtpq{}, &nullmailer{}}
	rows := make([]string, len(all))
	seed := rand.Uint64()
	var wg sync.WaitGroup
	for i, m := range all { // time is not measured: all at once
		wg.Go(func() {
			t := &posting{mailer: m, seed: seed, unsure: map[int]bool{}, told: map[int]bool{}}
			var err error
			if rows[i], err = t.row(ctx, filepath.Join(dir, m.name())); err != nil {
				rows[i] = fmt.Sprintf("%-18s | %v", m.name(), err)
			}
			fmt.Fprintln(os.Stderr, rows[i]) // some take minutes
		})
	}
	wg.Wait()
	fmt.Printf("\nsending: %d letters by a server that stalls, cuts, answers late and defers; %d times SIGKILL at a random moment (seed %d)\n\n", sendLetters, sendKills, seed)
	fmt.Printf("%-18s | %7s %5s %8s %9s %15s\n", "", "letters", "lost", "doubled", "in doubt", "of these taken")
	for _, row := range rows {
		fmt.Println(row)
	}
	return nil
}

// posting is the try of one program.
type posting struct {
	mailer
	seed   uint64
	server *rig.SMTPServer

	next   int          // letter that was not handed over yet
	unsure map[int]bool // letters that the program has not said it has
	told   map[int]bool // those that it has
}

func (p *posting) row(ctx context.Context, dir string) (_ string, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if p.server, err = rig.StartSMTPServer(rig.Moods(p.seed, sendLongest)); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.close(), p.server.Close()) }()
	version, err := p.prepare(ctx, dir, p.server.Port)
	if err != nil {
		return "", err
	}
	if version == "" {
		return fmt.Sprintf("%-18s | not installed", p.name()), nil
	}
	random := rand.New(rand.NewPCG(p.seed, 1)) // the same lives for all
	for range sendKills {
		if err := p.live(ctx, time.Duration(random.Int64N(int64(sendWithin)))); err != nil {
			return "", err
		}
	}
	doubts, err := p.rest(ctx)
	if err != nil {
		return "", err
	}
	lost, doubled, taken := p.count(doubts)
	return fmt.Sprintf("%-18s | %7d %5d %8d %9d %15d", p.name()+" "+version, sendLetters, lost, doubled, len(doubts), taken), nil
}

// live is a life of a program, to which letters are handed over until it is killed.
func (p *posting) live(ctx context.Context, life time.Duration) error {
	if err := p.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	until := min(sendLetters, p.next+sendLetters/sendKills)
	var wg sync.WaitGroup
	wg.Go(func() { p.post(ctx, until) })
	select {
	case <-time.After(life):
	case <-ctx.Done():
	}
	cancel() // the next letter
	err := p.kill()
	wg.Wait()
	return err
}

// post hands over what a program has not said it has, as the mail programs of people do,
// and letters up to another.
func (p *posting) post(ctx context.Context, until int) {
	for n := 0; n < p.next; n++ {
		if p.unsure[n] && ctx.Err() == nil {
			p.try(ctx, n)
		}
	}
	for ; p.next < until && ctx.Err() == nil; p.next++ {
		p.try(ctx, p.next)
	}
}

// try hands a letter over. It is not interrupted: the program ends or says what it does.
func (p *posting) try(ctx context.Context, n int) {
	if p.hand(context.WithoutCancel(ctx), n) {
		p.told[n] = true
		delete(p.unsure, n)
		return
	}
	p.unsure[n] = true
}

// rest lets all leave, by a server that takes everything, and returns what does not leave by
// itself.
func (p *posting) rest(ctx context.Context) (doubts []int, err error) {
	p.server.Behave(func() rig.Conduct { return rig.Conduct{} })
	ctx, cancel := context.WithTimeout(ctx, sendRest)
	defer cancel()
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	for {
		p.post(ctx, sendLetters)
		waiting, doubts, err := p.left(ctx)
		if err != nil || waiting == 0 && len(p.unsure) == 0 && p.next == sendLetters {
			return doubts, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d letters wait, %d were refused: %w", waiting, len(p.unsure), ctx.Err())
		}
	}
}

// count compares what the server has with what the program has taken. taken is how many of
// the letters in doubt the server has.
func (p *posting) count(doubts []int) (lost, doubled, taken int) {
	copies := map[int]int{}
	for _, r := range p.server.Received() {
		text, whole := rig.NumberOf(r.Raw)
		if n, err := strconv.Atoi(text); err == nil && whole && r.Kept {
			copies[n]++
		}
	}
	kept := map[int]bool{}
	for _, n := range doubts {
		kept[n] = true
		taken += min(1, copies[n])
	}
	for n := range p.told {
		if copies[n] == 0 && !kept[n] {
			lost++
		}
	}
	for _, c := range copies {
		doubled += c - 1
	}
	return lost, doubled, taken
}
