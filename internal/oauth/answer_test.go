package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/fault"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func fixed() *Client {
	return &Client{Endpoints: Endpoints{POP: []string{"pop"}, SMTP: []string{"smtp"}}, ID: "id", Now: func() time.Time { return noon }}
}

func TestTokenAnswers(t *testing.T) {
	for _, tt := range []struct {
		expires string // of the answer
		want    time.Duration
	}{
		{`,"expires_in":3599`, 3599 * time.Second},
		{`,"expires_in":"3599"`, 3599 * time.Second},
		{`,"expires_in":3599.5`, 3599500 * time.Millisecond},
		{`,"expires_in":"3599.5"`, 3599500 * time.Millisecond},
		{`,"expires_in":3.6e3`, time.Hour},
		{``, time.Hour},
		{`,"expires_in":null`, time.Hour},
		{`,"expires_in":0`, time.Hour},
		{`,"expires_in":-5`, time.Hour},
		{`,"expires_in":"soon"`, time.Hour},
		{`,"expires_in":{"a":1}`, time.Hour},
		{`,"expires_in":"NaN"`, time.Hour},
		{`,"expires_in":1e300`, longestLived},
		{`,"expires_in":"1e999"`, longestLived},
		{`,"expires_in":31536000`, 365 * 24 * time.Hour},
	} {
		token, err := fixed().parseToken([]byte(`{"access_token":"a","token_type":"bearer"` + tt.expires + `}`))
		if err != nil || !token.Expires.Equal(noon.Add(tt.want)) {
			t.Errorf("%s: expires %v, %v", tt.expires, token.Expires.Sub(noon), err)
		}
	}
	token, err := fixed().parseToken([]byte(`{"access_token":"a","refresh_token":"r","scope":" pop  x","refresh_token_expires_in":604799,"more":[1]}`))
	if err != nil || token.Refresh != "r" || strings.Join(token.Scopes, ",") != "pop,x" || !token.RefreshExpires.Equal(noon.Add(604799*time.Second)) {
		t.Errorf("%+v, %v", token, err)
	}
	token, err = fixed().parseToken([]byte(`{"access_token":"a","refresh_token":null,"scope":["pop"]}`))
	if err != nil || token.Refresh != "" || strings.Join(token.Scopes, ",") != "pop,smtp" || !token.RefreshExpires.IsZero() {
		t.Errorf("%+v, %v", token, err)
	}
}

func TestBadTokenAnswers(t *testing.T) {
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `<html>secret-part</html>`, `{"access_token":5}`, `{"access_token":""}`,
		`{"access_token":"a secret-part"}`, `{"access_token":"secret-part\r\n"}`, `{"access_token":"secret-partä"}`,
		`{"access_token":"a","refresh_token":"secret-part\n"}`, `{"access_token":"a","token_type":"mac"}`,
		`{"access_token":"secret-part"`,
	} {
		_, err := fixed().parseToken([]byte(body))
		if !fault.Is(err, fault.Protocol) || strings.Contains(err.Error(), "secret-part") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestErrorAnswers(t *testing.T) {
	form := url.Values{"client_id": {"id"}, "refresh_token": {"rt-secret"}, "client_secret": {"cs-secret"}, "grant_type": {"refresh_token"}}
	for _, tt := range []struct {
		body, want, aadsts string
	}{
		{`{"error":"invalid_grant"}`, `invalid_grant`, ""},
		{`{"error":"invalid_grant","error_description":"gone\r\nTrace ID: 1"}`, `invalid_grant: "gone"`, ""},
		{`{"error":"invalid_grant","error_description":"AADSTS70002: Error. AADSTS70008: Old. Trace ID: 1"}`,
			`invalid_grant: "AADSTS70002: Error. AADSTS70008: Old."`, "AADSTS70008"},
		{`{"error":"invalid_grant","error_codes":[70002,50076]}`, `invalid_grant`, "AADSTS50076"},
		{`{"error":"bad token rt-secret"}`, `HTTP status 400`, ""},
		{`{"error":{"code":400,"message":"x"}}`, `HTTP status 400`, ""},
		{`<html>`, `HTTP status 400`, ""},
		{`{"error":"x","error_description":"client id and cs-secret do not get rt-secret"}`, `x: "client id and [secret] do not get [secret]"`, ""},
		{`{"error":"x","error_description":"\u001b[31mred"}`, `x: "\x1b[31mred"`, ""},
	} {
		e := parseError(400, []byte(tt.body), form)
		if e.Error() != tt.want || e.AADSTS != tt.aadsts {
			t.Errorf("%s: %s %s", tt.body, e, e.AADSTS)
		}
	}
}

// Whoever calls the listener chooses how many codes there are, and what they hide.
func TestHidingDoesNotGrow(t *testing.T) {
	form := url.Values{"code": {"[sec", "secr", "cret", "ret]", "[secret]", "et][", "s", ""}}
	text := strings.Repeat("[secret]", 100)
	for range 4 {
		form["code"] = append(form["code"], form["code"]...)
	}
	if got := hide(text, form); len(got) > 8*len(text) {
		t.Errorf("%d bytes became %d", len(text), len(got))
	}
}

// Every row of advice is reached by what it is for.
func TestAdviceIsReached(t *testing.T) {
	stages := []stage{authorizing, exchanging, refreshing, beginDevice, deviceWaiting}
	reached := func(own advice, e *Error) bool {
		for _, at := range stages {
			for _, a := range append(append([]advice{}, microsoft...), causes...) {
				if a.fits(e, at) {
					if a.text == own.text && a.hint == own.hint {
						return true
					}
					break
				}
			}
		}
		return false
	}
	for _, a := range microsoft {
		for _, code := range a.aadsts {
			if !reached(a, &Error{Code: "invalid_grant", AADSTS: aadstsPrefix + code}) {
				t.Errorf("AADSTS%s does not get to %q", code, a.text)
			}
		}
	}
	for _, a := range causes {
		words := a.words
		if words == nil {
			words = []string{""}
		}
		for _, code := range a.codes {
			for _, word := range words {
				if !reached(a, &Error{Code: code, Description: word}) {
					t.Errorf("%s %q does not get to %q", code, word, a.text)
				}
			}
		}
		if a.hint == "" && a.kind != fault.Temporary {
			t.Errorf("%q has no hint", a.text)
		}
	}
}

func TestOnlyARefusedGrantNeedsAPerson(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		again  bool
		kind   fault.Kind
	}{
		{400, `{"error":"invalid_grant"}`, true, fault.Auth},
		{400, `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, true, fault.Auth},
		{401, `{"error":"TOKEN_EXPIRED"}`, true, fault.Auth},
		{400, `{"error":"INVALID_REFRESH_TOKEN","error_description":"x"}`, true, fault.Auth},
		{401, `{"error":"INVALID_CLIENT_SECRET"}`, false, fault.Config},
		{401, `{"error":"INVALID_CALLBACK"}`, false, fault.Config},
		{400, `{"error":"interaction_required","error_description":"AADSTS50076: Due to a change"}`, true, fault.Auth},
		{400, `{"error":"invalid_grant","error_description":"AADSTS50173: old"}`, true, fault.Auth},
		{400, `{"error":"invalid_grant","error_description":"AADSTS53003: blocked"}`, false, fault.Denied},
		{400, `{"error":"invalid_grant","error_description":"AADSTS90033: transient"}`, false, fault.Temporary},
		{401, `{"error":"invalid_client"}`, false, fault.Config},
		{400, `{"error":"temporarily_unavailable"}`, false, fault.Temporary},
		{503, `{"error":"invalid_grant"}`, false, fault.Temporary},
		{502, `<html>`, false, fault.Temporary},
		{429, `{"error":"invalid_grant"}`, false, fault.Temporary},
		{408, ``, false, fault.Temporary},
		{404, `<html>`, false, fault.Config},
		{302, ``, false, fault.Config},
		{403, `<html>`, false, fault.Protocol},
		{400, `{"error":"new_one"}`, false, fault.Protocol},
	} {
		err := parseError(tt.status, []byte(tt.body), nil).fault(refreshing, "login.example.com")
		if InvalidGrant(err) != tt.again || fault.KindOf(err) != tt.kind || fault.Hint(err) == "" {
			t.Errorf("%d %s: %v, %v, hint %q", tt.status, tt.body, InvalidGrant(err), fault.KindOf(err), fault.Hint(err))
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%d %s: the answer is lost", tt.status, tt.body)
		}
	}
	if InvalidGrant(nil) || InvalidGrant(errors.New("invalid_grant")) {
		t.Error("any error counts")
	}
}

func TestPasted(t *testing.T) {
	for _, tt := range []struct{ in, code, err string }{
		{"http://127.0.0.1:5000/?state=s&code=c", "c", ""},
		{" http://127.0.0.1:5000/?state=s&co\n  de=4%2F0Ab\r\n", "4/0Ab", ""},
		{`"http://localhost:5000/cb?code=c&state=s#frag"`, "c", ""},
		{"<https://127.0.0.1/?code=c&state=s>", "c", ""},
		{"?code=c&state=s", "c", ""},
		{"code=c&state=s", "c", ""},
		{"localhost:5000/?code=c&state=s", "c", ""},
		{"http://localhost/?error=access_denied&state=s", "", "access_denied"},
		{"4/0Ab", "4/0Ab", ""},
		{"4%2F0Ab", "4/0Ab", ""},
		{"1234567", "1234567", ""},
		{"", "", "no"},
		{"   ", "", "no"},
		{"http://localhost:5000/", "", "no"},
		{"https://login.example.com/authorize?client_id=x&state=s", "", "no"},
		{"grüße", "", "no"},
		{"%zz", "", "no"},
		{"?code=%zz", "", "no"},
		{"?code=", "", "no"},
		{"?code=a%0Ab&state=s", "", "no"},
		{strings.Repeat("x", maxRedirect+1), "", "no"},
	} {
		q, err := parsePasted(tt.in)
		if (err != nil) != (tt.err == "no") {
			t.Errorf("%.80q: %v", tt.in, err)
			continue
		}
		if err == nil && (q.Get("code") != tt.code || q.Get("error") != tt.err) {
			t.Errorf("%.80q: %v", tt.in, q)
		}
	}
}

func TestIssuers(t *testing.T) {
	const ms = "https://login.microsoftonline.com/{tenantid}/v2.0"
	for _, tt := range []struct {
		iss, want string
		is        bool
	}{
		{"https://accounts.google.com", "https://accounts.google.com", true},
		{"https://accounts.google.com/", "https://accounts.google.com", false},
		{"", "https://accounts.google.com", false},
		{"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", ms, true},
		{"https://login.microsoftonline.com//v2.0", ms, false},
		{"https://login.microsoftonline.com/a/b/v2.0", ms, false},
		{"https://evil.example/x/v2.0", ms, false},
	} {
		if issuedBy(tt.iss, tt.want) != tt.is {
			t.Errorf("%q for %q", tt.iss, tt.want)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":3599,"refresh_token":"r","scope":"a b"}`), uint16(200))
	f.Add([]byte(`{"access_token":"a","expires_in":"3599.5","scope":[1]}`), uint16(200))
	f.Add([]byte(`{"error":"x","error_description":"`+strings.Repeat("ä", 400)+`"}`), uint16(400))
	f.Add([]byte(`{"error":"invalid_grant","error_description":"AADSTS70008: x\r\nTrace ID: y","error_codes":[70008]}`), uint16(400))
	f.Fuzz(func(t *testing.T, body []byte, status uint16) {
		token, err := fixed().parseToken(body)
		if err == nil && (!isToken(token.Access) || !token.Expires.After(noon) || token.Expires.After(noon.Add(longestLived)) || strings.Contains(token.String(), token.Access) && len(token.Access) > 40) {
			t.Errorf("%+v", token)
		}
		form := url.Values{"refresh_token": {"rt-secret"}}
		e := parseError(int(status), body, form)
		text := e.fault(refreshing, "login.example.com").Error()
		if strings.ContainsAny(text, "\r\n\x1b") || len(text) > 1024 {
			t.Errorf("%q", text)
		}
		if strings.Contains(e.Description, "rt-secret") || len(e.Description) > 500 || !utf8.ValidString(e.Description) {
			t.Errorf("a secret in %q", e.Description)
		}
	})
}

func FuzzPasted(f *testing.F) {
	f.Add("http://127.0.0.1:5000/?state=s&code=c&iss=https%3A%2F%2Fx.example")
	f.Add("4/0Ab")
	f.Add("?error=access_denied&error_description=no+way&state=s")
	f.Fuzz(func(t *testing.T, s string) {
		c := fixed()
		c.Token, c.HTTP = "https://login.example.com/token", &http.Client{Transport: takesAny{}}
		l := &Login{client: c, state: "fuzzed-state", life: t.Context(), answer: make(chan answer, 1)}
		err := l.Paste(t.Context(), s)
		if err != nil && (fault.Hint(err) == "" || strings.ContainsAny(err.Error(), "\r\n\x1b")) {
			t.Errorf("%q: %v", s, err)
		}
		select {
		case a := <-l.answer:
			if err != nil || a.err == nil && a.token.Access != "a" {
				t.Errorf("%q: %v and %v, %v", s, err, a.token, a.err)
			}
		default:
			if err == nil {
				t.Errorf("%q was accepted, and nothing came of it", s)
			}
		}
	})
}

// takesAny gives a token for whatever is asked.
type takesAny struct{}

func (takesAny) RoundTrip(r *http.Request) (*http.Response, error) {
	body := io.NopCloser(strings.NewReader(`{"access_token":"a","token_type":"bearer"}`))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
}

func FuzzDeviceAnswer(f *testing.F) {
	f.Add([]byte(`{"device_code":"d","user_code":"AB-CD","verification_uri":"https://x.example/device","expires_in":900,"interval":5}`))
	f.Add([]byte(`{"device_code":"d","user_code":"AB-CD","verification_url":"http://127.0.0.1/d","verification_uri_complete":"javascript:x","interval":"0.1"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := fixed().parseDevice(body)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b") {
				t.Errorf("%q", err)
			}
			return
		}
		if d.interval < minInterval || d.interval > maxInterval || !d.Expires.After(noon) || !isUserCode(d.UserCode) ||
			checkURL("", d.URL) != nil || d.CompleteURL != "" && checkURL("", d.CompleteURL) != nil {
			t.Errorf("%+v", d)
		}
	})
}
