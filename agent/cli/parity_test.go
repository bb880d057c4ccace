package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/web"
)

// byPage says what of the web page does the same as a command: its routes, or in
// parentheses why no browser may, or need, do it.
var byPage = map[string]string{
	"demo":             "(it is for a first try, and shows its own page)",
	"setup":            "POST /accounts/discover, POST /accounts/try, POST /accounts/client, POST /accounts, POST /accounts/device",
	"check-config":     "GET /settings, PATCH /settings",
	"open":             "GET /web/sessions, DELETE /web/sessions, (a browser cannot sign itself in)",
	"device add":       "GET /devices/choices, POST /devices/new, POST /devices/phone",
	"device list":      "GET /devices",
	"device set":       "PATCH /devices",
	"device password":  "POST /devices/password",
	"device revoke":    "DELETE /devices",
	"client-setup":     "POST /devices/client",
	"trust install":    "(it changes what the whole system trusts, which a page may not)",
	"trust remove":     "(as trust install)",
	"trust status":     "(as trust install)",
	"run":              "(there is no page before it)",
	"status":           "GET /status, GET /history",
	"sync":             "POST /sync, POST /preview",
	"undelete":         "POST /expunged, POST /undelete",
	"outbox list":      "GET /outbox",
	"outbox retry":     "POST /outbox",
	"outbox hold":      "POST /outbox",
	"outbox drop":      "POST /outbox",
	"outbox sent":      "POST /outbox",
	"account add":      "POST /accounts/try, POST /accounts",
	"account list":     "GET /status, POST /accounts/details",
	"account set":      "POST /accounts/plan, PATCH /accounts, POST /accounts/sending, POST /accounts/signin",
	"account pause":    "PATCH /accounts",
	"account resume":   "PATCH /accounts",
	"account remove":   "DELETE /accounts",
	"account test":     "POST /probe",
	"account password": "POST /accounts/login",
	"account signin":   "POST /signin, GET /signin, POST /signin/paste, POST /signin/cancel",
	"account confirm":  "POST /confirm",
	"user list":        "GET /users",
	"user rename":      "POST /users/rename",
	"user confirm":     "(who lost a folder of mail has to look at it, on the disk)",
	"check":            "POST /check, POST /repair",
	"backup":           "GET /storage, POST /backup-again, (the folder is chosen by who runs the command)",
	"restore":          "(popbridge has to be stopped for it)",
	"install":          "(the service belongs to the system; a page of it could not come back)",
	"uninstall":        "(as install)",
	"start":            "(as install)",
	"stop":             "(as install)",
	"restart":          "(as install)",
	"logs":             "GET /log",
	"report":           "GET /report",
	"version":          "GET /about",
}

// unasked are the routes that no module of the page asks for, and why.
var unasked = map[string]string{
	"GET /status":  "GET /events brings it with each change",
	"POST /reload": "a change of the config is taken up by itself",
}

// What the page could ask for, it does: a route without a button is no way to do it there.
func TestThePageAsksForEveryRoute(t *testing.T) {
	modules, err := filepath.Glob("../web/static/*.js")
	if err != nil || len(modules) == 0 {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, m := range modules {
		text, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, r := range web.Routes((*operations.Local)(nil), (*operations.Local)(nil)) {
		asks := `ask("` + r.Method + `", "` + r.Path + `"`
		if r.Streamed {
			asks = `"` + r.Path + `", ` // for work and job, which ask by POST
		}
		name := r.Method + " " + r.Path
		if _, not := unasked[name]; strings.Contains(all.String(), asks) == not {
			t.Errorf("%s: is it asked for by the page? %v was said", name, !not)
		}
	}
}

// Nothing can be done by the page only, and nothing by a command only but what must not
// be reachable from a browser.
func TestThePageDoesWhatTheCommandsDo(t *testing.T) {
	var commands []string
	var walk func(c *cobra.Command, path string)
	walk = func(c *cobra.Command, path string) {
		for _, sub := range c.Commands() {
			name := strings.TrimSpace(path + " " + sub.Name())
			if sub.HasSubCommands() {
				walk(sub, name)
			} else if !sub.Hidden && sub.Name() != "help" && path != "completion" {
				commands = append(commands, name)
			}
		}
	}
	walk(Root(), "")
	var routes []string
	for _, r := range web.Routes((*operations.Local)(nil), (*operations.Local)(nil)) {
		routes = append(routes, r.Method+" "+r.Path)
	}
	routes = append(routes, "GET /log", "GET /events")                 // which are streams
	used := map[string]bool{"POST /reload": true, "GET /events": true} // for which commands are asked again
	for _, c := range commands {
		text, ok := byPage[c]
		if !ok {
			t.Errorf("what of the page is `%s`?", c)
		}
		for part := range strings.SplitSeq(text, ", ") {
			if method, _, ok := strings.Cut(part, " /"); ok && !strings.HasPrefix(part, "(") && strings.ToUpper(method) == method {
				used[part] = true
				if !slices.Contains(routes, part) {
					t.Errorf("`%s`: the page has no %s", c, part)
				}
			}
		}
	}
	for c := range byPage {
		if !slices.Contains(commands, c) {
			t.Errorf("there is no command %s", c)
		}
	}
	for _, r := range routes {
		if !used[r] {
			t.Errorf("%s is done by the page only", r)
		}
	}
}
