package test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/test/rig"
)

// hostile is what a sender, a server or a thief would write where it is shown; %s is where
// it stands.
const hostile = `<img src=x onerror="window.hacked='%[1]s'"><script>window.hacked='%[1]s'</script>` + "\u202e" + `gnp.%[1]s "'>&lt;`

// refusing is a POP3 server that answers a password with these words, which may change.
func refusing(t *testing.T, words *atomic.Value) (port int) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { must(t, ln.Close()); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "+OK ready\r\n")
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				switch verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " "); verb {
				case "USER":
					fmt.Fprintf(conn, "+OK\r\n")
				case "PASS":
					fmt.Fprintf(conn, "-ERR [AUTH] %s\r\n", words.Load())
				default:
					fmt.Fprintf(conn, "-ERR unknown\r\n")
				}
			}
			_ = conn.Close()
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port
}

// onlyText fails the test where what is shown has become more than text: an element, a
// script that has run, a line that is turned around or wider than the window.
func (b *tab) onlyText(page string) {
	b.t.Helper()
	b.until("details are open", `[...document.querySelectorAll("details")].every(d => (d.open = true))`)
	if found := eval[[]string](b, `return [...document.querySelectorAll("main script, main img, main iframe, main [onerror], main a[href^='javascript:']")].map(e => e.outerHTML)`); len(found) > 0 {
		b.t.Errorf("%s has %s", page, found)
	}
	if who := eval[string](b, `return String(window.hacked ?? "")`); who != "" {
		b.t.Errorf("on the page %s a script of the %s has run", page, who)
	}
	if strings.ContainsRune(b.text(), '\u202e') {
		b.t.Errorf("%s turns text around", page)
	}
	if found := eval[[]string](b, `return [...document.querySelectorAll("main *")].flatMap(e => ["aria-label", "title", "data-label"].map(a => e.getAttribute(a) ?? "")).filter(a => a.includes("\u202e"))`); len(found) > 0 {
		b.t.Errorf("%s turns around what is read aloud: %q", page, found)
	}
	b.fits(page)
}

// Whatever a mail, a server, a name or the config says, it is text on every page.
func TestWebShowsHostileText(t *testing.T) {
	t.Parallel()
	rig.Need(t, "dovecot", "chromium")
	d := dovecot(t, nil)
	subject := fmt.Sprintf(hostile, "subject")
	for i := range 3 {
		must(t, d.Put("home", fmt.Appendf(nil, "From: \"%s\" <a%d@example.com>\r\nTo: b@example.com\r\nSubject: %s\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\nMessage-ID: <%d@example.com>\r\n\r\nbody %d\r\n",
			strings.ReplaceAll(fmt.Sprintf(hostile, "from"), `"`, `\"`), i, subject, i, i)))
	}
	home, bad := account(d, "home"), account(d, "bad")
	var words atomic.Value
	words.Store(fmt.Sprintf(hostile, "server"))
	bad.Port = refusing(t, &words)
	p := prepare(t, home)
	must(t, p.ServeWeb())
	must(t, p.Configure(home, bad))
	addOldDevice(t, p, fmt.Sprintf(hostile, "device"), devicePw+devicePw)
	start(t, p)
	command(t, p, 3, "sync")
	c := login(t, p, nil)
	must(t, c.Create(fmt.Sprintf(hostile, "folder")[:60], nil).Wait())
	selectMailbox(t, c, "INBOX")
	must(t, c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	must(t, c.Expunge().Close())
	must(t, c.Logout().Wait())
	home.KeepOnServer = "never" // its deletions wait to be confirmed
	must(t, p.Configure(home, bad))
	b, origin := webPage(t, p)
	b.shows("The provider refuses the password of bad.")
	b.shows("Messages of home would be deleted at the provider.")
	b.may = []string{"422"} // of the account that there is not
	b.resize(320, "light")
	for _, page := range []string{"", "account/home", "account/home/deletions", "account/bad", "devices", "deleted", "storage", "log", "settings", "about", "account/" + "%3Cimg%20src%3Dx%3E"} {
		b.open(origin + "/#/" + page)
		b.until("the page is there", `document.querySelector("main h1") && !document.querySelector("main h1").innerText.includes("Loading")`)
		if page == "account/home/deletions" || page == "deleted" {
			b.shows("gnp.subject")
		}
		b.onlyText(page)
	}
	text, err := os.ReadFile(p.ConfigFile())
	must(t, err)
	write(t, p.ConfigFile(), string(text)+fmt.Sprintf("\n[log]\nlevel = %q\n", fmt.Sprintf(hostile, "config")))
	b.open(origin + "/#/")
	b.shows("There is a mistake in the settings file")
	b.onlyText("home with a broken config")
	b.quiet(origin)
}
