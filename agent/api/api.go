// Package api is the operations of an agent as HTTP and JSON: a route for each, for the
// command line at the control socket and for the web page.
//
// An error is answered as {"kind","text","hint"} with a status of 400 or more. An
// operation that reports progress is answered in lines of JSON, see Streamed.
package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/internal/fault"
)

// A Route answers one operation.
type Route struct {
	Method, Path string       // such as "POST" and "/sync"
	Ask, Answer  reflect.Type // of the bodies; of a streamed answer that of an item of its result
	Streamed     bool
	Changes      bool // it changes something: what a person asked for
	// Handler answers a request, and says what came of it.
	Handler func(http.ResponseWriter, *http.Request) Outcome
}

// Routes are those of all operations.
func Routes(ops operations.Operations) []Route {
	return []Route{
		plain("GET /status", func(ctx context.Context, _ struct{}) (operations.Status, error) { return ops.Status(ctx) }),
		streamed("POST /sync", func(ctx context.Context, ask Accounts, progress func(operations.Progress)) ([]operations.SyncResult, error) {
			return ops.Sync(ctx, ask.Accounts, progress)
		}),
		plain("POST /preview", func(ctx context.Context, ask Accounts) ([]operations.Preview, error) {
			return ops.Preview(ctx, ask.Accounts)
		}),
		plain("POST /probe", func(ctx context.Context, ask Accounts) ([]operations.Probe, error) {
			return ops.Probe(ctx, ask.Accounts)
		}),
		plain("POST /reload", func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, ops.Reload(ctx) }),
		plain("POST /confirm", ops.Confirm),
		streamed("POST /check", func(ctx context.Context, _ struct{}, progress func(operations.Progress)) ([]operations.Problem, error) {
			return ops.Check(ctx, progress)
		}),
		streamed("POST /repair", func(ctx context.Context, _ struct{}, progress func(operations.Progress)) ([]operations.Repaired, error) {
			return ops.Repair(ctx, progress)
		}),
		streamed("POST /backup", func(ctx context.Context, ask BackupTo, progress func(operations.Progress)) ([]operations.Backup, error) {
			return ops.Backup(ctx, ask.Dir, ask.Replace, progress)
		}),
		plain("POST /expunged", ops.Expunged),
		plain("POST /undelete", ops.Undelete),
		plain("GET /outbox", func(ctx context.Context, _ struct{}) ([]operations.OutboxMessage, error) { return ops.Outbox(ctx) }),
		plain("POST /outbox", ops.DecideOutgoing),
		plain("POST /signin", ops.SignInBegin),
		signInState(ops),
		plain("POST /signin/paste", ops.SignInPaste),
		plain("POST /signin/cancel", ops.SignInCancel),
		plain("GET /history", func(ctx context.Context, _ struct{}) ([]state.Day, error) { return ops.History(ctx) }),
		plain("GET /devices", func(ctx context.Context, _ struct{}) ([]operations.Device, error) { return ops.Devices(ctx) }),
		plain("POST /devices", ops.AddDevice),
		plain("PATCH /devices", ops.SetDevice),
		plain("POST /devices/password", ops.NewPassword),
		plain("POST /devices/pair", ops.Pair),
		plain("DELETE /devices", func(ctx context.Context, ask operations.Device) (struct{}, error) {
			return struct{}{}, ops.RevokeDevice(ctx, ask.User, ask.Name)
		}),
		plain("GET /users", func(ctx context.Context, _ struct{}) ([]operations.User, error) { return ops.Users(ctx) }),
		plain("POST /users/rename", func(ctx context.Context, ask operations.Rename) (operations.User, error) {
			return ops.RenameUser(ctx, ask.From, ask.To)
		}),
		plain("POST /web", ops.OpenWeb),
		plain("GET /web/sessions", func(ctx context.Context, _ struct{}) ([]operations.WebSession, error) { return ops.WebSessions(ctx) }),
		plain("DELETE /web/sessions", ops.EndWebSession),
		plain("GET /report", func(ctx context.Context, _ struct{}) (operations.Report, error) { return ops.Report(ctx) }),
	}
}

// looks are the operations that change nothing, although they are asked by POST.
var looks = map[string]bool{"/preview": true, "/probe": true, "/check": true, "/expunged": true, "/devices/client": true,
	"/accounts/discover": true, "/accounts/try": true, "/accounts/details": true, "/accounts/plan": true}

// plain is the route of an operation that answers at once.
func plain[Ask, Answer any](pattern string, op func(context.Context, Ask) (Answer, error)) Route {
	return route[Ask, Answer](pattern, func(w http.ResponseWriter, r *http.Request, ask Ask) (any, error) {
		result, err := op(r.Context(), ask)
		Reply(w, result, err)
		return result, err
	})
}

// signInState is asked again and again, so by GET: /signin?account=NAME.
func signInState(ops operations.Operations) Route {
	return route[struct{}, operations.SignIn]("GET /signin", func(w http.ResponseWriter, r *http.Request, _ struct{}) (any, error) {
		result, err := ops.SignInState(r.Context(), r.URL.Query().Get("account"))
		Reply(w, result, err)
		return result, err
	})
}

// streamed is the route of an operation that reports progress.
func streamed[Ask, Item any](pattern string, op func(context.Context, Ask, func(operations.Progress)) ([]Item, error)) Route {
	made := route[Ask, Item](pattern, func(w http.ResponseWriter, r *http.Request, ask Ask) (any, error) {
		return stream(w, func(progress func(operations.Progress)) ([]Item, error) { return op(r.Context(), ask, progress) })
	})
	made.Streamed = true
	return made
}

func route[Ask, Answer any](pattern string, serve func(http.ResponseWriter, *http.Request, Ask) (any, error)) Route {
	method, path, _ := strings.Cut(pattern, " ")
	return Route{Method: method, Path: path, Changes: method != "GET" && !looks[path], Ask: reflect.TypeFor[Ask](), Answer: reflect.TypeFor[Answer](),
		Handler: func(w http.ResponseWriter, r *http.Request) Outcome {
			ask, ok := Decode[Ask](w, r)
			if !ok {
				return Outcome{Failed: fault.Protocol.String()}
			}
			answer, err := serve(w, r, ask)
			return outcome(ask, answer, err)
		}}
}

// Accounts names accounts; none stands for all.
type Accounts struct {
	Accounts []string `json:"accounts"`
}

// BackupTo says where a backup goes to.
type BackupTo struct {
	Dir     string `json:"dir"`
	Replace bool   `json:"replace"`
}

// Serve answers requests on ln by srv until ctx ends. Those in flight are then cancelled,
// after drain their connections are closed, and answers is waited for. It closes ln.
func Serve(ctx context.Context, ln net.Listener, srv *http.Server, answers *sync.WaitGroup, drain time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(ln)
	cancel()
	wg.Wait()
	answers.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
