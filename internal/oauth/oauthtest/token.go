package oauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// refusal is an answer of RFC 6749 section 5.2.
type refusal struct {
	status            int
	code, description string
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		http.Error(w, "POST a form", http.StatusMethodNotAllowed)
		return
	}
	form := r.PostForm
	s.mu.Lock()
	s.requests = append(s.requests, form)
	hold := s.behave.Hold
	s.mu.Unlock()
	if hold != nil {
		hold(form)
	}
	body, no, scripted, lost := s.exchange(form)
	switch {
	case lost:
		panic(http.ErrAbortHandler) // cuts the connection
	case scripted != nil:
		for name, value := range scripted.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(scripted.Status)
		_, _ = w.Write([]byte(scripted.Body)) // the client may be gone
	case no != nil:
		respond(w, no.status, map[string]any{"error": no.code, "error_description": no.description})
	default:
		respond(w, http.StatusOK, body)
	}
}

// exchange does what a form asks for.
func (s *Server) exchange(form url.Values) (body map[string]any, no *refusal, scripted *Answer, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.behave.Answers) > 0 {
		scripted = &s.behave.Answers[0]
		s.behave.Answers = s.behave.Answers[1:]
		return nil, nil, scripted, false
	}
	if no = s.checkClientLocked(form); no != nil {
		return nil, no, nil, false
	}
	var g grant
	former := ""
	switch form.Get("grant_type") {
	case "authorization_code":
		g, no = s.redeemLocked(form)
	case "refresh_token":
		former = form.Get("refresh_token")
		var ok bool
		if g, ok = s.refresh[former]; !ok {
			no = &refusal{400, "invalid_grant", "the refresh token is expired or revoked"}
		}
	case "urn:ietf:params:oauth:grant-type:device_code":
		g, no = s.deviceLocked(form.Get("device_code"))
	default:
		no = &refusal{400, "unsupported_grant_type", ""}
	}
	if no != nil {
		return nil, no, nil, false
	}
	body = s.answerLocked(g, former)
	if s.behave.LoseNext > 0 {
		s.behave.LoseNext--
		lost = true
	}
	return body, nil, nil, lost
}

func (s *Server) checkClientLocked(form url.Values) *refusal {
	switch {
	case form.Get("client_id") != ClientID:
		return &refusal{401, "invalid_client", "the client is not known"}
	case form.Get("client_secret") != s.behave.Secret:
		return &refusal{401, "invalid_client", "the client secret is wrong"}
	}
	return nil
}

// redeemLocked takes a code, once (RFC 6749 section 4.1.3, RFC 7636 section 4.6).
func (s *Server) redeemLocked(form url.Values) (grant, *refusal) {
	g, ok := s.codes[form.Get("code")]
	if !ok || !s.clockLocked().Before(g.ends) {
		return grant{}, &refusal{400, "invalid_grant", "the code is expired or not known"}
	}
	if g.used { // section 4.1.2: its tokens are revoked
		same := func(_ string, other grant) bool { return other.family == g.family }
		maps.DeleteFunc(s.access, same)
		maps.DeleteFunc(s.refresh, same)
		return grant{}, &refusal{400, "invalid_grant", "the code was used before"}
	}
	if g.redirect != form.Get("redirect_uri") {
		return grant{}, &refusal{400, "invalid_grant", "redirect_uri is another than before"}
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if g.challenge != "" && g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return grant{}, &refusal{400, "invalid_grant", "code_verifier does not fit"}
	}
	g.used = true
	s.codes[form.Get("code")] = g
	g.used = false
	return g, nil
}

// answerLocked issues tokens, and writes them down as section 5.1 says.
func (s *Server) answerLocked(g grant, former string) map[string]any {
	access, refresh := s.issueLocked(g, former)
	body := map[string]any{"access_token": access, "token_type": "Bearer"}
	if refresh != former {
		body["refresh_token"] = refresh
	}
	switch s.behave.ExpiresIn {
	case "":
		body["expires_in"] = int(s.lifetimeLocked() / time.Second)
	case "-":
	default:
		body["expires_in"] = json.RawMessage(s.behave.ExpiresIn)
	}
	if !s.behave.NoScope {
		body["scope"] = g.scope
		if s.behave.Granted != "" {
			body["scope"] = s.behave.Granted
		}
	}
	return body
}

func (s *Server) lifetimeLocked() time.Duration {
	if s.behave.Lifetime != 0 {
		return s.behave.Lifetime
	}
	return time.Hour
}

// issueLocked makes an access token, and a refresh token where there is to be a
// new one; former is the one that was sent, or "".
func (s *Server) issueLocked(g grant, former string) (access, refresh string) {
	access, refresh = "at-"+rand.Text(), former
	g.ends = s.clockLocked().Add(s.lifetimeLocked())
	s.access[access] = g
	if s.behave.NoRefresh || former != "" && !s.behave.Rotate {
		return access, former
	}
	if former != "" && !s.behave.KeepFormer {
		delete(s.refresh, former)
	}
	refresh = "rt-" + rand.Text()
	s.refresh[refresh] = g
	return access, refresh
}

// revoke is RFC 7009; what is not known is revoked already.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := r.PostFormValue("token")
	g, ok := s.refresh[token]
	delete(s.refresh, token)
	delete(s.access, token)
	if ok {
		maps.DeleteFunc(s.access, func(_ string, a grant) bool { return a.family == g.family })
	}
	w.WriteHeader(http.StatusOK)
}

// introspect is RFC 7662, and tokeninfo, for whom the status tells it as well.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	token := r.FormValue("token")
	if token == "" {
		token = r.FormValue("access_token")
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && token == "" {
		token = bearer
	}
	user, ok := s.Valid(token)
	if !ok {
		status := http.StatusOK
		if r.URL.Path == "/tokeninfo" {
			status = http.StatusBadRequest
		}
		respond(w, status, map[string]any{"active": false, "error": "invalid_token"})
		return
	}
	s.mu.Lock()
	g := s.access[token]
	s.mu.Unlock()
	respond(w, http.StatusOK, map[string]any{"active": true, "username": user, "email": user, "sub": user,
		"scope": g.scope, "client_id": ClientID, "aud": ClientID, "exp": g.ends.Unix(), "expires_in": fmt.Sprint(int(g.ends.Sub(s.now()) / time.Second))})
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
