package conformance

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/localimap"
	"github.com/popbridge/popbridge/test/rig"
)

// server is what a script runs against.
type server struct {
	name           string
	dial           func(starttls bool) (net.Conn, error)
	tls            *tls.Config
	user, password string
	// without switches capabilities off for later logins; nil: that is not possible.
	without func(names []string)
	// pause is how long after a command changes are noticed only with the next one.
	pause time.Duration
}

// userName is of the same length for every script, so that literals fit.
func userName(try, script int) string { return fmt.Sprintf("us%02x%02x", try, script) }

func clientTLS(ca *testkit.TLS) *tls.Config {
	return &tls.Config{RootCAs: ca.CertPool, ServerName: "localhost"}
}

// newPopbridge starts popbridge's IMAP server over an empty store: on one port
// for everyone, on another with login only after STARTTLS.
func newPopbridge(t *testing.T, ca *testkit.TLS, user string, zone *time.Location) *server {
	store, err := mailstore.Open(t.Context(), t.TempDir(), mailstore.Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		problems, err := store.Check(context.Background(), nil)
		if err != nil || len(problems) > 0 {
			t.Errorf("store after the script: %v %v", problems, err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	var off atomic.Pointer[[]string]
	off.Store(new([]string))
	options := localimap.Options{
		Login: func(_ context.Context, _ net.Addr, name, password string) (localimap.Account, error) {
			if name != user || password != rig.Password {
				return localimap.Account{}, fault.New(fault.Auth, "user name or password refused", "")
			}
			return localimap.Account{User: user, Store: store, Device: mailstore.Device{Name: "laptop", Without: *off.Load()}}, nil
		},
		Log:  zerolog.Nop(),
		TLS:  ca.ServerConfig,
		Zone: func() *time.Location { return zone },
	}
	addrs := make(map[bool]string)
	for starttls, security := range map[bool]serving.Security{false: serving.Off, true: serving.StartTLS} {
		options.Security = security
		addrs[starttls] = serve(t, localimap.New(options))
	}
	return &server{
		name: "popbridge", user: user, password: rig.Password, tls: clientTLS(ca),
		dial:    func(starttls bool) (net.Conn, error) { return net.Dial("tcp", addrs[starttls]) },
		without: func(names []string) { off.Store(&names) },
	}
}

func serve(t *testing.T, s *localimap.Server) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// dovecotSettings give every user the mailboxes that popbridge makes their
// special use. A login without TLS is refused to those from another address than the server's own.
const dovecotSettings = `
disable_plaintext_auth = yes
mail_location = sdbox:~/mail
mail_fsync = never
mailbox_idle_check_interval = 1 secs
mail_attribute_dict = file:~/attributes
protocol imap {
  imap_metadata = yes
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Archive {
    special_use = \Archive
  }
  mailbox Drafts {
    special_use = \Drafts
  }
  mailbox Junk {
    special_use = \Junk
  }
  mailbox Sent {
    special_use = \Sent
  }
  mailbox Trash {
    special_use = \Trash
  }
}
`

// dovecotServer gives a user the mailboxes and subscriptions that popbridge has
// for a new one.
func dovecotServer(t *testing.T, d *rig.Dovecot, ca *testkit.TLS, user string) *server {
	s := &server{
		name: "dovecot", pause: 1200 * time.Millisecond, user: user, password: rig.Password, tls: clientTLS(ca),
		dial: func(starttls bool) (net.Conn, error) {
			from := net.Dialer{}
			if starttls {
				from.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
			}
			return from.Dial("tcp", rig.Addr(d.IMAP))
		},
	}
	conn, err := s.dial(false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p := newSession(conn)
	_ = p.read() // the greeting; do finds out what is wrong with it
	commands := []string{"LOGIN " + user + " " + rig.Password, "SELECT INBOX", "SUBSCRIBE INBOX"}
	for _, name := range []string{"Archive", "Drafts", "Junk", "Sent", "Trash"} {
		commands = append(commands, "CREATE "+name, "SUBSCRIBE "+name)
	}
	for _, line := range commands {
		if err := p.do(line); err != nil {
			t.Fatal(err)
		}
	}
	return s
}
