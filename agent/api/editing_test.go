package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

// fakeEditing answers what it was asked.
type fakeEditing struct{ asked string }

func (f *fakeEditing) Discover(_ context.Context, ask operations.Address, progress func(operations.Progress)) ([]operations.Discovered, error) {
	for i := range 3 {
		progress(operations.Progress{Asked: fmt.Sprintf("step %d", i)})
		progress(operations.Progress{Asked: fmt.Sprintf("step %d", i), Answer: "none"})
	}
	return []operations.Discovered{{Address: ask.Address}}, nil
}

func (f *fakeEditing) TryAccount(_ context.Context, ask operations.NewAccount) (operations.Tried, error) {
	f.asked = fmt.Sprintf("try %s %s %d %s %s", ask.Address, ask.Server.Host, ask.Server.Port, ask.OtherUsername, string(ask.Password))
	return operations.Tried{Username: "ann"}, nil
}

func (f *fakeEditing) AddAccount(_ context.Context, ask operations.NewAccount) (operations.AddedAccount, error) {
	f.asked = "add " + ask.Keep + " " + string(ask.Password)
	return operations.AddedAccount{Account: "ann"}, nil
}

func (f *fakeEditing) AddClient(_ context.Context, ask operations.NewClient) (operations.MadeClient, error) {
	f.asked = "client " + ask.Provider + " " + ask.ClientID + " " + string(ask.ClientSecret)
	return operations.MadeClient{Wrong: []operations.Wrong{}, Name: "ann"}, nil
}

func (f *fakeEditing) MakeFirstDevice(_ context.Context, ask operations.DeviceOf) (operations.FirstDevice, error) {
	f.asked = "device " + ask.User
	return operations.FirstDevice{Name: "ann"}, nil
}

func (f *fakeEditing) AccountDetails(_ context.Context, ask operations.AccountName) (operations.AccountDetails, error) {
	f.asked = "details " + ask.Account
	return operations.AccountDetails{Account: "ann"}, nil
}

func (f *fakeEditing) PlanAccount(_ context.Context, ask operations.SetAccount) (operations.PlannedAccount, error) {
	f.asked = fmt.Sprintf("plan %s %v", ask.Account, ask.Settings)
	return operations.PlannedAccount{Wrong: []operations.Wrong{{Key: "ann"}}}, nil
}

func (f *fakeEditing) SetAccount(_ context.Context, ask operations.SetAccount) (operations.PlannedAccount, error) {
	f.asked = fmt.Sprintf("set %s %v", ask.Account, ask.Settings)
	return operations.PlannedAccount{}, fault.New(fault.Denied, "not ann", "hint")
}

func (f *fakeEditing) SetLogin(_ context.Context, ask operations.SetLogin) (operations.Tried, error) {
	f.asked = "login " + ask.Account + " " + ask.Server.TLS + " " + string(ask.Password)
	return operations.Tried{Username: "ann"}, nil
}

func (f *fakeEditing) SetSending(_ context.Context, ask operations.SetSending) (operations.TriedSending, error) {
	f.asked = fmt.Sprintf("sending %s %s %v %s", ask.Account, ask.Server.Host, ask.Own, string(ask.Password))
	return operations.TriedSending{Wrong: []operations.Wrong{{Key: "ann"}}}, nil
}

func (f *fakeEditing) UseSignIn(_ context.Context, ask operations.AccountName) (operations.AccountDetails, error) {
	f.asked = "sign in " + ask.Account
	return operations.AccountDetails{Account: "ann"}, nil
}

func (f *fakeEditing) RemoveAccount(_ context.Context, ask operations.AccountName) (operations.AccountDetails, error) {
	f.asked = "remove " + ask.Account
	return operations.AccountDetails{Account: "ann"}, nil
}

func (f *fakeEditing) ConfirmSeen(_ context.Context, ask operations.Seen) (operations.Confirmed, error) {
	f.asked = fmt.Sprint("confirm ", ask.Account, " ", ask.Seen, " ", ask.Incomplete)
	return operations.Confirmed{User: "ann"}, nil
}

func (f *fakeEditing) RenameUserWithAccounts(_ context.Context, ask operations.Rename) (operations.User, error) {
	f.asked = "rename " + ask.From + " " + ask.To
	return operations.User{Name: "ann"}, nil
}

func TestEditingRoutes(t *testing.T) {
	f := &fakeEditing{}
	routes := map[string]Route{}
	for _, r := range editingRoutes(f) {
		routes[r.Method+" "+r.Path] = r
	}
	const server = `"server": {"host": "h", "port": 995, "tls": "none"}, "password": "geheim"`
	for _, tt := range []struct {
		route, body, asked string
		changes            bool
	}{
		{"POST /accounts/try", `{"address": "a@b.c", "other_username": "o", ` + server + `}`, "try a@b.c h 995 o geheim", false},
		{"POST /accounts", `{"keep": "30d", ` + server + `}`, "add 30d geheim", true},
		{"POST /accounts/client", `{"provider": "google", "client_id": "id", "client_secret": "geheim"}`, "client google id geheim", true},
		{"POST /accounts/device", `{"user": "me"}`, "device me", true},
		{"POST /accounts/details", `{"account": "x"}`, "details x", false},
		{"POST /accounts/plan", `{"account": "x", "settings": {"paused": "true"}}`, "plan x map[paused:true]", false},
		{"PATCH /accounts", `{"account": "x", "settings": {"paused": ""}}`, "set x map[paused:]", true},
		{"POST /accounts/login", `{"account": "x", ` + server + `}`, "login x none geheim", true},
		{"POST /accounts/sending", `{"account": "x", "own": true, ` + server + `}`, "sending x h true geheim", true},
		{"POST /accounts/signin", `{"account": "x"}`, "sign in x", true},
		{"DELETE /accounts", `{"account": "x"}`, "remove x", true},
		{"POST /confirm", `{"account": "x", "seen": "d1", "incomplete": true, "everything": true}`, "confirm x d1 true", true},
		{"POST /users/rename", `{"from": "x", "to": "y"}`, "rename x y", true},
	} {
		r := routes[tt.route]
		w := httptest.NewRecorder()
		r.Handler(w, httptest.NewRequest(r.Method, r.Path, strings.NewReader(tt.body)))
		if f.asked != tt.asked || r.Changes != tt.changes || !strings.Contains(w.Body.String(), "ann") || strings.Contains(w.Body.String(), "geheim") {
			t.Errorf("%s: asked %q, answered %s, changes %v", tt.route, f.asked, w.Body, r.Changes)
		}
		w = httptest.NewRecorder()
		r.Handler(w, httptest.NewRequest(r.Method, r.Path, strings.NewReader(`{"account": 3, "user": 3, "address": 3, "from": 3, "provider": 3}`)))
		if w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: a request that is none: %d", tt.route, w.Code)
		}
	}
}

// The steps of a discovery come in their order, each with its answer.
func TestDiscoverStreamsItsSteps(t *testing.T) {
	w := httptest.NewRecorder()
	for _, r := range editingRoutes(&fakeEditing{}) {
		if r.Path == "/accounts/discover" {
			r.Handler(w, httptest.NewRequest("POST", r.Path, strings.NewReader(`{"address": "a@b.c"}`)))
		}
	}
	answers := map[string]string{}
	var order []string
	dec := json.NewDecoder(w.Body)
	for {
		var line Streamed[operations.Discovered]
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if p := line.Progress; p != nil {
			if _, seen := answers[p.Asked]; !seen {
				order = append(order, p.Asked)
			}
			answers[p.Asked] = p.Answer
		}
		if line.End {
			if len(line.Result) != 1 || line.Result[0].Address != "a@b.c" {
				t.Errorf("%+v", line.Result)
			}
			break
		}
	}
	if got := strings.Join(order, ", "); got != "step 0, step 1, step 2" {
		t.Errorf("the steps are %s", got)
	}
	for step, answer := range answers {
		if answer != "none" {
			t.Errorf("%s: %q", step, answer)
		}
	}
}
