package operations

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/localimap"
)

func (l *Local) AddDevice(ctx context.Context, d AddDevice) (Device, error) {
	user, err := l.users.Only(d.User, "it is not said which user the device is for")
	if err != nil {
		return Device{}, err
	}
	store, err := l.users.Store(ctx, user)
	if err != nil {
		return Device{}, err
	}
	folders, err := folderIDs(ctx, store, d.Folders)
	if err != nil {
		return Device{}, err
	}
	without, err := localimap.SwitchOff(d.Without)
	if err != nil {
		return Device{}, err
	}
	device := mailstore.Device{Name: d.Name, ReadOnly: d.ReadOnly, Folders: folders, Without: without, Generated: d.Generated, LAN: d.LAN, Send: sendingOf(d.Send)}
	if err := store.AddDevice(ctx, device, d.Password); err != nil {
		return Device{}, err
	}
	if d.LAN {
		l.network.Permitted(user, d.Name)
	}
	return describe(ctx, store, user, device)
}

func sendingOf(may *bool) mailstore.Sending {
	switch {
	case may == nil:
		return mailstore.SendByRule
	case *may:
		return mailstore.SendYes
	}
	return mailstore.SendNo
}

// Pair finds the user of the device where none is named.
func (l *Local) Pair(ctx context.Context, ask Pair) (Pairing, error) {
	user, store, err := l.storeOf(ctx, ask.User, ask.Device)
	if err != nil {
		return Pairing{}, err
	}
	devices, err := store.Devices(ctx)
	if err != nil {
		return Pairing{}, err
	}
	if !slices.ContainsFunc(devices, func(d mailstore.Device) bool { return d.Name == ask.Device && d.LAN }) {
		return Pairing{}, fault.New(fault.Denied, fmt.Sprintf("the device %s may not come from the local network", fault.Quote(ask.Device)),
			"permit it: "+l.users.Command("device set "+fault.ShellQuote(ask.Device)+" --lan"))
	}
	ask.User = user
	return l.network.Pair(ctx, ask)
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
func describe(ctx context.Context, store *mailstore.Store, user string, d mailstore.Device) (Device, error) {
	out := Device{User: user, Name: d.Name, ReadOnly: d.ReadOnly, Without: append([]string{}, d.Without...), LAN: d.LAN, Send: d.MaySend(), Programs: []string{},
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

// Devices omits those of a store that cannot be opened, which is a condition of its
// user.
func (l *Local) Devices(ctx context.Context) ([]Device, error) {
	names, err := l.users.Names()
	if err != nil {
		return nil, err
	}
	list := []Device{}
	var failed error
	for _, name := range names {
		store, err := l.users.Store(ctx, name)
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
			var since time.Time
			described.Connections, since, described.Programs = l.clients.Connected(name, d.Name)
			if !since.IsZero() {
				described.ConnectedSince = &since
			}
			list = append(list, described)
		}
	}
	if len(list) == 0 {
		return list, failed
	}
	return list, nil
}

func (l *Local) SetDevice(ctx context.Context, ask SetDevice) (Device, error) {
	user, store, err := l.storeOf(ctx, ask.User, ask.Name)
	if err != nil {
		return Device{}, err
	}
	devices, err := store.Devices(ctx)
	if err != nil {
		return Device{}, err
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
			return Device{}, err
		}
	}
	if ask.Without != nil {
		if d.Without, err = localimap.SwitchOff(ask.Without); err != nil {
			return Device{}, err
		}
	}
	if ask.LAN != nil {
		d.LAN = *ask.LAN
	}
	if ask.Send != nil {
		d.Send = sendingOf(ask.Send)
	}
	if err := store.SetDevice(ctx, d); err != nil {
		return Device{}, err
	}
	l.clients.Disconnect(user, ask.Name)
	switch {
	case ask.LAN == nil: // it says nothing about who is trusted
	case *ask.LAN:
		l.network.Permitted(user, ask.Name)
	default:
		l.network.Removed(user, ask.Name)
	}
	return describe(ctx, store, user, d)
}

func (l *Local) NewPassword(ctx context.Context, ask DeviceLogin) (MadeDevice, error) {
	user, store, err := l.storeOf(ctx, ask.User, ask.Device)
	if err != nil {
		return MadeDevice{}, err
	}
	made := password.New()
	if err := store.SetPassword(ctx, ask.Device, made); err != nil {
		return MadeDevice{}, err
	}
	l.clients.Disconnect(user, ask.Device)
	devices, err := store.Devices(ctx)
	i := slices.IndexFunc(devices, func(d mailstore.Device) bool { return d.Name == ask.Device })
	if err != nil || i < 0 {
		return MadeDevice{Device{User: user, Name: ask.Device}, made}, err
	}
	d, err := describe(ctx, store, user, devices[i])
	return MadeDevice{d, made}, err
}

// storeOf returns the user of a device, who may be left out, and the store.
func (l *Local) storeOf(ctx context.Context, user, device string) (string, *mailstore.Store, error) {
	if user == "" {
		var err error
		if user, err = l.ownerOf(ctx, device); err != nil {
			return "", nil, err
		}
	}
	store, err := l.users.Store(ctx, user)
	return user, store, err
}

func (l *Local) RevokeDevice(ctx context.Context, user, name string) error {
	user, store, err := l.storeOf(ctx, user, name)
	if err != nil {
		return err
	}
	if err := store.RevokeDevice(ctx, name); err != nil {
		return err
	}
	l.clients.Disconnect(user, name)
	l.network.Removed(user, name)
	return nil
}

// ownerOf returns the only user that has a device of this name.
func (l *Local) ownerOf(ctx context.Context, name string) (string, error) {
	devices, err := l.Devices(ctx)
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
			config.DidYouMean(name, names)+"`"+l.users.Command("device list")+"` shows them all")
	default:
		return "", fault.New(fault.Config, fmt.Sprintf("several users have a device %s", fault.Quote(name)),
			"add --user with one of: "+strings.Join(owners, ", "))
	}
}

// LANIsOn refuses to permit a device what the config does not.
func LANIsOn(cfg *config.Config) error {
	if cfg.LAN.Enabled {
		return nil
	}
	return fault.New(fault.Config, "the local network is off",
		"add to the config: a line [lan], below it enabled = true, and below that the addresses; "+config.SuggestLAN())
}
