package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

// A Client asks a running agent.
type Client struct{ http *http.Client }

var _ operations.Operations = (*Client)(nil)

// Connect returns a client of the agent that serves the data folder, or
// ErrNoAgent. Close it.
func Connect(ctx context.Context, dataDir string) (*Client, error) {
	conn, err := dial(ctx, dataDir)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial(ctx, dataDir)
	}}
	return &Client{http: &http.Client{Transport: transport}}, nil
}

// Close ends the idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Status implements Operations.
func (c *Client) Status(ctx context.Context) (s operations.Status, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Sync implements Operations.
func (c *Client) Sync(ctx context.Context, accounts []string, progress func(operations.Progress)) ([]operations.SyncResult, error) {
	return callStream[operations.SyncResult](ctx, c, "/v1/sync", syncRequest{Accounts: accounts}, progress)
}

// Preview implements Operations.
func (c *Client) Preview(ctx context.Context, accounts []string) (list []operations.Preview, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/preview", syncRequest{Accounts: accounts}, &list)
	return list, err
}

// Probe implements Operations.
func (c *Client) Probe(ctx context.Context, accounts []string) (list []operations.Probe, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/probe", syncRequest{Accounts: accounts}, &list)
	return list, err
}

// Confirm implements Operations.
func (c *Client) Confirm(ctx context.Context, account string) (done operations.Confirmed, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/confirm", confirmRequest{Account: account}, &done)
	return done, err
}

// Check implements Operations.
func (c *Client) Check(ctx context.Context, progress func(operations.Progress)) ([]operations.Problem, error) {
	return callStream[operations.Problem](ctx, c, "/v1/check", struct{}{}, progress)
}

// Repair implements Operations.
func (c *Client) Repair(ctx context.Context, progress func(operations.Progress)) ([]operations.Repaired, error) {
	return callStream[operations.Repaired](ctx, c, "/v1/repair", struct{}{}, progress)
}

// Backup implements Operations.
func (c *Client) Backup(ctx context.Context, dir string, replace bool, progress func(operations.Progress)) ([]operations.Backup, error) {
	return callStream[operations.Backup](ctx, c, "/v1/backup", backupRequest{Dir: dir, Replace: replace}, progress)
}

// Expunged implements Operations.
func (c *Client) Expunged(ctx context.Context, q operations.ExpungedQuery) (list []operations.Expunged, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/expunged", q, &list)
	return list, err
}

// Undelete implements Operations.
func (c *Client) Undelete(ctx context.Context, ask operations.Undelete) (list []operations.Restored, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/undelete", ask, &list)
	return list, err
}

// AddDevice implements Operations.
func (c *Client) AddDevice(ctx context.Context, d operations.AddDevice) (added operations.Device, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/devices", d, &added)
	return added, err
}

// Devices implements Operations.
func (c *Client) Devices(ctx context.Context) (list []operations.Device, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/devices", nil, &list)
	return list, err
}

// SetDevice implements Operations.
func (c *Client) SetDevice(ctx context.Context, d operations.SetDevice) (changed operations.Device, err error) {
	err = c.call(ctx, http.MethodPatch, "/v1/devices", d, &changed)
	return changed, err
}

// RevokeDevice implements Operations.
func (c *Client) RevokeDevice(ctx context.Context, user, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/devices", operations.Device{User: user, Name: name}, &struct{}{})
}

// Users implements Operations.
func (c *Client) Users(ctx context.Context) (list []operations.User, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/users", nil, &list)
	return list, err
}

// RenameUser implements Operations.
func (c *Client) RenameUser(ctx context.Context, from, to string) (renamed operations.User, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/users/rename", renameRequest{From: from, To: to}, &renamed)
	return renamed, err
}

func (c *Client) call(ctx context.Context, method, path string, ask, into any) error {
	body, err := c.do(ctx, method, path, ask)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return cutOff(ctx, err)
	}
	return nil
}

func callStream[T any](ctx context.Context, c *Client, path string, ask any, progress func(operations.Progress)) ([]T, error) {
	body, err := c.do(ctx, http.MethodPost, path, ask)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	dec := json.NewDecoder(body)
	for {
		var line streamed[T]
		if err := dec.Decode(&line); err != nil {
			return nil, cutOff(ctx, err)
		}
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		if line.End {
			return line.Result, line.Error.err()
		}
	}
}

// do sends a request and returns the body of a good answer, or the fault of a
// bad one.
func (c *Client) do(ctx context.Context, method, path string, ask any) (io.ReadCloser, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://popbridge"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, cutOff(ctx, err)
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var f wireFault
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&f); err != nil {
		return nil, fmt.Errorf("the agent answered %s", resp.Status)
	}
	return nil, f.err()
}

// cutOff explains an answer that ended early. A context error is ours only if
// our context ended.
func cutOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Temporary, "the agent stopped before it answered", "start it again and repeat the command")
	}
	return fault.Wrap(err, fault.Temporary, "the agent did not answer", "see its log; `popbridge restart` starts it again")
}
