package mailstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/fault"
)

// EmptyInbox is what a device has in place of the INBOX that it may not see, for
// there is always one (RFC 9051 section 5.1). Nothing is ever put into it. Its
// UIDVALIDITY is lower than that of any mailbox.
var EmptyInbox = Mailbox{Name: inbox, UIDValidity: 1, UIDNext: 1, HighestModSeq: 1}

// devices returns all devices, sorted by name, and the hashes of their passwords.
func (s *Store) devices(ctx context.Context) (devices []Device, hashes []string, err error) {
	err = s.reader.rows(ctx, `SELECT name, hash, read_only, folders, without_caps, generated, lan, send, created_at, last_used_at FROM device ORDER BY name`, nil,
		func(rows *sql.Rows) error {
			var d Device
			var hash, folders, without string
			var created, used sql.NullInt64
			err := rows.Scan(&d.Name, &hash, &d.ReadOnly, &folders, &without, &d.Generated, &d.LAN, &d.Send, &created, &used)
			if err == nil && folders != "" {
				err = json.Unmarshal([]byte(folders), &d.Folders)
			}
			d.Without = strings.Fields(without)
			d.CreatedAt, d.LastUsedAt = when(created), when(used)
			devices, hashes = append(devices, d), append(hashes, hash)
			return err
		})
	return devices, hashes, failure(err, "read the devices")
}

// Devices returns all devices, sorted by name.
func (s *Store) Devices(ctx context.Context) ([]Device, error) {
	devices, _, err := s.devices(ctx)
	return devices, err
}

// maxDeviceName is how many characters the name of a device has at most.
const maxDeviceName = 64

// readable reports whether a person sees each character of a name: none looks like nothing,
// like another one with less in it, or is turned around.
func readable(name string) bool {
	seen := false
	for _, r := range name {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || r == '\u2800' { // BRAILLE PATTERN BLANK
			return false
		}
		seen = seen || r != ' ' && !unicode.IsMark(r)
	}
	return seen && name == strings.TrimSpace(name)
}

// AddDevice makes a login. The name must be new, and so must the password: it
// alone tells devices apart at login. fault.Conflict otherwise.
func (s *Store) AddDevice(ctx context.Context, d Device, password string) error {
	if d.Name == "" || password == "" {
		return fault.New(fault.Config, "a device needs a name and a password", "name it after the computer or the mail program: laptop")
	}
	if utf8.RuneCountInString(d.Name) > maxDeviceName || !utf8.ValidString(d.Name) || !readable(d.Name) {
		return fault.New(fault.Config, fault.Quote(d.Name)+" is not the name of a device",
			fmt.Sprintf("use 1 to %d letters of any script, digits, signs, and spaces between them; none that cannot be seen", maxDeviceName))
	}
	if d.LAN && !d.Generated {
		return errNotGenerated
	}
	_, hashes, err := s.devices(ctx)
	if err != nil {
		return err
	}
	encoded, err := s.hash(ctx, password, hashes)
	if err != nil {
		return err
	}
	err = s.write(ctx, "add the device", func(t *tx) error {
		n, err := t.changed(`INSERT OR IGNORE INTO device (name, hash, read_only, created_at, generated) VALUES (?, ?, ?, ?, ?)`,
			d.Name, encoded, d.ReadOnly, t.s.now().Unix(), d.Generated)
		t.log.line('V', d.Name, d.ReadOnly, t.s.now().Unix(), encoded)
		t.log.line('O', d.Name, d.Generated)
		switch {
		case err != nil:
			return err
		case n == 0:
			return fault.New(fault.Conflict, "a device of that name exists already", "choose another name, or revoke it first")
		}
		return t.setProfile(d)
	})
	if err == nil {
		s.passwords.Learn(password, encoded)
	}
	return err
}

// hash is the hash of a new password, which none of the devices with these may have.
func (s *Store) hash(ctx context.Context, password string, hashes []string) (string, error) {
	same, err := s.passwords.Find(ctx, password, hashes)
	if err != nil {
		return "", failure(err, "check the password")
	}
	if same >= 0 {
		return "", fault.New(fault.Conflict, "another device of this user has the same password",
			"choose a different one for each device: it is what tells them apart, and what is revoked when one is lost")
	}
	encoded, err := s.passwords.Hash(ctx, password, hashes)
	return encoded, failure(err, "hash the password")
}

// SetPassword gives a device another password, made at random, in place of the one that it
// has; fault.NotFound where there is no such device.
func (s *Store) SetPassword(ctx context.Context, name, generated string) error {
	devices, hashes, err := s.devices(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(devices, func(d Device) bool { return d.Name == name })
	if i < 0 {
		return errNoDevice
	}
	encoded, err := s.hash(ctx, generated, hashes)
	if err != nil {
		return err
	}
	err = s.write(ctx, "change the password of the device", func(t *tx) error {
		return t.rehash(name, encoded, hashes[i], true)
	})
	if err == nil {
		s.passwords.Learn(generated, encoded)
	}
	return err
}

// rehash gives a device another hash in place of the one it has, with all else as it is
// now: it may have been changed since the hash was read.
func (t *tx) rehash(name, encoded, old string, generated bool) error {
	if err := t.oneDevice(`UPDATE device SET hash = ?, generated = ? WHERE name = ? AND hash = ?`, encoded, generated, name, old); err != nil {
		return err
	}
	var readOnly, lan bool
	var created, send int64
	var folders, without string
	err := t.get(`SELECT read_only, created_at, folders, without_caps, lan, send FROM device WHERE name = ?`, []any{name}, &readOnly, &created, &folders, &without, &lan, &send)
	t.log.line('V', name, readOnly, created, encoded)
	t.log.line('O', name, generated)
	t.log.line('T', name, readOnly, folders, without)
	t.log.line('B', name, lan)
	t.log.line('s', name, send)
	return err
}

// SetDevice changes what a device may do and see: all but its name, password
// and times. fault.NotFound when there is none of that name; fault.Denied when it
// is to come from the local network with a password that a person chose.
func (s *Store) SetDevice(ctx context.Context, d Device) error {
	return s.write(ctx, "change the device", func(t *tx) error {
		if d.LAN {
			var chosen bool
			err := t.get(`SELECT EXISTS (SELECT 1 FROM device WHERE name = ? AND NOT generated)`, []any{d.Name}, &chosen)
			if err != nil {
				return err
			}
			if chosen {
				return errNotGenerated
			}
		}
		return t.setProfile(d)
	})
}

var errNotGenerated = fault.New(fault.Denied, "the local network is for devices whose password popbridge has generated, and this one's was not, or by an earlier version",
	"make a new login for it: popbridge device add NAME --lan")

func (t *tx) setProfile(d Device) error {
	folders, without := "", strings.Join(d.Without, " ")
	if d.Folders != nil {
		folders = list(d.Folders)
	}
	t.log.line('T', d.Name, d.ReadOnly, folders, without)
	t.log.line('B', d.Name, d.LAN)
	t.log.line('s', d.Name, int64(d.Send))
	return t.oneDevice(`UPDATE device SET read_only = ?, folders = ?, without_caps = ?, lan = ?, send = ? WHERE name = ?`, d.ReadOnly, folders, without, d.LAN, d.Send, d.Name)
}

// oneDevice runs a query that changes one device.
func (t *tx) oneDevice(query string, args ...any) error {
	n, err := t.changed(query, args...)
	if err == nil && n == 0 {
		return errNoDevice
	}
	return err
}

var errNoDevice = fault.New(fault.NotFound, "there is no device of that name", "'popbridge device list' shows all")

// RevokeDevice ends a login; fault.NotFound when there is none of that name.
func (s *Store) RevokeDevice(ctx context.Context, name string) error {
	return s.write(ctx, "revoke the device", func(t *tx) error {
		t.log.line('W', name)
		return t.oneDevice(`DELETE FROM device WHERE name = ?`, name)
	})
}
