package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// AddDevice implements control.Operations.
func (a *Agent) AddDevice(ctx context.Context, d control.AddDevice) (control.Device, error) {
	user, err := a.onlyUser(d.User, "it is not said which user the device is for")
	if err != nil {
		return control.Device{}, err
	}
	store, err := a.store(ctx, user)
	if err != nil {
		return control.Device{}, err
	}
	if err := store.AddDevice(ctx, mailstore.Device{Name: d.Name, ReadOnly: d.ReadOnly}, d.Password); err != nil {
		return control.Device{}, err
	}
	return control.Device{User: user, Name: d.Name, ReadOnly: d.ReadOnly}, nil
}

// Devices implements control.Operations.
func (a *Agent) Devices(ctx context.Context) ([]control.Device, error) {
	list := []control.Device{}
	for _, name := range a.Config().Users() {
		devices, err := a.devicesOf(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, d := range devices {
			list = append(list, control.Device{User: name, Name: d.Name, ReadOnly: d.ReadOnly,
				CreatedAt: d.CreatedAt, LastUsedAt: timeOrNil(d.LastUsedAt)})
		}
	}
	return list, nil
}

func (a *Agent) devicesOf(ctx context.Context, user string) ([]mailstore.Device, error) {
	store, err := a.store(ctx, user)
	if err != nil {
		return nil, err
	}
	return store.Devices(ctx)
}

// RevokeDevice implements control.Operations.
func (a *Agent) RevokeDevice(ctx context.Context, user, name string) error {
	if user == "" {
		var err error
		if user, err = a.ownerOf(ctx, name); err != nil {
			return err
		}
	}
	store, err := a.store(ctx, user)
	if err != nil {
		return err
	}
	if err := store.RevokeDevice(ctx, name); err != nil {
		return err
	}
	a.mu.Lock()
	servers := slices.Collect(maps.Values(a.servers))
	a.mu.Unlock()
	for _, s := range servers {
		s.srv.Disconnect(user, name)
	}
	return nil
}

// ownerOf returns the only user that has a device of this name.
func (a *Agent) ownerOf(ctx context.Context, name string) (string, error) {
	devices, err := a.Devices(ctx)
	if err != nil {
		return "", err
	}
	var owners, names []string
	for _, d := range devices {
		names = append(names, d.Name)
		if d.Name == name {
			owners = append(owners, d.User)
		}
	}
	switch len(owners) {
	case 1:
		return owners[0], nil
	case 0:
		return "", fault.New(fault.NotFound, fmt.Sprintf("there is no device %s", fault.Quote(name)),
			didYouMean(name, names)+"`popbridge device list` shows them all")
	default:
		return "", fault.New(fault.Config, fmt.Sprintf("several users have a device %s", fault.Quote(name)),
			"add --user with one of: "+strings.Join(owners, ", "))
	}
}
