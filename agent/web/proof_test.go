package web

import (
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// What a page sends to whoever has the port while there is no agent, is worth nothing to
// the agent that comes after it, nor the key itself, which it does not send.
func TestAProofIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir)
	h, _, _ := s.signIn(s.page.Ticket(""))
	sent := proof(hashed(h.key), s.page.sessions.process)
	s.stop()
	s = serve(t, dir)
	for _, key := range []string{sent, h.key, hashed(h.key), proof(hashed(h.key), "")} {
		if status, answer, _ := s.do("GET", "/api/status", h, "", func(r *http.Request) { r.Header.Set(keyHeader, key) }); status != 401 || strings.Contains(answer, "/secret") {
			t.Errorf("%s: %d %s", key, status, answer)
		}
	}
	status, answer, _ := s.do("GET", "/process", halves{}, "", nil)
	var now process
	if err := json.Unmarshal([]byte(answer), &now); err != nil || status != 200 || now.Process == "" {
		t.Fatalf("%d %s", status, answer)
	}
	if status, _, _ := s.do("GET", "/api/status", h, "", func(r *http.Request) { r.Header.Set(keyHeader, testkit.WebProof(h.key, now.Process)) }); status != 200 {
		t.Errorf("a proof for this process: %d", status)
	}
}

// With a clock that was ahead and is put right, sessions and tickets of that time are over:
// how old they are nobody knows. One that was corrected a little ends nothing.
func TestAClockThatIsSetBack(t *testing.T) {
	s := serve(t, t.TempDir())
	const day = 86400
	status := func(h halves) int {
		t.Helper()
		status, _, _ := s.do("GET", "/api/status", h, "", nil)
		return status
	}
	h, _, _ := s.signIn(s.page.Ticket(""))
	s.clock.Add(-3600)
	if got := status(h); got != 200 {
		t.Errorf("an hour back: %d", got)
	}
	s.clock.Add(3650 * day)
	h, _, _ = s.signIn(s.page.Ticket(""))
	ticket := s.page.Ticket("")
	s.clock.Add(-3250 * day)
	if got := status(h); got != 401 || len(s.page.Sessions()) != 0 {
		t.Errorf("years back: %d, %+v", got, s.page.Sessions())
	}
	if _, got, _ := s.signIn(ticket); got != 403 {
		t.Errorf("a ticket of years ahead: %d", got)
	}
}

// A session is of the user who began it, where that is known.
func TestASessionOfAnotherUser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("whose connection it is, only Linux tells")
	}
	s := serve(t, t.TempDir())
	h, _, _ := s.signIn(s.page.Ticket(""))
	for uid, want := range map[string]int{"": 200, strconv.Itoa(os.Getuid()): 200, strconv.Itoa(os.Getuid() + 1): 401} {
		s.page.sessions.mu.Lock()
		s.page.sessions.all[0].UID = uid
		s.page.sessions.mu.Unlock()
		if status, _, _ := s.do("GET", "/api/status", h, "", nil); status != want {
			t.Errorf("the session of %s: %d", uid, status)
		}
	}
}
