// Package password makes and hashes the passwords of mail clients with Argon2id (RFC 9106)
// and finds out which of several hashes is that of a password. It stores nothing:
// the hashes belong to the caller, in the encoded form
// $argon2id$v=19$m=19456,t=2,p=1$salt$key, which names its parameters so that they
// can be raised later.
//
// What always holds: at most two passwords are hashed at once by a Checker; a
// password that is wrong, or of a user that does not exist (Refuse), costs as much
// time as one that is right; one that was right before is not hashed again, so that
// its client does not wait for those who guess.
package password

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

	"golang.org/x/crypto/argon2"
)

// params are stored with each hash.
type params struct {
	memory uint32 // KiB
	time   uint32
	lanes  uint8
	salt   string
}

// hashing is what new passwords are hashed with: enough for passwords people
// choose (OWASP, 2024), and little enough for a small machine that five
// connections log in to at once.
var hashing = params{memory: 19 << 10, time: 2, lanes: 1}

// CheapForTests has passwords hashed at low cost from then on, for tests that are
// about something else. Nothing but tests may call it.
func CheapForTests() { hashing = params{memory: 8, time: 1, lanes: 1} }

// hashers is how many passwords are hashed at once; the others wait.
const hashers = 2

// Checker remembers which hash a password belongs to. It knows nothing of hashes
// that are gone: whoever uses it compares with those that there are. Its methods
// may be called from several goroutines.
type Checker struct {
	key   [32]byte
	slots chan struct{}
	mu    sync.Mutex
	known map[[32]byte]string // MAC of the password -> encoded hash
}

// NewChecker returns a Checker that has seen no password.
func NewChecker() *Checker {
	c := &Checker{slots: make(chan struct{}, hashers), known: map[[32]byte]string{}}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

// Recall returns the hash that a password belonged to when it was learned or
// found; empty for another password. It hashes nothing.
func (c *Checker) Recall(password string) string {
	mac := c.mac(password)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[mac]
}

// Learn says which hash a password belongs to, in place of what was known.
func (c *Checker) Learn(password, encoded string) {
	mac := c.mac(password)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[mac] = encoded
}

// Forget drops what is known of a hash.
func (c *Checker) Forget(encoded string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.known, func(_ [32]byte, e string) bool { return e == encoded })
}

func (c *Checker) mac(password string) [32]byte {
	h := hmac.New(sha256.New, c.key[:])
	h.Write([]byte(password))
	return [32]byte(h.Sum(nil))
}

// slot waits for a turn to hash.
func (c *Checker) slot(ctx context.Context) (func(), error) {
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Hash hashes a new password, with the salt that others have. Its error is that
// of the context.
func (c *Checker) Hash(ctx context.Context, password string, others []string) (string, error) {
	done, err := c.slot(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return shared(others).hash(password), nil
}

// Find returns the place in hashes of the one that is the password's, -1 where
// none is, and learns it. It hashes the password once for each form that the
// hashes have; one that Check refuses is that of no password. Its error is that
// of the context.
func (c *Checker) Find(ctx context.Context, password string, hashes []string) (int, error) {
	if i := Index(hashes, c.Recall(password)); i >= 0 {
		return i, nil
	}
	done, err := c.slot(ctx)
	if err != nil {
		return -1, err
	}
	defer done()
	if i := Index(hashes, c.Recall(password)); i >= 0 { // hashed while we waited
		return i, nil
	}
	tried := map[params]bool{}
	for _, encoded := range hashes {
		p, err := parse(encoded)
		if err != nil || tried[p] {
			continue
		}
		tried[p] = true
		own := p.hash(password)
		if i := Index(hashes, own); i >= 0 {
			c.Learn(password, own)
			return i, nil
		}
	}
	if len(tried) == 0 { // as long as for a user with devices
		Refuse(password)
	}
	return -1, nil
}

// Index returns the place of a hash among others, -1 where it is empty or none of
// them. How long it takes does not tell how much of it is right.
func Index(hashes []string, encoded string) int {
	found := -1
	for i, h := range hashes {
		if encoded != "" && subtle.ConstantTimeCompare([]byte(h), []byte(encoded)) == 1 {
			found = i
		}
	}
	return found
}

// Outdated reports whether Hash would give another form to the password of a
// hash that is among others.
func Outdated(encoded string, others []string) bool {
	p, err := parse(encoded)
	return err == nil && p != shared(others)
}

// Check returns an error for a hash that is in no form this package knows.
func Check(encoded string) error {
	_, err := parse(encoded)
	return err
}

// Refuse does the work that Find does for a wrong password.
func Refuse(password string) {
	p := hashing
	p.salt = noDevice
	p.hash(password)
}

// noDevice is the salt where there is no device. What is hashed with it is the
// password of none.
const noDevice = "there-is-no-such"

func (p params) hash(password string) string {
	key := argon2.IDKey([]byte(password), []byte(p.salt), p.time, p.memory, p.lanes, 32)
	debug.FreeOSMemory() // what it takes is more than most of what else is in use
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.lanes, b64([]byte(p.salt)), b64(key))
}

// shared returns what a new password is hashed with. All devices of a user share
// a salt, so that a guess is hashed once, not once for each device. What a salt of
// its own would hide is that two devices have the same password, which cannot be.
func shared(others []string) params {
	p := hashing
	for _, encoded := range others {
		if old, err := parse(encoded); err == nil && (params{old.memory, old.time, old.lanes, ""}) == hashing {
			p.salt = old.salt
			return p
		}
	}
	p.salt = rand.Text()[:16]
	return p
}

// parse reads the parameters of an encoded hash.
func parse(encoded string) (p params, err error) {
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
