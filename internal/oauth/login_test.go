package oauth_test

import (
	"testing"

	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
)

const ann = "ann@example.com"

func TestSignInAndRefresh(t *testing.T) {
	s := oauthtest.New(t)
	s.Change(func(b *oauthtest.Behaviour) { b.Rotate = true })
	c := s.Client()
	for _, redirect := range []string{"http://127.0.0.1", "http://localhost", "http://localhost/callback"} {
		c.Redirect = redirect
		login, err := c.Begin(t.Context(), ann)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Browse(login.URL(), ann); err != nil {
			t.Fatal(err)
		}
		token, err := login.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if user, ok := s.Valid(token.Access); !ok || user != ann {
			t.Errorf("signed in as %q, %v", user, ok)
		}
		next, err := c.Refresh(t.Context(), token.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		if next.Refresh == token.Refresh || next.Access == token.Access {
			t.Errorf("nothing new came of the refresh")
		}
	}
}

func TestDevice(t *testing.T) {
	s := oauthtest.New(t)
	d, err := s.Client().BeginDevice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EnterCode(d.UserCode, ann); err != nil {
		t.Fatal(err)
	}
	token, err := d.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if user, _ := s.Valid(token.Access); user != ann {
		t.Errorf("signed in as %q", user)
	}
}
