package test

import (
	"bufio"
	"crypto/sha256"
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
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pairing follows the link of a new device, and sets a client up with what is there.
func (r *lanRig) pairing(t *testing.T) {
	out := r.run("device", "add", "tablet", "--lan")
	found := regexp.MustCompile(`(?s)password: ([a-z2-7-]+)\n.*\n  (https://192\.168\.77\.1:1994)(/[A-Z2-7]{26})\n.*fingerprint:\n  ([0-9A-F ]+)\n.*fingerprint:\n  ([0-9A-F ]+)\n`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("device add: %s", out)
	}
	password, origin, path, shown, fingerprint := found[1], found[2], found[3], found[4], found[5]
	get := func(path, host string) (status int, body string) {
		t.Helper()
		must(t, r.phone.Do(func() error {
			conn, err := net.Dial("tcp", "192.168.77.1:1994")
			if err != nil {
				return err
			}
			secure := tls.Client(conn, &tls.Config{RootCAs: r.roots, ServerName: "192.168.77.1"})
			defer func() { _ = secure.Close() }()
			if err := secure.Handshake(); err != nil {
				return err
			}
			if got := fmt.Sprintf("% X", sha256.Sum256(secure.ConnectionState().PeerCertificates[0].Raw)); got != shown {
				return fmt.Errorf("the phone is shown a certificate of %s, and was told of %s", got, shown)
			}
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
	// It ends with the login.
	r.run("device", "revoke", "tablet")
	must(t, r.phone.Do(func() error {
		if conn, err := net.Dial("tcp", "192.168.77.1:1994"); err == nil {
			_ = conn.Close()
			t.Error("the page is still there")
		}
		return nil
	}))
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
	t.Run("sending", func(t *testing.T) { r.sending(t, phone) })
	t.Run("foreign ranges", r.foreignRanges)
	t.Run("no permission", func(t *testing.T) { r.noPermission(t, laptop) })
	t.Run("a new address", func(t *testing.T) { r.newAddress(t, phone) })
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
	t.Run("an address goes and comes", r.addressGoesAndComes)
	t.Run("off", r.off)
}

// sending hands over a message as a mail program of the phone does: by TLS, with the login by
// which it reads, where that may.
func (r *lanRig) sending(t *testing.T, phone string) {
	message := write(t, filepath.Join(t.TempDir(), "letter.eml"), "From: ann@example.com\r\nSubject: from the phone\r\n\r\nhello\r\n")
	send := func(from, password string) (string, error) {
		t.Helper()
		var out []byte
		err := r.phone.Do(func() (err error) {
			out, err = exec.Command("curl", "--silent", "--show-error", "--verbose", "--max-time", "30", "--url", "smtps://192.168.77.1:1465", "--interface", from,
				"--cacert", filepath.Join(r.app.Data, "tls", "lan", "ca.pem"), "--user", "ann:"+password, "--mail-from", "ann@example.com", "--mail-rcpt", "bob@example.net",
				"--upload-file", message).CombinedOutput()
			return err
		})
		return string(out), err
	}
	if out, err := send(phoneAddr, phone); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out := r.run("outbox", "list"); !strings.Contains(out, "from the phone") || !strings.Contains(out, "bob@example.net") {
		t.Errorf("the Outbox: %s", out)
	}
	if out := r.run("status"); !regexp.MustCompile(`(?m)^ +sending: 192\.168\.77\.1:1465$`).MatchString(out) {
		t.Errorf("status:\n%s", out)
	}
	values := r.run("client-setup", "--device", "phone")
	if !regexp.MustCompile(`(?s)outgoing mail   SMTP\n +server +192\.168\.77\.1\n +port +1465\n +security +TLS\n +user name +ann\n +password +the same\n`).MatchString(values) {
		t.Errorf("client-setup: %s", values)
	}
	for name, refused := range map[string]func() (string, error){
		"with a wrong password": func() (string, error) { return send(phoneAddr, "wrong-"+phone) },
		"from a foreign range":  func() (string, error) { return send("203.0.113.2", phone) },
		"that is forbidden": func() (string, error) {
			r.run("device", "set", "phone", "--send=no")
			defer r.run("device", "set", "phone", "--send=yes")
			return send(phoneAddr, phone)
		},
	} {
		if out, err := refused(); err == nil || name == "that is forbidden" && !strings.Contains(out, "550 5.7.1 ") {
			t.Errorf("%s: %s", name, out)
		}
	}
	if strings.Count(r.run("outbox", "list"), "from the phone") != 1 {
		t.Errorf("the Outbox: %s", r.run("outbox", "list"))
	}
	must(t, r.phone.Do(func() error {
		conn, err := net.Dial("tcp", "192.168.77.1:1465")
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fprint(conn, "EHLO phone\r\n")
		if answer, _ := io.ReadAll(conn); strings.Contains(string(answer), "250") { // a reset is as good
			t.Errorf("in the clear: %q", answer)
		}
		return err
	}))
	r.lan(strings.Replace(lanConfig, "enabled", "smtp_port = 0\nenabled", 1))
	r.eventually("nothing is taken", func() error {
		if out, err := send(phoneAddr, phone); err == nil || !strings.Contains(out, "Failed to connect") && !strings.Contains(out, "Could not connect") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	r.lan(lanConfig)
}

// foreignRanges connects from addresses that are not private.
func (r *lanRig) foreignRanges(t *testing.T) {
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
}

// noPermission logs in with the password of a device that is for this machine only, until it is permitted.
func (r *lanRig) noPermission(t *testing.T, laptop string) {
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
}

// newAddress logs in from another address than before.
func (r *lanRig) newAddress(t *testing.T, phone string) {
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
}

// addressGoesAndComes takes the address that is served away, and brings it back with another one.
func (r *lanRig) addressGoesAndComes(t *testing.T) {
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
		return r.phone.Do(func() error {
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
}

// off switches the local network off while a phone is connected.
func (r *lanRig) off(t *testing.T) {
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
}
