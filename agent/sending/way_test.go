package sending

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

const accounts3 = `
[smtp]
send_delay = "10s"
[[account]]
name = "home"
host = "pop.gmx.net"
username = "ann@gmx.de"
addresses = ["Info@example.org"]
[[account]]
name = "work"
host = "pop.example.com"
username = "ann"
address = "ann@example.com"
addresses = ["both@example.com", "own@example.org", "ann@ex\u00e4mple.example"]
send.host = "smtp.example.com"
send.username = "ann.b"
[[account]]
name = "dumb"
host = "pop.example.net"
username = "ann@example.net"
addresses = ["ann+work@gmx.de", "both@example.com"]
[[account]]
name = "own"
host = "pop.example.org"
username = "own"
address = "own@example.org"
send.host = "smtp.example.org"
[[account]]
name = "bob"
host = "pop.example.com"
username = "bob@example.com"
user = "bob"
send.host = "smtp.example.com"
`

func newSet(t *testing.T, text string) *Set {
	t.Helper()
	cfg, err := config.Parse("config.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return New(users.New(users.Options{Config: func() *config.Config { return cfg }}), nil)
}

// The address of the sender decides by which account mail leaves; that of nobody here, or
// of somebody else here, is refused.
func TestRoute(t *testing.T) {
	s := newSet(t, accounts3)
	for _, tt := range []struct{ user, from, account, leaves, refused string }{
		{"me", "ann@gmx.de", "home", "ann@gmx.de", ""},
		{"me", "Ann+shop@GMX.de", "home", "ann@gmx.de", ""},
		{"me", "info@example.org", "home", "Info@example.org", ""},
		{"me", "ann@example.com", "work", "ann@example.com", ""},
		{"me", "ann@example.net", "", "", "the outgoing server of account dumb is not known"},
		{"me", "ann+Work@gmx.de", "dumb", "", "the outgoing server of account dumb"}, // the address itself goes before a tag
		{"me", "both@example.com", "work", "both@example.com", ""},
		{"me", "own@example.org", "own", "own@example.org", ""}, // an account's own address goes first
		{"me", "ann@Exämple.example", "work", "ann@xn--exmple-cua.example", ""},
		{"me", "ann@xn--exmple-cua.EXAMPLE", "work", "ann@xn--exmple-cua.example", ""},
		{"me", "ann@xn--exmple.example", "", "", "only from"},
		{"me", "bob@example.com", "", "", "only from ann@gmx.de, Info@example.org, ann@example.com, both@example.com, own@example.org, ann@xn--exmple-cua.example, ann@example.net, ann+work@gmx.de, both@example.com, own@example.org"},
		{"me", "ann@gmx.de.evil.example", "", "", "only from"},
		{"me", "xann@gmx.de", "", "", "only from"},
		{"me", "+ann@gmx.de", "", "", "only from"},
		{"me", "", "", "", "only from"},
		{"bob", "bob@example.com", "bob", "bob@example.com", ""},
		{"carol", "carol@example.com", "", "", "has no mail address"},
	} {
		r, err := s.route(tt.user, tt.from)
		if tt.refused != "" {
			if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), tt.refused) || fault.Hint(err) == "" {
				t.Errorf("%s as %s: %v", tt.from, tt.user, err)
			}
			continue
		}
		if err != nil || r.Account != tt.account || r.From != tt.leaves || r.Delay.Seconds() != 10 {
			t.Errorf("%s as %s: %+v, %v", tt.from, tt.user, r, err)
		}
		if by, ok := s.users.Config().Sender(tt.user, r.From); !ok || by.Name != tt.account {
			t.Errorf("the config says that mail from %s leaves by %q", r.From, by.Name)
		}
	}
}

func TestWayOf(t *testing.T) {
	s := newSet(t, accounts3)
	for name, want := range map[string]string{"home": "mail.gmx.net ann@gmx.de", "work": "smtp.example.com ann.b", "bob": "smtp.example.com bob@example.com", "dumb": ""} {
		a, _ := s.users.Config().Account(name)
		way, ok := WayOf(a)
		if ok != (want != "") || ok && way.Host+" "+way.Username != want {
			t.Errorf("%s: %+v, %v", name, way, ok)
		}
	}
	if !s.Any() || newSet(t, "[[account]]\nname='a'\nhost='pop.example.com'\nusername='a@example.com'").Any() {
		t.Error("whether any account can send")
	}
}

// What comes back of mail to oneself is mail.
func TestToSelf(t *testing.T) {
	s := newSet(t, accounts3)
	for recipient, want := range map[string]bool{"bob@example.com": false, "ann+x@gmx.de": true, "INFO@example.org": true, "ann@example.net": true} {
		if s.toSelf("me", []string{"eve@example.com", recipient}) != want {
			t.Errorf("%s: %v is wanted", recipient, want)
		}
	}
}

func TestLimitsOf(t *testing.T) {
	for host, limited := range map[string]bool{"smtp.example.com": true, "192.168.1.2": true, "127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "localhost": false} {
		if got := limitsOf(config.Send{Host: host}).PerMinute; (got == 0) != limited {
			t.Errorf("%s: %d", host, got)
		}
	}
	if got := limitsOf(config.Send{Host: "smtp.gmail.com", Username: "ann@gmail.com"}); got.PerDay != 500 {
		t.Errorf("Gmail: %+v", got)
	}
}

// Who may send, and what the others are told.
func TestMaySend(t *testing.T) {
	s := newSet(t, accounts3)
	for _, tt := range []struct {
		device  mailstore.Device
		refused string
	}{
		{mailstore.Device{Name: "pc"}, ""},
		{mailstore.Device{Name: "tv", ReadOnly: true}, "read-only or sees some folders"},
		{mailstore.Device{Name: "tv", Folders: []mailstore.MailboxID{1}}, "read-only or sees some folders"},
		{mailstore.Device{Name: "tv", ReadOnly: true, Send: mailstore.SendYes}, ""},
		{mailstore.Device{Name: "pc", Send: mailstore.SendNo}, "forbidden"},
	} {
		err := s.Account("me", tt.device, nil).MaySend
		if tt.refused == "" && err != nil || tt.refused != "" && (!fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), tt.refused) || !strings.Contains(fault.Hint(err), "device set "+tt.device.Name+" --send=yes")) {
			t.Errorf("%+v: %v, %s", tt.device, err, fault.Hint(err))
		}
	}
}

// The command that allows another sender can be run as it is shown, and takes none away.
func TestAnotherAddress(t *testing.T) {
	_, err := newSet(t, accounts3).route("me", "eve@example.com")
	if hint := fault.Hint(err); !strings.Contains(hint, `account set home 'addresses=["ann@gmx.de", "Info@example.org", "eve@example.com"]'`) {
		t.Error(hint)
	}
	_, err = newSet(t, accounts3).route("me", "eve\"'@")
	if hint := fault.Hint(err); !strings.Contains(hint, `"ADDRESS"]'`) {
		t.Error(hint)
	}
}
