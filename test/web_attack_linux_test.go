package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
)

// A name of somebody else's that resolves to this machine gets nothing, in a browser that
// is signed in.
func TestWebIsNotRebound(t *testing.T) {
	t.Parallel()
	_, _, b, origin := withPage(t, 1, "host-resolver-rules=MAP evil.test 127.0.0.1")
	b.shows("The account is up to date")
	evil := strings.Replace(origin, "127.0.0.1", "evil.test", 1)
	b.may = []string{"421", "Failed to load", "403", "401"}
	b.open(evil + "/")
	b.shows("it is not served by the name")
	for _, path := range []string{"/api/status", "/api/devices", "/session"} {
		for _, method := range []string{"GET", "POST"} {
			got := eval[[]any](b, `const r = await fetch(args[0], {method: args[1], body: args[1] === "POST" ? "{}" : undefined, headers: {"Content-Type": "application/json", "Popbridge-Key": "x"}}); return [r.status, await r.text()]`, path, method)
			if got[0] != 421.0 || strings.Contains(got[1].(string), "data_dir") {
				t.Errorf("%s %s as evil.test: %v", method, path, got)
			}
		}
	}
}

// Another program at another port of this machine, whose page is open in the same
// browser, is sent the cookie of ours: it can do nothing with that, nor by the page.
func TestWebAgainstAnotherPort(t *testing.T) {
	t.Parallel()
	p, _, b, origin := withPage(t, 1)
	b.shows("The account is up to date")
	var mu sync.Mutex
	cookie := ""
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if c := r.Header.Get("Cookie"); c != "" {
			cookie = c
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>evil</title><p>evil</p>")
	}))
	defer evil.Close()
	b.may = []string{"CORS", "403", "Failed to load", "frame", "ERR_", "401"}
	b.open(evil.URL)
	b.shows("evil")
	mu.Lock()
	stolen := cookie
	mu.Unlock()
	if !strings.HasPrefix(stolen, "popbridge_") {
		t.Fatalf("the browser keeps ports apart: %q; the test is for one that does not", stolen)
	}
	// The program itself, with the cookie and all headers that a browser would send.
	for _, key := range []string{"", "x", strings.SplitN(stolen, "=", 2)[1]} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", origin+"/api/status", nil)
		must(t, err)
		req.Header.Set("Cookie", stolen)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("Popbridge-Key", key)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != 401 || strings.Contains(string(body), "data_dir") {
			t.Errorf("with the cookie and the key %q: %d %s", key, resp.StatusCode, body)
		}
	}
	// Its page, by all that a page can send.
	got := eval[[]string](b, `
		const out = [];
		const say = (what, r) => out.push(what + ": " + r);
		for (const mode of ["cors", "no-cors", "same-origin"]) for (const method of ["GET", "POST"]) {
			try {
				const r = await fetch(args[0] + "/api/status", {mode, method, credentials: "include"});
				say(mode + " " + method, r.type + " " + r.status + " " + (await r.text()).length);
			} catch (e) { say(mode + " " + method, "refused"); }
		}
		say("storage", localStorage.length + sessionStorage.length);
		const w = await new Promise(done => { const f = document.createElement("iframe"); f.onload = () => done(f); f.src = args[0]; document.body.append(f); });
		try { say("frame", w.contentDocument ? "open" : "closed"); } catch { say("frame", "closed"); }
		const pop = open(args[0]);
		await new Promise(done => setTimeout(done, 500));
		try { say("window", pop && pop.document ? "open" : "closed"); } catch { say("window", "closed"); }
		pop?.close();
		return out`, origin)
	want := "cors GET: refused; cors POST: refused; no-cors GET: opaque 0 0; no-cors POST: opaque 0 0; same-origin GET: refused; same-origin POST: refused; storage: 0; frame: closed; window: closed"
	if text := strings.Join(got, "; "); text != want && strings.ReplaceAll(text, "opaque 0 0", "refused") != strings.ReplaceAll(want, "opaque 0 0", "refused") {
		t.Errorf("its page gets\n%s, want\n%s", text, want)
	}
	// A form that changes something, as it would without guards.
	eval[bool](b, `const f = document.createElement("form"); f.method = "POST"; f.action = args[0] + "/api/sync"; f.enctype = "text/plain";
		const i = document.createElement("input"); i.name = '{"accounts":["home"],"x":"'; i.value = '"}'; f.append(i); document.body.append(f); setTimeout(() => f.submit(), 500); return true`, origin)
	b.shows("only the page of popbridge may ask this")
	if log := p.Log(); strings.Contains(log, "post /sync") {
		t.Errorf("it was asked for: %s", log)
	}
	// What it does to the cookie signs the browser out, at most.
	b.open(origin)
	devtools(b, page.BringToFront, cdp.Empty{}) // after the window that was opened
	b.shows("The account is up to date")
}

// A link that somebody has seen, as every user can in the list of processes, is of no use
// to another user, nor a second time.
func TestWebTicketOfSomebodyElse(t *testing.T) {
	t.Parallel()
	p, _, b, origin := withPage(t, 1)
	b.shows("The account is up to date")
	_, ticket, _ := strings.Cut(signIn(t, p), "#t=")
	curl := func(setup func(*exec.Cmd)) string {
		t.Helper()
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "curl", "-sS", "-H", "Sec-Fetch-Site: same-origin", "-H", "Content-Type: application/json",
			"-d", fmt.Sprintf(`{"ticket":%q}`, ticket), origin+"/session")
		if setup != nil {
			setup(cmd)
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	nobody := func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out := curl(nobody); !strings.Contains(out, "another user of this computer") {
		t.Errorf("nobody gets %s", out)
	}
	if out := curl(nil); !strings.Contains(out, `"key"`) {
		t.Fatalf("its owner gets %s", out)
	}
	if out := curl(nil); strings.Contains(out, `"key"`) {
		t.Errorf("a second time: %s", out)
	}
	b.shows("An address that signs a browser in was used twice.")
	b.shot("condition")
	signIn(t, p) // as the hint says
	b.gone("An address that signs a browser in was used twice.")

	// What root asks for on behalf of a user is for that user.
	for _, caller := range []string{"SUDO_USER=nobody", "DOAS_USER=nobody", "PKEXEC_UID=65534"} {
		called := *p
		called.Env = append(slices.Clone(p.Env), caller)
		_, ticket, _ = strings.Cut(signIn(t, &called), "#t=")
		if out := curl(nil); !strings.Contains(out, "another user of this computer") {
			t.Errorf("%s: root gets %s", caller, out)
		}
		if out := curl(nobody); !strings.Contains(out, `"key"`) {
			t.Errorf("%s: nobody gets %s", caller, out)
		}
	}
}
