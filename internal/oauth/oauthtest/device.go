package oauthtest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// deviceCode is the device authorisation endpoint (RFC 8628 section 3.1).
func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		http.Error(w, "POST a form", http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := s.checkClientLocked(r.PostForm); no != nil {
		respond(w, no.status, map[string]any{"error": no.code, "error_description": no.description})
		return
	}
	lives := s.behave.DeviceExpires
	if lives == 0 {
		lives = 10 * time.Minute
	}
	text := rand.Text()
	d := &device{userCode: text[:4] + "-" + text[4:8], scope: r.PostForm.Get("scope"), ends: s.clockLocked().Add(lives)}
	code := "dc-" + rand.Text()
	s.devices[code] = d
	interval := s.behave.Interval
	if interval == "" {
		interval = "1"
	}
	body := map[string]any{"device_code": code, "user_code": d.userCode, "verification_uri": s.URL + "/device",
		"expires_in": int(lives / time.Second), "interval": json.RawMessage(interval)}
	if !s.behave.NoComplete {
		body["verification_uri_complete"] = s.URL + "/device?user_code=" + d.userCode
	}
	respond(w, http.StatusOK, body)
}

// devicePage is where a person enters the code.
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.Method == http.MethodGet {
		_ = authorizePage.Execute(w, authorizeData{Code: true, UserCode: r.FormValue("user_code")}) // the browser may be gone
		return
	}
	user := r.FormValue("user")
	if r.FormValue("decision") != "allow" {
		user = ""
	}
	if err := s.EnterCode(r.FormValue("user_code"), user); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write([]byte("<p id=\"done\">You can go back to your device.</p>")) // the browser may be gone
}

// EnterCode is a person who enters the code of a device and presses Allow as
// user, or Deny where user is empty.
func (s *Server) EnterCode(userCode, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		if d.userCode == userCode && s.clockLocked().Before(d.ends) {
			d.user, d.denied = user, user == ""
			return nil
		}
	}
	return errors.New("the code is not known or expired")
}

// deviceLocked answers a device that asks (RFC 8628 section 3.5).
func (s *Server) deviceLocked(code string) (grant, *refusal) {
	d, ok := s.devices[code]
	switch {
	case !ok:
		return grant{}, &refusal{400, "invalid_grant", "the device code is not known"}
	case !s.clockLocked().Before(d.ends):
		return grant{}, &refusal{400, "expired_token", ""}
	case d.denied:
		return grant{}, &refusal{400, "access_denied", "the person denied the request"}
	case d.user == "":
		return grant{}, &refusal{400, "authorization_pending", ""}
	}
	delete(s.devices, code)
	return grant{user: d.user, scope: d.scope, family: rand.Text()}, nil
}
