package web

import (
	"net/http"
	"strings"

	"github.com/popbridge/popbridge/agent/api"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

// unreachable are the operations that no browser may ask for, and why.
var unreachable = map[string]string{
	"POST /web":          "a ticket is for who can use the control socket",
	"POST /backup":       "a folder is chosen by who runs the command, see POST /backup-again",
	"POST /devices":      "the agent makes the password, see POST /devices/new",
	"POST /devices/pair": "the agent finds the outgoing servers, see POST /devices/phone",
}

// narrowed are the operations of which a browser may ask for less, by a route of the page.
var narrowed = map[string]string{
	"POST /confirm":      "deletions are allowed only as they were seen",
	"POST /users/rename": "the accounts of the config, whose user a browser may not set, go with it",
}

// Routes are those of the page: all operations but the unreachable ones, and its own.
func Routes(ops operations.Operations, page operations.Page) []api.Route {
	list := api.PageRoutes(page)
	for _, r := range api.Routes(ops) {
		if name := r.Method + " " + r.Path; unreachable[name] == "" && narrowed[name] == "" {
			list = append(list, r)
		}
	}
	return list
}

func (p *Page) routes() http.Handler {
	mux := http.NewServeMux()
	guarded := func(h http.Handler) http.Handler { return own(p.signedIn(jsonOnly(h))) }
	for _, r := range Routes(p.ops, p.page) {
		mux.Handle(r.Method+" /api"+r.Path, guarded(p.logged(r)))
	}
	mux.Handle("GET /api/events", guarded(p.stream(p.events)))
	mux.Handle("GET /api/log", guarded(p.stream(p.followLog)))
	mux.Handle("/api/", guarded(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, fault.New(fault.NotFound, "there is no such operation", "load the page again: popbridge may have been updated"))
	})))
	mux.Handle("GET /process", own(jsonOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		api.Reply(w, process{p.sessions.process}, nil)
	}))))
	mux.Handle("POST /session", own(jsonOnly(http.HandlerFunc(p.signIn))))
	mux.Handle("GET /session", guarded(http.HandlerFunc(p.thisSession)))
	mux.Handle("DELETE /session", guarded(http.HandlerFunc(p.signOut)))
	mux.Handle("/", shell())
	return hosted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.answers.Add(1)
		defer p.answers.Done()
		mux.ServeHTTP(w, r)
	}))
}

// logged writes a line for each change that is asked for, when it is over: what it was
// about, and whether it has failed.
func (p *Page) logged(r api.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		o := r.Handler(w, req)
		if !r.Changes {
			return
		}
		e := p.log.Info().Str("session", p.session(req)).Str("operation", strings.ToLower(r.Method)+" "+r.Path)
		for _, is := range [][2]string{{"account", o.Account}, {"user", o.User}, {"device", o.Device}, {"failed", o.Failed}} {
			if is[1] != "" {
				e.Str(is[0], is[1])
			}
		}
		e.Msg("asked for by the web page")
	})
}

type signIn struct {
	Ticket string `json:"ticket"`
}

type signedIn struct {
	Key string `json:"key"`
}

func (p *Page) signIn(w http.ResponseWriter, r *http.Request) {
	ask, ok := api.Decode[signIn](w, r)
	if !ok {
		return
	}
	cookie, key, err := p.sessions.exchange(ask.Ticket, peer(r), browserName(r.UserAgent()), p.session(r))
	if err != nil {
		refuse(w, http.StatusForbidden, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: p.cookie, Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int(sessionFor.Seconds())})
	p.log.Info().Str("browser", browserName(r.UserAgent())).Msg("a browser has signed in")
	api.Reply(w, signedIn{key}, nil)
}

// process is what a page proves its key for.
type process struct {
	Process string `json:"process"`
}

// thisSession says which of the sessions is that of the page that asks.
func (p *Page) thisSession(w http.ResponseWriter, r *http.Request) {
	api.Reply(w, operations.WebSession{ID: p.session(r)}, nil)
}

func (p *Page) signOut(w http.ResponseWriter, r *http.Request) {
	_, err := p.sessions.end(p.session(r))
	http.SetCookie(w, &http.Cookie{Name: p.cookie, Path: "/", MaxAge: -1})
	p.log.Info().Str("browser", browserName(r.UserAgent())).Msg("a browser has signed out")
	api.Reply(w, struct{}{}, err)
}

// browserName is the program and the system of a User-Agent, in words, as a list of
// sessions has them.
func browserName(agent string) string {
	name, system := "a browser", ""
	for _, known := range [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(agent, known[0]) {
			name = known[1]
			break
		}
	}
	for _, known := range [][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, known[0]) {
			system = " on " + known[1]
			break
		}
	}
	return name + system
}
