package agent

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/web"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// webAccess is the web page and where it is served.
type webAccess struct {
	agent *Agent
	page  *web.Page
	bound atomic.Pointer[string] // the address that is served; nil: none

	mu     sync.Mutex       // held by look
	group  *supervise.Group // nil unless Run is under way
	listen string           // by the config, as it was taken up last
	task   *supervise.Task
}

// open makes the page; nothing is served yet.
func (w *webAccess) open() {
	a := w.agent
	var err error
	w.page, err = web.New(web.Options{Operations: a.ops, Page: a.ops, DataDir: a.first.DataDir, Log: a.opts.Log.With().Str("component", "web").Logger(), Reused: func() {
		a.health.Report("web ticket", health.WebTicketReused(a.users.Command("open")))
	}})
	if err != nil {
		a.log.Warn().Err(err).Msg("the browsers that were signed in are not known; they are signed out")
	}
}

func (w *webAccess) begin(group *supervise.Group) {
	w.mu.Lock()
	w.group = group
	w.mu.Unlock()
	w.look()
}

// look serves the page where the config says so. What cannot be had is a condition, and
// tried again.
func (w *webAccess) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr := w.agent.Config().Web.Listen
	if w.group == nil || w.group.Context.Err() != nil || addr == w.listen {
		return
	}
	w.listen = addr
	before := w.task
	w.task = w.group.Start(func(ctx context.Context) {
		before.Stop() // here, since what it answers may wait for the one who looks
		w.agent.health.Report("web")
		if addr != "" {
			w.serve(ctx, addr)
		}
	})
}

func (w *webAccess) serve(ctx context.Context, addr string) {
	supervise.Run(ctx, func(ctx context.Context) error {
		ln, err := listen(ctx, "web", addr)
		if err != nil {
			return err
		}
		at := ln.Addr().String()
		w.bound.Store(&at)
		defer w.bound.Store(nil)
		w.agent.health.Report("web")
		return w.page.Serve(ctx, ln)
	}, func(err error) { w.agent.health.Report("web", health.Web(err)) }, nil)
}

// Address returns where the page is served, "" for nowhere.
func (w *webAccess) Address() string {
	if at := w.bound.Load(); at != nil {
		return *at
	}
	return ""
}

// Open returns an address that signs a browser in. The ticket is in the fragment, which a
// browser sends to no server.
func (w *webAccess) Open(uid string) (string, error) {
	at := w.Address()
	switch {
	case at != "":
		w.agent.health.Report("web ticket")
		return (&url.URL{Scheme: "http", Host: at, Path: "/", Fragment: "t=" + w.page.Ticket(uid)}).String(), nil
	case w.agent.Config().Web.Listen == "":
		return "", fault.New(fault.Config, "the web page is switched off in the config", "delete listen = \"off\" below [web]")
	}
	return "", fault.New(fault.Temporary, "the web page is not served at the moment", "`"+w.agent.users.Command("status")+"` says why")
}

// Sessions implements operations.Pages.
func (w *webAccess) Sessions() []operations.WebSession { return w.page.Sessions() }

// End implements operations.Pages.
func (w *webAccess) End(id string) (int, error) { return w.page.End(id) }
