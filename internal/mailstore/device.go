package mailstore

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/popbridge/popbridge/internal/fault"
)

// argonParams are stored with each hash, so that they can be raised later.
type argonParams struct {
	memory uint32 // KiB
	time   uint32
	lanes  uint8
	salt   string
}

// hashing is what new passwords are hashed with: enough for passwords people
// choose (OWASP, 2024), and little enough for a small machine that five
// connections log in to at once.
var hashing = argonParams{memory: 19 << 10, time: 2, lanes: 1}

// hashers is how many passwords are hashed at once; the others wait.
const hashers = 2

// usedEvery is how exact LastUsedAt is.
const usedEvery = time.Hour

// logins remembers which hash a password belongs to, so that the five
// connections of a mail client hash once. The device itself is looked up each
// time: one that was revoked, by this program or another, is gone at once.
type logins struct {
	key   [32]byte
	slots chan struct{}
	mu    sync.Mutex
	known map[[32]byte]string // MAC of the password -> encoded hash
}

func (l *logins) init() {
	_, _ = rand.Read(l.key[:]) // never fails
	l.slots = make(chan struct{}, hashers)
	l.forget()
}

func (l *logins) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = map[[32]byte]string{}
}

func (l *logins) get(mac [32]byte) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[mac]
}

func (l *logins) put(mac [32]byte, encoded string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[mac] = encoded
}

func (l *logins) mac(password string) [32]byte {
	h := hmac.New(sha256.New, l.key[:])
	h.Write([]byte(password))
	return [32]byte(h.Sum(nil))
}

// slot waits for a turn to hash.
func (l *logins) slot(ctx context.Context) (func(), error) {
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p argonParams) hash(password string) string {
	key := argon2.IDKey([]byte(password), []byte(p.salt), p.time, p.memory, p.lanes, 32)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.lanes, b64([]byte(p.salt)), b64(key))
}

// parseParams reads the parameters of an encoded hash.
func parseParams(encoded string) (p argonParams, err error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errors.New("unknown form of password hash")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.lanes); err != nil {
		return p, err
	}
	if p.time < 1 || p.lanes < 1 || p.memory > 1<<20 || p.time > 100 {
		return p, errors.New("password hash with impossible parameters")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	p.salt = string(salt)
	return p, err
}

// EmptyInbox is what a device has in place of the INBOX that it may not see, for
// there is always one (RFC 9051 section 5.1). Nothing is ever put into it. Its
// UIDVALIDITY is lower than that of any mailbox.
var EmptyInbox = Mailbox{Name: inbox, UIDValidity: 1, UIDNext: 1}

type deviceRow struct {
	Device
	hash string
}

func (s *Store) devices(ctx context.Context) ([]deviceRow, error) {
	var out []deviceRow
	err := s.reader.rows(ctx, `SELECT name, hash, read_only, folders, without_caps, created_at, last_used_at FROM device ORDER BY name`, nil,
		func(rows *sql.Rows) error {
			var d deviceRow
			var created, used sql.NullInt64
			var folders, without string
			err := rows.Scan(&d.Name, &d.hash, &d.ReadOnly, &folders, &without, &created, &used)
			if err == nil && folders != "" {
				err = json.Unmarshal([]byte(folders), &d.Folders)
			}
			d.Without = strings.Fields(without)
			d.CreatedAt, d.LastUsedAt = when(created), when(used)
			out = append(out, d)
			return err
		})
	return out, trouble(err, "read the devices")
}

// Devices returns all devices, sorted by name.
func (s *Store) Devices(ctx context.Context) ([]Device, error) {
	rows, err := s.devices(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Device, len(rows))
	for i, d := range rows {
		out[i] = d.Device
	}
	return out, nil
}

// AddDevice makes a login. The name must be new, and so must the password: it
// alone tells devices apart at login. fault.Conflict otherwise.
func (s *Store) AddDevice(ctx context.Context, d Device, password string) error {
	if d.Name == "" || password == "" {
		return fault.New(fault.Config, "a device needs a name and a password", "")
	}
	rows, err := s.devices(ctx)
	if err != nil {
		return err
	}
	_, err = s.match(ctx, rows, password)
	if err == nil {
		return fault.New(fault.Conflict, "another device of this user has the same password",
			"choose a different one for each device: it is what tells them apart, and what is revoked when one is lost")
	}
	if !fault.Is(err, fault.Auth) {
		return err
	}
	p := hashing
	// All devices share a salt, so that a login is hashed once, not once for
	// each device. What a salt of its own would hide is that two devices have
	// the same password, which cannot be.
	for _, d := range rows {
		if old, err := parseParams(d.hash); err == nil && (argonParams{old.memory, old.time, old.lanes, ""}) == hashing {
			p.salt = old.salt
		}
	}
	if p.salt == "" {
		p.salt = rand.Text()[:16]
	}
	done, err := s.logins.slot(ctx)
	if err != nil {
		return trouble(err, "add the device")
	}
	encoded := p.hash(password)
	done()
	defer s.logins.forget()
	return s.write(ctx, "add the device", func(t *tx) error {
		res, err := t.result(`INSERT OR IGNORE INTO device (name, hash, read_only, created_at) VALUES (?, ?, ?, ?)`,
			d.Name, encoded, d.ReadOnly, t.s.now().Unix())
		if err != nil {
			return err
		}
		t.log.line('V', d.Name, d.ReadOnly, t.s.now().Unix(), encoded)
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.Conflict, "a device of that name exists already", "choose another name, or revoke it first"))
		}
		return t.setProfile(d)
	})
}

// SetDevice changes what a device may do and see: all but its name, password
// and times. fault.NotFound when there is none of that name.
func (s *Store) SetDevice(ctx context.Context, d Device) error {
	return s.write(ctx, "change the device", func(t *tx) error { return t.setProfile(d) })
}

func (t *tx) setProfile(d Device) error {
	folders, without := "", strings.Join(d.Without, " ")
	if d.Folders != nil {
		folders = list(d.Folders)
	}
	t.log.line('T', d.Name, d.ReadOnly, folders, without)
	return t.oneDevice(`UPDATE device SET read_only = ?, folders = ?, without_caps = ? WHERE name = ?`, d.ReadOnly, folders, without, d.Name)
}

// oneDevice runs a query that changes one device.
func (t *tx) oneDevice(query string, args ...any) error {
	res, err := t.result(query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.New(fault.NotFound, "there is no device of that name", "'popbridge device list' shows all"))
	}
	return nil
}

// RevokeDevice ends a login; fault.NotFound when there is none of that name.
func (s *Store) RevokeDevice(ctx context.Context, name string) error {
	defer s.logins.forget()
	return s.write(ctx, "revoke the device", func(t *tx) error {
		t.log.line('W', name)
		return t.oneDevice(`DELETE FROM device WHERE name = ?`, name)
	})
}

// Authenticate returns the device whose password this is; fault.Auth when there
// is none.
func (s *Store) Authenticate(ctx context.Context, password string) (Device, error) {
	rows, err := s.devices(ctx)
	if err != nil {
		return Device{}, err
	}
	d, err := s.match(ctx, rows, password)
	if err != nil {
		return Device{}, err
	}
	if now := s.now(); now.Sub(d.LastUsedAt) >= usedEvery {
		d.LastUsedAt = time.Unix(now.Unix(), 0)
		err := s.write(ctx, "note the login", func(t *tx) error {
			return t.exec(`UPDATE device SET last_used_at = ? WHERE name = ?`, now.Unix(), d.Name)
		})
		if err != nil { // a full disk must not lock anyone out
			s.log.Warn().Err(err).Str("device", d.Name).Msg("time of login was not stored")
		}
	}
	return d.Device, nil
}

var errWrongPassword = fault.New(fault.Auth, "no device has this password", "'popbridge device add' makes a new one")

func (s *Store) match(ctx context.Context, rows []deviceRow, password string) (deviceRow, error) {
	mac := s.logins.mac(password)
	if d, ok := find(rows, s.logins.get(mac)); ok {
		return d, nil
	}
	done, err := s.logins.slot(ctx)
	if err != nil {
		return deviceRow{}, trouble(err, "check the password")
	}
	defer done()
	if d, ok := find(rows, s.logins.get(mac)); ok { // hashed while we waited
		return d, nil
	}
	tried := map[argonParams]bool{}
	for _, d := range rows {
		p, err := parseParams(d.hash)
		if err != nil {
			s.log.Error().Err(err).Str("device", d.Name).Msg("device cannot log in")
			continue
		}
		if tried[p] {
			continue
		}
		tried[p] = true
		encoded := p.hash(password)
		if d, ok := find(rows, encoded); ok {
			s.logins.put(mac, encoded)
			return d, nil
		}
	}
	return deviceRow{}, errWrongPassword
}

func find(rows []deviceRow, encoded string) (found deviceRow, ok bool) {
	for _, d := range rows {
		if subtle.ConstantTimeCompare([]byte(d.hash), []byte(encoded)) == 1 {
			found, ok = d, true
		}
	}
	return found, ok
}
