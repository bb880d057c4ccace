package oauth_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
)

func TestPaste(t *testing.T) {
	for _, redirect := range []string{"http://127.0.0.1", "https://mail.example.com/done", "urn:ietf:wg:oauth:2.0:oob", "oob"} {
		s := oauthtest.New(t)
		s.Change(func(b *oauthtest.Behaviour) { b.Redirects = []string{redirect} })
		c := s.Client()
		c.Redirect = redirect
		login := begin(t, c)
		if login.PasteOnly() != (redirect != "http://127.0.0.1") {
			t.Errorf("%s: paste only: %v", redirect, login.PasteOnly())
		}
		final, err := s.Authorize(login.URL(), ann)
		if err != nil {
			t.Fatal(err)
		}
		other, err := s.Authorize(begin(t, c).URL(), ann)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range []string{"", "yes please", login.URL(), other, strings.Replace(final, "state=", "state=x", 1)} {
			if err := login.Paste(t.Context(), wrong); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
				t.Errorf("%s: pasted %q: %v", redirect, wrong, err)
			}
		}
		if err := login.Paste(t.Context(), redirect+"?error=access_denied"); !fault.Is(err, fault.Denied) { // without state: goes on
			t.Errorf("%s: %v", redirect, err)
		}
		if err := login.Paste(t.Context(), "  "+final[:20]+"\r\n"+final[20:]+"\n"); err != nil {
			t.Fatal(err)
		}
		if err := login.Paste(t.Context(), final); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: pasted twice: %v", redirect, err)
		}
		signedIn(t, s, login)
	}
}

func TestPasteOfTheCodeAlone(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	final, err := s.Authorize(login.URL(), ann)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(final, "code=")
	code, _, _ := strings.Cut(rest, "&")
	if err := login.Paste(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	signedIn(t, s, login)
}

// A code that somebody else began to get is bound to his verifier, and is none of this
// sign-in.
func TestPasteOfAForeignCode(t *testing.T) {
	s := oauthtest.New(t)
	c := s.Client()
	c.Redirect = "https://mail.example.com/done"
	s.Change(func(b *oauthtest.Behaviour) { b.Redirects = []string{c.Redirect} })
	final, err := s.Authorize(begin(t, c).URL(), "eve@example.com")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(final, "code=")
	code, _, _ := strings.Cut(rest, "&")
	login := begin(t, c)
	if err := login.Paste(t.Context(), code); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "belongs to another sign-in") {
		t.Errorf("%v", err)
	}
	if final, err = s.Authorize(login.URL(), ann); err != nil {
		t.Fatal(err)
	}
	if err := login.Paste(t.Context(), final); err != nil {
		t.Fatal(err)
	}
	signedIn(t, s, login)
}

// What was pasted may be any word, or an address whose end was missed. That is said, a few
// times, while the browser may still come.
func TestPasteOfRubbish(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	final, err := s.Authorize(login.URL(), ann)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(final)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("code", q.Get("code")[:10])
	u.RawQuery = q.Encode()
	for _, wrong := range []string{"rubbish", u.String()} {
		if err := login.Paste(t.Context(), wrong); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "the whole address") || strings.Contains(err.Error(), q.Get("code")) {
			t.Errorf("pasted %q: %v, %s", wrong, err, fault.Hint(err))
		}
	}
	s.Change(func(b *oauthtest.Behaviour) { b.Answers = []oauthtest.Answer{{Status: 503}} })
	if err := login.Paste(t.Context(), final); !fault.Is(err, fault.Temporary) || fault.Hint(err) != "paste it once more" {
		t.Errorf("%v, %s", err, fault.Hint(err))
	}
	if err := s.Browse(login.URL(), ann); err != nil {
		t.Fatal(err)
	}
	signedIn(t, s, login)

	login = begin(t, s.Client())
	for range 4 {
		if err := login.Paste(t.Context(), "rubbish"); !fault.Is(err, fault.Config) {
			t.Errorf("%v", err)
		}
	}
	if err := login.Paste(t.Context(), "rubbish"); err != nil {
		t.Error(err)
	}
	if _, err := login.Wait(t.Context()); !fault.Is(err, fault.Auth) || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
}

// Nobody waits for a provider that does not answer what was pasted.
func TestCloseEndsPaste(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	returned := make(chan struct{})
	s.Change(func(b *oauthtest.Behaviour) { b.Hold = func(url.Values) { go login.Close(); <-returned } })
	err := login.Paste(t.Context(), "code")
	close(returned)
	if !fault.Is(err, fault.Temporary) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
