// Package control is how the command line talks to a running agent: HTTP with
// JSON bodies over a unix socket in the data folder, on Windows over a named pipe.
//
// Serve answers with the operations of an agent; Client implements the same
// interface by asking.
//
// What is asked and answered is that of package api; an error becomes the same fault
// again at the client.
//
// The endpoint is the only gate: the socket's mode is 0600 inside a folder of mode
// 0700, and the pipe's access list names who may open it. Client refuses an endpoint
// that another user made; a pipe may also be of the service or of an administrator.
package control

import (
	"context"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/api"
	"github.com/popbridge/popbridge/agent/operations"
)

const (
	readTimeout  = 10 * time.Second // for a whole request
	drainTimeout = 10 * time.Second // for what is being answered at the end
)

// Serve answers requests on ln until ctx ends; requests in flight are then
// cancelled and waited for. It closes ln.
func Serve(ctx context.Context, ln net.Listener, ops operations.Operations, logger zerolog.Logger) error {
	var handlers sync.WaitGroup
	srv := &http.Server{
		Handler:     handler(ops, &handlers),
		ReadTimeout: readTimeout,
		IdleTimeout: readTimeout,
		ErrorLog:    log.New(logger, "", 0),
	}
	return api.Serve(ctx, ln, srv, &handlers, drainTimeout)
}

// handler counts those who answer in handlers.
func handler(ops operations.Operations, handlers *sync.WaitGroup) http.Handler {
	mux := http.NewServeMux()
	for _, r := range api.Routes(ops) {
		mux.HandleFunc(r.Method+" /v1"+r.Path, func(w http.ResponseWriter, req *http.Request) { r.Handler(w, req) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		mux.ServeHTTP(w, r)
	})
}
