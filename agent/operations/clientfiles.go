package operations

import (
	"context"
	"slices"
	"time"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/localimap"
)

// ClientFiles is about what sets a mail client up, and about the backup that is made
// again: what a command does with files and passwords that the page may not name.
type ClientFiles interface {
	// DeviceChoices says what may be chosen for a device.
	DeviceChoices(ctx context.Context) (DeviceChoices, error)
	// NewDevice lets a mail client log in with a password that is made here, and
	// answered this once.
	NewDevice(ctx context.Context, ask NewDevice) (MadeDevice, error)
	// ClientSetup is what sets a mail client up for a login that there is.
	ClientSetup(ctx context.Context, ask SetUp) (ClientSetup, error)
	// PairPhone serves a page for a while that sets a phone up for a device.
	PairPhone(ctx context.Context, ask DeviceLogin) (PhonePage, error)
	// Storage says where the mail is, and its backup.
	Storage(ctx context.Context) (Storage, error)
	// BackupAgain brings the last backup up to date, see Backup.
	BackupAgain(ctx context.Context, progress func(Progress)) ([]Backup, error)
}

// DeviceChoices is what may be chosen for a device.
type DeviceChoices struct {
	Users  []UserFolders `json:"users"`
	LAN    bool          `json:"lan"`     // the config lets devices in from the local network
	LANOff string        `json:"lan_off"` // else what to do
	// Capabilities of IMAP that can be switched off.
	Capabilities []string `json:"capabilities"`
}

// UserFolders are the folders of a user.
type UserFolders struct {
	User    string   `json:"user"`
	Folders []string `json:"folders"`
}

// NewDevice asks for a device whose password is made here.
type NewDevice struct {
	User     string   `json:"user"` // may be empty where there is one only
	Name     string   `json:"name"`
	ReadOnly bool     `json:"read_only"`
	Folders  []string `json:"folders"` // empty: all
	Without  []string `json:"without"` // capabilities that are switched off for it
	LAN      bool     `json:"lan"`
	Send     *bool    `json:"send"` // see AddDevice
}

// MadeDevice is a new device with its password.
type MadeDevice struct {
	Device
	Password string `json:"password"`
}

// DeviceLogin names a device. The user may be empty where one only has it.
type DeviceLogin struct {
	User   string `json:"user"`
	Device string `json:"device"`
}

// SetUp asks for what sets a mail client up for a device. Looking for the outgoing servers
// may take a while: with AtOnce these, the files and the QR code are left out.
type SetUp struct {
	DeviceLogin
	AtOnce bool `json:"at_once"`
}

// ClientSetup is what sets a mail client up for a login. No password is in it.
type ClientSetup struct {
	User     string     `json:"user"`
	Device   string     `json:"device"`
	Host     string     `json:"host"` // of the IMAP server
	Port     int        `json:"port"`
	Security string     `json:"security"` // TLS, STARTTLS or none
	Here     bool       `json:"here"`     // only programs of this computer reach it
	Outgoing []Outgoing `json:"outgoing"` // for each mail address
	// The SHA-256 of the certificate that the server shows, and of its authority, which a
	// program is to trust; both "" without TLS.
	ServerFingerprint string               `json:"server_fingerprint"`
	Fingerprint       string               `json:"fingerprint"`
	QR                *clientfiles.Drawing `json:"qr"` // for Thunderbird on Android; null: no phone reaches the server, or no outgoing one is known
	Files             []ClientFile         `json:"files"`
}

// Outgoing is the server for mail from an address, of popbridge or of the provider.
type Outgoing struct {
	Address  string `json:"address"`
	Host     string `json:"host"` // "": not known
	Port     int    `json:"port"`
	Security string `json:"security"`
	Username string `json:"username"`
	Secret   string `json:"secret"` // that it takes: login, mailbox or token, as clientfiles has them
}

// ClientFile is a file for a mail client.
type ClientFile struct {
	Name string `json:"name"`
	For  string `json:"for"`
	Data string `json:"data"`
}

// PhonePage is a page for a phone, with its address as a QR code.
type PhonePage struct {
	Pairing
	QR clientfiles.Drawing `json:"qr"`
}

// Storage says where the mail is, and its backup.
type Storage struct {
	DataDir    string      `json:"data_dir"`
	Free       int64       `json:"free"`        // bytes of room on its disk; -1: not known
	LastBackup *LastBackup `json:"last_backup"` // null: there was none
	SameDisk   bool        `json:"same_disk"`   // it is on the file system that the mail is on
	// The commands for a terminal.
	BackupCommand  string `json:"backup_command"`
	RestoreCommand string `json:"restore_command"`
}

func (l *Local) DeviceChoices(ctx context.Context) (DeviceChoices, error) {
	c := DeviceChoices{Users: []UserFolders{}, LAN: true, Capabilities: localimap.Switchable()}
	if err := LANIsOn(l.users.Config()); err != nil {
		c.LAN = false
		c.LANOff = fault.Hint(err)
	}
	names, err := l.users.Names()
	if err != nil {
		return c, err
	}
	for _, name := range names {
		u := UserFolders{User: name, Folders: []string{}}
		if store, err := l.users.Store(ctx, name); err == nil { // one that cannot be opened is a condition
			boxes, err := store.Mailboxes(ctx)
			if err != nil {
				return c, err
			}
			for _, b := range boxes {
				u.Folders = append(u.Folders, b.Name)
			}
		}
		c.Users = append(c.Users, u)
	}
	return c, ctx.Err()
}

func (l *Local) NewDevice(ctx context.Context, ask NewDevice) (MadeDevice, error) {
	if ask.LAN {
		if err := LANIsOn(l.users.Config()); err != nil {
			return MadeDevice{}, err
		}
	}
	made := password.New()
	d, err := l.AddDevice(ctx, AddDevice{User: ask.User, Name: ask.Name, Password: made, Generated: true, ReadOnly: ask.ReadOnly, Folders: ask.Folders, Without: ask.Without, LAN: ask.LAN, Send: ask.Send})
	if err != nil {
		return MadeDevice{}, err
	}
	return MadeDevice{d, made}, nil
}

func (l *Local) ClientSetup(ctx context.Context, ask SetUp) (ClientSetup, error) {
	cfg := l.users.Config()
	login, err := FindLogin(ctx, l, cfg, LoginQuery{User: ask.User, Device: ask.Device, Command: l.users.Command})
	if err != nil {
		return ClientSetup{}, err
	}
	mailbox := login.Mailbox
	if ask.AtOnce {
		mailbox = login.incoming
	}
	m, err := mailbox(ctx, cfg)
	if err != nil {
		return ClientSetup{}, err
	}
	s := ClientSetup{User: m.User, Device: m.Device, Host: m.Host, Port: m.Port, Security: clientfiles.SecurityWords(m.TLS), Here: m.Loopback(),
		Outgoing: []Outgoing{}, Files: []ClientFile{}}
	for _, id := range m.Identities {
		out := Outgoing{Address: id.Address, Secret: id.Secret()}
		if server := id.SMTP; server.Known() {
			out.Host, out.Port, out.Security, out.Username = server.Host, server.Port, clientfiles.SecurityWords(server.TLS), server.Username
		}
		s.Outgoing = append(s.Outgoing, out)
	}
	if m.Authority != nil {
		shown, err := datadir.ReadAuthority(cfg.DataDir, datadir.ServerFile(m.CAFile))
		if err != nil {
			return ClientSetup{}, err
		}
		if shown != nil { // else no program connects yet
			s.ServerFingerprint = lan.Fingerprint(shown.Raw)
		}
		s.Fingerprint = lan.Fingerprint(m.Authority)
	}
	if ask.AtOnce {
		return s, nil
	}
	if text, err := m.AndroidQR(); err == nil && !s.Here {
		code, err := clientfiles.DrawQR(text)
		if err != nil {
			return s, err
		}
		s.QR = &code
	}
	for _, f := range m.Files(time.Now().Format("2 January 2006")) {
		s.Files = append(s.Files, ClientFile{f.Name, f.For, string(f.Data)})
	}
	return s, nil
}

func (l *Local) PairPhone(ctx context.Context, ask DeviceLogin) (PhonePage, error) {
	user, store, err := l.storeOf(ctx, ask.User, ask.Device)
	if err != nil {
		return PhonePage{}, err
	}
	devices, err := store.Devices(ctx)
	if err != nil {
		return PhonePage{}, err
	}
	pair := Pair{User: user, Device: ask.Device}
	if state := l.network.State(); len(state.Listen) > 0 { // else it is not worth the look-up
		may := slices.ContainsFunc(devices, func(d mailstore.Device) bool { return d.Name == ask.Device && d.MaySend() })
		pair.Identities = Identities(ctx, l.users.Config(), user, state.submission(may))
	}
	page, err := l.Pair(ctx, pair)
	if err != nil {
		return PhonePage{}, err
	}
	code, err := clientfiles.DrawQR(page.URL)
	return PhonePage{page, code}, err
}

func (l *Local) Storage(context.Context) (Storage, error) {
	last := ReadLastBackup(l.users.DataDir)
	return Storage{DataDir: l.users.DataDir, Free: freeSpace(l.users.DataDir), LastBackup: last, SameDisk: last != nil && sameDisk(l.users.DataDir, last.Dir),
		BackupCommand: l.users.Command("backup DIR"), RestoreCommand: l.users.Command("restore DIR")}, nil
}

func (l *Local) BackupAgain(ctx context.Context, progress func(Progress)) ([]Backup, error) {
	return l.Backup(ctx, "", false, progress)
}
