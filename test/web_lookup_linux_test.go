package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// lookups is the page of a newcomer in a network with a DNS, web servers and a Dovecot.
type lookups struct {
	t      *testing.T
	host   *host
	mail   *rig.Dovecot
	dns    *os.Process
	p      *rig.Popbridge
	b      *tab
	origin string
	held   map[string]chan struct{} // web servers that answer once it is closed
}

// All records of this network. example.com says where its server is, and takes the mail of
// example.org, too; example.net has SRV records and a web server without a document;
// example.edu has a server under a usual name.
var lookupRecords = []string{
	"--host-record=autoconfig.example.com,autoconfig.mx.example.com,autoconfig.example.org,example.net,127.0.0.1",
	"--host-record=pop.example.com,in.example.net,pop.example.edu,127.0.0.1",
	"--srv-host=_pop3s._tcp.example.net,in.example.net,1995",
	"--srv-host=_submissions._tcp.example.net,out.example.net,465",
	"--mx-host=example.org,a.mx.example.com,10",
}

func newLookups(t *testing.T) *lookups {
	t.Helper()
	rig.Need(t, "dovecot", "chromium", "dnsmasq", "ip", "nsenter")
	l := &lookups{t: t, host: namedHost(t), held: map[string]chan struct{}{}}
	ca := testkit.CA(t, "autoconfig.example.com", "autoconfig.mx.example.com", "autoconfig.example.org", "example.net", "pop.example.com", "in.example.net", "pop.example.edu")
	p, err := rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	p.Web, p.Env = "127.0.0.1:1180", []string{"SSL_CERT_FILE=" + ca.CAFile}
	must(t, p.Configure())
	l.p = p
	must(t, l.host.Do(func() (err error) {
		const ports = "service pop3-login {\n inet_listener usual {\n port = 995\n ssl = yes\n }\n inet_listener other {\n port = 1995\n ssl = yes\n }\n}"
		if l.mail, err = rig.StartDovecot(context.WithoutCancel(t.Context()), ca.CertFile, ca.KeyFile, ports); err != nil {
			return err
		}
		t.Cleanup(func() { must(t, l.mail.Stop()) })
		if err := l.web(ca); err != nil {
			return err
		}
		if err := l.names(); err != nil {
			return err
		}
		return p.Start(context.WithoutCancel(t.Context()))
	}))
	t.Cleanup(func() {
		must(t, p.Stop())
		if t.Failed() {
			t.Logf("popbridge: %s", tail(p.Log()))
		}
	})
	l.b = chromiumAt(t, l.host.script(t, "chromium"))
	address := signIn(t, p)
	u, err := url.Parse(address)
	must(t, err)
	l.origin = "http://" + u.Host
	l.b.open(address)
	return l
}

// names starts the DNS server.
func (l *lookups) names() error {
	var said bytes.Buffer
	dns := rig.DNS(lookupRecords...)
	dns.Stderr = &said
	if err := dns.Start(); err != nil {
		return err
	}
	l.dns = dns.Process
	l.t.Cleanup(func() {
		_ = dns.Process.Kill()
		_ = dns.Wait()
		if l.t.Failed() {
			l.t.Logf("dns: %s", tail(said.String()))
		}
	})
	return rig.WaitPort(l.t.Context(), 53, nil)
}

// web starts the web servers, of which only those of example.com have a document.
func (l *lookups) web(ca *testkit.TLS) error {
	listener, err := tls.Listen("tcp", "127.0.0.1:443", ca.ServerConfig)
	if err != nil {
		return err
	}
	for _, name := range []string{"autoconfig.example.com", "autoconfig.mx.example.com", "autoconfig.example.org", "example.net"} {
		l.held[name] = make(chan struct{})
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-l.held[r.Host]:
		case <-r.Context().Done():
		}
		if strings.HasSuffix(r.Host, ".example.com") {
			rig.Autoconfig(995).ServeHTTP(w, r)
		} else {
			http.NotFound(w, r)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	l.t.Cleanup(func() { _ = server.Close() })
	return nil
}

// run runs a part of the test.
func (l *lookups) run(name string, f func()) {
	l.t.Run(name, func(t *testing.T) {
		l.b.t = t
		defer func() { l.b.t = l.t }()
		t.Cleanup(func() {
			if t.Failed() {
				l.b.shot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
				t.Logf("page: %s", l.b.text())
			}
		})
		f()
	})
}

// find has the page look for the server of an address.
func (l *lookups) find(address string) {
	l.b.t.Helper()
	l.b.open(l.origin + "/#/add")
	l.b.enter("Your mail address", address)
	// What is shown while it is looked for, however short.
	eval[bool](l.b, `window.seen = new Set();
		new MutationObserver(() => document.querySelector("main progress") && document.querySelectorAll("main ol.steps li [lang=en]").forEach(e => seen.add(e.innerText)))
			.observe(document.body, {childList: true, subtree: true});
		return true`)
	l.b.click("Find the server")
}

// steps waits for steps with their answers ("…" while there is none) while a web server is
// waited for, and lets that answer.
func (l *lookups) steps(server string, steps ...string) {
	l.b.t.Helper()
	for _, step := range steps {
		l.step(step)
	}
	if eval[bool](l.b, `return !document.querySelector("main progress") || document.querySelector("main form") !== null`) {
		l.b.t.Errorf("the search has ended before %s has answered", server)
	}
	close(l.held[server])
}

func (l *lookups) step(want string) {
	l.b.t.Helper()
	l.b.until(fmt.Sprintf("the step %q is shown", want), `[...document.querySelectorAll("main ol.steps li [lang=en]")].some(e => e.innerText === args[0])`, want)
}

// found waits for what was found.
func (l *lookups) found(server, username string) {
	l.b.t.Helper()
	const dd = `[...document.querySelectorAll("main dl.facts dt")].find(e => e.innerText === args[0])?.nextElementSibling.innerText`
	l.b.until("it is found", dd, "Server") // what was said of the search before is still there
	for label, want := range map[string]string{"Server": server, "Encryption": "TLS (usual)"} {
		if got := eval[string](l.b, `return `+dd, label); got != want {
			l.b.t.Errorf("%s: %q, want %q", label, got, want)
		}
	}
	const field = `return document.getElementById([...document.querySelectorAll("label")].find(e => e.innerText.trim() === "User name").htmlFor).value`
	if got := eval[string](l.b, field); got != username {
		l.b.t.Errorf("user name %q, want %q", got, username)
	}
}

// add goes on from what was found to the account.
func (l *lookups) add(address, username string, n int) {
	l.b.t.Helper()
	must(l.b.t, l.mail.Put(username, testkit.Message(n)))
	l.b.enter("Password at the provider", rig.Password)
	l.b.click("Test")
	l.b.shows("One message there")
	l.b.shows("Logged in as " + username)
	l.b.shows("Step 3 of 3")
	l.b.click("Add the account")
	l.b.shows(address + " is set up")
}

// arrived waits until the message of an account is there.
func (l *lookups) arrived(n int) {
	l.b.t.Helper()
	l.b.click("See the mail come in")
	l.b.until(fmt.Sprintf("the mail of %d accounts is there", n), `(all => all.length === args[0] && all.every(e => /fetched so far\s+1\s/i.test(e.innerText)))([...document.querySelectorAll(".card .facts")])`, n)
}

// The server of an address is found in a network: what is asked is shown while it is asked,
// and the account that is found is added and fetched.
func TestWebLookup(t *testing.T) {
	rig.Need(t, "dovecot", "chromium")
	t.Parallel()
	l := newLookups(t)
	b := l.b
	b.shows("There is no account yet")
	const table = "the built-in table of providers"
	var password string

	l.run("autoconfig", func() {
		l.find("home@example.com")
		l.steps("autoconfig.example.com", table+": does not have example.com", "settings at https://autoconfig.example.com/mail/config-v1.1.xml …")
		l.step("settings at https://autoconfig.example.com/mail/config-v1.1.xml: pop.example.com:995 (TLS)")
		l.found("pop.example.com:995", "home")
		l.add("home@example.com", "home", 0)
		b.shows("smtp.example.com")
		password = b.value("Password (incoming)")
		l.arrived(1)
	})
	l.run("SRV", func() {
		l.find("ann@example.net")
		l.steps("example.net", "settings at https://autoconfig.example.net/mail/config-v1.1.xml: there is none", "settings at https://example.net/.well-known/autoconfig/mail/config-v1.1.xml …")
		l.step("who takes the mail of example.net (MX): there is none")
		l.step("DNS SRV record _pop3s._tcp.example.net: in.example.net:1995 (TLS)")
		l.found("in.example.net:1995", "ann@example.net")
		l.add("ann@example.net", "ann@example.net", 1)
		l.arrived(2)
	})
	l.run("MX", func() {
		l.find("shop@example.org")
		l.steps("autoconfig.example.org", table+": does not have example.org", "settings at https://autoconfig.example.org/mail/config-v1.1.xml …")
		l.steps("autoconfig.mx.example.com", "settings at https://autoconfig.example.org/mail/config-v1.1.xml: there is none", "who takes the mail of example.org (MX): a.mx.example.com",
			"settings at https://autoconfig.mx.example.com/mail/config-v1.1.xml …")
		l.found("pop.example.com:995", "shop")
		b.shot("lookup-mx")
		narrow(b)
		b.click("pop.example.com, smtp.example.com: outside of example.org. I know that my provider uses this.")
		l.add("shop@example.org", "shop", 2)
		l.arrived(3)
	})
	l.run("the outgoing server of an account that is there", func() {
		b.open(l.origin + "/#/account/shop@example.org/sending")
		b.click("Find the server")
		b.shows("smtp.example.com: outside of example.org.")
		b.click("Use this server")
		b.shows("Found: smtp.example.com. Enter the password to try it.")
		narrow(b)
	})
	l.run("nothing", func() {
		l.find("ann@example.test")
		b.shows("no POP3 server was found for example.test")
		b.shows("check the spelling of the address; else ask your provider for its POP3 server")
		l.step("usual names of POP3 servers: there is none")
		b.shot("lookup-nothing")
		narrow(b)
		b.click("I enter the server myself")
		b.enter("Server", "pop.example.test")
	})
	l.run("silent DNS", func() {
		must(t, l.dns.Signal(unix.SIGSTOP))
		l.find("home@example.edu")
		l.step(table + ": does not have example.edu")
		b.click("Back") // while it is looked for
		l.b.shows("Step 1 of 3")
		b.click("Find the server")
		b.shows("the servers of example.edu cannot be looked up: the DNS gives no answer")
		b.shows("check the connection to the network and try again, or name the server")
		l.step("usual names of POP3 servers: not known: the DNS gives no answer")
		if text := b.text(); strings.Contains(text, "read udp") || strings.Contains(text, "995 (TLS): the DNS") {
			t.Errorf("the page shows %s", text)
		}
		b.click("Look again")
		b.gone("cannot be looked up")
		b.shows("the servers of example.edu cannot be looked up: the DNS gives no answer")
		b.shot("lookup-silent")
		for _, step := range []string{"settings at https://autoconfig.example.edu/mail/config-v1.1.xml", "DNS SRV record _pop3s._tcp.example.edu", "usual names of POP3 servers"} {
			b.until(step+" was shown while it was asked", `seen.has(args[0] + " …")`, step)
		}
		b.click("I enter the server myself")
		b.enter("Server", "pop.example.edu")
		must(t, l.dns.Signal(unix.SIGCONT))
		l.find("home@example.edu")
		l.step("usual names of POP3 servers: pop.example.edu:995 (TLS)")
		l.found("pop.example.edu:995", "home@example.edu")
	})
	must(t, l.host.Do(func() error {
		c, err := imapclient.DialInsecure(rig.Addr(l.p.Port), nil)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if err := c.Login("me", password).Wait(); err != nil {
			return err
		}
		box, err := c.Select("INBOX", nil).Wait()
		if err == nil && box.NumMessages != 3 {
			err = fmt.Errorf("INBOX has %d messages", box.NumMessages)
		}
		return err
	}))
	b.quiet(l.origin)
}
