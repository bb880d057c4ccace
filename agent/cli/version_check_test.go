package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/popbridge/popbridge/internal/fault"
)

// releaseServer answers like the API of GitHub, with a certificate that only the
// returned client trusts.
func releaseServer(t *testing.T, answer http.HandlerFunc) (*http.Client, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that refuse the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return releaseClient(&tls.Config{RootCAs: roots}), server.URL + "/releases/latest"
}

func TestNewestRelease(t *testing.T) {
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string // the version, or with "error: " a part of the error
	}{
		{"a release", says(`{"tag_name": "v1.2.3", "html_url": "https://elsewhere.example", "assets": []}`), "1.2.3"},
		{"a pre-release", says(`{"tag_name": "v1.3.0-rc.1"}`), "1.3.0-rc.1"},
		{"a tag without v", says(`{"tag_name": "1.2.3"}`), `error: the newest release has the name "1.2.3", which is no version`},
		{"a short tag", says(`{"tag_name": "v1.2"}`), `error: the name "v1.2"`},
		{"a tag with a build", says(`{"tag_name": "v1.2.3+evil"}`), `error: which is no version`},
		{"a tag that is a command", says(`{"tag_name": "v1.2.3; rm -rf /"}`), `error: which is no version`},
		{"a tag with an escape", says(`{"tag_name": "v1.2.3\u001b[2J"}`), `error: the name "v1.2.3\x1b[2J"`},
		{"a long tag", says(`{"tag_name": "v1.2.3-` + strings.Repeat("a", 100) + `"}`), `error: which is no version`},
		{"no tag", says(`{"message": "hello"}`), `error: the name ""`},
		{"a tag that is a number", says(`{"tag_name": 12}`), "error: not the one of a list of releases"},
		{"no JSON", says("<html>log in to this network</html>"), "error: not the one of a list of releases"},
		{"nothing", says(""), "error: not the one of a list of releases"},
		{"too much", says(`{"tag_name": "v1.2.3", "body": "` + strings.Repeat("x", releaseMost) + `"}`), "error: longer than 1 MB"},
		{"a header without end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 2*releaseHeader))
			w.WriteHeader(http.StatusOK)
		}, "error: could not be found out"},
		{"not released", status(http.StatusNotFound), "error: no published release yet"},
		{"asked too often", status(http.StatusForbidden), "error: takes no more questions"},
		{"broken", status(http.StatusBadGateway), "error: 502"},
		{"a redirect to http", redirect("http://127.0.0.1:1/"), "error: not https"},
		{"a redirect in a circle", redirect("/"), "error: more than three times"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"tag_name"`)
		}, "error: unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, address := releaseServer(t, test.answer)
			got, err := newestRelease(t.Context(), client, address)
			if part, isError := strings.CutPrefix(test.want, "error: "); isError {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Fatalf("got %q, %v, want an error with %q", got, err, part)
				}
				if newApp(nil, io.Discard, io.Discard).exit(err) != exitFailed {
					t.Error("the exit code is not 1")
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// What is asked says nothing of who asks.
func TestTheQuestionForReleasesSaysNothing(t *testing.T) {
	questions := make(chan string, 1)
	client, address := releaseServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		questions <- fmt.Sprint(r.Method, " ", r.URL, " ", r.Header, string(body))
		_, _ = io.WriteString(w, `{"tag_name": "v1.2.3"}`)
	})
	if _, err := newestRelease(t.Context(), client, address); err != nil {
		t.Fatal(err)
	}
	want := "GET /releases/latest map[Accept:[application/vnd.github+json] Accept-Encoding:[gzip] Connection:[close] User-Agent:[popbridge]]"
	if asked := <-questions; asked != want {
		t.Errorf("asked %s\nwant  %s", asked, want)
	}
}

func TestReleasesByHTTPSOnly(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked in the clear") }))
	defer plain.Close()
	if _, err := newestRelease(t.Context(), releaseClient(nil), plain.URL); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("got %v", err)
	}
	_, address := releaseServer(t, func(http.ResponseWriter, *http.Request) { t.Error("asked of an unknown server") })
	if _, err := newestRelease(t.Context(), releaseClient(nil), address); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

// A server that accepts and says nothing is given ten seconds.
func TestASilentServerOfReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := make(chan net.Conn, 2)
		client := releaseClient(nil)
		client.Transport.(*http.Transport).Proxy = nil
		client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }() // until both ends are closed, below
			silent <- ours
			silent <- theirs
			return ours, nil
		}
		_, err := newestRelease(t.Context(), client, "https://releases.example/")
		if err == nil || !strings.Contains(err.Error(), "no answer within 10s") || !fault.Is(err, fault.Temporary) || fault.Hint(err) == "" {
			t.Errorf("got %v", err)
		}
		for range cap(silent) {
			_ = (<-silent).Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newestRelease(ctx, client, "https://releases.example/"); !errors.Is(err, context.Canceled) {
			t.Errorf("after Ctrl-C: %v", err)
		}
	})
}

func TestCompareVersions(t *testing.T) {
	tests := []struct{ ours, newest, want string }{
		{"1.2.3", "1.2.4", "available"}, {"1.9.0", "1.10.0", "available"}, {"v1.2.3", "2.0.0", "available"},
		{"1.2.3", "1.2.3", "none"}, {"1.3.0", "1.2.9", "none"},
		{"1.3.0-rc.1", "1.3.0", "available"}, {"1.3.0-rc.2", "1.3.0-rc.10", "available"}, {"1.3.0-rc.1", "1.2.9", "none"},
		{"v1.2.4-0.20260102150405-0123456789ab", "1.2.3", "none"},
		{"v1.2.4-0.20260102150405-0123456789ab+dirty", "1.2.4", "available"},
		{"0.0.0-20260102150405-0123456789ab", "1.2.3", "unknown"}, {"v0.0.0-20260102150405-0123456789ab", "1.2.3", "unknown"},
		{"(devel)", "1.2.3", "unknown"}, {"", "1.2.3", "unknown"},
	}
	for _, test := range tests {
		if got := compareVersions(test.ours, test.newest); got != test.want {
			t.Errorf("%q and %q: %s, want %s", test.ours, test.newest, got, test.want)
		}
	}
}

func TestUpdateFrom(t *testing.T) {
	installed := &debug.BuildInfo{Main: debug.Module{Sum: "h1:x"}}
	page := releasesPage + "/tag/v1.2.3"
	tests := []struct {
		program string
		info    *debug.BuildInfo
		want    string
	}{
		{"/opt/homebrew/Cellar/popbridge/1.2.0/bin/popbridge", nil, "brew upgrade popbridge"},
		{"C:/Users/ann/scoop/apps/popbridge/current/popbridge.exe", nil, "scoop update popbridge"},
		{"C:/Users/ann/AppData/Local/Programs/popbridge/popbridge.exe", nil, page},
		{"/home/ann/go/bin/popbridge", installed, "go install github.com/popbridge/popbridge/cmd/popbridge@v1.2.3"},
		{"/usr/bin/popbridge", &debug.BuildInfo{}, page}, {"", nil, page},
	}
	for _, test := range tests {
		if got := updateFrom(test.program, test.info, "1.2.3"); got != test.want {
			t.Errorf("%s: %s, want %s", test.program, got, test.want)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	client, address := releaseServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tag_name": "v1.2.3"}`) })
	defer func(a string) { releasesAddress = a }(releasesAddress)
	releasesAddress = address
	page := releasesPage + "/tag/v1.2.3"
	tests := []struct{ version, text, json string }{
		{"1.2.0", "popbridge 1.2.3 is out, this is 1.2.0; get it with: " + page, `"update": "available"`},
		{"1.2.3", "popbridge 1.2.3 is the newest; the last release is 1.2.3", `"update": "none"`},
		{"0.0.0-20260102150405-0123456789ab", "is a build between releases; the last release is 1.2.3: " + page, `"update": "unknown"`},
	}
	for _, test := range tests {
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			a := newApp(nil, &out, io.Discard)
			a.json = asJSON
			want := test.text
			if asJSON {
				want = test.json
			}
			if code := a.exit(a.checkVersion(t.Context(), client, test.version)); code != exitDone || !strings.Contains(out.String(), want) {
				t.Errorf("%s: exit code %d\n%s\nwant %s", test.version, code, &out, want)
			}
		}
	}
}
