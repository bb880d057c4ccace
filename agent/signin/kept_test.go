package signin

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/config"
)

// busy is a server that is not tried before another poll has ended.
type busy struct{ *servers }

func (busy) TryPOP(ctx context.Context, _ config.Account) Try {
	<-ctx.Done()
	return Try{State: Failed, Text: ctx.Err().Error()}
}

// closed is a server that lets nobody in.
type closed struct{ *servers }

func (closed) TryPOP(context.Context, config.Account) Try {
	return Try{State: Failed, Text: "Authentication failure", Refused: true}
}

// as has a person sign in.
func (b *bench) as(t *testing.T, s *Sessions, on Servers, who string) {
	t.Helper()
	if err := b.provider.Browse(begin(t, b, s, on, false).URL, who); err != nil {
		t.Fatal(err)
	}
}

// belongs fails unless the token is that of a person, also after a restart.
func (b *bench) belongs(t *testing.T, who string) {
	t.Helper()
	for _, when := range []string{"now", "after a restart"} {
		token, err := b.Token(t.Context(), b.account)
		if user, ok := b.provider.Valid(string(token)); err != nil || !ok || user != who {
			t.Errorf("%s the token is of %q, want %s: %v", when, user, who, err)
		}
		b.restart()
	}
}

// trying is an account that is signed in, and that somebody else signs in: the servers are
// tried with that.
func trying(t *testing.T) (*bench, *Sessions, *servers) {
	t.Helper()
	b, s, on := newSessions(t)
	b.signIn(t)
	b.as(t, s, busy{on}, "bob@example.org")
	for {
		if st, err := s.State("work"); err != nil || st.State != Waiting {
			return b, s, on
		}
	}
}

// A sign-in that is not tried to the end does not replace one that worked.
func TestASignInThatIsNotTried(t *testing.T) {
	for name, tc := range map[string]struct {
		interrupt func(*testing.T, *bench, *Sessions)
		ends      bool // with a State
	}{
		"the agent stops":  {func(_ *testing.T, _ *bench, s *Sessions) { s.Close() }, true},
		"the agent dies":   {func(_ *testing.T, b *bench, _ *Sessions) { b.restart() }, false},
		"another is begun": {func(t *testing.T, b *bench, s *Sessions) { b.as(t, s, &servers{b: b}, "carol@example.org") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, s, _ := trying(t)
			tc.interrupt(t, b, s)
			if tc.ends {
				if got := ended(t, s); got.State != Failed || got.Error == "" || got.Hint == "" {
					t.Errorf("%+v", got)
				}
			}
			b.belongs(t, b.account.Username)
		})
	}
}

// Two accounts of one identity are signed in at the same time: the one that came last counts.
func TestOneIdentityIsSignedInTwice(t *testing.T) {
	b, s, on := trying(t)
	second := b.account
	second.Name = "second"
	other := second
	other.Username = "bob"
	if !Kept(b.dir, second) || Kept(b.dir, other) || Kept(t.TempDir(), second) {
		t.Error("a sign-in is kept for all accounts of its identity, and no others")
	}
	b.account, second = second, b.account
	b.as(t, s, closed{on}, "carol@example.org")
	s.mu.Lock()
	under := s.byAccount["second"]
	s.mu.Unlock()
	<-under.done
	b.account = second
	s.end()
	if got := ended(t, s); got.State != Failed || got.Error == "" || got.Hint == "" {
		t.Errorf("the first: %+v", got)
	}
	if got, err := s.State("second"); err != nil || got.State != Failed {
		t.Errorf("the second: %+v, %v", got, err)
	}
	b.belongs(t, b.account.Username)
}

// What the servers have refused from the first is not what is kept.
func TestARefusedSignInIsNotKept(t *testing.T) {
	b, s, on := newSessions(t)
	b.as(t, s, closed{on}, "bob@example.org")
	if got := ended(t, s); got.State != Done || got.POP.State != Failed {
		t.Errorf("%+v", got)
	}
	if Kept(b.dir, b.account) {
		t.Error("what the servers refuse is said to be kept")
	}
	b.as(t, s, closed{on}, b.account.Username) // the right one, while POP is off
	if got := ended(t, s); got.State != Done {
		t.Errorf("%+v", got)
	}
	b.belongs(t, b.account.Username)
}

// A sign-in that cannot be written down is not used, not even later.
func TestASignInThatIsNotWritten(t *testing.T) {
	b, s, on := newSessions(t)
	b.signIn(t)
	id := b.identity(b.account)
	good := id.path
	if err := os.WriteFile(filepath.Join(b.dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	id.path = filepath.Join(b.dir, "file", "x.json")
	b.as(t, s, on, "bob@example.org")
	got := ended(t, s)
	if id.path = good; got.State != Failed || got.Hint == "" || len(on.signedIn) != 0 {
		t.Errorf("%+v, told of %v", got, on.signedIn)
	}
	b.belongs(t, b.account.Username)
}
