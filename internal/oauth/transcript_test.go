package oauth_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
)

var update = flag.Bool("update", false, "write the results into the transcripts")

// TestTranscripts plays exchanges that providers document: what is sent has exactly
// their parameters, and their answers lead to the result that is written there.
func TestTranscripts(t *testing.T) {
	names, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(names) < 6 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(raw)
			p := &player{sections: archive.Files}
			if strings.Contains(string(raw), "-- device --") { // polls, and has no listener
				synctest.Test(t, p.play)
			} else {
				p.play(t)
			}
			if got := txtar.Format(archive); *update && !bytes.Equal(got, raw) {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// player plays one transcript, section by section; requests in between are answered by
// RoundTrip.
type player struct {
	t        *testing.T
	client   *oauth.Client
	sections []txtar.File
	device   *oauth.Device
}

// next takes the next section, which has to have the name.
func (p *player) next(name string) *txtar.File {
	if len(p.sections) == 0 || p.sections[0].Name != name {
		p.t.Fatalf("%s expected, %d sections left", name, len(p.sections))
	}
	section := &p.sections[0]
	p.sections = p.sections[1:]
	return section
}

func (p *player) play(t *testing.T) {
	p.t = t
	values := map[string]string{}
	for line := range strings.Lines(string(p.next("client").Data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	endpoints, ok := oauth.Builtin(values["provider"], values["tenant"])
	if !ok {
		t.Fatalf("no provider %q", values["provider"])
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	p.client = &oauth.Client{Endpoints: endpoints, ID: values["id"], Secret: values["secret"],
		HTTP: &http.Client{Transport: p}, Now: func() time.Time { return now }}
	for len(p.sections) > 0 {
		var result string
		switch p.sections[0].Name {
		case "refresh":
			token, err := p.client.Refresh(t.Context(), strings.TrimSpace(string(p.next("refresh").Data)))
			result = told(now, token, err)
		case "authorize":
			result = p.browser(t.Context(), now)
		case "device":
			p.next("device")
			var err error
			if p.device, err = p.client.BeginDevice(t.Context()); err != nil {
				t.Fatal(err)
			}
			result = fmt.Sprintf("enter %s at %s within %v\n", p.device.UserCode, p.device.URL, p.device.Expires.Sub(now))
		case "wait":
			p.next("wait")
			token, err := p.device.Wait(t.Context())
			result = told(now, token, err)
		}
		want := p.next("result")
		if *update {
			want.Data = []byte(result)
		} else if result != string(want.Data) {
			t.Errorf("got\n%swant\n%s", result, want.Data)
		}
	}
}

// browser signs in as the next sections say.
func (p *player) browser(ctx context.Context, now time.Time) string {
	login, err := p.client.Begin(ctx, "ann@example.com")
	if err != nil {
		p.t.Fatal(err)
	}
	defer login.Close()
	u, err := url.Parse(login.URL())
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	u.RawQuery = ""
	p.compare("authorize", u.String(), q)
	final := q.Get("redirect_uri") + "/?" + strings.ReplaceAll(strings.TrimSpace(string(p.next("redirect").Data)), "$state", q.Get("state"))
	if err := login.Paste(ctx, final); err != nil {
		p.t.Fatal(err)
	}
	token, err := login.Wait(ctx)
	return told(now, token, err)
}

// compare compares a URL and parameters with the next section; * is anything.
func (p *player) compare(name, address string, form url.Values) {
	lines := []string{address}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			lines = append(lines, name+"="+value)
		}
	}
	want := strings.TrimSpace(string(p.next(name).Data))
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), `\*`, `[^ \n]+`)
	if got := strings.Join(lines, "\n"); !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got) {
		p.t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

func (p *player) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Authorization") != "" {
		p.t.Errorf("%s with %v", r.Method, r.Header)
	}
	p.compare("request", r.URL.String(), form)
	status, answer, _ := strings.Cut(string(p.next("answer").Data), "\n")
	code, err := strconv.Atoi(status)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

// told is a result as it is written in transcripts.
func told(now time.Time, token oauth.Token, err error) string {
	if err != nil {
		return fmt.Sprintf("%v: %v\nhint: %s\nsign in again: %v\n", fault.KindOf(err), err, fault.Hint(err), oauth.InvalidGrant(err))
	}
	s := fmt.Sprintf("access %s\nrefresh %s\nfor %v\nscopes %s\n", token.Access, token.Refresh, token.Expires.Sub(now), strings.Join(token.Scopes, " "))
	if !token.RefreshExpires.IsZero() {
		s += fmt.Sprintf("sign in again within %v\n", token.RefreshExpires.Sub(now))
	}
	return s
}
