package oauthtest

import (
	"crypto/rand"
	"errors"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// codeFor is how long a code may be exchanged.
const codeFor = time.Minute

var authorizePage = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Sign in</title>
<h1>popbridge wants access to your mail</h1>
<p>{{.Scope}}</p>
<form method="post">
<label>Account <input id="user" name="user" value="{{.User}}"></label>
{{if .Code}}<label>Code <input id="user_code" name="user_code" value="{{.UserCode}}"></label>{{end}}
<button id="allow" name="decision" value="allow">Allow</button>
<button id="deny" name="decision" value="deny">Deny</button>
</form></html>
`))

type authorizeData struct {
	Scope, User, UserCode string
	Code                  bool
}

// authorize shows the page at GET, and sends the browser back at POST (RFC 6749
// section 4.1.1). The parameters are in the URL both times.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	registered := s.behave.Redirects
	s.mu.Unlock()
	// No redirect to what is not registered (section 4.1.2.1).
	if q.Get("client_id") != ClientID {
		http.Error(w, "invalid_client: the client is not known", http.StatusBadRequest)
		return
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !mayRedirect(registered, back) {
		http.Error(w, "redirect_uri_mismatch: "+q.Get("redirect_uri")+" is not registered", http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = authorizePage.Execute(w, authorizeData{Scope: q.Get("scope"), User: q.Get("login_hint")}) // the browser may be gone
		return
	}
	answer := s.decide(q, r.FormValue("user"), r.FormValue("decision") == "allow")
	merged := back.Query()
	for name, values := range answer {
		merged[name] = values
	}
	back.RawQuery = merged.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// decide makes the parameters of the answer.
func (s *Server) decide(q url.Values, user string, allowed bool) url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := url.Values{}
	switch {
	case q.Get("response_type") != "code":
		answer.Set("error", "unsupported_response_type")
	case q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256":
		answer.Set("error", "invalid_request")
	case !allowed || user == "":
		answer.Set("error", "access_denied")
		answer.Set("error_description", "the person denied the request")
	default:
		code := rand.Text()
		s.codes[code] = grant{user: user, scope: q.Get("scope"), redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
			ends: s.clockLocked().Add(codeFor), family: rand.Text()}
		answer.Set("code", code)
	}
	if state := q.Get("state"); state != "" {
		answer.Set("state", state)
	}
	if s.behave.State != "" {
		answer.Set("state", s.behave.State)
	}
	switch s.behave.Iss {
	case "":
		answer.Set("iss", s.URL)
	case "-":
	default:
		answer.Set("iss", s.behave.Iss)
	}
	return answer
}

// mayRedirect compares with what is registered; the port of a loopback URI is
// any (RFC 8252 section 7.3).
func mayRedirect(registered []string, u *url.URL) bool {
	bare := *u
	loopback := u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
	if loopback {
		bare.Host = u.Hostname()
	}
	if registered == nil {
		return loopback
	}
	return slices.Contains(registered, bare.String()) || slices.Contains(registered, u.String())
}

// Authorize is a browser that opens the URL of a sign-in and presses Allow as
// user, or Deny where user is empty. It does not follow the way back, and
// returns where it leads.
func (s *Server) Authorize(authURL, user string) (final string, err error) {
	form := url.Values{"user": {user}, "decision": {"allow"}}
	if user == "" {
		form = url.Values{"decision": {"deny"}}
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if s.http == nil {
		client.Transport = direct{s}
	}
	resp, err := client.Post(authURL, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is read
	if resp.StatusCode != http.StatusFound {
		return "", errors.New("the authorisation server shows an error: " + resp.Status)
	}
	return resp.Header.Get("Location"), nil
}

// Browse is Authorize, and then opens where the way back leads. The answer of
// popbridge's listener has to be a page.
func (s *Server) Browse(authURL, user string) error {
	final, err := s.Authorize(authURL, user)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(final)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New("the way back shows an error: " + resp.Status)
	}
	return nil
}
