package control

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Whatever is asked, the answer is JSON, and a request that cannot be read
// never reaches the agent.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "status", "")
	f.Add("POST", "sync", `{"accounts":["home"]}`)
	f.Add("POST", "sync", `{"accounts":"home"}`)
	f.Add("POST", "check", `{}`)
	f.Add("POST", "devices", `{"user":"ann","name":"phone","password":"secret","read_only":true}`)
	f.Add("DELETE", "devices", `{"user":"ann","name":"phone"}`)
	f.Add("DELETE", "devices", `[]`)
	f.Add("POST", "sync", strings.Repeat("[", 10_000))
	known := map[string]bool{"GET status": true, "POST sync": true, "POST check": true, "GET devices": true, "POST devices": true, "DELETE devices": true}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if !known[method+" "+path] {
			return // answered by net/http
		}
		ops := &fakeOps{}
		w := httptest.NewRecorder()
		handler(ops, &sync.WaitGroup{}).ServeHTTP(w, httptest.NewRequest(method, "/v1/"+path, strings.NewReader(body)))
		dec := json.NewDecoder(w.Body)
		for dec.More() {
			var answer any
			if err := dec.Decode(&answer); err != nil {
				t.Fatalf("%s %s %q: %v", method, path, body, err)
			}
		}
		if w.Code >= http.StatusBadRequest && ops.asked != "" {
			t.Errorf("%s %s %q was refused with %d, and done: %s", method, path, body, w.Code, ops.asked)
		}
	})
}
