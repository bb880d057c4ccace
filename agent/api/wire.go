package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

const (
	// MaxRequest is the most bytes of a request body.
	MaxRequest   = 1 << 20
	writeTimeout = 10 * time.Second // for an answer, or one line of a streamed one
)

// Streamed is one line of a streamed answer: any number with Progress, then
// one with Error or Result.
type Streamed[T any] struct {
	Progress *operations.Progress `json:"progress,omitempty"`
	Error    *Fault               `json:"error,omitempty"`
	Result   []T                  `json:"result,omitempty"`
	End      bool                 `json:"end,omitempty"` // without it the answer was cut off
}

// stream runs work and sends its progress while it runs. Only the newest
// progress of each account waits for a slow reader, so that neither the work
// nor the memory depends on it.
func stream[T any](w http.ResponseWriter, work func(func(operations.Progress)) ([]T, error)) ([]T, error) {
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/jsonl")
	enc := json.NewEncoder(w)
	send := func(line Streamed[T]) error {
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
				if send(Streamed[T]{Progress: &p}) != nil {
					return // the client went away, which ends the context of work
				}
			}
		})
		return work(pending.put)
	}()
	_ = send(Streamed[T]{Result: result, Error: toWire(err), End: true}) // see answer
	return result, err
}

// Fault is a fault on its way to another program.
type Fault struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func toWire(err error) *Fault {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		err = fault.New(fault.Temporary, "the agent is stopping", "start it again and repeat the command")
	}
	return &Fault{Kind: fault.KindOf(err).String(), Text: err.Error(), Hint: fault.Hint(err)}
}

// Err is the fault again.
func (f *Fault) Err() error {
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

// Decode reads what is asked; no body at all asks for nothing in particular.
func Decode[Ask any](w http.ResponseWriter, r *http.Request) (ask Ask, ok bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxRequest+1))
	if len(body) > MaxRequest {
		err = errors.New("it has more than 1 MiB")
	}
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &ask)
	}
	if err != nil {
		Reply(w, nil, fault.Wrap(err, fault.Protocol, "the request could not be read", "load the page again, or use the popbridge of the same version as the agent"))
		return ask, false
	}
	// The deadline for reading the request would end a long answer too: the
	// server goes on reading to notice a client that went away.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return ask, true
}

// Reply answers with a body, or with an error.
func Reply(w http.ResponseWriter, body any, err error) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	if err != nil {
		status := http.StatusUnprocessableEntity
		if errors.Is(err, context.Canceled) { // by the stop of the agent
			status = http.StatusServiceUnavailable
		}
		Refuse(w, status, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a client that went away needs no answer
}

// Refuse answers with an error.
func Refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(toWire(err))
}
