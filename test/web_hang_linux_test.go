package test

import (
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/test/rig"
)

// However many fetches go on, and last, there is a connection left for what a person does
// besides: a browser makes six. The fetches go on.
func TestWebManyFetches(t *testing.T) {
	rig.Need(t, "chromium")
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a server that hangs up, then one that says nothing
	must(t, err)
	var mu sync.Mutex
	var held []net.Conn
	hold := false
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if hold {
				held = append(held, c)
			} else {
				_ = c.Close()
			}
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range held {
			_ = c.Close()
		}
	})
	const n = 7
	var list []rig.Account
	for i := range n {
		name := fmt.Sprintf("a%d", i)
		list = append(list, rig.Account{Name: name, Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: "none", Username: name, Password: rig.Password, PollEvery: "1h", User: localUser})
	}
	p := prepare(t, list...)
	must(t, p.ServeWeb())
	must(t, p.Configure(list...))
	start(t, p)
	b, origin := webPage(t, p)
	b.until("no fetch goes on", `[...document.querySelectorAll(".card .state")].filter(e => e.innerText.includes("Mail does not flow")).length === args[0]`, n)
	mu.Lock()
	hold = true
	mu.Unlock()
	eval[bool](b, `document.querySelectorAll(".cards .action:not([hidden]) button").forEach(b => b.click()); return true`)
	b.click("About")
	b.shows(p.ConfigFile())
	b.click("Home")
	b.until("all go on, and no error is shown", `[...document.querySelectorAll(".card .state")].filter(e => e.innerText.includes("Fetching")).length === args[0] && !document.querySelector(".failed")`, n)
	b.quiet(origin)
}

// An agent that hangs, or the way to it, does so without closing a connection: the page
// notices that its stream brings nothing. It waits 30 s for that, and here 5.
func TestWebSilence(t *testing.T) {
	t.Parallel()
	p, _, b, origin := withPage(t, 1)
	b.shows("The account is up to date")
	eval[bool](b, `
		const later = setTimeout;
		window.setTimeout = (f, ms, ...more) => later(f, ms === 30000 ? 5000 : ms, ...more);
		const hidden = value => { Object.defineProperty(document, "hidden", {value, configurable: true}); document.dispatchEvent(new Event("visibilitychange")); };
		hidden(true); later(() => hidden(false), 0); return true`)
	must(t, p.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) })
	b.shows("popbridge has not answered since")
	b.shows("popbridge does not answer.") // and no more that all is well
	must(t, p.Signal(syscall.SIGCONT))
	b.gone("popbridge has not answered since")
	b.shows("The account is up to date")
	b.quiet(origin)
}
