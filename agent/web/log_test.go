package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/logging"
)

// logOps has a log, and nothing else.
type logOps struct {
	operations.Operations
	operations.Page
	local *operations.Local
}

func (o logOps) FollowLog(ctx context.Context, after int64, send func([]logging.Entry) error) error {
	return o.local.FollowLog(ctx, after, send)
}

// visitor is a browser that is signed in.
type visitor struct {
	t      *testing.T
	client *http.Client
	origin string
	key    string
}

// served is a page with a log, and a browser that is signed in.
func served(t *testing.T) (*Page, *logging.Ring, *visitor) {
	t.Helper()
	ring := logging.NewRing()
	ops := logOps{local: &operations.Local{}}
	ops.local.ShowLog(ring)
	p, err := New(Options{Operations: ops, Page: ops, DataDir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, ln) }()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, client: &http.Client{Jar: jar}, origin: "http://" + ln.Addr().String()}
	t.Cleanup(func() {
		v.client.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	r := v.ask("POST", "/session", fmt.Sprintf(`{"ticket":%q}`, p.Ticket("")))
	var got signedIn
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	v.key = got.Key
	return p, ring, v
}

func (v *visitor) ask(method, path, body string) *http.Response {
	v.t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(v.t.Context()), method, v.origin+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(keyHeader, v.key)
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// The log is what there is, then what comes; it goes on behind a record, and ends with
// the session.
func TestLogIsStreamed(t *testing.T) {
	p, ring, v := served(t)
	log := logging.New(ring, "info", "json")
	log.Info().Msg("one")
	log.Info().Msg("two")
	read := func(lines *bufio.Scanner, want string) (e logging.Entry) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the stream ended before %q: %v", want, lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Text != want {
			t.Fatalf("%s, %v; want %q", lines.Text(), err, want)
		}
		return e
	}
	all := bufio.NewScanner(v.ask("GET", "/api/log", "").Body)
	first := read(all, "one")
	read(all, "two")
	log.Info().Msg("three")
	read(all, "three")
	rest := bufio.NewScanner(v.ask("GET", fmt.Sprintf("/api/log?after=%d", first.Seq), "").Body)
	read(rest, "two")
	read(rest, "three")
	if n := p.End(""); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if all.Scan() || rest.Scan() {
		t.Error("a stream goes on after its session has ended")
	}
	if r := v.ask("GET", "/api/log", ""); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %s", r.Status)
	}
}

// So many pages are served at a time and no more; one that is closed makes room.
func TestStreamsAreLimited(t *testing.T) {
	_, ring, v := served(t)
	log := logging.New(ring, "info", "json")
	log.Info().Msg("one")
	var open []*http.Response
	for range maxStreams {
		r := v.ask("GET", "/api/log", "")
		if r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		open = append(open, r)
	}
	if r := v.ask("GET", "/api/log", ""); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more: %s", r.Status)
	}
	for _, r := range open {
		_ = r.Body.Close()
	}
	v.client.CloseIdleConnections()
}

// A page can ask which session is its own.
func TestThisSession(t *testing.T) {
	p, _, v := served(t)
	var got operations.WebSession
	if err := json.NewDecoder(v.ask("GET", "/session", "").Body).Decode(&got); err != nil || got.ID == "" || got.ID != p.Sessions()[0].ID {
		t.Errorf("%+v, %v; signed in: %+v", got, err, p.Sessions())
	}
}
