package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/logging"
	"github.com/popbridge/popbridge/internal/supervise"
)

const (
	eventEvery = time.Second      // the state is looked at so often while a page is open
	aliveEvery = 20 * time.Second // a line comes at least so often
)

// Event is a line of the stream of a page.
type Event struct {
	Now    time.Time          `json:"now"`              // of the agent
	Status *operations.Status `json:"status,omitempty"` // null: as before
}

// send sends lines of a stream.
type send func(lines ...any) error

// stream answers with lines of JSON, each in its own time, until work returns, the session
// ends or the page is closed. A page that does not read is cut off.
func (p *Page) stream(work func(r *http.Request, send send)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case p.streams <- struct{}{}:
			defer func() { <-p.streams }()
		default:
			refuse(w, http.StatusServiceUnavailable, fault.New(fault.Temporary, "too many pages are open", "close some of them"))
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		id := p.session(r)
		done, ok := p.sessions.whileOpen(id, cancel)
		if !ok {
			refuse(w, http.StatusUnauthorized, errSignedOut)
			return
		}
		defer done()
		w.Header().Set("Content-Type", "application/jsonl")
		rc := http.NewResponseController(w)
		_ = rc.SetReadDeadline(time.Time{}) // that of the request; its end is noticed by reading on
		enc := json.NewEncoder(w)
		work(r.WithContext(ctx), func(lines ...any) error {
			if !p.sessions.alive(id) {
				return errSignedOut
			}
			_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
			for _, line := range lines {
				if err := enc.Encode(line); err != nil {
					return err
				}
			}
			return rc.Flush()
		})
	})
}

// events streams the state of the agent: what it is, and then each time it has changed.
func (p *Page) events(r *http.Request, send send) {
	var before []byte
	var said time.Time
	for {
		event := Event{Now: p.now()}
		status, err := p.ops.Status(r.Context())
		if err != nil {
			return // the agent is stopping
		}
		if now, err := json.Marshal(status); err == nil && !bytes.Equal(now, before) {
			before, event.Status = now, &status
		}
		if event.Status != nil || event.Now.Sub(said) >= aliveEvery {
			said = event.Now
			if send(event) != nil {
				return
			}
		}
		if !supervise.Sleep(r.Context(), eventEvery) {
			return
		}
	}
}

// followLog streams the log: what is kept of it, then what comes. The page says which
// record it has already, as after=SEQ.
func (p *Page) followLog(r *http.Request, send send) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64) // none, or nonsense: all
	_ = p.page.FollowLog(r.Context(), after, aliveEvery, func(list []logging.Entry) error {
		if len(list) == 0 {
			return send(nil) // the page knows by it that the stream goes on
		}
		lines := make([]any, len(list))
		for i, e := range list {
			lines[i] = e
		}
		return send(lines...)
	}) // the page or its session has ended
}
