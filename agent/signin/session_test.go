package signin

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/internal/testkit/ports"
)

// servers are mail servers that take any token of the provider.
type servers struct {
	b        *bench
	mu       sync.Mutex
	signedIn []string
	smtp     chan struct{} // is waited for; nil: not
}

func (s *servers) TryPOP(ctx context.Context, c config.Account) Try {
	token, err := s.b.Token(ctx, c)
	if err != nil {
		return Try{State: Failed, Text: err.Error(), Hint: fault.Hint(err)}
	}
	user, ok := s.b.provider.Valid(string(token))
	if !ok || user != c.Username {
		return Try{State: Failed, Text: "refused", Hint: "choose another one", Refused: true}
	}
	return Try{State: OK, Text: "took it"}
}

func (s *servers) TrySMTP(context.Context, config.Account) Try {
	if s.smtp != nil {
		<-s.smtp
	}
	return Try{State: None, Text: "no way out"}
}

func (s *servers) SignedIn(c config.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signedIn = append(s.signedIn, c.Name)
}

// ended waits for the end of a sign-in.
func ended(t *testing.T, s *Sessions) SignIn {
	t.Helper()
	s.wg.Wait()
	status, err := s.State("work")
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func newSessions(t *testing.T) (*bench, *Sessions, *servers) {
	b := newBench(t)
	s := NewSessions(b.Tokens)
	t.Cleanup(s.Close)
	return b, s, &servers{b: b}
}

func begin(t *testing.T, b *bench, s *Sessions, on Servers, device bool) SignIn {
	t.Helper()
	status, err := s.Begin(t.Context(), b.account, device, on)
	if err != nil {
		t.Fatal(err)
	}
	if status.State != Waiting || status.URL == "" {
		t.Fatalf("%+v", status)
	}
	return status
}

func TestSignInInTheBrowser(t *testing.T) {
	b, s, on := newSessions(t)
	on.smtp = make(chan struct{})
	if _, err := s.State("work"); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.Hint(err), "account signin work") {
		t.Errorf("before it has begun: %v, %s", err, fault.Hint(err))
	}
	began := begin(t, b, s, on, false)
	if began.Method != "browser" || began.UserCode != "" || began.Paste || time.Until(began.Expires) < 9*time.Minute {
		t.Errorf("%+v", began)
	}
	if err := b.provider.Browse(began.URL, b.account.Username); err != nil {
		t.Fatal(err)
	}
	on.smtp <- struct{}{} // it is tried
	if now, err := s.State("work"); err != nil || now.State != Trying && now.State != Done {
		t.Errorf("while it is tried: %+v, %v", now, err)
	}
	if err := s.Cancel("work"); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("cancelled once the token has come: %v", err)
	}
	got := ended(t, s)
	if got.State != Done || got.POP != (Try{State: OK, Text: "took it"}) || got.SMTP.State != None || got.Error != "" || len(on.signedIn) != 1 {
		t.Errorf("%+v, told of %v", got, on.signedIn)
	}
	b.valid(t)
}

// Where a server refuses who has signed in, a sign-in that worked is kept, also over a
// restart. One that is refused itself, or of another table of the config, is replaced: what
// was signed in may be right, and the server wrong.
func TestSignInAsAnother(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(*bench)
		kept   bool
	}{
		"nobody was": {before: func(*bench) {}},
		"it worked":  {before: func(b *bench) { b.signIn(t) }, kept: true},
		"after a restart": {before: func(b *bench) {
			b.signIn(t)
			b.restart()
		}, kept: true},
		"refused": {before: func(b *bench) {
			b.signIn(t)
			b.provider.Revoke(b.account.Username)
			b.clock = b.clock.Add(2 * time.Hour)
			_, _ = b.Token(t.Context(), b.account)
		}},
		"of another client": {before: func(b *bench) {
			b.signIn(t)
			b.identity(b.account).rec.ClientID = "another"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tc.before(b)
			s := NewSessions(b.Tokens)
			t.Cleanup(s.Close)
			on := &servers{b: b}
			b.as(t, s, on, "bob@example.org")
			got := ended(t, s)
			want, whose := SignIn{State: Done}, "bob@example.org"
			if tc.kept {
				whose = b.account.Username
				want = SignIn{State: Failed, Error: "the server does not let in who has signed in, so the sign-in before is kept (refused)", Hint: "choose another one"}
			}
			if got.State != want.State || got.Error != want.Error || got.Hint != want.Hint || got.POP.State != Failed || len(on.signedIn) != 1 {
				t.Errorf("%+v, told of %v", got, on.signedIn)
			}
			b.belongs(t, whose)
		})
	}
}

func TestSignInOnAnotherDevice(t *testing.T) {
	b, s, on := newSessions(t)
	began := begin(t, b, s, on, true)
	if began.Method != "device" || began.UserCode == "" || !strings.HasSuffix(began.URL, "/device") {
		t.Errorf("%+v", began)
	}
	if _, err := s.Paste(t.Context(), "work", "code"); !fault.Is(err, fault.Config) {
		t.Errorf("something was pasted: %v", err)
	}
	if err := b.provider.EnterCode(began.UserCode, b.account.Username); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, s); got.State != Done || got.POP.State != OK {
		t.Errorf("%+v", got)
	}
}

func TestSignInByPaste(t *testing.T) {
	b, s, on := newSessions(t)
	final, err := b.provider.Authorize(begin(t, b, s, on, false).URL, b.account.Username)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Paste(t.Context(), "work", "https://example.org/?code=x&state=y"); !fault.Is(err, fault.Config) {
		t.Errorf("another address was taken: %v", err)
	}
	if _, err := s.Paste(t.Context(), "work", final); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, s); got.State != Done {
		t.Errorf("%+v", got)
	}
}

// A sign-in that is cancelled while its token is on the way stores nothing.
func TestATokenThatComesTooLate(t *testing.T) {
	b, s, on := newSessions(t)
	one := &session{config: b.account, cancel: func() {}, status: SignIn{State: Waiting}}
	s.byAccount["work"] = one
	s.run(t.Context(), one, func(context.Context) (oauth.Token, error) {
		return oauth.Token{Refresh: "r"}, s.Cancel("work")
	}, on)
	if got, err := s.State("work"); err != nil || got.State != Failed || !strings.Contains(got.Error, "cancelled") || got.Hint == "" || len(on.signedIn) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := b.Token(t.Context(), b.account); err == nil {
		t.Error("a token is stored")
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	free, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(free[0])
}

// What ends without a token says why, and the sign-in that there was is kept.
func TestSignInsThatFail(t *testing.T) {
	b, s, on := newSessions(t)
	b.signIn(t)
	if err := b.provider.Browse(begin(t, b, s, on, false).URL, ""); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, s); got.State != Failed || got.Error == "" || got.Hint == "" {
		t.Errorf("denied: %+v", got)
	}
	begin(t, b, s, on, false)
	if err := s.Cancel("work"); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, s); got.State != Failed || got.Error == "" {
		t.Errorf("cancelled: %+v", got)
	}
	fixed := *b.account.OAuth
	fixed.Endpoints.Redirect = "http://127.0.0.1:" + freePort(t)
	b.account.OAuth = &fixed
	first := begin(t, b, s, on, false)
	second := begin(t, b, s, on, false)
	if err := b.provider.Browse(second.URL, b.account.Username); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, s); got.State != Done {
		t.Errorf("the second: %+v", got)
	}
	if err := b.provider.Browse(first.URL, b.account.Username); err == nil {
		t.Error("somebody is still listening")
	}
	b.valid(t)
	begin(t, b, s, on, false)
	s.Close()
	if got := ended(t, s); got.State != Failed {
		t.Errorf("the agent ended: %+v", got)
	}
	b.valid(t)
}

// Without a refresh token the account would have to be signed in every hour.
func TestASignInWithoutARefreshToken(t *testing.T) {
	b, s, on := newSessions(t)
	b.provider.Change(func(v *oauthtest.Behaviour) { v.NoRefresh = true })
	if err := b.provider.Browse(begin(t, b, s, on, false).URL, b.account.Username); err != nil {
		t.Fatal(err)
	}
	if got := ended(t, s); got.State != Failed || !strings.Contains(got.Error, "no refresh token") || got.Hint == "" {
		t.Errorf("%+v", got)
	}
	b.wants(t, fault.Auth, true, "it is not signed in yet")
}
