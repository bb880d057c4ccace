package test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A host is a thread in a network of its own.
type host struct {
	tid  int
	work chan func()
}

// newHost returns a host, with no interface but lo; it ends with the test.
func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{work: make(chan func())}
	ready := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		h.tid = unix.Gettid()
		ready <- err
		if err == nil {
			for f := range h.work {
				f()
			}
		}
	}()
	if err := <-ready; err != nil {
		<-done
		t.Skip("needs root: ", err)
	}
	t.Cleanup(func() { close(h.work); <-done })
	h.ip(t, "link set lo up")
	return h
}

// do runs f in the network of the host.
func (h *host) do(f func() error) error {
	done := make(chan error)
	h.work <- func() { done <- f() }
	return <-done
}

func (h *host) ip(t *testing.T, args string) {
	t.Helper()
	must(t, h.do(func() error {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %v: %s", args, err, out)
		}
		return nil
	}))
}

// lanRig is a program in a network with a second host.
type lanRig struct {
	t           *testing.T
	home, phone *host
	app         *rig.Popbridge
	roots       *x509.CertPool
}

const (
	lanAddr   = "192.168.77.1:1993"
	phoneAddr = "192.168.77.2"
	lanConfig = "\n[lan]\nenabled = true\nlisten = [\"lan0:1993\"]\n"
)

func newLAN(t *testing.T) *lanRig {
	rig.Need(t, "dovecot", "ip")
	r := &lanRig{t: t, home: newHost(t), phone: newHost(t)}
	r.home.ip(t, fmt.Sprintf("link add lan0 type veth peer name ph0 netns %d", r.phone.tid))
	r.home.ip(t, "addr add 192.168.77.1/24 dev lan0")
	r.home.ip(t, "link set lan0 up")
	r.phone.ip(t, "addr add 192.168.77.2/24 dev ph0")
	r.phone.ip(t, "link set ph0 up")
	for _, foreign := range []string{"203.0.113", "8.8.8", "100.64.0"} { // the way back is there
		r.phone.ip(t, "addr add "+foreign+".2/24 dev ph0")
		r.home.ip(t, "route add "+foreign+".0/24 dev lan0")
	}
	var err error
	r.app, err = rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	must(t, r.home.do(func() error {
		ca := testkit.CA(t, "pop.example.com")
		server, err := rig.StartDovecot(t.Context(), ca.CertFile, ca.KeyFile)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = server.Stop() })
		if err := server.Put("home", []byte("Subject: one\r\n\r\n1\r\n"), []byte("Subject: two\r\n\r\n2\r\n")); err != nil {
			return err
		}
		if err := r.app.Configure(rig.Account{Name: "home", Host: "127.0.0.1", Port: server.POP3, TLS: "none", Username: "home", Password: rig.Password, PollEvery: "1h", User: "ann"}); err != nil {
			return err
		}
		return r.app.Start(t.Context())
	}))
	t.Cleanup(func() { _ = r.app.Stop() })
	r.lan(lanConfig)
	return r
}

// lan takes a [lan] up, "" for none.
func (r *lanRig) lan(table string) {
	r.t.Helper()
	text, err := os.ReadFile(r.app.ConfigFile())
	must(r.t, err)
	before, _, _ := strings.Cut(string(text), "\n[lan]")
	must(r.t, os.WriteFile(r.app.ConfigFile(), []byte(before+table), 0o600))
	must(r.t, r.app.Signal(unix.SIGHUP))
}

// run runs a command of the program at home.
func (r *lanRig) run(args ...string) string {
	r.t.Helper()
	var out rig.Output
	must(r.t, r.home.do(func() (err error) {
		out, err = r.app.Run(r.t.Context(), "", args...)
		return err
	}))
	if out.Code != 0 {
		r.t.Fatalf("%v: exit %d: %s%s", args, out.Code, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

func (r *lanRig) device(args ...string) (password string) {
	r.t.Helper()
	out := r.run(append([]string{"device", "add"}, args...)...)
	found := regexp.MustCompile(`password: ([a-z2-7-]+)`).FindStringSubmatch(out)
	if found == nil {
		r.t.Fatalf("no password: %s", out)
	}
	return found[1]
}

// dial connects from an address of the phone.
func (r *lanRig) dial(from string) (conn net.Conn, err error) {
	err = r.phone.do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		to := lanAddr
		if d.LocalAddr.(*net.TCPAddr).IP.To4() == nil {
			to = "[fd77::1]:1993"
		}
		conn, err = d.Dial("tcp", to)
		return err
	})
	return conn, err
}

// client connects by TLS, and verifies the server against the authority of the LAN.
func (r *lanRig) client(from string) (*imapclient.Client, error) {
	conn, err := r.dial(from)
	if err != nil {
		return nil, err
	}
	if r.roots == nil {
		pem, err := os.ReadFile(filepath.Join(r.app.Data, "tls", "lan", "ca.pem"))
		if err != nil {
			return nil, err
		}
		r.roots = x509.NewCertPool()
		r.roots.AppendCertsFromPEM(pem)
	}
	server, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{RootCAs: r.roots, ServerName: server})
	if err := secure.Handshake(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return imapclient.New(secure, nil), nil
}

// login tries a password from the phone.
func (r *lanRig) login(password string) (*imapclient.Client, error) {
	return r.loginFrom(phoneAddr, password)
}

func (r *lanRig) loginFrom(from, password string) (*imapclient.Client, error) {
	c, err := r.client(from)
	if err != nil {
		return nil, err
	}
	if err := c.Login("ann", password).Wait(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// eventually waits until the phone can connect, say.
func (r *lanRig) eventually(what string, f func() error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			r.t.Fatalf("%s: %v\n%s", what, err, r.app.Log())
		}
	}
}

// pairing follows the link of a new device, and sets a client up with what is there.
func (r *lanRig) pairing(t *testing.T) {
	out := r.run("device", "add", "tablet", "--lan")
	found := regexp.MustCompile(`(?s)password: ([a-z2-7-]+)\n.*\n  (https://192\.168\.77\.1:1994)(/[A-Z2-7]{26})\n.*fingerprint:\n  ([0-9A-F ]+)\n`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("device add: %s", out)
	}
	password, origin, path, fingerprint := found[1], found[2], found[3], found[4]
	get := func(path, host string) (status int, body string) {
		t.Helper()
		must(t, r.phone.do(func() error {
			conn, err := net.Dial("tcp", "192.168.77.1:1994")
			if err != nil {
				return err
			}
			secure := tls.Client(conn, &tls.Config{RootCAs: r.roots, ServerName: "192.168.77.1"})
			defer func() { _ = secure.Close() }()
			if _, err := fmt.Fprintf(secure, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host); err != nil {
				return err
			}
			answer, err := http.ReadResponse(bufio.NewReader(secure), nil)
			if err != nil {
				return err
			}
			defer func() { _ = answer.Body.Close() }()
			all, err := io.ReadAll(answer.Body)
			status, body = answer.StatusCode, string(all)
			return err
		}))
		return status, body
	}
	host := strings.TrimPrefix(origin, "https://")
	status, page := get(path, host)
	if status != 200 || !strings.Contains(page, fingerprint) || strings.Contains(page, password) {
		t.Errorf("%d: %s", status, page)
	}
	if status, _ := get(path, "evil.example.com"); status != 404 {
		t.Errorf("under another name: %d", status)
	}
	if status, _ := get("/", host); status != 404 {
		t.Errorf("without the token: %d", status)
	}
	status, der := get(path+"/popbridge-ca.crt", host)
	authority, err := x509.ParseCertificate([]byte(der))
	if status != 200 || err != nil {
		t.Fatalf("authority: %d, %v", status, err)
	}
	status, profile := get(path+"/popbridge.mobileconfig", host)
	if status != 200 || !strings.Contains(profile, "com.apple.security.root") || strings.Contains(profile, password) {
		t.Errorf("%d: %s", status, profile)
	}
	r.roots = x509.NewCertPool()
	r.roots.AddCert(authority)
	c, err := r.login(password)
	must(t, err)
	_ = c.Close()
	// What is printed for it later is the same.
	values := r.run("client-setup", "--device", "tablet")
	if !regexp.MustCompile(`(?s)server +192\.168\.77\.1\n +port +1993\n +security +TLS\n.*authority of its certificate: \S+/tls/lan/ca\.pem\n`).MatchString(values) {
		t.Errorf("client-setup: %s", values)
	}
}

// A second host reads mail, and what must not get in does not.
func TestLAN(t *testing.T) {
	t.Parallel()
	r := newLAN(t)
	phone := r.device("phone", "--lan")
	laptop := r.device("laptop")
	r.run("sync")
	r.eventually("the phone connects", func() error {
		c, err := r.client(phoneAddr)
		if err == nil {
			err = c.Close()
		}
		return err
	})

	c, err := r.login(phone)
	must(t, err)
	if box, err := c.Select("INBOX", nil).Wait(); err != nil || box.NumMessages != 2 {
		t.Errorf("INBOX: %v, %v", box, err)
	}
	if out := r.run("status"); !regexp.MustCompile(`(?m)^lan +192\.168\.77\.1:1993, 1 client connected\n +phone of ann from 192\.168\.77\.2 since`).MatchString(out) {
		t.Errorf("status:\n%s", out)
	}

	t.Run("pairing", r.pairing)
	t.Run("plain text", func(t *testing.T) {
		conn, err := r.dial(phoneAddr)
		must(t, err)
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fprintf(conn, "a LOGIN ann %s\r\n", phone)
		must(t, err)
		answer, _ := io.ReadAll(conn) // a reset is as good
		if strings.Contains(string(answer), "OK") || strings.Contains(string(answer), "NO") {
			t.Errorf("answered %q", answer)
		}
	})
	t.Run("foreign ranges", func(t *testing.T) {
		for _, from := range []string{"203.0.113.2", "8.8.8.2", "100.64.0.2"} {
			conn, err := r.dial(from)
			if err != nil { // refused before the dial returned
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake()
			if timeout, ok := errors.AsType[net.Error](err); err == nil || ok && timeout.Timeout() {
				t.Errorf("%s: %v", from, err)
			}
			_ = conn.Close()
		}
		if log := r.app.Log(); !strings.Contains(log, "outside of private networks") {
			t.Errorf("not logged:\n%s", log)
		}
	})
	t.Run("no permission", func(t *testing.T) {
		_, refused := r.login(laptop)
		_, wrong := r.login("wrong-" + laptop)
		if refused == nil || wrong == nil || refused.Error() != wrong.Error() {
			t.Errorf("refused with %v, a wrong password with %v", refused, wrong)
		}
		if out := r.run("status"); !strings.Contains(out, "lan-device-refused  device laptop of user ann was refused at 192.168.77.2") {
			t.Errorf("status:\n%s", out)
		}
		r.run("device", "set", "laptop", "--lan")
		c, err := r.login(laptop)
		must(t, err)
		_ = c.Close()
		r.run("device", "set", "laptop", "--no-lan")
		if _, err := r.login(laptop); err == nil {
			t.Error("logged in without permission again")
		}
	})
	t.Run("a new address", func(t *testing.T) {
		if out := r.run("status"); strings.Contains(out, "lan-new-device") {
			t.Errorf("what a person set up is announced:\n%s", out)
		}
		r.phone.ip(t, "addr add 192.168.77.3/24 dev ph0")
		c, err := r.loginFrom("192.168.77.3", phone)
		must(t, err)
		_ = c.Close()
		if out := r.run("status"); !strings.Contains(out, "lan-new-device  device phone of user ann has logged in from a new address in the local network: 192.168.77.3") {
			t.Errorf("status:\n%s", out)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		r.run("device", "revoke", "phone")
		if err := c.Noop().Wait(); err == nil {
			t.Error("still connected")
		}
		if _, err := r.login(phone); err == nil {
			t.Error("logged in")
		}
		if out := r.run("status"); strings.Contains(out, "lan-new-device") {
			t.Errorf("it is still announced:\n%s", out)
		}
	})
	t.Run("an address goes and comes", func(t *testing.T) {
		phone := r.device("phone2", "--lan")
		r.home.ip(t, "addr del 192.168.77.1/24 dev lan0")
		must(t, r.app.Signal(unix.SIGHUP)) // or it is noticed some seconds later, as the next one
		r.eventually("it is missed", func() error {
			if out := r.run("status"); !strings.Contains(out, "lan-address-missing") {
				return errors.New(out)
			}
			return nil
		})
		r.home.ip(t, "addr add 192.168.77.1/24 dev lan0")
		r.home.ip(t, "addr add 192.168.77.9/24 dev lan0")
		_, noIPv6 := os.Stat("/proc/net/if_inet6")
		if noIPv6 == nil {
			r.home.ip(t, "addr add fd77::1/64 dev lan0 nodad")
			r.phone.ip(t, "addr add fd77::2/64 dev ph0 nodad")
		}
		r.eventually("it is served again", func() error {
			c, err := r.login(phone)
			if err == nil {
				err = c.Close()
			}
			return err
		})
		r.eventually("the new one is in the certificate", func() error {
			return r.phone.do(func() error {
				conn, err := net.Dial("tcp", "192.168.77.9:1993")
				if err != nil {
					return err
				}
				defer func() { _ = conn.Close() }()
				return tls.Client(conn, &tls.Config{RootCAs: r.roots, ServerName: "192.168.77.9"}).Handshake()
			})
		})
		if noIPv6 == nil {
			c, err := r.loginFrom("fd77::2", phone)
			must(t, err)
			_ = c.Close()
		}
		if out := r.run("status"); !strings.Contains(out, "192.168.77.9:1993") || strings.Contains(out, "lan-address-missing") {
			t.Errorf("status:\n%s", out)
		}
	})
	t.Run("off", func(t *testing.T) {
		c, err := r.login(r.device("phone3", "--lan"))
		must(t, err)
		defer func() { _ = c.Close() }()
		r.lan("")
		r.eventually("the connection ends", func() error {
			if c.Noop().Wait() == nil {
				return errors.New("still connected")
			}
			return nil
		})
		if conn, err := r.dial(phoneAddr); err == nil {
			_ = conn.Close()
			t.Error("something listens")
		}
	})
}
