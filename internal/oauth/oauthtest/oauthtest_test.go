package oauthtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
)

const ann = "ann@example.com"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// send sends a form, or GETs where there is none, and returns status and body.
func send(t *testing.T, address string, form url.Values, authorization string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if form != nil {
		req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func authorizeURL(s *oauthtest.Server, change func(url.Values)) string {
	q := url.Values{"client_id": {oauthtest.ClientID}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:5000/"}, "state": {"s"},
		"login_hint": {ann}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}} // RFC 7636 appendix B
	if change != nil {
		change(q)
	}
	return s.URL + "/authorize?" + q.Encode()
}

func TestAuthorizePage(t *testing.T) {
	s := oauthtest.New(t)
	status, page := send(t, authorizeURL(s, nil), nil, "")
	for _, part := range []string{`id="allow"`, `id="deny"`, `value="` + ann + `"`} {
		if status != 200 || !strings.Contains(page, part) {
			t.Errorf("%d %s has no %s", status, page, part)
		}
	}
	for name, change := range map[string]func(url.Values){
		"client":   func(q url.Values) { q.Set("client_id", "x") },
		"redirect": func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") },
	} {
		if status, page := send(t, authorizeURL(s, change), nil, ""); status != 400 {
			t.Errorf("%s: %d %s", name, status, page)
		}
	}
	for name, change := range map[string]func(url.Values){
		"unsupported_response_type": func(q url.Values) { q.Set("response_type", "token") },
		"invalid_request":           func(q url.Values) { q.Set("code_challenge_method", "plain") },
	} {
		final, err := s.Authorize(authorizeURL(s, change), ann)
		if err != nil || !strings.Contains(final, "error="+name) {
			t.Errorf("%s: %s, %v", name, final, err)
		}
	}
	s.Change(func(b *oauthtest.Behaviour) { b.State, b.Iss = "other", "https://evil.example" })
	final, err := s.Authorize(authorizeURL(s, nil), ann)
	if err != nil || !strings.Contains(final, "state=other") || !strings.Contains(final, "iss=https%3A%2F%2Fevil.example") {
		t.Errorf("%s, %v", final, err)
	}
}

func code(t *testing.T, s *oauthtest.Server) string {
	t.Helper()
	final, err := s.Authorize(authorizeURL(s, nil), ann)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(final)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("code")
}

func TestCodes(t *testing.T) {
	s := oauthtest.New(t)
	form := func(code string) url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "client_id": {oauthtest.ClientID}, "code": {code},
			"redirect_uri": {"http://127.0.0.1:5000/"}, "code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}}
	}
	for name, change := range map[string]func(url.Values){
		"code":          func(f url.Values) { f.Set("code", "x") },
		"redirect_uri":  func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:5001/") },
		"code_verifier": func(f url.Values) { f.Set("code_verifier", "x") },
	} {
		f := form(code(t, s))
		change(f)
		if status, body := send(t, s.URL+"/token", f, ""); status != 400 || !strings.Contains(body, "invalid_grant") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	late := form(code(t, s))
	s.Change(func(b *oauthtest.Behaviour) { b.Skew = 2 * time.Minute })
	if status, body := send(t, s.URL+"/token", late, ""); status != 400 {
		t.Errorf("%d %s", status, body)
	}
	once := form(code(t, s))
	status, body := send(t, s.URL+"/token", once, "")
	var answer struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	if user, ok := s.Valid(answer.Access); !ok || user != ann {
		t.Errorf("%q, %v", user, ok)
	}
	if status, _ := send(t, s.URL+"/token", once, ""); status != 400 {
		t.Errorf("a code is good twice: %d", status)
	}
	if _, ok := s.Valid(answer.Access); ok {
		t.Error("the tokens of a code that was shown twice are still good")
	}
}

// The three ways of Dovecot's introspection_mode, and tokeninfo_url.
func TestIntrospection(t *testing.T) {
	s := oauthtest.New(t)
	token := s.Issue(ann).Access
	ask := map[string]func(token string) (int, string){
		"post":      func(token string) (int, string) { return send(t, s.IntrospectURL(), url.Values{"token": {token}}, "") },
		"get":       func(token string) (int, string) { return send(t, s.IntrospectURL()+"?token="+token, nil, "") },
		"auth":      func(token string) (int, string) { return send(t, s.IntrospectURL(), nil, "Bearer "+token) },
		"tokeninfo": func(token string) (int, string) { return send(t, s.TokenInfoURL()+token, nil, "") },
	}
	for name, ask := range ask {
		status, body := ask(token)
		if status != 200 || !strings.Contains(body, `"active":true`) || !strings.Contains(body, `"email":"`+ann+`"`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if _, body := ask("x" + token); !strings.Contains(body, `"active":false`) || strings.Contains(body, ann) {
			t.Errorf("%s: %s", name, body)
		}
	}
	s.RevokeAccess(ann)
	if _, body := ask["post"](token); !strings.Contains(body, `"active":false`) {
		t.Error(body)
	}
}

func TestRevocation(t *testing.T) {
	s := oauthtest.New(t)
	issued, other := s.Issue(ann), s.Issue(ann)
	for _, token := range []string{issued.Refresh, "unknown"} {
		if status, body := send(t, s.URL+"/revoke", url.Values{"token": {token}}, ""); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	if _, ok := s.Valid(issued.Access); ok {
		t.Error("the access token outlives its refresh token")
	}
	if _, ok := s.Valid(other.Access); !ok {
		t.Error("another sign-in was revoked as well")
	}
	if _, err := s.Client().Refresh(t.Context(), issued.Refresh); err == nil {
		t.Error("the refresh token is still good")
	}
}

func TestDevicePage(t *testing.T) {
	s := oauthtest.New(t)
	d, err := s.Client().BeginDevice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status, page := send(t, d.CompleteURL, nil, ""); status != 200 || !strings.Contains(page, `value="`+d.UserCode+`"`) {
		t.Errorf("%d %s", status, page)
	}
	if status, _ := send(t, d.URL, url.Values{"user_code": {"x"}, "user": {ann}, "decision": {"allow"}}, ""); status != 400 {
		t.Errorf("any code will do: %d", status)
	}
	if status, page := send(t, d.URL, url.Values{"user_code": {d.UserCode}, "user": {ann}, "decision": {"allow"}}, ""); status != 200 {
		t.Errorf("%d %s", status, page)
	}
	token, err := d.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if user, _ := s.Valid(token.Access); user != ann {
		t.Errorf("signed in as %q", user)
	}
}
