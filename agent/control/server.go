// Package control is how the command line talks to a running agent: HTTP with
// JSON bodies over a unix socket in the data folder, on Windows over a named pipe.
//
// Serve answers with the operations of an agent; Client implements the same
// interface by asking.
//
// An error is answered as {"kind","text","hint"} with a status of 400 or more
// and becomes the same fault again at the client.
//
// The endpoint is the only gate: the socket's mode is 0600 inside a folder of mode
// 0700, and the pipe's access list names who may open it. Client refuses an endpoint
// that another user made; a pipe may also be of the service or of an administrator.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

const (
	maxRequest   = 1 << 20          // bytes of a request body
	readTimeout  = 10 * time.Second // for a whole request
	writeTimeout = 10 * time.Second // for an answer, or one line of a streamed one
)

// Serve answers requests on ln until ctx ends; requests in flight are then
// cancelled and waited for. It closes ln.
func Serve(ctx context.Context, ln net.Listener, ops operations.Operations, logger zerolog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var handlers sync.WaitGroup
	srv := &http.Server{
		Handler:     handler(ops, &handlers),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ReadTimeout: readTimeout,
		IdleTimeout: readTimeout,
		ErrorLog:    log.New(logger, "", 0),
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			_ = srv.Close() // a reader that hangs is cut off
		}
	})
	err := srv.Serve(ln)
	cancel()
	wg.Wait()
	handlers.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// handler counts those who answer in handlers.
func handler(ops operations.Operations, handlers *sync.WaitGroup) http.Handler {
	mux := http.NewServeMux()
	handle(mux, "GET /v1/status", func(ctx context.Context, _ struct{}) (operations.Status, error) { return ops.Status(ctx) })
	handleStream(mux, "POST /v1/sync", func(ctx context.Context, ask syncRequest, progress func(operations.Progress)) ([]operations.SyncResult, error) {
		return ops.Sync(ctx, ask.Accounts, progress)
	})
	handle(mux, "POST /v1/preview", func(ctx context.Context, ask syncRequest) ([]operations.Preview, error) {
		return ops.Preview(ctx, ask.Accounts)
	})
	handle(mux, "POST /v1/probe", func(ctx context.Context, ask syncRequest) ([]operations.Probe, error) {
		return ops.Probe(ctx, ask.Accounts)
	})
	handle(mux, "POST /v1/reload", func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, ops.Reload(ctx) })
	handle(mux, "POST /v1/confirm", func(ctx context.Context, ask confirmRequest) (operations.Confirmed, error) {
		return ops.Confirm(ctx, ask.Account)
	})
	handleStream(mux, "POST /v1/check", func(ctx context.Context, _ struct{}, progress func(operations.Progress)) ([]operations.Problem, error) {
		return ops.Check(ctx, progress)
	})
	handleStream(mux, "POST /v1/repair", func(ctx context.Context, _ struct{}, progress func(operations.Progress)) ([]operations.Repaired, error) {
		return ops.Repair(ctx, progress)
	})
	handleStream(mux, "POST /v1/backup", func(ctx context.Context, ask backupRequest, progress func(operations.Progress)) ([]operations.Backup, error) {
		return ops.Backup(ctx, ask.Dir, ask.Replace, progress)
	})
	handle(mux, "POST /v1/expunged", ops.Expunged)
	handle(mux, "POST /v1/undelete", ops.Undelete)
	handle(mux, "GET /v1/devices", func(ctx context.Context, _ struct{}) ([]operations.Device, error) { return ops.Devices(ctx) })
	handle(mux, "POST /v1/devices", ops.AddDevice)
	handle(mux, "PATCH /v1/devices", ops.SetDevice)
	handle(mux, "POST /v1/devices/pair", ops.Pair)
	handle(mux, "DELETE /v1/devices", func(ctx context.Context, ask operations.Device) (struct{}, error) {
		return struct{}{}, ops.RevokeDevice(ctx, ask.User, ask.Name)
	})
	handle(mux, "GET /v1/users", func(ctx context.Context, _ struct{}) ([]operations.User, error) { return ops.Users(ctx) })
	handle(mux, "POST /v1/users/rename", func(ctx context.Context, ask renameRequest) (operations.User, error) {
		return ops.RenameUser(ctx, ask.From, ask.To)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		mux.ServeHTTP(w, r)
	})
}

// handle answers requests whose body is what an operation is asked.
func handle[Ask, Answer any](mux *http.ServeMux, pattern string, op func(context.Context, Ask) (Answer, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if ask, ok := decode[Ask](w, r); ok {
			result, err := op(r.Context(), ask)
			answer(w, result, err)
		}
	})
}

// handleStream is handle for operations that report progress.
func handleStream[Ask, Item any](mux *http.ServeMux, pattern string, op func(context.Context, Ask, func(operations.Progress)) ([]Item, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if ask, ok := decode[Ask](w, r); ok {
			stream(w, func(progress func(operations.Progress)) ([]Item, error) { return op(r.Context(), ask, progress) })
		}
	})
}

type syncRequest struct {
	Accounts []string `json:"accounts"`
}

type confirmRequest struct {
	Account string `json:"account"`
}

type renameRequest struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type backupRequest struct {
	Dir     string `json:"dir"`
	Replace bool   `json:"replace"`
}

// streamed is one line of a streamed answer: any number with Progress, then
// one with Error or Result.
type streamed[T any] struct {
	Progress *operations.Progress `json:"progress,omitempty"`
	Error    *wireFault           `json:"error,omitempty"`
	Result   []T                  `json:"result,omitempty"`
	End      bool                 `json:"end,omitempty"` // without it the answer was cut off
}

// stream runs work and sends its progress while it runs. Only the newest
// progress of each account waits for a slow reader, so that neither the work
// nor the memory depends on it.
func stream[T any](w http.ResponseWriter, work func(func(operations.Progress)) ([]T, error)) {
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/jsonl")
	enc := json.NewEncoder(w)
	send := func(line streamed[T]) error {
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := enc.Encode(line); err != nil {
			return err
		}
		return rc.Flush()
	}
	pending := newLatest()
	result, err := func() ([]T, error) {
		var wg sync.WaitGroup
		defer wg.Wait()
		defer pending.close()
		wg.Go(func() {
			for p := range pending.all() {
				if send(streamed[T]{Progress: &p}) != nil {
					return // the client went away, which ends the context of work
				}
			}
		})
		return work(pending.put)
	}()
	_ = send(streamed[T]{Result: result, Error: toWire(err), End: true}) // see answer
}

// wireFault is a fault on its way through the socket.
type wireFault struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func toWire(err error) *wireFault {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		err = fault.New(fault.Temporary, "the agent is stopping", "start it again and repeat the command")
	}
	return &wireFault{Kind: fault.KindOf(err).String(), Text: err.Error(), Hint: fault.Hint(err)}
}

func (f *wireFault) err() error {
	if f == nil {
		return nil
	}
	for k := fault.Internal; k <= fault.Denied; k++ {
		if k.String() == f.Kind {
			return fault.New(k, f.Text, f.Hint)
		}
	}
	return fault.New(fault.Internal, f.Text, f.Hint)
}

// decode reads what is asked; no body at all asks for nothing in particular.
func decode[Ask any](w http.ResponseWriter, r *http.Request) (ask Ask, ok bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &ask)
	}
	if err != nil {
		answer(w, nil, fault.Wrap(err, fault.Protocol, "the request could not be read", ""))
		return ask, false
	}
	// The deadline for reading the request would end a long answer too: the
	// server goes on reading to notice a client that went away.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return ask, true
}

func answer(w http.ResponseWriter, body any, err error) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		body = toWire(err)
	}
	_ = json.NewEncoder(w).Encode(body) // a client that went away needs no answer
}
