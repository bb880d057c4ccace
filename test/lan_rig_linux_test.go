package test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

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
	rig.Need(t, "dovecot", "ip", "curl")
	r := &lanRig{t: t, home: newHost(t, 0), phone: newHost(t, 0)}
	r.home.ip(t, "link add lan0 type veth peer name ph0 netns "+r.phone.Namespaces()+"/net")
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
	must(t, r.home.Do(func() error {
		ca := testkit.CA(t, "pop.example.com")
		server, err := rig.StartDovecot(t.Context(), ca.CertFile, ca.KeyFile)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = server.Stop() })
		if err := server.Put("home", []byte("Subject: one\r\n\r\n1\r\n"), []byte("Subject: two\r\n\r\n2\r\n")); err != nil {
			return err
		}
		if err := r.app.Configure(rig.Account{Name: "home", Host: "127.0.0.1", Port: server.POP3, TLS: "none", Username: "home", Password: rig.Password, PollEvery: "1h", User: "ann",
			Address: "ann@example.com", SendHost: "127.0.0.1", SendPort: 1, SendTLS: "none"}); err != nil {
			return err
		}
		return r.app.Start(t.Context())
	}))
	t.Cleanup(func() {
		_ = r.app.Stop()
		if t.Failed() {
			t.Log(r.app.Log())
		}
	})
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
	must(r.t, r.home.Do(func() (err error) {
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
	err = r.phone.Do(func() (err error) {
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
	eventually(r.t, what, func() (bool, error) { err := f(); return err == nil, err })
}
