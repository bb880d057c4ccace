package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/popbridge/popbridge/test/rig"
)

// webPage times the web page in a real Chromium, with ten accounts and 131,072 messages:
// when its first byte comes, when all of it is shown, and what a page that is open costs.
func webPage(ctx context.Context, o options, t *table, dir string) (err error) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		fmt.Println("chromium is not installed: the web page is not measured")
		return nil
	}
	p, n, err := tenAccounts(ctx, o, filepath.Join(dir, "web"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	at := func(name string, figure float64, unit string, most float64) {
		t.atMost(row{Messages: n, Group: "web page, ten accounts", Name: name}, figure, unit, most)
	}
	busy, err := share(ctx, p.PID())
	if err != nil {
		return err
	}
	at("processor while no page is open", busy*100, "%", 0.2)

	tab, cancel := chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(filepath.Join(dir, "chromium"))))
	defer cancel()
	out, err := p.Run(ctx, "", "open", "--print")
	if err != nil || out.Code != 0 {
		return fmt.Errorf("open: %w, exit %d: %s", err, out.Code, out.Stderr)
	}
	address, _, _ := strings.Cut(strings.TrimSpace(out.Stdout), "#")
	const shown = `(async () => { while (!performance.getEntriesByName("complete").length) await new Promise(done => setTimeout(done, 5));
		return [performance.getEntriesByType("navigation")[0].responseStart, performance.getEntriesByName("complete")[0].startTime] })()`
	var first, whole []time.Duration
	for round := range o.rounds + 1 {
		to := address
		if round == 0 { // signs in, and is not counted
			to = strings.TrimSpace(out.Stdout)
		} else if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil {
			return err
		}
		if err := chromedp.Do(tab, chromedp.Navigate(to)); err != nil {
			return err
		}
		took, err := chromedp.Run(tab, chromedp.Evaluate[[]float64](shown, chromedp.EvalAwaitPromise))
		if err != nil {
			return err
		}
		if round > 0 {
			first = append(first, time.Duration(took[0]*float64(time.Millisecond)))
			whole = append(whole, time.Duration(took[1]*float64(time.Millisecond)))
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	at("first byte", ms(median(first)), "ms", 20)
	at("all of it shown", ms(median(whole)), "ms", 150)
	if busy, err = share(ctx, p.PID()); err != nil {
		return err
	}
	at("processor while a page is open", busy*100, "%", 1)
	return nil
}

// share is how much of a core a process takes, over some seconds.
func share(ctx context.Context, pid int) (float64, error) {
	const during = 15 * time.Second
	before, err := cpu(pid)
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(during):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := cpu(pid)
	return (after - before).Seconds() / during.Seconds(), err
}

// tenAccounts runs a popbridge with ten accounts that have been polled, and many messages.
func tenAccounts(ctx context.Context, o options, dir string) (p *rig.Popbridge, n int, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, 0, err
	}
	d, err := rig.StartDovecot(ctx, "", "")
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, d.Stop()) }() // the next poll is a day away
	var accounts []rig.Account
	for i := range 10 {
		a := benchAccount(d.POP3)
		a.Name, a.Username = fmt.Sprintf("account%d", i), fmt.Sprintf("user%d", i)
		if err := d.Put(a.Username, message(i)); err != nil {
			return nil, 0, err
		}
		accounts = append(accounts, a)
	}
	if p, err = rig.NewPopbridge(o.binary, dir); err != nil {
		return nil, 0, err
	}
	if err := p.ServeWeb(); err != nil {
		return nil, 0, err
	}
	if err := p.Configure(accounts...); err != nil {
		return nil, 0, err
	}
	if err := p.AddDevice(ctx, "bench", "bench", devicePassword); err != nil {
		return nil, 0, err
	}
	if err := p.Start(ctx); err != nil {
		return nil, 0, err
	}
	if out, err := p.Run(ctx, "", "sync"); err != nil || out.Code != 0 {
		return nil, 0, errors.Join(fmt.Errorf("sync: exit %d: %s", out.Code, out.Stderr), err, p.Stop())
	}
	c, err := dial(ctx, p.Port, devicePassword)
	if err != nil {
		return nil, 0, errors.Join(err, p.Stop())
	}
	defer c.Close()
	for n = len(accounts); n < 100_000; n *= 2 {
		if _, err := c.command("COPY 1:* INBOX", ""); err != nil {
			return nil, 0, errors.Join(err, p.Stop())
		}
		if _, err := c.command("NOOP", ""); err != nil {
			return nil, 0, errors.Join(err, p.Stop())
		}
	}
	return p, n, nil
}
