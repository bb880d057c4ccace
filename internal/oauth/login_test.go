package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
)

const ann = "ann@example.com"

func begin(t *testing.T, c *oauth.Client) *oauth.Login {
	t.Helper()
	login, err := c.Begin(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(login.Close)
	return login
}

func signedIn(t *testing.T, s *oauthtest.Server, login *oauth.Login) oauth.Token {
	t.Helper()
	token, err := login.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if user, ok := s.Valid(token.Access); !ok || user != ann {
		t.Errorf("signed in as %q, %v", user, ok)
	}
	return token
}

func TestSignIn(t *testing.T) {
	for _, redirect := range []string{"", "http://127.0.0.1", "http://127.0.0.1/", "http://localhost", "http://localhost/call/back?x=y"} {
		s := oauthtest.New(t)
		c := s.Client()
		c.Redirect = redirect
		login := begin(t, c)
		if login.PasteOnly() {
			t.Errorf("%s: nothing listens", redirect)
		}
		if err := s.Browse(login.URL(), ann); err != nil {
			t.Fatalf("%s: %v", redirect, err)
		}
		token := signedIn(t, s, login)
		if token.Refresh == "" || time.Until(token.Expires) > time.Hour || strings.Join(token.Scopes, " ") != "test:pop test:smtp offline_access" {
			t.Errorf("%v", token)
		}
		nothingAt(t, redirectOf(t, login))
		login.Close() // once more does no harm
	}
}

// What goes into the browser says what is wanted, and nothing that is secret.
func TestAuthorizeURL(t *testing.T) {
	s := oauthtest.New(t)
	s.Change(func(b *oauthtest.Behaviour) { b.Secret = "cs-secret" })
	c := s.Client()
	c.Authorizing = url.Values{"access_type": {"offline"}}
	login := begin(t, c)
	u, err := url.Parse(login.URL())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{"response_type": "code", "client_id": oauthtest.ClientID, "access_type": "offline",
		"login_hint": ann, "scope": "test:pop test:smtp offline_access", "code_challenge_method": "S256"} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if len(q.Get("state")) < 20 || len(q.Get("code_challenge")) != 43 || strings.Contains(login.URL(), "cs-secret") || q.Has("code_verifier") {
		t.Errorf("%v", q)
	}
	if other := begin(t, c); other.URL() == login.URL() {
		t.Error("two sign-ins have one URL")
	}
	c.PKCE, c.Resource = false, "https://mail.example.com"
	plain, err := url.Parse(begin(t, c).URL())
	if err != nil {
		t.Fatal(err)
	}
	if q := plain.Query(); q.Has("code_challenge") || q.Has("scope") || q.Get("resource") != "https://mail.example.com" {
		t.Errorf("%v", q)
	}
}

func TestDeniedInTheBrowser(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	if err := s.Browse(login.URL(), ""); err != nil {
		t.Fatal(err)
	}
	_, err := login.Wait(t.Context())
	e, _ := errors.AsType[*oauth.Error](err)
	if !fault.Is(err, fault.Denied) || e == nil || e.Code != "access_denied" || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestIssuerIsChecked(t *testing.T) {
	for _, tt := range []struct {
		iss, want string // "" for want: that of the server
		refused   bool
	}{
		{"", "", false},
		{"https://evil.example", "", true},
		{"-", "", true},
		{"https://evil.example", "-", false}, // none is known
		{"-", "https://x.example/{tenantid}/v2.0", false},
		{"https://x.example/abc/v2.0", "https://x.example/{tenantid}/v2.0", false},
		{"https://evil.example/abc/v2.0", "https://x.example/{tenantid}/v2.0", true},
	} {
		s := oauthtest.New(t)
		s.Change(func(b *oauthtest.Behaviour) { b.Iss = tt.iss })
		c := s.Client()
		switch tt.want {
		case "":
		case "-":
			c.Issuer = ""
		default:
			c.Issuer = tt.want
		}
		login := begin(t, c)
		if err := s.Browse(login.URL(), ann); err != nil {
			t.Fatal(err)
		}
		_, err := login.Wait(t.Context())
		if fault.Is(err, fault.Protocol) != tt.refused || (err != nil) != tt.refused {
			t.Errorf("iss %q, want %q: %v", tt.iss, tt.want, err)
		}
		if n := len(s.Requests()); tt.refused && n != 0 {
			t.Errorf("iss %q: the code was shown %d times", tt.iss, n)
		}
	}
}

// A code is shown once, whatever the provider says to it.
func TestRefusedExchange(t *testing.T) {
	for _, tt := range []struct {
		answer oauthtest.Answer
		kind   fault.Kind
		text   string
	}{
		{oauthtest.Answer{Status: 401, Body: `{"error":"invalid_client","error_description":"The client secret is wrong"}`}, fault.Config, "client secret"},
		{oauthtest.Answer{Status: 400, Body: `{"error":"invalid_grant"}`}, fault.Auth, "the code of the sign-in"},
		{oauthtest.Answer{Status: 200, Body: `{"error":"invalid_grant"}`}, fault.Auth, "the code of the sign-in"},
		{oauthtest.Answer{Status: 500, Body: `oops`}, fault.Temporary, "out of order"},
		{oauthtest.Answer{Status: 200, Body: `oops`}, fault.Protocol, "not JSON"},
		{oauthtest.Answer{Status: 200, Body: `{"access_token":"x","token_type":"mac"}`}, fault.Protocol, "mac"},
	} {
		s := oauthtest.New(t)
		s.Change(func(b *oauthtest.Behaviour) { b.Answers = []oauthtest.Answer{tt.answer} })
		login := begin(t, s.Client())
		if err := s.Browse(login.URL(), ann); err != nil {
			t.Fatal(err)
		}
		_, err := login.Wait(t.Context())
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || strings.Contains(fault.Hint(err), "by itself") {
			t.Errorf("%s: %v, %s", tt.answer.Body, err, fault.Hint(err))
		}
		requests := s.Requests()
		if len(requests) != 1 || requests[0].Get("client_id") != oauthtest.ClientID {
			t.Errorf("%s: %d requests", tt.answer.Body, len(requests))
		}
		for _, secret := range []string{requests[0].Get("code"), requests[0].Get("code_verifier")} {
			if secret == "" || strings.Contains(err.Error(), secret) {
				t.Errorf("%q in %v", secret, err)
			}
		}
	}
}

func TestNobodySignsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := oauthtest.NewUnstarted().Client()
		c.Redirect = "https://mail.example.com/done" // a listener would be outside of the bubble
		login := begin(t, c)
		from := time.Now()
		_, err := login.Wait(t.Context())
		if waited := time.Since(from); !fault.Is(err, fault.Auth) || waited != 10*time.Minute || !login.Ends().Equal(time.Now()) || fault.Hint(err) == "" {
			t.Errorf("after %v: %v", waited, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := begin(t, c).Wait(ctx); !fault.Is(err, fault.Temporary) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseEndsWait(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	redirect := redirectOf(t, login)
	login.Close()
	if _, err := login.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "cancelled") {
		t.Errorf("%v", err)
	}
	nothingAt(t, redirect)
}

// nothingAt reports what still listens.
func nothingAt(t *testing.T, address string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Get(address); err == nil {
		_ = resp.Body.Close()
		t.Errorf("something listens at %s", address)
	}
}

func redirectOf(t *testing.T, login *oauth.Login) string {
	t.Helper()
	u, err := url.Parse(login.URL())
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("redirect_uri")
}

func TestBeginChecksTheConfig(t *testing.T) {
	c := oauth.Client{}
	if _, err := c.Begin(t.Context(), ""); !fault.Is(err, fault.Config) {
		t.Errorf("%v", err)
	}
	if _, err := c.BeginDevice(t.Context()); !fault.Is(err, fault.Config) {
		t.Errorf("%v", err)
	}
}
