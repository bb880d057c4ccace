package lan

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
)

const pageHost = "192.168.77.1:1994"

func newPage() *Page {
	return NewPage(pageHost, clientfiles.Mailbox{Device: "phone", User: "<ann>", Host: "192.168.77.1", Port: 1993, TLS: discover.Implicit, Authority: []byte("certificate")})
}

func ask(p *Page, method, host, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestThePage(t *testing.T) {
	p := newPage()
	at := "/" + p.Token
	for _, tt := range []struct {
		method, host, target string
		status               int
		kind                 string
	}{
		{"GET", pageHost, at, 200, "text/html; charset=utf-8"},
		{"HEAD", pageHost, at, 200, "text/html; charset=utf-8"},
		{"GET", pageHost, at + "/", 200, "text/html; charset=utf-8"},
		{"GET", pageHost, at + "/popbridge.mobileconfig", 200, "application/x-apple-aspen-config"},
		{"GET", pageHost, at + "/popbridge-ca.crt", 200, "application/x-x509-ca-cert"},
		{"GET", pageHost, at + "/other", 404, ""},
		{"GET", pageHost, at + "?x", 404, ""},
		{"GET", pageHost, at + "x", 404, ""},
		{"GET", pageHost, at[:len(at)-1], 404, ""},
		{"GET", pageHost, "/", 404, ""},
		{"GET", pageHost, "/popbridge.mobileconfig", 404, ""},
		{"GET", "evil.example.com", at, 404, ""},
		{"GET", "192.168.77.1", at, 404, ""},
		{"POST", pageHost, at, 405, ""},
		{"OPTIONS", pageHost, at, 405, ""},
	} {
		w := ask(p, tt.method, tt.host, tt.target)
		if w.Code != tt.status || w.Header().Get("Content-Type") != tt.kind {
			t.Errorf("%s %s of %s: %d, %q", tt.method, tt.target, tt.host, w.Code, w.Header().Get("Content-Type"))
		}
		if tt.status != 200 && w.Body.Len() > 0 {
			t.Errorf("%s %s of %s: %q", tt.method, tt.target, tt.host, w.Body)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
			t.Errorf("policy %q", w.Header().Get("Content-Security-Policy"))
		}
	}
}

// What is on the page is escaped, and its style is the one that the policy permits.
func TestThePageIsSafe(t *testing.T) {
	p := newPage()
	text := ask(p, "GET", pageHost, "/"+p.Token).Body.String()
	if strings.Contains(text, "<ann>") || !strings.Contains(text, "&lt;ann&gt;") {
		t.Error("the user is not escaped")
	}
	_, style, _ := strings.Cut(text, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	if !strings.Contains(pagePolicy, "'sha256-"+hashOf(style)+"'") {
		t.Errorf("the policy %q is not that of the style %q", pagePolicy, style)
	}
	if len(p.Token) < 26 || newPage().Token == p.Token { // 26 of base32: 130 bits
		t.Errorf("token %q", p.Token)
	}
	if got := Fingerprint([]byte("x")); len(strings.Fields(got)) != 32 || !strings.HasPrefix(got, "2D 71 16 42 ") {
		t.Errorf("fingerprint %q", got)
	}
}

func TestThePageAnswersAFewTimesOnly(t *testing.T) {
	p := newPage()
	for range maxAnswers {
		if w := ask(p, "GET", pageHost, "/wrong"); w.Code != http.StatusNotFound { // who guesses does not use it up
			t.Fatal(w.Code)
		}
		if w := ask(p, "GET", pageHost, "/"+p.Token); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
	}
	if w := ask(p, "GET", pageHost, "/"+p.Token); w.Code != http.StatusGone || w.Body.Len() > 0 {
		t.Errorf("%d", w.Code)
	}
}
