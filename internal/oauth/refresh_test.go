package oauth_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
)

func TestRefresh(t *testing.T) {
	for _, rotate := range []bool{false, true} {
		s := oauthtest.New(t)
		s.Change(func(b *oauthtest.Behaviour) { b.Rotate, b.Secret = rotate, "cs-secret" })
		c := s.Client()
		first := s.Issue(ann)
		second, err := c.Refresh(t.Context(), first.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		if user, ok := s.Valid(second.Access); !ok || user != ann || second.Access == first.Access {
			t.Errorf("rotate %v: %q, %v", rotate, user, ok)
		}
		if rotated := second.Refresh != first.Refresh; rotated != rotate || second.Refresh == "" {
			t.Errorf("rotate %v: rotated %v", rotate, rotated)
		}
		if _, err := c.Refresh(t.Context(), second.Refresh); err != nil {
			t.Errorf("rotate %v: %v", rotate, err)
		}
		_, err = c.Refresh(t.Context(), first.Refresh)
		if oauth.InvalidGrant(err) != rotate {
			t.Errorf("rotate %v: the former one: %v", rotate, err)
		}
		s.Revoke(ann)
		if _, err := c.Refresh(t.Context(), second.Refresh); !oauth.InvalidGrant(err) || !fault.Is(err, fault.Auth) || !strings.Contains(fault.Hint(err), "sign in again") {
			t.Errorf("rotate %v: revoked: %v", rotate, err)
		}
		if user, ok := s.Valid(second.Access); ok {
			t.Errorf("still valid for %q", user)
		}
	}
}

// The answer is lost after the tokens were rotated: the next try is refused, and
// that is what a caller has to be ready for.
func TestLostAnswer(t *testing.T) {
	for _, keep := range []bool{false, true} {
		s := oauthtest.New(t)
		s.Change(func(b *oauthtest.Behaviour) { b.Rotate, b.KeepFormer, b.LoseNext = true, keep, 1 })
		c := s.Client()
		first := s.Issue(ann)
		if _, err := c.Refresh(t.Context(), first.Refresh); !fault.Is(err, fault.Temporary) || oauth.InvalidGrant(err) {
			t.Errorf("%v", err)
		}
		if _, err := c.Refresh(t.Context(), first.Refresh); oauth.InvalidGrant(err) == keep {
			t.Errorf("keep %v: %v", keep, err)
		}
	}
}

// Expiry is by the clock of this machine, whatever that of the provider says.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.NewUnstarted()
			s.Change(func(b *oauthtest.Behaviour) { b.Skew = skew })
			token, err := s.Client().Refresh(t.Context(), s.Issue(ann).Refresh)
			if err != nil || !token.Expires.Equal(time.Now().Add(time.Hour)) {
				t.Errorf("skew %v: %v, %v", skew, token, err)
			}
			time.Sleep(time.Until(token.Expires) - time.Second)
			if _, ok := s.Valid(token.Access); !ok {
				t.Errorf("skew %v: void before its time", skew)
			}
			time.Sleep(time.Second)
			if _, ok := s.Valid(token.Access); ok {
				t.Errorf("skew %v: valid after its time", skew)
			}
		})
	}
}

func TestOddAnswers(t *testing.T) {
	s := oauthtest.New(t)
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	c := s.Client()
	c.Now = func() time.Time { return now }
	first := s.Issue(ann)
	for raw, want := range map[string]time.Duration{"-": time.Hour, `"1799"`: 1799 * time.Second, "1799.5": 1799500 * time.Millisecond, "null": time.Hour} {
		s.Change(func(b *oauthtest.Behaviour) { b.ExpiresIn, b.NoScope = raw, true })
		token, err := c.Refresh(t.Context(), first.Refresh)
		if err != nil || token.Expires.Sub(now) != want || len(token.Scopes) != 3 {
			t.Errorf("%s: %v, %v", raw, token, err)
		}
		login := begin(t, c) // the way through golang.org/x/oauth2
		if err := s.Browse(login.URL(), ann); err != nil {
			t.Fatal(err)
		}
		if token, err := login.Wait(t.Context()); err != nil || token.Expires.Sub(now) != want {
			t.Errorf("%s: %v, %v", raw, token, err)
		}
	}
}

func TestTroubleIsTemporary(t *testing.T) {
	s := oauthtest.New(t)
	first := s.Issue(ann)
	for _, status := range []int{429, 500, 502, 503, 504, 408} {
		s.Change(func(b *oauthtest.Behaviour) {
			b.Answers = []oauthtest.Answer{{Status: status, Body: `{"error":"invalid_grant","error_description":"gone"}`}}
		})
		if _, err := s.Client().Refresh(t.Context(), first.Refresh); !fault.Is(err, fault.Temporary) || oauth.InvalidGrant(err) || fault.Hint(err) == "" {
			t.Errorf("%d: %v", status, err)
		}
	}
	c := s.Client()
	c.Token = "http://127.0.0.1:1/token"
	if _, err := c.Refresh(t.Context(), first.Refresh); !fault.Is(err, fault.Temporary) || fault.Hint(err) == "" || strings.Contains(err.Error(), first.Refresh) {
		t.Errorf("%v", err)
	}
	if _, err := c.Refresh(t.Context(), ""); !fault.Is(err, fault.Auth) || fault.Hint(err) == "" || !oauth.InvalidGrant(err) {
		t.Errorf("%v", err)
	}
}

// A form with secrets goes where the config says and nowhere else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.URL.String())
	}))
	defer other.Close()
	s := oauthtest.New(t)
	first := s.Issue(ann)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s.Change(func(b *oauthtest.Behaviour) {
			b.Answers = []oauthtest.Answer{{Status: status, Header: map[string]string{"Location": other.URL}}}
		})
		if _, err := s.Client().Refresh(t.Context(), first.Refresh); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
			t.Errorf("%d: %v", status, err)
		}
	}
	if len(elsewhere) > 0 {
		t.Errorf("asked for %q", elsewhere)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	s := oauthtest.New(t)
	s.Change(func(b *oauthtest.Behaviour) {
		b.Answers = []oauthtest.Answer{
			{Status: 200, Body: `{"access_token":"a","padding":"` + strings.Repeat("x", 300<<10) + `"}`},
			{Status: 400, Body: strings.Repeat("x", 300<<10)},
			{Status: 200, Header: map[string]string{"X-Long": strings.Repeat("x", 100<<10)}, Body: `{"access_token":"a"}`},
		}
	})
	for _, want := range []string{"too long", "too long", "cannot be reached"} {
		_, err := s.Client().Refresh(t.Context(), "rt")
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 || oauth.InvalidGrant(err) {
			t.Errorf("%.2000v", err)
		}
	}
}

// stalling gives an answer whose body never comes.
type stalling struct{ beforeHeaders bool }

func (s stalling) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.beforeHeaders {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, Body: never{r.Context()}}, nil
}

type never struct{ ctx context.Context }

func (n never) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, n.ctx.Err()
}

func (never) Close() error { return nil }

func TestSlowAnswersAreGivenUp(t *testing.T) {
	for _, before := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := oauthtest.NewUnstarted().Client()
			c.HTTP = &http.Client{Transport: stalling{before}}
			from := time.Now()
			_, err := c.Refresh(t.Context(), "rt")
			if waited := time.Since(from); !fault.Is(err, fault.Temporary) || waited != 30*time.Second {
				t.Errorf("after %v: %v", waited, err)
			}
		})
	}
}

func TestGivenUpByTheCaller(t *testing.T) {
	s := oauthtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	defer close(returned)
	s.Change(func(b *oauthtest.Behaviour) { b.Hold = func(url.Values) { cancel(); <-returned } })
	if _, err := s.Client().Refresh(ctx, s.Issue(ann).Refresh); !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Temporary) {
		t.Errorf("%v", err)
	}
}

// Only this machine is spoken to without TLS, and certificates count.
func TestTLS(t *testing.T) {
	s := oauthtest.New(t)
	secure := httptest.NewUnstartedServer(s)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake
	secure.StartTLS()
	defer secure.Close()
	first := s.Issue(ann)
	c := s.Client()
	c.Token = secure.URL + "/token"
	if _, err := c.Refresh(t.Context(), first.Refresh); !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), "certificate") || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
	if s.Refreshes() != 0 {
		t.Error("the token was sent to a server without a good certificate")
	}
	c.HTTP = secure.Client()
	if _, err := c.Refresh(t.Context(), first.Refresh); err != nil {
		t.Error(err)
	}
	c.HTTP = &http.Client{Transport: refused{t}}
	c.Token = "http://login.example.com/token"
	if _, err := c.Refresh(t.Context(), first.Refresh); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("%v", err)
	}
}

type refused struct{ t *testing.T }

func (r refused) RoundTrip(req *http.Request) (*http.Response, error) {
	r.t.Errorf("asked for %s", req.URL)
	return nil, io.EOF
}

// Whatever a provider repeats of the request, no text has what is secret.
func TestNothingSecretInTexts(t *testing.T) {
	s := oauthtest.New(t)
	s.Change(func(b *oauthtest.Behaviour) { b.Secret = "cs-secret" })
	c := s.Client()
	for _, body := range []string{
		`{"error":"invalid_grant","error_description":"token rt-1234567890 of cs-secret is old"}`,
		`{"error":"rt-1234567890 is old","error_description":"rt-1234567890"}`,
		`{"error":"rt-1234567890"}`, `rt-1234567890`, `{"access_token":"rt-1234567890 "}`,
	} {
		for _, status := range []int{200, 400, 401, 500} {
			s.Change(func(b *oauthtest.Behaviour) { b.Answers = []oauthtest.Answer{{Status: status, Body: body}} })
			_, err := c.Refresh(t.Context(), "rt-1234567890")
			if err == nil || strings.Contains(err.Error()+fault.Hint(err), "rt-1234567890") || strings.Contains(err.Error(), "cs-secret") {
				t.Errorf("%d %s: %v", status, body, err)
			}
			if e, ok := errors.AsType[*oauth.Error](err); ok && strings.Contains(e.Code+e.Description, "rt-1234567890") {
				t.Errorf("%d %s: %+v", status, body, *e)
			}
		}
	}
	token := s.Issue(ann)
	for _, text := range []string{token.String(), token.GoString()} {
		if strings.Contains(text, token.Access) || strings.Contains(text, token.Refresh) {
			t.Error(text)
		}
	}
}
