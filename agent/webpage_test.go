package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/ports"
)

// A request of the page that has the config taken up is answered, also where the page
// moves to another address by that.
func TestThePageMovesWhileItAsks(t *testing.T) {
	free, err := ports.Free(2)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", free[i]) }
	write := func(listen string) {
		t.Helper()
		if err := os.WriteFile(r.Path(), []byte("data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\ntls = \"off\"\n[web]\nlisten = \""+listen+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(at(0))
	r.Start()
	served := func(i int) bool { return r.Status().Web == at(i) }
	agenttest.Eventually(t, "the page is served", func() bool { return served(0) })
	address, err := r.Ops().OpenWeb(t.Context(), operations.OpenWeb{})
	if err != nil {
		t.Fatal(err)
	}
	_, ticket, _ := strings.Cut(address.URL, "#t=")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(method, path, body, cookie, key string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+at(0)+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json", "Cookie": cookie, "Popbridge-Key": key} {
			req.Header.Set(name, value)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	in := ask("POST", "/session", `{"ticket":"`+ticket+`"}`, "", "")
	var session struct{ Key string }
	if err := json.NewDecoder(in.Body).Decode(&session); err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(in.Header.Get("Set-Cookie"), ";")
	var now struct{ Process string }
	if err := json.NewDecoder(ask("GET", "/process", "", "", "").Body).Decode(&now); err != nil {
		t.Fatal(err)
	}
	write(at(1))
	answer := ask("POST", "/api/reload", "{}", cookie, testkit.WebProof(session.Key, now.Process))
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%d %s %v", answer.StatusCode, body, err)
	}
	agenttest.Eventually(t, "the page has moved", func() bool { return served(1) })
	write("off")
	r.Agent.Reload()
	agenttest.Eventually(t, "the page is off", func() bool { return r.Status().Web == "" })
	write(at(0))
	r.Agent.Reload()
	agenttest.Eventually(t, "the page is back", func() bool { return served(0) })
}
