package oauthtest

import (
	"crypto/rand"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/oauth"
)

// ClientID is the client that is registered.
const ClientID = "popbridge-test"

// Scopes of the server.
const (
	ScopePOP  = "test:pop"
	ScopeSMTP = "test:smtp"
)

// Behaviour is what a server does differently from a plain one. Change it with
// [Server.Change] at any time.
type Behaviour struct {
	Secret    string   // the client has to show it; empty: a public client
	Redirects []string // registered redirect URIs, with any port for loopback; nil: any on loopback

	Rotate        bool          // each refresh issues a new refresh token
	KeepFormer    bool          // with Rotate: former ones stay valid
	NoRefresh     bool          // issue no refresh tokens
	Lifetime      time.Duration // of access tokens; 0: an hour
	ExpiresIn     string        // JSON in place of the lifetime, such as "3599", 3599.5 or null; "-": left out
	Skew          time.Duration // how far the clock of the server is ahead
	NoScope       bool          // scope is left out of answers
	Granted       string        // granted in place of what was asked for
	Iss           string        // in place of the true one; "-": left out
	State         string        // in place of the true one
	Interval      string        // JSON, of device codes; empty: 1
	DeviceExpires time.Duration // of device codes; 0: 10 minutes
	NoComplete    bool          // no verification_uri_complete

	// Answers are given to the next requests to the token endpoint, one each, in
	// place of doing what is asked for.
	Answers []Answer
	// LoseNext is how many of the next token requests are done, tokens rotated
	// and all, and then cut off before a byte of the answer.
	LoseNext int
	// Hold, where not nil, is called at the begin of each token request and
	// may wait: a slow server. It is called without a lock.
	Hold func(form url.Values)
}

// Answer is one scripted answer.
type Answer struct {
	Status int
	Body   string // JSON, mostly
	Header map[string]string
}

// Server is a running authorisation server.
type Server struct {
	URL string

	http *httptest.Server
	now  func() time.Time

	mu       sync.Mutex
	behave   Behaviour
	codes    map[string]grant   // authorisation codes
	access   map[string]grant   // by access token
	refresh  map[string]grant   // by refresh token
	devices  map[string]*device // by device code
	requests []url.Values
}

// grant is what a person agreed to.
type grant struct {
	user, scope, redirect, challenge string
	ends                             time.Time
	used                             bool
	family                           string // of one sign-in
}

// device is a device code.
type device struct {
	userCode, scope, user string
	ends                  time.Time
	denied                bool
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	s := NewUnstarted()
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	t.Cleanup(func() {
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// NewUnstarted returns a server that listens nowhere, for tests in a bubble of
// testing/synctest: its clients call it directly.
func NewUnstarted() *Server {
	return &Server{URL: "http://127.0.0.1:9", now: time.Now,
		codes: map[string]grant{}, access: map[string]grant{}, refresh: map[string]grant{}, devices: map[string]*device{}}
}

// Endpoints are those of the server.
func (s *Server) Endpoints() oauth.Endpoints {
	return oauth.Endpoints{
		Authorize: s.URL + "/authorize", Token: s.URL + "/token", Device: s.URL + "/devicecode", Issuer: s.URL,
		POP: []string{ScopePOP}, SMTP: []string{ScopeSMTP}, Other: []string{"offline_access"},
		PKCE: true, Redirect: "http://127.0.0.1",
	}
}

// Client is a client of the server, with the secret of this moment.
func (s *Server) Client() *oauth.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &oauth.Client{Endpoints: s.Endpoints(), ID: ClientID, Secret: s.behave.Secret}
	if s.http == nil {
		c.HTTP = &http.Client{Transport: direct{s}}
	}
	return c
}

// IntrospectURL is for mail servers that check access tokens (RFC 7662): by POST,
// by GET with the token behind it, or by GET with the token as Authorization.
// The answer has active, username, email, sub, scope and exp.
func (s *Server) IntrospectURL() string { return s.URL + "/introspect" }

// TokenInfoURL is the older way: GET with the token behind it.
func (s *Server) TokenInfoURL() string { return s.URL + "/tokeninfo?access_token=" }

// Change changes how the server behaves from now on.
func (s *Server) Change(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behave)
}

// Valid reports whose access token it is, if it is one that counts.
func (s *Server) Valid(access string) (user string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.access[access]
	if !ok || !s.clockLocked().Before(g.ends) {
		return "", false
	}
	return g.user, true
}

// Issue gives a user tokens without a browser.
func (s *Server) Issue(user string) oauth.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	access, refresh := s.issueLocked(grant{user: user, scope: ScopePOP + " " + ScopeSMTP, family: rand.Text()}, "")
	return oauth.Token{Access: access, Refresh: refresh, Expires: s.access[access].ends.Add(-s.behave.Skew), Scopes: []string{ScopePOP, ScopeSMTP}}
}

// Revoke ends all that a user agreed to, as on the page of a provider.
func (s *Server) Revoke(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := func(_ string, g grant) bool { return g.user == user }
	maps.DeleteFunc(s.access, of)
	maps.DeleteFunc(s.refresh, of)
}

// RevokeAccess makes the access tokens of a user void before their time; the
// refresh tokens stay.
func (s *Server) RevokeAccess(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.access, func(_ string, g grant) bool { return g.user == user })
}

// Requests are the forms that were sent to the token endpoint so far, those
// that were refused or cut off among them.
func (s *Server) Requests() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Refreshes counts the requests with a refresh token.
func (s *Server) Refreshes() int {
	n := 0
	for _, form := range s.Requests() {
		if form.Get("grant_type") == "refresh_token" {
			n++
		}
	}
	return n
}

func (s *Server) clockLocked() time.Time { return s.now().Add(s.behave.Skew) }

// ServeHTTP is the server.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/authorize":
		s.authorize(w, r)
	case "/token":
		s.token(w, r)
	case "/devicecode":
		s.deviceCode(w, r)
	case "/device":
		s.devicePage(w, r)
	case "/revoke":
		s.revoke(w, r)
	case "/introspect", "/tokeninfo":
		s.introspect(w, r)
	default:
		http.NotFound(w, r)
	}
}
