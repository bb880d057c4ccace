package mailstore

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/password"
)

// usedEvery is how exact LastUsedAt is.
const usedEvery = time.Hour

var errWrongPassword = fault.New(fault.Auth, "no device has this password", "'popbridge device add' makes a new one")

// Recognize returns the device whose password this is, if that was found out
// since the store was opened; fault.Auth otherwise. It hashes nothing. The device
// itself is looked up each time: one that was revoked, by this program or another,
// is gone at once.
func (s *Store) Recognize(ctx context.Context, given string) (Device, error) {
	encoded := s.passwords.Recall(given)
	if encoded == "" {
		return Device{}, errWrongPassword
	}
	devices, hashes, err := s.devices(ctx)
	if err != nil {
		return Device{}, err
	}
	i := password.Index(hashes, encoded)
	if i < 0 {
		s.passwords.Forget(encoded) // revoked by another program
		return Device{}, errWrongPassword
	}
	return s.noteLogin(ctx, devices[i]), nil
}

// Authenticate returns the device whose password this is; fault.Auth when there
// is none.
func (s *Store) Authenticate(ctx context.Context, given string) (Device, error) {
	devices, hashes, err := s.devices(ctx)
	if err != nil {
		return Device{}, err
	}
	for i, h := range hashes {
		if err := password.Check(h); err != nil {
			s.log.Error().Err(err).Str("device", devices[i].Name).Msg("device cannot log in")
		}
	}
	i, err := s.passwords.Find(ctx, given, hashes)
	switch {
	case err != nil:
		return Device{}, failure(err, "check the password")
	case i < 0:
		return Device{}, errWrongPassword
	}
	s.share(ctx, devices[i], hashes[i], hashes, given)
	return s.noteLogin(ctx, devices[i]), nil
}

// noteLogin stores when a device was used last.
func (s *Store) noteLogin(ctx context.Context, d Device) Device {
	if now := s.now(); now.Sub(d.LastUsedAt) >= usedEvery {
		d.LastUsedAt = time.Unix(now.Unix(), 0)
		err := s.write(ctx, "note the login", func(t *tx) error {
			return t.exec(`UPDATE device SET last_used_at = ? WHERE name = ?`, now.Unix(), d.Name)
		})
		if err != nil { // a full disk must not lock anyone out
			s.log.Warn().Err(err).Str("device", d.Name).Msg("time of login was not stored")
		}
	}
	return d
}

// share hashes the password of a device as those of the others are, so that a
// guess is hashed once for all of them.
func (s *Store) share(ctx context.Context, d Device, old string, hashes []string, given string) {
	if !password.Outdated(old, hashes) {
		return
	}
	encoded, err := s.passwords.Hash(ctx, given, hashes)
	if err != nil {
		return
	}
	err = s.write(ctx, "store the password in its new form", func(t *tx) error {
		return t.rehash(d.Name, encoded, old, d.Generated)
	})
	if err != nil { // the old form is as good
		s.log.Warn().Err(err).Str("device", d.Name).Msg("password was not stored in its new form")
		return
	}
	s.passwords.Learn(given, encoded)
}
