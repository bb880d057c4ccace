package oauth_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
)

// ask sends a request with a Host of its own, where given, and returns status, headers and page.
func ask(t *testing.T, method, address, host string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
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
	return resp.StatusCode, resp.Header, string(body)
}

// What browsers ask for by the way, what other programs try, and answers of other
// sign-ins do not end this one.
func TestStraysDoNotEndTheSignIn(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	final, err := s.Authorize(login.URL(), ann)
	if err != nil {
		t.Fatal(err)
	}
	redirect := redirectOf(t, login)
	u, err := url.Parse(redirect)
	if err != nil {
		t.Fatal(err)
	}
	// A browser connects ahead and then asks for nothing.
	idle, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	for _, stray := range []struct {
		method, url, host string
		status            int
	}{
		{"GET", redirect + "/favicon.ico", "", 404},
		{"GET", redirect + "/robots.txt?" + u.RawQuery, "", 404},
		{"GET", redirect, "", 400},
		{"GET", redirect + "/?code=x", "", 400},
		{"GET", redirect + "/?code=x&state=", "", 400},
		{"GET", redirect + "/?code=x&state=wrong", "", 400},
		{"GET", redirect + "/?error=access_denied", "", 400},
		{"GET", redirect + "/?error=access_denied&state=wrong", "", 400},
		{"GET", final, "evil.example:80", 404},
		{"POST", final, "", 405},
		{"HEAD", final, "", 405},
	} {
		status, header, page := ask(t, stray.method, stray.url, stray.host)
		if status != stray.status || header.Get("Cache-Control") != "no-store" || strings.Contains(page, "wrong") {
			t.Errorf("%s %s: %d %v %s", stray.method, stray.url, status, header, page)
		}
	}
	status, header, page := ask(t, "GET", final, "")
	if status != 200 || header.Get("Cache-Control") != "no-store" || header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(page, "close this window") {
		t.Errorf("%d %v %s", status, header, page)
	}
	code := mustQuery(t, final).Get("code")
	if code == "" || strings.Contains(page, code) {
		t.Errorf("the page has the code: %s", page)
	}
	ask(t, "GET", final, "") // somebody reloads
	signedIn(t, s, login)
	if n := len(s.Requests()); n != 1 {
		t.Errorf("the code was shown %d times", n)
	}
}

func mustQuery(t *testing.T, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// The page says what went wrong; what the provider sent is text.
func TestPageOfAFailure(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	state := mustQuery(t, login.URL()).Get("state")
	other := begin(t, s.Client())
	foreign := redirectOf(t, other) + "/?" + url.Values{"state": {mustQuery(t, other.URL()).Get("state")}, "code": {"c"}, "iss": {"<script>alert(1)</script>"}}.Encode()
	if _, _, page := ask(t, "GET", foreign, ""); strings.Contains(page, "<script>") || !strings.Contains(page, "answered by") {
		t.Error(page)
	}
	bad := redirectOf(t, login) + "/?" + url.Values{"state": {state}, "iss": {s.URL}, "error": {"org_internal"}, "error_description": {"<script>alert(1)</script>"}}.Encode()
	status, _, page := ask(t, "GET", bad, "")
	if status != 200 || !strings.Contains(page, "members of its organisation only") || !strings.Contains(page, "What to do") || strings.Contains(page, "<script>") {
		t.Errorf("%d %s", status, page)
	}
	if _, err := login.Wait(t.Context()); !fault.Is(err, fault.Config) {
		t.Errorf("%v", err)
	}
}

// An error without state may be anybody's: it is shown, and nothing ends.
func TestPageOfAnErrorWithoutState(t *testing.T) {
	s := oauthtest.New(t)
	login := begin(t, s.Client())
	status, _, page := ask(t, "GET", redirectOf(t, login)+"/?error=access_denied&error_description=the+user+canceled", "")
	if status != 400 || !strings.Contains(page, "denied in the browser") {
		t.Errorf("%d %s", status, page)
	}
	if err := s.Browse(login.URL(), ann); err != nil {
		t.Fatal(err)
	}
	signedIn(t, s, login)
}

// For localhost a browser takes ::1 or 127.0.0.1: both have to be ours.
func TestLocalhostIsBothFamilies(t *testing.T) {
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	defer func() { _ = six.Close() }()
	_, taken, err := net.SplitHostPort(six.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := oauthtest.New(t)
	c := s.Client()
	c.Redirect = "http://localhost:" + taken
	if login, err := c.Begin(t.Context(), ""); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("port %s of ::1 is another's: %v", taken, err)
		if err == nil {
			login.Close()
		}
	}
	c.Redirect = "http://localhost"
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		login := begin(t, c)
		final, err := s.Authorize(login.URL(), ann)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, page := ask(t, "GET", strings.Replace(final, "localhost", host, 1), ""); status != 200 {
			t.Errorf("%s: %d %s", host, status, page)
		}
		signedIn(t, s, login)
	}
}

// Requests that never end are cut off with the sign-in.
func TestCloseEndsStalledConnections(t *testing.T) {
	login := begin(t, oauthtest.New(t).Client())
	u, err := url.Parse(redirectOf(t, login))
	if err != nil {
		t.Fatal(err)
	}
	var stalled []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127"); err != nil {
			t.Fatal(err)
		}
		stalled = append(stalled, conn)
	}
	login.Close()
	for _, conn := range stalled {
		if answer, _ := io.ReadAll(conn); len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%q", answer)
		}
	}
}
