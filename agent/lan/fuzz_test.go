package lan

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// Whatever is asked, in whatever way, who has not the token gets nothing.
func FuzzPage(f *testing.F) {
	for _, path := range []string{"/", "", "//", "/x/popbridge-ca.crt", "/popbridge.mobileconfig", "/../", "/%00", "/x?y#z"} {
		f.Add("GET", pageHost, path)
	}
	f.Add("POST", "evil.example.com", "/")
	p := newPage()
	f.Fuzz(func(t *testing.T, method, host, path string) {
		r := &http.Request{Method: method, Host: host, URL: &url.URL{Path: path}, Header: http.Header{}}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Body.Len() > 0 || w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%q %q of %q: %d, %q", method, path, host, w.Code, w.Body)
		}
	})
}
