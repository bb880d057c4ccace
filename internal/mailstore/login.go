package mailstore

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
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

// logins remembers which hash a password belongs to, so that a mail client whose
// password was right before is not hashed again, and does not wait for those who
// guess. The device itself is looked up each time: one that was revoked, by this
// program or another, is gone at once.
type logins struct {
	key   [32]byte
	slots chan struct{}
	mu    sync.Mutex
	known map[[32]byte]string // MAC of the password -> encoded hash
}

func (l *logins) init() {
	_, _ = rand.Read(l.key[:]) // never fails
	l.slots = make(chan struct{}, hashers)
	l.known = map[[32]byte]string{}
}

// forget drops what is known of a hash.
func (l *logins) forget(encoded string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.known, func(_ [32]byte, e string) bool { return e == encoded })
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
	debug.FreeOSMemory() // what it takes is more than most of what else is in use
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.lanes, b64([]byte(p.salt)), b64(key))
}

// shared returns what a new password is hashed with. All devices of a user share
// a salt, so that a guess is hashed once, not once for each device. What a salt of
// its own would hide is that two devices have the same password, which cannot be.
func shared(rows []deviceRow) argonParams {
	p := hashing
	for _, d := range rows {
		if old, err := parseParams(d.hash); err == nil && (argonParams{old.memory, old.time, old.lanes, ""}) == hashing {
			p.salt = old.salt
			return p
		}
	}
	p.salt = rand.Text()[:16]
	return p
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

var errWrongPassword = fault.New(fault.Auth, "no device has this password", "'popbridge device add' makes a new one")

// Recognize returns the device whose password this is, if that was found out
// since the store was opened; fault.Auth otherwise. It hashes nothing.
func (s *Store) Recognize(ctx context.Context, password string) (Device, error) {
	encoded := s.logins.get(s.logins.mac(password))
	if encoded == "" {
		return Device{}, errWrongPassword
	}
	rows, err := s.devices(ctx)
	if err != nil {
		return Device{}, err
	}
	d, ok := find(rows, encoded)
	if !ok {
		s.logins.forget(encoded) // revoked by another program
		return Device{}, errWrongPassword
	}
	return s.noteLogin(ctx, d), nil
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
	s.share(ctx, rows, d, password)
	return s.noteLogin(ctx, d), nil
}

// noteLogin stores when a device was used last.
func (s *Store) noteLogin(ctx context.Context, d deviceRow) Device {
	if now := s.now(); now.Sub(d.LastUsedAt) >= usedEvery {
		d.LastUsedAt = time.Unix(now.Unix(), 0)
		err := s.write(ctx, "note the login", func(t *tx) error {
			return t.exec(`UPDATE device SET last_used_at = ? WHERE name = ?`, now.Unix(), d.Name)
		})
		if err != nil { // a full disk must not lock anyone out
			s.log.Warn().Err(err).Str("device", d.Name).Msg("time of login was not stored")
		}
	}
	return d.Device
}

// share hashes the password of a device as those of the others are, so that a
// guess is hashed once for all of them.
func (s *Store) share(ctx context.Context, rows []deviceRow, d deviceRow, password string) {
	want := shared(rows)
	if old, err := parseParams(d.hash); err != nil || old == want {
		return
	}
	done, err := s.logins.slot(ctx)
	if err != nil {
		return
	}
	encoded := want.hash(password)
	done()
	err = s.write(ctx, "store the password in its new form", func(t *tx) error {
		t.log.line('V', d.Name, d.ReadOnly, d.CreatedAt.Unix(), encoded)
		if err := t.oneDevice(`UPDATE device SET hash = ? WHERE name = ? AND hash = ?`, encoded, d.Name, d.hash); err != nil {
			return err
		}
		return t.setProfile(d.Device)
	})
	if err != nil { // the old form is as good
		s.log.Warn().Err(err).Str("device", d.Name).Msg("password was not stored in its new form")
		return
	}
	s.logins.put(s.logins.mac(password), encoded)
	s.logins.forget(d.hash)
}

// Refuse does the work that Authenticate does for a wrong password, for a user
// that there is not.
func Refuse(password string) error {
	p := hashing
	p.salt = noDevice
	p.hash(password)
	return errWrongPassword
}

// noDevice is the salt where there is no device. What is hashed with it is the
// password of none.
const noDevice = "there-is-no-such"

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
	if len(tried) == 0 { // as long as for a user with devices
		return deviceRow{}, Refuse(password)
	}
	return deviceRow{}, errWrongPassword
}

func find(rows []deviceRow, encoded string) (found deviceRow, ok bool) {
	for _, d := range rows {
		if encoded != "" && subtle.ConstantTimeCompare([]byte(d.hash), []byte(encoded)) == 1 {
			found, ok = d, true
		}
	}
	return found, ok
}
