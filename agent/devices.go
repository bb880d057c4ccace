package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/localimap"
)

// AddDevice implements control.Operations.
func (a *Agent) AddDevice(ctx context.Context, d control.AddDevice) (control.Device, error) {
	user, err := a.users.Only(d.User, "it is not said which user the device is for")
	if err != nil {
		return control.Device{}, err
	}
	store, err := a.users.Store(ctx, user)
	if err != nil {
		return control.Device{}, err
	}
	folders, err := folderIDs(ctx, store, d.Folders)
	if err != nil {
		return control.Device{}, err
	}
	without, err := localimap.SwitchOff(d.Without)
	if err != nil {
		return control.Device{}, err
	}
	device := mailstore.Device{Name: d.Name, ReadOnly: d.ReadOnly, Folders: folders, Without: without}
	if err := store.AddDevice(ctx, device, d.Password); err != nil {
		return control.Device{}, err
	}
	return describe(ctx, store, user, device)
}

// folderIDs finds the mailboxes of a profile, nil for none.
func folderIDs(ctx context.Context, store *mailstore.Store, names []string) (ids []mailstore.MailboxID, err error) {
	for _, name := range names {
		box, err := store.Mailbox(ctx, name)
		if fault.Is(err, fault.NotFound) {
			boxes, _ := store.Mailboxes(ctx) // only for the hint
			var known []string
			for _, b := range boxes {
				known = append(known, b.Name)
			}
			return nil, fault.New(fault.NotFound, fmt.Sprintf("there is no folder %s", fault.Quote(name)),
				config.DidYouMean(name, known)+"the folders are: "+strings.Join(known, ", "))
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, box.ID)
	}
	return ids, nil
}

// describe returns a device with the names that its folders have now.
func describe(ctx context.Context, store *mailstore.Store, user string, d mailstore.Device) (control.Device, error) {
	out := control.Device{User: user, Name: d.Name, ReadOnly: d.ReadOnly, Without: append([]string{}, d.Without...), Programs: []string{},
		CreatedAt: d.CreatedAt, LastUsedAt: timeOrNil(d.LastUsedAt)}
	if d.Folders == nil {
		return out, nil
	}
	out.Folders = []string{}
	boxes, err := store.Mailboxes(ctx)
	for _, b := range boxes {
		if slices.Contains(d.Folders, b.ID) {
			out.Folders = append(out.Folders, b.Name)
		}
	}
	return out, err
}

// Devices implements control.Operations. A store that cannot be opened hides its
// own devices only; it is a condition of its user.
func (a *Agent) Devices(ctx context.Context) ([]control.Device, error) {
	names, err := a.users.Names()
	if err != nil {
		return nil, err
	}
	list := []control.Device{}
	var failed error
	for _, name := range names {
		store, err := a.users.Store(ctx, name)
		if err != nil {
			failed = err
			continue
		}
		devices, err := store.Devices(ctx)
		if err != nil {
			return nil, err
		}
		for _, d := range devices {
			described, err := describe(ctx, store, name, d)
			if err != nil {
				return nil, err
			}
			a.connected(name, &described)
			list = append(list, described)
		}
	}
	if len(list) == 0 {
		return list, failed
	}
	return list, nil
}

// SetDevice implements control.Operations.
func (a *Agent) SetDevice(ctx context.Context, ask control.SetDevice) (control.Device, error) {
	user, store, err := a.storeOf(ctx, ask.User, ask.Name)
	if err != nil {
		return control.Device{}, err
	}
	devices, err := store.Devices(ctx)
	if err != nil {
		return control.Device{}, err
	}
	d := mailstore.Device{Name: ask.Name} // where there is none, SetDevice will say so
	if i := slices.IndexFunc(devices, func(d mailstore.Device) bool { return d.Name == ask.Name }); i >= 0 {
		d = devices[i]
	}
	if ask.ReadOnly != nil {
		d.ReadOnly = *ask.ReadOnly
	}
	if ask.Folders != nil {
		if d.Folders, err = folderIDs(ctx, store, ask.Folders); err != nil {
			return control.Device{}, err
		}
	}
	if ask.Without != nil {
		if d.Without, err = localimap.SwitchOff(ask.Without); err != nil {
			return control.Device{}, err
		}
	}
	if err := store.SetDevice(ctx, d); err != nil {
		return control.Device{}, err
	}
	a.disconnect(user, ask.Name)
	return describe(ctx, store, user, d)
}

// storeOf returns the user of a device, who may be left out, and the store.
func (a *Agent) storeOf(ctx context.Context, user, device string) (string, *mailstore.Store, error) {
	if user == "" {
		var err error
		if user, err = a.ownerOf(ctx, device); err != nil {
			return "", nil, err
		}
	}
	store, err := a.users.Store(ctx, user)
	return user, store, err
}

// disconnect ends the sessions of a device.
func (a *Agent) disconnect(user, device string) {
	a.mu.Lock()
	servers := slices.Collect(maps.Values(a.servers))
	a.mu.Unlock()
	for _, s := range servers {
		s.srv.Disconnect(user, device)
	}
}

// RevokeDevice implements control.Operations.
func (a *Agent) RevokeDevice(ctx context.Context, user, name string) error {
	user, store, err := a.storeOf(ctx, user, name)
	if err != nil {
		return err
	}
	if err := store.RevokeDevice(ctx, name); err != nil {
		return err
	}
	a.disconnect(user, name)
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
			config.DidYouMean(name, names)+"`"+a.command("device list")+"` shows them all")
	default:
		return "", fault.New(fault.Config, fmt.Sprintf("several users have a device %s", fault.Quote(name)),
			"add --user with one of: "+strings.Join(owners, ", "))
	}
}
