package api

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

// What came of a request has names and the kind of an error, and never what was typed.
func TestOutcome(t *testing.T) {
	t.Parallel()
	refused := fault.New(fault.Auth, "geheim is refused", "")
	long := strings.Repeat("ä", fault.MaxQuoted)
	for name, tt := range map[string]struct {
		ask, answer any
		err         error
		want        Outcome
	}{
		"a login":               {operations.SetLogin{Account: "home", Password: "geheim"}, operations.Tried{}, nil, Outcome{Account: "home"}},
		"a wrong password":      {operations.SetLogin{Account: "home", Password: "geheim"}, operations.Tried{Probe: operations.Probe{Error: "geheim", Kind: "auth"}}, nil, Outcome{Account: "home", Failed: "auth"}},
		"wrong values":          {operations.SetAccount{Account: "home", Settings: map[string]string{"quota": "geheim"}}, operations.PlannedAccount{Wrong: []operations.Wrong{{Key: "quota"}}}, nil, Outcome{Account: "home", Failed: wrongValues}},
		"an error":              {operations.SetAccount{Account: "home"}, operations.PlannedAccount{}, refused, Outcome{Account: "home", Failed: "auth"}},
		"a new account":         {operations.NewAccount{Address: "a@b.c", Password: "geheim"}, operations.AddedAccount{Account: "b"}, nil, Outcome{Account: "b"}},
		"one that was refused":  {operations.NewAccount{Address: "a@b.c", Password: "geheim"}, operations.AddedAccount{}, refused, Outcome{Account: "a@b.c", Failed: "auth"}},
		"a device":              {operations.Device{User: "ann", Name: "phone"}, struct{}{}, nil, Outcome{User: "ann", Device: "phone"}},
		"a user":                {operations.Rename{From: "ann", To: "eve"}, operations.User{Name: "eve"}, nil, Outcome{User: "ann"}},
		"a sign-in":             {operations.PasteSignIn{Account: "home", Text: "geheim"}, operations.SignIn{Account: "home", Error: "geheim"}, nil, Outcome{Account: "home", Failed: noKind}},
		"all accounts":          {Accounts{}, []operations.SyncResult{{Account: "home"}, {Account: "work"}}, nil, Outcome{}},
		"one that fails of two": {Accounts{[]string{"home", "work"}}, []operations.SyncResult{{}, {Error: "geheim", Kind: "temporary"}}, nil, Outcome{Account: "home, work", Failed: "temporary"}},
		"nothing":               {struct{}{}, nil, nil, Outcome{}},
		"a long name":           {operations.AccountName{Account: "x" + long}, nil, nil, Outcome{Account: "x" + long[:fault.MaxQuoted-2]}},
	} {
		if got := outcome(tt.ask, tt.answer, tt.err); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// A request that is none has failed, too; and a streamed one says what came of it.
func TestOutcomeOfAHandler(t *testing.T) {
	t.Parallel()
	f := &fakeEditing{}
	routes := editingRoutes(f)
	one := func(path, body string) Outcome {
		r := routes[slices.IndexFunc(routes, func(r Route) bool { return r.Method+" "+r.Path == path })]
		return r.Handler(httptest.NewRecorder(), httptest.NewRequest(r.Method, r.Path, strings.NewReader(body)))
	}
	if got := one("DELETE /accounts", `{"account": 3}`); got != (Outcome{Failed: "protocol"}) {
		t.Errorf("nonsense: %+v", got)
	}
	if got := one("DELETE /accounts", `{"account": "x"}`); got != (Outcome{Account: "x"}) {
		t.Errorf("a change: %+v", got)
	}
	if got := one("POST /accounts/discover", `{"address": "a@b.c"}`); got != (Outcome{Account: "a@b.c"}) {
		t.Errorf("a streamed one: %+v", got)
	}
}
