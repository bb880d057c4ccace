package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Outgoing is a message that `outbox list --json` names.
type Outgoing struct {
	ID         int64      `json:"id"`
	State      string     `json:"state"`
	Subject    string     `json:"subject"`
	Next       *time.Time `json:"next"`
	Error      string     `json:"error"`
	Recipients []struct {
		Address string `json:"address"`
		State   string `json:"state"`
	} `json:"recipients"`
}

// For is how far the message is for a recipient.
func (m *Outgoing) For(address string) string {
	for _, r := range m.Recipients {
		if r.Address == address {
			return r.State
		}
	}
	return ""
}

// Outbox asks for `outbox list --json`.
func (p *Popbridge) Outbox(ctx context.Context) ([]Outgoing, error) {
	var list struct {
		Outgoing []Outgoing `json:"outgoing"`
	}
	out, err := p.Run(ctx, "", "outbox", "list", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out.Stdout), &list)
	}
	if err != nil {
		return nil, fmt.Errorf("outbox list --json: %w: exit %d: %q, %q", err, out.Code, out.Stdout, out.Stderr)
	}
	return list.Outgoing, nil
}
