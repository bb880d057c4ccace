package test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// webPage opens the web page of an agent in a browser.
func webPage(t *testing.T, p *rig.Popbridge, flags ...string) (b *tab, origin string) {
	t.Helper()
	b = chromium(t, flags...)
	address := signIn(t, p)
	b.open(address)
	u, err := url.Parse(address)
	must(t, err)
	return b, "http://" + u.Host
}

// signIn is an address that signs a browser in.
func signIn(t *testing.T, p *rig.Popbridge) string {
	t.Helper()
	out, err := p.Run(context.WithoutCancel(t.Context()), "", "open", "--print")
	if err != nil || out.Code != 0 {
		t.Fatalf("open: %v, exit %d: %s", err, out.Code, out.Stderr)
	}
	return strings.TrimSpace(out.Stdout)
}

// The page says how it is, and shows new mail as it comes.
func TestWebHome(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	d := dovecot(t, nil)
	must(t, d.Put("home", testkit.Message(0), testkit.Message(1)))
	p := prepare(t, account(d, "home"))
	p.Web = "127.0.0.1:0"
	must(t, p.Configure(account(d, "home")))
	start(t, p)
	b, origin := webPage(t, p)
	b.shows("The account is up to date")
	must(t, d.Put("home", testkit.Message(2)))
	b.click("Fetch mail of home now")
	b.shows("One new message")
	b.shot("home")
	b.quiet(origin)
}
