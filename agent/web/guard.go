package web

import (
	"mime"
	"net"
	"net/http"
	"strings"

	"github.com/popbridge/popbridge/agent/api"
	"github.com/popbridge/popbridge/internal/fault"
)

// keyHeader is where the page sends the proof of its half of the session.
const keyHeader = "Popbridge-Key"

// policy keeps a page to what this server has: no script or style in it, no text that
// becomes markup (trusted types), no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func protect(h http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      policy,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
	} {
		h.Set(name, value)
	}
}

// hosted is the guard against rebinding: a name of somebody else's that resolves to this
// machine is not ours. The port may be any, for tunnels.
func hosted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header())
		if !known(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, fault.New(fault.Denied, "this is the page of popbridge, and it is not served by the name "+fault.Quote(r.Host), "open it as http://127.0.0.1 with the port, or run `popbridge open`"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func known(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return host == "127.0.0.1" || host == "::1" || strings.EqualFold(host, "localhost")
}

// own is the guard against other sites: browsers say who sends a request, and our page is
// the only one that may. Programs have the control socket.
func own(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Sec-Fetch-Site") != "same-origin" {
			refuse(w, http.StatusForbidden, fault.New(fault.Denied, "only the page of popbridge may ask this", "open it with `popbridge open`, in a browser of 2023 or later; programs can use the commands, which have --json"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

var errSignedOut = fault.New(fault.Denied, "this browser is not signed in", "run `popbridge open`, or use the menu entry")

// signedIn needs both halves of a session, whatever is asked.
func (p *Page) signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.session(r) == "" {
			refuse(w, http.StatusUnauthorized, errSignedOut)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// session is the id of the session of a request, "" for none. With several cookies of
// that name, which another port may have set, each may be the one.
func (p *Page) session(r *http.Request) string {
	for _, c := range r.CookiesNamed(p.cookie) {
		if id := p.sessions.find(c.Value, r.Header.Get(keyHeader), func() string { return peer(r) }); id != "" {
			return id
		}
	}
	return ""
}

// jsonOnly lets no form through, and no large body.
func jsonOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		switch {
		case r.Method == http.MethodGet && r.ContentLength == 0:
		case err != nil || kind != "application/json":
			refuse(w, http.StatusUnsupportedMediaType, fault.New(fault.Protocol, "the request is not JSON", "load the page again"))
			return
		case r.ContentLength > api.MaxRequest:
			refuse(w, http.StatusRequestEntityTooLarge, fault.New(fault.Protocol, "the request is too large", "enter less at a time"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers with an error, and keeps no connection for who is not signed in: there
// are so many only.
func refuse(w http.ResponseWriter, status int, err error) {
	if status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusMisdirectedRequest {
		w.Header().Set("Connection", "close")
	}
	api.Refuse(w, status, err)
}
