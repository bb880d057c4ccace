package signin

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is an agent's tokens with a provider and a clock.
type bench struct {
	*Tokens
	provider *oauthtest.Server
	account  config.Account
	dir      string
	clock    time.Time
	logged   bytes.Buffer
}

func newBench(t *testing.T) *bench {
	b := &bench{provider: oauthtest.New(t), dir: t.TempDir(), clock: time.Now().Round(0)}
	b.account = config.Account{Name: "work", Username: "ann@example.org", Auth: config.AuthOAuth2,
		OAuth: &config.OAuth{Name: "own", ClientID: oauthtest.ClientID, Endpoints: b.provider.Endpoints()}}
	b.restart()
	return b
}

// restart forgets all but the files.
func (b *bench) restart() {
	b.Tokens = New(b.dir, zerolog.New(&b.logged).Level(zerolog.TraceLevel), func(rest string) string { return "popbridge " + rest })
	b.now = func() time.Time { return b.clock }
}

// signIn has a person sign in.
func (b *bench) signIn(t *testing.T) {
	t.Helper()
	token := b.provider.Issue(b.account.Username)
	token.Expires = b.clock.Add(time.Hour)
	if _, err := b.Keep(t.Context(), b.account, token); err != nil {
		t.Fatal(err)
	}
}

// valid asks for a token, and fails unless the provider knows it.
func (b *bench) valid(t *testing.T) secret.Secret {
	t.Helper()
	token, err := b.Token(t.Context(), b.account)
	if err != nil {
		t.Fatalf("%v; hint: %s", err, fault.Hint(err))
	}
	if user, ok := b.provider.Valid(string(token)); !ok || user != b.account.Username {
		t.Fatalf("the token is of %q, %v", user, ok)
	}
	return token
}

// refreshed fails unless so many refreshes were asked for.
func (b *bench) refreshed(t *testing.T, want int) {
	t.Helper()
	if n := b.provider.Refreshes(); n != want {
		t.Fatalf("%d refreshes, want %d", n, want)
	}
}

// wants fails unless asking for a token fails in this way.
func (b *bench) wants(t *testing.T, kind fault.Kind, needed bool, text string) {
	t.Helper()
	_, err := b.Token(t.Context(), b.account)
	_, isNeeded := errors.AsType[*health.SignInNeeded](err)
	if fault.KindOf(err) != kind || isNeeded != needed || !strings.Contains(err.Error()+" | "+fault.Hint(err), text) {
		t.Fatalf("%v (%v, needed %v), hint: %s; want %v, needed %v, %q", err, fault.KindOf(err), isNeeded, fault.Hint(err), kind, needed, text)
	}
}

func (b *bench) record(t *testing.T) *record {
	t.Helper()
	r, err := load(path(b.dir, b.account))
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	return r
}

func TestATokenIsRenewedAMinuteBeforeItExpires(t *testing.T) {
	b := newBench(t)
	b.wants(t, fault.Auth, true, "it is not signed in yet | sign in: popbridge account signin work")
	b.signIn(t)
	first := b.valid(t)
	b.clock = b.clock.Add(59*time.Minute - time.Second)
	b.restart()
	if b.valid(t) != first {
		t.Error("it was renewed too early")
	}
	b.refreshed(t, 0)
	b.clock = b.clock.Add(time.Second)
	second := b.valid(t)
	b.refreshed(t, 1)
	b.restart()
	if second == first || b.valid(t) != second {
		t.Error("the new one is not what is kept")
	}
	b.clock = b.clock.Add(72 * time.Hour) // as after a weekend of sleep
	b.valid(t)
	b.clock = b.clock.Add(-24 * time.Hour) // it was set back: how long a token lives is not known
	b.valid(t)
	b.refreshed(t, 3)
}

// Whoever asks meanwhile waits for the one refresh, and a mail server that refused an
// older token has none of its own.
func TestOneRefreshForAll(t *testing.T) {
	b := newBench(t)
	b.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate = true })
	b.signIn(t)
	old := b.valid(t)
	b.clock = b.clock.Add(time.Hour)
	other := b.account
	other.Name, other.Host = "second", "smtp.example.org"
	var wg sync.WaitGroup
	got := make([]secret.Secret, 20)
	for i := range got {
		wg.Go(func() {
			c := b.account
			if i%2 == 1 {
				c = other
			}
			if i%5 == 0 {
				got[i], _ = b.Renew(t.Context(), c, old)
			} else {
				got[i], _ = b.Token(t.Context(), c)
			}
		})
	}
	wg.Wait()
	b.refreshed(t, 1)
	for _, g := range got {
		if g != got[0] || g == "" || g == old {
			t.Fatal("they have different tokens")
		}
	}
	if _, err := b.Renew(t.Context(), b.account, got[0]); err != nil { // now the server refuses the new one
		t.Fatal(err)
	}
	b.refreshed(t, 2)
}

func TestTheNewTokenIsDurableBeforeItIsUsed(t *testing.T) {
	b := newBench(t)
	b.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate = true })
	b.signIn(t)
	folder := filepath.Join(b.dir, Folder)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // nothing can be written there
		t.Fatal(err)
	}
	b.clock = b.clock.Add(59 * time.Minute) // the token itself would do for another minute
	b.wants(t, fault.Temporary, false, "it is not used yet")
	b.wants(t, fault.Temporary, false, "it is not used yet")
	b.refreshed(t, 1)
	if err := errors.Join(os.Remove(folder), os.Rename(folder+".away", folder)); err != nil {
		t.Fatal(err)
	}
	b.valid(t)
	b.refreshed(t, 1)
	b.restart()
	b.clock = b.clock.Add(time.Hour)
	b.valid(t)
	b.refreshed(t, 2)
}

// Tokens go to nobody but whom they were issued by.
func TestAnotherClientNeedsAnotherSignIn(t *testing.T) {
	b := newBench(t)
	b.signIn(t)
	b.clock = b.clock.Add(time.Hour)
	own := *b.account.OAuth
	for _, change := range []func(*config.OAuth){
		func(o *config.OAuth) { o.ClientID = "another" },
		func(o *config.OAuth) { o.Endpoints.Token = "http://127.0.0.1:1/token" },
	} {
		other := own
		change(&other)
		b.account.OAuth = &other
		b.wants(t, fault.Auth, true, "another client_id or token_url")
	}
	b.refreshed(t, 0)
	b.account.OAuth = &own
	b.valid(t)
}

func TestADamagedFile(t *testing.T) {
	for _, text := range []string{"", "{", `{"version": 1}`, `{"version": 9, "refresh": "x"}`} {
		b := newBench(t)
		b.signIn(t)
		if err := os.WriteFile(path(b.dir, b.account), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.restart()
		b.wants(t, fault.Auth, true, "sign in: popbridge account signin work")
		b.signIn(t)
		b.restart()
		b.valid(t)
	}
}

// A caller that goes away does not lose the answer, which has the new refresh token.
func TestAnAnswerIsKeptAfterItsCallerHasGone(t *testing.T) {
	b := newBench(t)
	ctx, leave := context.WithCancel(t.Context())
	b.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate, v.Hold = true, func(url.Values) { leave() } })
	b.signIn(t)
	before := b.record(t).Refresh
	b.clock = b.clock.Add(time.Hour)
	if _, err := b.Token(ctx, b.account); err != nil {
		t.Fatal(err)
	}
	b.restart()
	if b.record(t).Refresh == before {
		t.Error("the new refresh token is lost")
	}
	b.valid(t)
}

func TestNothingSecretIsLogged(t *testing.T) {
	b := newBench(t)
	b.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate = true })
	b.signIn(t)
	var secrets []string
	for range 3 {
		r := b.record(t)
		secrets = append(secrets, r.Access, r.Refresh)
		b.clock = b.clock.Add(time.Hour)
		b.valid(t)
	}
	b.provider.Revoke(b.account.Username)
	b.clock = b.clock.Add(time.Hour)
	b.wants(t, fault.Temporary, false, "")
	if !strings.Contains(b.logged.String(), "the token was renewed") || !strings.Contains(b.logged.String(), "the provider refused the sign-in") {
		t.Errorf("the log is not what was looked at: %s", &b.logged)
	}
	for _, s := range secrets {
		if strings.Contains(b.logged.String(), s) {
			t.Error("a token is in the log")
		}
	}
}

// The secret of a client comes from its file, and what is wrong with that is said in words
// of its own.
func TestTheClientSecret(t *testing.T) {
	b := newBench(t)
	b.provider.Change(func(v *oauthtest.Behaviour) { v.Secret = "s3cret" })
	own := *b.account.OAuth
	own.SecretFile = filepath.Join(b.dir, "client")
	b.account.OAuth = &own
	b.signIn(t)
	b.clock = b.clock.Add(time.Hour)
	b.wants(t, fault.Config, false, "the client secret of [oauth.own] cannot be read: the file "+own.SecretFile)
	if err := os.WriteFile(own.SecretFile, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.wants(t, fault.Config, false, "client_secret_file")
	if err := os.WriteFile(own.SecretFile, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.valid(t)
}
