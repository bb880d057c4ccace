package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// Limits of the loopback listener. Browsers open connections ahead, and other
// programs of this machine may knock.
const (
	maxRedirect = 32 << 10         // bytes of a request or of what is pasted
	readFor     = 10 * time.Second // one request
	closeFor    = time.Second      // for pages that are on their way
	portTries   = 20               // ports, until one is free in both families
)

// listener waits for the browser (RFC 8252 section 7.3).
type listener struct {
	path    string
	sockets []net.Listener
	server  *http.Server
	serving sync.WaitGroup
}

// listen opens the redirect URI, and returns it with its port. The listener is
// nil where it is none of this machine.
func listen(ctx context.Context, redirect string) (string, *listener, error) {
	if redirect == "" {
		redirect = loopback
	}
	u, err := url.Parse(redirect)
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Config, "redirect is no URL", "set it as it is registered with the provider")
	}
	if u.Scheme != "http" || !isLoopback(u.Hostname()) {
		return redirect, nil, nil
	}
	hosts := []string{u.Hostname()}
	if strings.EqualFold(u.Hostname(), "localhost") {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var sockets []net.Listener
	for range portTries {
		if sockets, err = listenAll(ctx, hosts, u.Port()); err == nil {
			break
		}
	}
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Conflict, "popbridge cannot wait for the browser at "+fault.Quote(redirect),
			"end the program that has this port, or set redirect without one")
	}
	if u.Port() == "" {
		_, port, err := net.SplitHostPort(sockets[0].Addr().String())
		if err != nil {
			return "", nil, err
		}
		u.Host += ":" + port
	}
	path := u.Path
	if path == "" {
		path = "/" // what browsers ask for then
	}
	return u.String(), &listener{path: path, sockets: sockets}, nil
}

// listenAll listens on one port at all hosts. A machine may have no IPv6: then
// its browser does not use it.
func listenAll(ctx context.Context, hosts []string, port string) ([]net.Listener, error) {
	var sockets []net.Listener
	if port == "" {
		port = "0"
	}
	for i, host := range hosts {
		s, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil && i > 0 && !inUse(ctx, host, port) {
			continue
		}
		if err != nil {
			for _, s := range sockets {
				err = errors.Join(err, s.Close())
			}
			return nil, err
		}
		sockets = append(sockets, s)
		port = strconv.Itoa(s.Addr().(*net.TCPAddr).Port)
	}
	return sockets, nil
}

// inUse reports whether a port that cannot be had is another's, which the
// browser would reach in our place.
func inUse(ctx context.Context, host, port string) bool {
	s, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return false // nobody has a port there
	}
	return s.Close() == nil
}

// serve answers browsers until close.
func (s *listener) serve(l *Login) {
	s.server = &http.Server{Handler: &redirected{login: l, path: s.path}, MaxHeaderBytes: maxRedirect,
		ReadTimeout: readFor, WriteTimeout: readFor, IdleTimeout: readFor, ErrorLog: log.New(io.Discard, "", 0)}
	for _, socket := range s.sockets {
		s.serving.Go(func() { _ = s.server.Serve(socket) }) // ends with http.ErrServerClosed
	}
}

func (s *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // connections that never asked for anything
	}
	s.serving.Wait()
}

// redirected answers the browser. Only a GET of the redirect URI with the
// right state ends the sign-in; /favicon.ico, connections opened ahead and
// other programs do not disturb it.
type redirected struct {
	login *Login
	path  string
}

func (h *redirected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case r.URL.Path != h.path || !isLoopback(hostOf(r.Host)):
		show(w, http.StatusNotFound, page{Title: "Nothing here", Text: "popbridge waits for a sign-in at another address."})
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		show(w, http.StatusMethodNotAllowed, page{Title: "Nothing here", Text: "popbridge waits for a sign-in."})
	case !q.Has("state") && q.Has("error"): // anybody's: told, but no end
		show(w, http.StatusBadRequest, result(h.login.judge(q).err))
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(h.login.state)) != 1:
		show(w, http.StatusBadRequest, page{Title: "Another sign-in", Text: "This answer belongs to another sign-in than the one popbridge waits for. Close this window and use the newest one."})
	default:
		a := h.login.judge(q)
		show(w, http.StatusOK, result(a.err))
		h.login.finish(a)
	}
}

// result is the page that a person sees last.
func result(err error) page {
	if err == nil {
		return page{Title: "Almost done", Text: "Your provider has answered. popbridge now finishes the sign-in and tries the mail servers; how it went is shown where you began. You can close this window."}
	}
	p := page{Title: "Not signed in", Hint: fault.Hint(err)}
	var f *fault.Error
	if errors.As(err, &f) {
		p.Text = "This did not work: " + f.Text + "."
	}
	return p
}

type page struct{ Title, Text, Hint string }

var pageTemplate = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}} – popbridge</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}</style>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>{{with .Hint}}
<p>What to do: {{.}}</p>{{end}}
</html>
`))

// show writes a page that is kept nowhere: its address has the code.
func show(w http.ResponseWriter, status int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, p) // the browser may be gone
}

// hostOf is the host of a Host header. One that names another host comes from a
// page whose name leads here.
func hostOf(hostport string) string {
	u := url.URL{Host: hostport}
	return u.Hostname()
}
