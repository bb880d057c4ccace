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
	"net/url"

	"github.com/popbridge/popbridge/agent/api"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/internal/fault"
)

// A Client asks a running agent; it implements operations.Operations.
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

func (c *Client) Status(ctx context.Context) (operations.Status, error) {
	return call[operations.Status](ctx, c, "GET", "/v1/status", nil)
}

func (c *Client) Sync(ctx context.Context, accounts []string, progress func(operations.Progress)) ([]operations.SyncResult, error) {
	return callStream[operations.SyncResult](ctx, c, "/v1/sync", api.Accounts{Accounts: accounts}, progress)
}

func (c *Client) Preview(ctx context.Context, accounts []string) ([]operations.Preview, error) {
	return call[[]operations.Preview](ctx, c, "POST", "/v1/preview", api.Accounts{Accounts: accounts})
}

func (c *Client) Probe(ctx context.Context, accounts []string) ([]operations.Probe, error) {
	return call[[]operations.Probe](ctx, c, "POST", "/v1/probe", api.Accounts{Accounts: accounts})
}

func (c *Client) Reload(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, "POST", "/v1/reload", struct{}{})
	return err
}

func (c *Client) Confirm(ctx context.Context, ask operations.Confirm) (operations.Confirmed, error) {
	return call[operations.Confirmed](ctx, c, "POST", "/v1/confirm", ask)
}

func (c *Client) Check(ctx context.Context, progress func(operations.Progress)) ([]operations.Problem, error) {
	return callStream[operations.Problem](ctx, c, "/v1/check", struct{}{}, progress)
}

func (c *Client) Repair(ctx context.Context, progress func(operations.Progress)) ([]operations.Repaired, error) {
	return callStream[operations.Repaired](ctx, c, "/v1/repair", struct{}{}, progress)
}

func (c *Client) Backup(ctx context.Context, dir string, replace bool, progress func(operations.Progress)) ([]operations.Backup, error) {
	return callStream[operations.Backup](ctx, c, "/v1/backup", api.BackupTo{Dir: dir, Replace: replace}, progress)
}

func (c *Client) Expunged(ctx context.Context, q operations.ExpungedQuery) ([]operations.Expunged, error) {
	return call[[]operations.Expunged](ctx, c, "POST", "/v1/expunged", q)
}

func (c *Client) History(ctx context.Context) ([]state.Day, error) {
	return call[[]state.Day](ctx, c, "GET", "/v1/history", nil)
}

func (c *Client) Undelete(ctx context.Context, ask operations.Undelete) ([]operations.Restored, error) {
	return call[[]operations.Restored](ctx, c, "POST", "/v1/undelete", ask)
}

func (c *Client) Outbox(ctx context.Context) ([]operations.OutboxMessage, error) {
	return call[[]operations.OutboxMessage](ctx, c, "GET", "/v1/outbox", nil)
}

func (c *Client) DecideOutgoing(ctx context.Context, ask operations.Decide) ([]operations.Decided, error) {
	return call[[]operations.Decided](ctx, c, "POST", "/v1/outbox", ask)
}

func (c *Client) SignInBegin(ctx context.Context, ask operations.BeginSignIn) (operations.SignIn, error) {
	return call[operations.SignIn](ctx, c, "POST", "/v1/signin", ask)
}

func (c *Client) SignInState(ctx context.Context, account string) (operations.SignIn, error) {
	return call[operations.SignIn](ctx, c, "GET", "/v1/signin?account="+url.QueryEscape(account), nil)
}

func (c *Client) SignInPaste(ctx context.Context, ask operations.PasteSignIn) (operations.SignIn, error) {
	return call[operations.SignIn](ctx, c, "POST", "/v1/signin/paste", ask)
}

func (c *Client) SignInCancel(ctx context.Context, ask operations.AccountName) (struct{}, error) {
	return call[struct{}](ctx, c, "POST", "/v1/signin/cancel", ask)
}

func (c *Client) AddDevice(ctx context.Context, d operations.AddDevice) (operations.Device, error) {
	return call[operations.Device](ctx, c, "POST", "/v1/devices", d)
}

func (c *Client) Devices(ctx context.Context) ([]operations.Device, error) {
	return call[[]operations.Device](ctx, c, "GET", "/v1/devices", nil)
}

func (c *Client) SetDevice(ctx context.Context, d operations.SetDevice) (operations.Device, error) {
	return call[operations.Device](ctx, c, "PATCH", "/v1/devices", d)
}

func (c *Client) NewPassword(ctx context.Context, ask operations.DeviceLogin) (operations.MadeDevice, error) {
	return call[operations.MadeDevice](ctx, c, "POST", "/v1/devices/password", ask)
}

func (c *Client) Pair(ctx context.Context, ask operations.Pair) (operations.Pairing, error) {
	return call[operations.Pairing](ctx, c, "POST", "/v1/devices/pair", ask)
}

func (c *Client) RevokeDevice(ctx context.Context, user, name string) error {
	_, err := call[struct{}](ctx, c, "DELETE", "/v1/devices", operations.Device{User: user, Name: name})
	return err
}

func (c *Client) Users(ctx context.Context) ([]operations.User, error) {
	return call[[]operations.User](ctx, c, "GET", "/v1/users", nil)
}

func (c *Client) RenameUser(ctx context.Context, from, to string) (operations.User, error) {
	return call[operations.User](ctx, c, "POST", "/v1/users/rename", operations.Rename{From: from, To: to})
}

func (c *Client) OpenWeb(ctx context.Context, ask operations.OpenWeb) (operations.WebAddress, error) {
	return call[operations.WebAddress](ctx, c, "POST", "/v1/web", ask)
}

func (c *Client) WebSessions(ctx context.Context) ([]operations.WebSession, error) {
	return call[[]operations.WebSession](ctx, c, "GET", "/v1/web/sessions", nil)
}

func (c *Client) EndWebSession(ctx context.Context, ask operations.WebSession) (operations.Ended, error) {
	return call[operations.Ended](ctx, c, "DELETE", "/v1/web/sessions", ask)
}

func (c *Client) Report(ctx context.Context) (operations.Report, error) {
	return call[operations.Report](ctx, c, "GET", "/v1/report", nil)
}

func call[T any](ctx context.Context, c *Client, method, path string, ask any) (answer T, err error) {
	body, err := c.do(ctx, method, path, ask)
	if err != nil {
		return answer, err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return answer, cutOff(ctx, err)
	}
	return answer, nil
}

func callStream[T any](ctx context.Context, c *Client, path string, ask any, progress func(operations.Progress)) ([]T, error) {
	body, err := c.do(ctx, http.MethodPost, path, ask)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	dec := json.NewDecoder(body)
	for {
		var line api.Streamed[T]
		if err := dec.Decode(&line); err != nil {
			return nil, cutOff(ctx, err)
		}
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		if line.End {
			return line.Result, line.Error.Err()
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
	var f api.Fault
	if err := json.NewDecoder(io.LimitReader(resp.Body, api.MaxRequest)).Decode(&f); err != nil {
		return nil, fmt.Errorf("the agent answered %s", resp.Status)
	}
	return nil, f.Err()
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
