package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked answers the status and counts what it is asked besides.
type asked struct {
	*operations.Local
	changed atomic.Int64
}

func (a *asked) Status(context.Context) (operations.Status, error) {
	return operations.Status{DataDir: "/secret", Running: true, PID: int(a.changed.Load())}, nil
}

func (a *asked) RevokeDevice(context.Context, string, string) error { a.changed.Add(1); return nil }

func (a *asked) SignInPaste(_ context.Context, ask operations.PasteSignIn) (operations.SignIn, error) {
	return operations.SignIn{}, fault.New(fault.Denied, ask.Text+" is refused", "")
}

// served is a page at a port, with a clock.
type served struct {
	t      *testing.T
	page   *Page
	ops    *asked
	addr   string
	clock  atomic.Int64
	reused atomic.Int64
	log    bytes.Buffer
	dir    string
	stop   context.CancelFunc
	client *http.Client
}

func serve(t *testing.T, dir string) *served {
	t.Helper()
	s := &served{t: t, dir: dir, ops: &asked{Local: &operations.Local{}}, client: &http.Client{Transport: &http.Transport{}}}
	s.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	var err error
	s.page, err = New(Options{Operations: s.ops, Page: s.ops.Local, DataDir: dir, Log: zerolog.New(&s.log),
		Reused: func() { s.reused.Add(1) }, Now: func() time.Time { return time.Unix(s.clock.Load(), 0) }})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.page.Serve(ctx, ln) }()
	s.stop = cancel
	t.Cleanup(func() {
		cancel()
		s.client.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// halves are those of a session.
type halves struct{ cookie, key string }

// do sends a request as our page would, but for what change does to it.
func (s *served) do(method, path string, h halves, body string, change func(*http.Request)) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Content-Type", "application/json")
	if h.cookie != "" {
		req.AddCookie(&http.Cookie{Name: s.page.cookie, Value: h.cookie})
	}
	if h.key != "" {
		req.Header.Set(keyHeader, proof(hashed(h.key), s.page.sessions.process))
	}
	if change != nil {
		change(req)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

func (s *served) signIn(ticket string) (h halves, status int, answer string) {
	s.t.Helper()
	status, answer, header := s.do("POST", "/session", halves{}, `{"ticket":"`+ticket+`"}`, nil)
	var got signedIn
	_ = json.Unmarshal([]byte(answer), &got)
	h.key = got.Key
	if c := header.Get("Set-Cookie"); c != "" {
		for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
			if !strings.Contains(c, want) {
				s.t.Errorf("the cookie has no %s: %s", want, c)
			}
		}
		if strings.Contains(c, "Domain") || strings.Contains(c, "Secure") { // WebKit drops the second on http
			s.t.Errorf("cookie %s", c)
		}
		_, value, _ := strings.Cut(c, "=")
		h.cookie, _, _ = strings.Cut(value, ";")
	}
	return h, status, answer
}

// follow asks for a stream, which ends with the test at the latest.
func (s *served) follow(path string, h halves) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), "GET", "http://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set(keyHeader, proof(hashed(h.key), s.page.sessions.process))
	req.AddCookie(&http.Cookie{Name: s.page.cookie, Value: h.cookie})
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// Whatever does not come from the page, in a session, with both halves, is refused by
// every route, and told nothing.
func TestEveryRouteIsGuarded(t *testing.T) {
	s := serve(t, t.TempDir())
	good, status, answer := s.signIn(s.page.Ticket(""))
	if status != 200 || good.cookie == "" || good.key == "" {
		t.Fatalf("sign in: %d %s", status, answer)
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	without := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	_, port, _ := net.SplitHostPort(s.addr)
	tests := []struct {
		name   string
		h      halves
		change func(*http.Request)
		body   string
		status int
	}{
		{"no session", halves{}, nil, "{}", 401},
		{"cookie without key", halves{cookie: good.cookie}, nil, "{}", 401},
		{"key without cookie", halves{key: good.key}, nil, "{}", 401},
		{"halves exchanged", halves{good.key, good.cookie}, nil, "{}", 401},
		{"another key", halves{good.cookie, good.key + "x"}, nil, "{}", 401},
		{"a name of somebody else's", good, host("evil.test:" + port), "{}", 421},
		{"that begins like ours", good, host("127.0.0.1.evil.test"), "{}", 421},
		{"that ends like ours", good, host("evil.localhost"), "{}", 421},
		{"another address of loopback", good, host("127.0.0.2:" + port), "{}", 421},
		{"rebound, with an equal origin", good, func(r *http.Request) {
			r.Host = "evil.test"
			r.Header.Set("Origin", "http://evil.test")
			r.Header.Del("Sec-Fetch-Site")
		}, "{}", 421},
		{"another site", good, header("Sec-Fetch-Site", "cross-site"), "{}", 403},
		{"another port of this machine", good, header("Sec-Fetch-Site", "same-site"), "{}", 403},
		{"typed into the address line", good, header("Sec-Fetch-Site", "none"), "{}", 403},
		{"a program", good, without("Sec-Fetch-Site"), "{}", 403},
		{"a form", good, header("Content-Type", "text/plain"), "{}", 415},
		{"an upload", good, header("Content-Type", "multipart/form-data; boundary=x"), "{}", 415},
		{"no type", good, without("Content-Type"), "{}", 415},
		{"a large body", good, nil, `"` + strings.Repeat("x", 2<<20) + `"`, 413},
	}
	type route struct{ method, path string }
	routes := []route{{"GET", "/api/events"}, {"DELETE", "/session"}, {"GET", "/api/nothing"}}
	for _, r := range Routes(s.ops, s.ops.Local) {
		routes = append(routes, route{r.Method, "/api" + r.Path})
	}
	for _, tt := range tests {
		for _, r := range routes {
			status, answer, h := s.do(r.method, r.path, tt.h, tt.body, tt.change)
			if status != tt.status {
				t.Errorf("%s: %s %s answers %d, want %d: %s", tt.name, r.method, r.path, status, tt.status, answer)
			}
			if strings.Contains(answer, "secret") {
				t.Errorf("%s: %s %s tells %s", tt.name, r.method, r.path, answer)
			}
			var f struct{ Text, Hint string }
			if err := json.Unmarshal([]byte(answer), &f); err != nil || f.Text == "" {
				t.Errorf("%s: %s %s does not say what is wrong: %s", tt.name, r.method, r.path, answer)
			}
			for name := range h {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("%s %s sends %s", r.method, r.path, name)
				}
			}
			if !strings.Contains(h.Get("Content-Security-Policy"), "require-trusted-types-for 'script'") || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s has headers %v", r.method, r.path, h)
			}
		}
	}
	if n := s.ops.changed.Load(); n > 0 {
		t.Errorf("%d changes were made", n)
	}
	// With all of it, it answers, and a change is a line in the log.
	if status, answer, _ := s.do("GET", "/api/status", good, "", nil); status != 200 || !strings.Contains(answer, "/secret") {
		t.Errorf("%d %s", status, answer)
	}
	for _, name := range []string{"localhost", "LOCALHOST:9", "[::1]:1180", "127.0.0.1"} {
		if status, _, _ := s.do("GET", "/api/status", good, "", host(name)); status != 200 {
			t.Errorf("as %s: %d", name, status)
		}
	}
	if status, answer, _ := s.do("DELETE", "/api/devices", good, `{"name":"pc"}`, nil); status != 200 || s.ops.changed.Load() != 1 {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer, _ := s.do("POST", "/api/signin/paste", good, `{"account":"home","text":"geheim"}`, nil); status != 422 {
		t.Errorf("%d %s", status, answer)
	}
	if log := s.log.String(); !strings.Contains(log, `"operation":"delete /devices","device":"pc","message"`) ||
		!strings.Contains(log, `"operation":"post /signin/paste","account":"home","failed":"denied","message"`) || strings.Contains(log, "geheim") {
		t.Errorf("the changes are not in the log as they were: %s", log)
	}
}

// What no browser may ask for is no route of the page.
func TestUnreachableOperations(t *testing.T) {
	s := serve(t, t.TempDir())
	h, _, _ := s.signIn(s.page.Ticket(""))
	for pattern := range unreachable {
		method, path, _ := strings.Cut(pattern, " ")
		if status, answer, _ := s.do(method, "/api"+path, h, "{}", nil); status != 404 && status != 405 {
			t.Errorf("%s: %d %s", pattern, status, answer)
		}
	}
}

func TestTickets(t *testing.T) {
	s := serve(t, t.TempDir())
	ticket := s.page.Ticket("")
	for _, wrong := range []string{"", "x", ticket + "x", ticket[:20], "\\u0000"} {
		if _, status, _ := s.signIn(wrong); status != 403 {
			t.Errorf("%q: %d", wrong, status)
		}
	}
	h, status, _ := s.signIn(ticket)
	if status != 200 {
		t.Fatal(status)
	}
	if status, _, _ := s.do("GET", "/api/status", h, "", nil); status != 200 {
		t.Error(status)
	}
	// Who comes second has seen what only one should: both are out.
	if _, status, _ := s.signIn(ticket); status != 403 || s.reused.Load() != 1 {
		t.Errorf("a second time: %d, told %d times", status, s.reused.Load())
	}
	if status, _, _ := s.do("GET", "/api/status", h, "", nil); status != 401 {
		t.Errorf("the first one goes on: %d", status)
	}
	late := s.page.Ticket("")
	s.clock.Add(61)
	if _, status, _ := s.signIn(late); status != 403 {
		t.Errorf("after a minute: %d", status)
	}
	for range 1000 {
		s.page.Ticket("")
	}
	if n := len(s.page.sessions.tickets); n > 2*maxTickets {
		t.Errorf("%d tickets are kept", n)
	}
	// It is noticed later as well, and whatever came between.
	again := s.page.Ticket("")
	if h, status, _ = s.signIn(again); status != 200 {
		t.Fatal(status)
	}
	s.clock.Add(1800)
	for range 1000 {
		s.page.Ticket("")
	}
	if _, status, _ := s.signIn(again); status != 403 || s.reused.Load() != 2 {
		t.Errorf("after half an hour: %d, told %d times", status, s.reused.Load())
	}
	if status, _, _ := s.do("GET", "/api/status", h, "", nil); status != 401 {
		t.Errorf("the first one goes on: %d", status)
	}
}

// A browser that signs in again has one session: the former one ends when the new one is
// used first. It takes a ticket, and both halves from our page.
func TestSigningInAgain(t *testing.T) {
	s := serve(t, t.TempDir())
	ok := func(h halves) bool {
		t.Helper()
		status, _, _ := s.do("GET", "/api/status", h, "", nil)
		return status == 200
	}
	again := func(h halves, ticket string, change func(*http.Request)) (next halves, status int) {
		t.Helper()
		status, answer, header := s.do("POST", "/session", h, `{"ticket":"`+ticket+`"}`, change)
		var got signedIn
		_ = json.Unmarshal([]byte(answer), &got)
		_, value, _ := strings.Cut(header.Get("Set-Cookie"), "=")
		next.cookie, _, _ = strings.Cut(value, ";")
		next.key = got.Key
		return next, status
	}
	first, _, _ := s.signIn(s.page.Ticket(""))
	other, _, _ := s.signIn(s.page.Ticket(""))
	if _, status := again(first, "guessed", nil); status != 403 {
		t.Errorf("without a ticket: %d", status)
	}
	if _, status := again(first, s.page.Ticket(""), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); status != 403 {
		t.Errorf("from another site: %d", status)
	}
	for _, h := range []halves{{cookie: first.cookie}, {first.cookie, other.key}, {key: first.key}} {
		if next, status := again(h, s.page.Ticket(""), nil); status != 200 || !ok(next) || !ok(first) {
			t.Errorf("%d, or a half has ended a session", status)
		}
	}
	before := len(s.page.Sessions())
	next, status := again(first, s.page.Ticket(""), nil)
	if status != 200 || !ok(first) {
		t.Errorf("%d, or the former session has ended before the new one is used", status)
	}
	if !ok(next) || ok(first) || !ok(other) {
		t.Error("after the first use of the new session")
	}
	if n := len(s.page.Sessions()); n != before {
		t.Errorf("%d sessions, before it were %d", n, before)
	}
}

func TestSessions(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir)
	ok := func(s *served, h halves) bool {
		t.Helper()
		status, _, _ := s.do("GET", "/api/status", h, "", nil)
		return status == 200
	}
	first, _, _ := s.signIn(s.page.Ticket(""))
	second, _, _ := s.signIn(s.page.Ticket(""))
	data, err := os.ReadFile(filepath.Join(dir, SessionsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{first.cookie, first.key, second.cookie, second.key} {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("a secret is in the file: %s", data)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, SessionsFile)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	s.stop()
	s = serve(t, dir) // they outlive the agent
	if !ok(s, first) || !ok(s, second) || ok(s, halves{first.cookie, second.key}) {
		t.Error("after a restart")
	}
	if status, _, _ := s.do("DELETE", "/session", first, "{}", nil); status != 200 || ok(s, first) || !ok(s, second) {
		t.Error("after a sign out")
	}
	if n, err := s.page.End(s.page.Sessions()[0].ID); err != nil || n != 1 || ok(s, second) {
		t.Errorf("%d were ended, %v", n, err)
	}
	third, _, _ := s.signIn(s.page.Ticket(""))
	s.clock.Add(6 * 86400)
	if !ok(s, third) {
		t.Error("after six days")
	}
	s.clock.Add(8 * 86400)
	if ok(s, third) {
		t.Error("after eight days without use")
	}
	fourth, _, _ := s.signIn(s.page.Ticket(""))
	for range 5 {
		s.clock.Add(6 * 86400)
		ok(s, fourth)
	}
	s.clock.Add(86400 + 1)
	if ok(s, fourth) {
		t.Error("after more than 30 days")
	}
	for range maxSessions + 3 {
		s.signIn(s.page.Ticket(""))
	}
	if n := len(s.page.Sessions()); n != maxSessions {
		t.Errorf("%d sessions", n)
	}
	// A stream ends with its session, also by time, and counts as a use of it.
	h, _, _ := s.signIn(s.page.Ticket(""))
	itself := func() string { return s.page.sessions.all[0].UID }
	for range 4 {
		s.clock.Add(6 * 86400)
		if id := s.page.sessions.find(h.cookie, proof(hashed(h.key), s.page.sessions.process), itself); !s.page.sessions.alive(id) {
			t.Fatal("a page that is open is no use")
		}
	}
	id := s.page.sessions.find(h.cookie, proof(hashed(h.key), s.page.sessions.process), itself)
	s.clock.Add(6*86400 + 1)
	if s.page.sessions.alive(id) {
		t.Error("a page is open for more than 30 days")
	}
	if err := os.WriteFile(filepath.Join(dir, SessionsFile), []byte("{nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := New(Options{DataDir: dir, Page: s.ops.Local, Operations: s.ops}); err == nil || len(p.Sessions()) != 0 {
		t.Errorf("of a damaged file: %v", err)
	}
}

// A browser of another user of this machine gets nothing with a ticket that it has seen,
// and the ticket stays good for its owner.
func TestATicketOfAnotherUser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("whose connection it is, only Linux tells")
	}
	s := serve(t, t.TempDir())
	other := s.page.Ticket(strconv.Itoa(os.Getuid() + 1))
	if _, status, answer := s.signIn(other); status != 403 || !strings.Contains(answer, "another user") {
		t.Errorf("%d %s", status, answer)
	}
	if _, status, _ := s.signIn(s.page.Ticket(strconv.Itoa(os.Getuid()))); status != 200 {
		t.Errorf("its own: %d", status)
	}
}

// The stream of a page tells what has changed and nothing else, and ends with its session.
func TestEventsEndWithTheSession(t *testing.T) {
	s := serve(t, t.TempDir())
	h, _, _ := s.signIn(s.page.Ticket(""))
	resp := s.follow("/api/events", h)
	dec := json.NewDecoder(resp.Body)
	var e Event
	if err := dec.Decode(&e); err != nil || e.Status == nil || e.Status.PID != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	if list := s.page.Sessions(); len(list) != 1 || list[0].Open != 1 {
		t.Errorf("sessions: %+v", list)
	}
	s.ops.changed.Store(7)
	if err := dec.Decode(&e); err != nil || e.Status == nil || e.Status.PID != 7 {
		t.Errorf("%+v, %v", e, err)
	}
	if n, err := s.page.End(""); n != 1 || err != nil {
		t.Error(n, err)
	}
	if err := dec.Decode(&e); err == nil {
		t.Error("it goes on after the session has ended")
	}
}

// The files of the page are all there is besides, by name and by no way around it.
func TestShell(t *testing.T) {
	s := serve(t, t.TempDir())
	for path, kind := range map[string]string{"/": "text/html", "/main.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml"} {
		status, body, h := s.do("GET", path, halves{}, "", nil)
		if status != 200 || !strings.HasPrefix(h.Get("Content-Type"), kind) || body == "" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, status, h)
		}
		if status, _, _ := s.do("GET", path, halves{}, "", func(r *http.Request) { r.Header.Set("If-None-Match", h.Get("ETag")) }); status != 304 {
			t.Errorf("%s again: %d", path, status)
		}
		if status, _, _ := s.do("GET", path, halves{}, "", func(r *http.Request) { r.Host = "evil.test" }); status != 421 {
			t.Errorf("%s by another name: %d", path, status)
		}
	}
	for _, path := range []string{"/types.d.ts", "/jsconfig.json", "/static/main.js", "/..%2fweb.go", "/%2e%2e/web.go", "/main.js/", "/web.json", "/index.html%00.js"} {
		if status, body, _ := s.do("GET", path, halves{}, "", func(r *http.Request) { r.URL.Opaque = "http://" + s.addr + path }); status < 300 {
			t.Errorf("%s: %d %.40s", path, status, body)
		}
	}
	// What the page names is asked for once, ever; the page itself each time.
	_, page, h := s.do("GET", "/", halves{}, "", nil)
	if c := h.Get("Cache-Control"); c != "no-cache" {
		t.Errorf("the page: %q", c)
	}
	named := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(named) < 10 {
		t.Errorf("the page names %d files", len(named))
	}
	for _, m := range named {
		if status, body, h := s.do("GET", m[1], halves{}, "", nil); status != 200 || body == "" || !strings.Contains(h.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", m[1], status, h)
		}
		old := "/0123456789abcdef" + m[1][17:] // of a page that was loaded before an update
		if status, body, h := s.do("GET", old, halves{}, "", nil); status != 200 || body == "" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", old, status, h)
		}
	}
	if status, _, _ := s.do("POST", "/", halves{}, "{}", nil); status != 404 {
		t.Errorf("POST /: %d", status)
	}
}

// Clients that send nothing, or read nothing, get in the way of nobody for long.
func TestSlowClients(t *testing.T) {
	s := serve(t, t.TempDir())
	for range maxConnections { // all that there are, for as long as a request may take
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "); err != nil {
			t.Fatal(err)
		}
	}
	h, status, _ := s.signIn(s.page.Ticket(""))
	if status != 200 {
		t.Fatal(status)
	}
	for range 10_000 {
		if status, _, _ := s.do("GET", "/api/status", halves{h.cookie, "guess"}, "", nil); status != 401 {
			t.Fatal(status)
		}
	}
	if status, _, _ := s.do("GET", "/api/status", h, "", nil); status != 200 {
		t.Error(status)
	}
}
