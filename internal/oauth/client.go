package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/popbridge/popbridge/internal/fault"
)

// Limits of an exchange with a provider.
const (
	answerFor  = 30 * time.Second // one request with its answer
	maxAnswer  = 256 << 10        // bytes; tokens of Microsoft take some 5 KiB
	maxHeaders = 64 << 10         // bytes
)

// Client is one registered client of a provider. Its methods may be called at
// the same time; its fields may not change then.
type Client struct {
	Endpoints
	ID, Secret string           // as registered; Secret is empty for public clients
	HTTP       *http.Client     // nil: one with the proxies of the environment; redirects are never followed
	Now        func() time.Time // nil: time.Now
}

// Token is what a provider issues.
type Token struct {
	Access  string
	Refresh string    // empty where the provider gave none and there was none
	Expires time.Time // of Access, by the clock of this machine
	Scopes  []string  // granted; those asked for where the provider says nothing

	// RefreshExpires is when the person has to sign in again whatever happens; zero
	// where the provider does not say. Google says 7 days of a project in "Testing".
	RefreshExpires time.Time
}

// String has nothing secret, for logs.
func (t Token) String() string {
	return fmt.Sprintf("token until %s for %q", t.Expires.Format(time.RFC3339), t.Scopes)
}

// GoString is as String.
func (t Token) GoString() string { return t.String() }

// Check reports what no sign-in could work with.
func (c *Client) Check() error {
	if c.ID == "" {
		return fault.New(fault.Config, "client_id is missing",
			"register popbridge with the provider and set client_id (see docs/oauth.md)")
	}
	return c.Endpoints.Check()
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// config is for golang.org/x/oauth2. AuthStyleInParams: with any other every
// request that fails is sent twice, and a code is shown twice.
func (c *Client) config(redirect string) *oauth2.Config {
	cfg := &oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, RedirectURL: redirect,
		Endpoint: oauth2.Endpoint{AuthURL: c.Authorize, TokenURL: c.Token, AuthStyle: oauth2.AuthStyleInParams}}
	if c.Resource == "" {
		cfg.Scopes = c.Scopes()
	}
	return cfg
}

// Refresh exchanges a refresh token (RFC 6749 section 6). The Refresh of the
// result is the new one, or the given one where none came. The given one may
// be void from the moment on at which the provider answers: keep the new one
// before the access token is used.
func (c *Client) Refresh(ctx context.Context, refresh string) (Token, error) {
	if refresh == "" {
		return Token{}, fault.Wrap(errNoRefresh, fault.Auth, "the sign-in cannot be kept", signInAgain+
			"; if this happens again and again, the provider gives refresh tokens only with a further scope, such as offline_access")
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
	body, err := c.post(ctx, c.Token, c.withClient(form), refreshing)
	if err != nil {
		return Token{}, err
	}
	token, err := c.parseToken(body)
	if err == nil && token.Refresh == "" {
		token.Refresh = refresh
	}
	return token, err
}

var errNoRefresh = errors.New("the provider gave no refresh token")

// exchange redeems a code (RFC 6749 section 4.1.3).
func (c *Client) exchange(ctx context.Context, code, redirect, verifier string) (Token, error) {
	var options []oauth2.AuthCodeOption
	if c.PKCE {
		options = append(options, oauth2.VerifierOption(verifier))
	}
	if c.Resource != "" {
		options = append(options, oauth2.SetAuthURLParam("resource", c.Resource))
	}
	reader := &answerReader{client: c}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: reader})
	if _, err := c.config(redirect).Exchange(ctx, code, options...); err != nil {
		if reader.err != nil {
			return Token{}, reader.err
		}
		return Token{}, fault.Wrap(err, fault.Internal, "the code was not exchanged", "")
	}
	return reader.token, nil
}

// answerReader carries the request of golang.org/x/oauth2, whose own reader
// refuses a fraction in expires_in, calls a token without one eternal, and
// writes whole answers into its errors.
type answerReader struct {
	client *Client
	token  Token
	err    error
}

func (r *answerReader) RoundTrip(req *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close() // a buffer
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, err
	}
	body, err := r.client.post(req.Context(), req.URL.String(), form, exchanging)
	if err == nil {
		r.token, err = r.client.parseToken(body)
	}
	if err != nil {
		r.err = err
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"access_token":"read","token_type":"bearer"}`)), Request: req}, nil
}

// withClient adds what identifies the client, in the form and not in a header:
// every provider takes it there.
func (c *Client) withClient(form url.Values) url.Values {
	form.Set("client_id", c.ID)
	if c.Secret != "" {
		form.Set("client_secret", c.Secret)
	}
	if c.Resource != "" {
		form.Set("resource", c.Resource)
	}
	return form
}

// post sends a form and returns the body of a good answer, of at most
// maxAnswer bytes. Everything else is a fault.
func (c *Client) post(ctx context.Context, to string, form url.Values, at stage) ([]byte, error) {
	if err := checkURL("the URL of the provider", to); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the URL of the provider cannot be used", "")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http().Do(req)
	if err != nil {
		return nil, unreachable(err, at, req.URL.Hostname())
	}
	defer func() { _ = resp.Body.Close() }() // what counts was read before
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, unreachable(err, at, req.URL.Hostname())
	case len(body) > maxAnswer:
		return nil, fault.New(fault.Protocol, "the answer of "+req.URL.Hostname()+" is too long", checkEndpoint)
	}
	if e := parseError(resp.StatusCode, body, form); resp.StatusCode != http.StatusOK || e.Code != "" { // some refuse with 200
		return nil, e.fault(at, req.URL.Hostname())
	}
	return body, nil
}

// http is a client that follows no redirect: a form with a secret goes where
// the config says, and nowhere else. Connections are not kept: the next
// request comes in an hour.
func (c *Client) http() *http.Client {
	var own http.Client
	if c.HTTP != nil {
		own = *c.HTTP
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableKeepAlives, t.MaxResponseHeaderBytes = true, maxHeaders
		own.Transport = t
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}
