package sending

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
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
send.host = "smtp.example.com"
send.username = "ann.b"
[[account]]
name = "dumb"
host = "pop.example.net"
username = "ann@example.net"
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
		{"me", "bob@example.com", "", "", "only from ann@gmx.de, Info@example.org, ann@example.com, ann@example.net"},
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
