package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/logging"
)

// withLog is a page with a log, and the session of a browser.
func withLog(t *testing.T) (*served, *logging.Ring, halves) {
	t.Helper()
	s := serve(t, t.TempDir())
	ring := logging.NewRing()
	s.ops.ShowLog(ring)
	h, status, answer := s.signIn(s.page.Ticket(""))
	if status != 200 {
		t.Fatal(status, answer)
	}
	return s, ring, h
}

// The log is what there is, then what comes; it goes on behind a record, and ends with
// the session.
func TestLogIsStreamed(t *testing.T) {
	s, ring, h := withLog(t)
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
	all := bufio.NewScanner(s.follow("/api/log", h).Body)
	first := read(all, "one")
	read(all, "two")
	log.Info().Msg("three")
	read(all, "three")
	rest := bufio.NewScanner(s.follow(fmt.Sprintf("/api/log?after=%d", first.Seq), h).Body)
	read(rest, "two")
	read(rest, "three")
	if n, err := s.page.End(""); n != 1 || err != nil {
		t.Errorf("%d sessions ended", n)
	}
	if all.Scan() || rest.Scan() {
		t.Error("a stream goes on after its session has ended")
	}
	if r := s.follow("/api/log", h); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %s", r.Status)
	}
}

// A log in which nothing happens says that it goes on.
func TestALogThatIsSilent(t *testing.T) {
	s, _, _ := withLog(t)
	err := s.ops.FollowLog(t.Context(), 0, 1, func(list []logging.Entry) error {
		if len(list) == 0 {
			return io.EOF
		}
		return nil
	})
	if err != io.EOF {
		t.Error(err)
	}
}

// So many pages are served at a time and no more; one that is closed makes room.
func TestStreamsAreLimited(t *testing.T) {
	s, ring, h := withLog(t)
	log := logging.New(ring, "info", "json")
	log.Info().Msg("one")
	var open []*http.Response
	for range maxStreams {
		r := s.follow("/api/log", h)
		if r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		open = append(open, r)
	}
	if r := s.follow("/api/log", h); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more: %s", r.Status)
	}
	for _, r := range open {
		_ = r.Body.Close()
	}
	for end := time.Now().Add(10 * time.Second); ; {
		if r := s.follow("/api/log", h); r.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			t.Fatal("those that were closed make no room")
		}
	}
}

// A page can ask which session is its own.
func TestThisSession(t *testing.T) {
	s, _, h := withLog(t)
	var got operations.WebSession
	if err := json.NewDecoder(s.follow("/session", h).Body).Decode(&got); err != nil || got.ID == "" || got.ID != s.page.Sessions()[0].ID {
		t.Errorf("%+v, %v; signed in: %+v", got, err, s.page.Sessions())
	}
}
