package oauth_test

import (
	"errors"
	"io"
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

func TestDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oauthtest.NewUnstarted()
		s.Change(func(b *oauthtest.Behaviour) { b.Secret, b.Interval = "cs-secret", "7" })
		from := time.Now()
		d, err := s.Client().BeginDevice(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d.URL != s.URL+"/device" || d.CompleteURL != s.URL+"/device?user_code="+d.UserCode || !d.Expires.Equal(from.Add(10*time.Minute)) {
			t.Errorf("%+v", d)
		}
		polls := 0
		s.Change(func(b *oauthtest.Behaviour) {
			b.Hold = func(url.Values) {
				if polls++; polls == 3 {
					if err := s.EnterCode(d.UserCode, ann); err != nil {
						t.Error(err)
					}
				}
			}
		})
		token, err := d.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if user, _ := s.Valid(token.Access); user != ann || token.Refresh == "" {
			t.Errorf("signed in as %q", user)
		}
		if waited := time.Since(from); polls != 3 || waited != 21*time.Second {
			t.Errorf("%d polls in %v", polls, waited)
		}
	})
}

// failing loses the first requests.
type failing struct {
	left *int
	next http.RoundTripper
}

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if *f.left > 0 {
		*f.left--
		return nil, io.ErrUnexpectedEOF
	}
	return f.next.RoundTrip(r)
}

// RFC 8628 section 3.5: five seconds more after slow_down, exponential back-off when
// the network fails, and a provider out of order is no refusal.
func TestDevicePollingBacksOff(t *testing.T) {
	pending := oauthtest.Answer{Status: 428, Body: `{"error":"authorization_pending"}`}
	slower := oauthtest.Answer{Status: 403, Body: `{"error":"slow_down"}`}
	broken := oauthtest.Answer{Status: 503, Body: `<html>`}
	for _, tt := range []struct {
		name    string
		answers []oauthtest.Answer
		lost    int
		want    time.Duration // of the polls before the one that succeeds, and of that
	}{
		{"pending", []oauthtest.Answer{pending, pending}, 0, 3 * 5 * time.Second},
		{"slow_down", []oauthtest.Answer{slower, pending, slower, pending}, 0, (5 + 10 + 10 + 15 + 15) * time.Second},
		{"network", nil, 3, (5 + 10 + 20 + 40) * time.Second},
		{"network for long", nil, 6, (5 + 10 + 20 + 40 + 60 + 60 + 60) * time.Second},
		{"recovered", []oauthtest.Answer{pending}, 2, (5 + 10 + 20 + 5) * time.Second},
		{"out of order", []oauthtest.Answer{broken, broken, pending}, 0, (5 + 10 + 20 + 5) * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := oauthtest.NewUnstarted()
				s.Change(func(b *oauthtest.Behaviour) { b.Interval = "null" })
				c := s.Client()
				d, err := c.BeginDevice(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := s.EnterCode(d.UserCode, ann); err != nil {
					t.Fatal(err)
				}
				s.Change(func(b *oauthtest.Behaviour) { b.Answers = tt.answers })
				c.HTTP.Transport = failing{&tt.lost, c.HTTP.Transport}
				from := time.Now()
				if _, err := d.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(from); waited != tt.want {
					t.Errorf("%v, want %v", waited, tt.want)
				}
			})
		})
	}
}

func TestDeviceEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*oauthtest.Server, *oauth.Device)
		kind    fault.Kind
		code    string
	}{
		{"denied", func(s *oauthtest.Server, d *oauth.Device) { _ = s.EnterCode(d.UserCode, "") }, fault.Denied, "access_denied"},
		{"declined", answering(`{"error":"authorization_declined","error_description":"AADSTS70000: no"}`), fault.Denied, "authorization_declined"},
		{"by policy", answering(`{"error":"access_denied","error_description":"AADSTS53003: no"}`), fault.Denied, "access_denied"},
		{"expired there", answering(`{"error":"expired_token"}`), fault.Auth, "expired_token"},
		{"expired here", func(*oauthtest.Server, *oauth.Device) {}, fault.Auth, ""},
		{"unknown", answering(`{"error":"bad_verification_code"}`), fault.Auth, "bad_verification_code"},
		{"not for this client", answering(`{"error":"unsupported_grant_type"}`), fault.Config, "unsupported_grant_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := oauthtest.NewUnstarted()
				s.Change(func(b *oauthtest.Behaviour) { b.Interval = "7" }) // no poll as the code expires
				d, err := s.Client().BeginDevice(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				tt.prepare(s, d)
				_, err = d.Wait(t.Context())
				code := ""
				if e, ok := errors.AsType[*oauth.Error](err); ok {
					code = e.Code
				}
				if !fault.Is(err, tt.kind) || code != tt.code || fault.Hint(err) == "" {
					t.Errorf("%v, code %q, hint %q", err, code, fault.Hint(err))
				}
			})
		})
	}
}

func answering(body string) func(*oauthtest.Server, *oauth.Device) {
	return func(s *oauthtest.Server, _ *oauth.Device) {
		s.Change(func(b *oauthtest.Behaviour) { b.Answers = []oauthtest.Answer{{Status: 400, Body: body}} })
	}
}

func TestDeviceCannotBegin(t *testing.T) {
	s := oauthtest.New(t)
	c := s.Client()
	c.Device = ""
	if _, err := c.BeginDevice(t.Context()); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "no sign-in by device code") {
		t.Errorf("%v", err)
	}
	c = s.Client()
	c.Secret = "wrong"
	if _, err := c.BeginDevice(t.Context()); !fault.Is(err, fault.Config) {
		t.Errorf("%v", err)
	}
	c = s.Client()
	c.Device = s.URL + "/token" // no answer of RFC 8628
	s.Change(func(b *oauthtest.Behaviour) {
		for _, body := range []string{
			`{}`, `[]`, `<html>`, `{"device_code":"d","user_code":"u"}`,
			`{"device_code":"d","user_code":"u","verification_uri":"http://evil.example/"}`,
			`{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}`,
			`{"device_code":"d","user_code":"a\u001b[2Jb","verification_uri":"https://x.example/"}`,
			`{"device_code":"d d","user_code":"u","verification_uri":"https://x.example/"}`,
		} {
			b.Answers = append(b.Answers, oauthtest.Answer{Status: 200, Body: body})
		}
	})
	for range 8 {
		if _, err := c.BeginDevice(t.Context()); !fault.Is(err, fault.Protocol) || fault.Hint(err) == "" {
			t.Errorf("%v", err)
		}
	}
}
