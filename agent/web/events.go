package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
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

// events streams the state of the agent in lines of JSON: what it is, and then each time
// it has changed. A page that does not read is cut off.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		refuse(w, http.StatusServiceUnavailable, fault.New(fault.Temporary, "too many pages are open", "close some of them"))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	done, ok := p.sessions.whileOpen(p.session(r), cancel)
	if !ok {
		refuse(w, http.StatusUnauthorized, errSignedOut)
		return
	}
	defer done()
	w.Header().Set("Content-Type", "application/jsonl")
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // that of the request; its end is noticed by reading on
	var before []byte
	var said time.Time
	for {
		event := Event{Now: p.now()}
		status, err := p.ops.Status(ctx)
		if err != nil {
			return // the page asks again, and gets the error then
		}
		if now, err := json.Marshal(status); err == nil && !bytes.Equal(now, before) {
			before, event.Status = now, &status
		}
		if event.Status != nil || event.Now.Sub(said) >= aliveEvery {
			said = event.Now
			_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
			if json.NewEncoder(w).Encode(event) != nil || rc.Flush() != nil {
				return
			}
		}
		if !supervise.Sleep(ctx, eventEvery) {
			return
		}
	}
}
