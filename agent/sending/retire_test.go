package sending

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// What sending makes no use of disturbs no message that is on its way; what it makes use of
// is taken up.
func TestTakeReplacesWhatChanged(t *testing.T) {
	const text = "[[account]]\nname = \"home\"\nhost = \"127.0.0.1\"\ntls = \"none\"\nusername = \"ann\"\naddress = \"ann@example.com\"\npassword_file = \"/none\"\nsend.host = \"127.0.0.1\"\nsend.port = 1\nsend.tls = \"none\"\n"
	var cfg atomic.Pointer[config.Config]
	cfg.Store(parse(t, text))
	dir := t.TempDir()
	stores := users.New(users.Options{DataDir: dir, Config: cfg.Load, Health: health.New(zerolog.Nop(), time.Now), Log: zerolog.Nop(), Book: state.Open(dir, dir+"/config.toml")})
	s := New(stores, nil)
	ctx, cancel := context.WithCancel(t.Context())
	group := &supervise.Group{Context: ctx}
	s.Serve(group)
	defer func() {
		cancel()
		group.Wait()
		if err := stores.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct {
		name, text string
		same       bool
	}{
		{"poll_every", text + "poll_every = \"7m\"\n", true},
		{"keep_on_server, paused, folder", text + "poll_every = \"7m\"\nkeep_on_server = \"30d\"\npaused = true\nfolder = \"Home\"\n", true},
		{"addresses", strings.Replace(text, "address = \"ann@example.com\"", "addresses = [\"ann@example.com\", \"b@example.com\"]", 1), true},
		{"password", strings.Replace(text, "/none", "/other", 1), false},
		{"send.port", strings.Replace(text, "send.port = 1\n", "send.port = 2\n", 1), false},
		{"username", strings.Replace(text, "\"ann\"", "\"bob\"", 1), false},
		{"user", text + "user = \"bob\"\n", false},
	} {
		before := s.senders["home"]
		cfg.Store(parse(t, tt.text))
		s.Take()
		after := s.senders["home"]
		if (before == after) != tt.same {
			t.Errorf("%s: the same sender: %v", tt.name, before == after)
		}
		select {
		case <-before.task.Done():
			if tt.same {
				t.Errorf("%s: the sender has ended", tt.name)
			}
		default:
			if !tt.same {
				t.Errorf("%s: the former sender goes on", tt.name)
			}
		}
	}
}

// Who asks for another try of one message makes no other account log in.
func TestRetryIsOfOneAccount(t *testing.T) {
	s := newSet(t, accounts3)
	for _, name := range []string{"home", "work"} {
		s.senders[name] = &sender{set: s, retryNow: make(chan struct{}, 1)}
	}
	s.Retry("home")
	s.Retry("gone")
	if home, work := len(s.senders["home"].retryNow), len(s.senders["work"].retryNow); home != 1 || work != 0 {
		t.Errorf("home is tried %d times, work %d times", home, work)
	}
	if err := s.Stranded("me", "home", ""); err != nil {
		t.Error(err)
	}
}

// Mail that a restore holds is told of for each user, that which a person holds is not; nor
// is mail of an account that sends.
func TestLookAt(t *testing.T) {
	s := newSet(t, accounts3)
	restored := mailstore.Outgoing{Account: "home", State: mailstore.Held, LastError: "the mail was restored or moved: the message may have been sent before"}
	queue := []mailstore.Outgoing{restored, restored, {Account: "home", State: mailstore.Held}, {Account: "work", State: mailstore.Waiting}, {Account: "gone", State: mailstore.Held}, {Account: "gone", State: mailstore.Rejected}, {Account: "bob"}}
	var got []string
	for _, c := range s.lookAt("me", queue) {
		got = append(got, c.Code+" "+c.User+": "+c.Text)
		if c.Hint == "" || !c.Pressing(time.Now()) {
			t.Errorf("%+v", c)
		}
	}
	want := []string{"send-no-account me: user me: 2 messages in the Outbox cannot be sent: there is no account gone any more",
		"send-no-account me: user me: 1 message in the Outbox cannot be sent: account bob is that of user bob now, and this is mail of me",
		"send-held me: user me: held in the Outbox since the mail was restored or moved, as it may have been sent before: 2 messages"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
