package trust

import (
	"context"
	"crypto/x509"
	"testing"
)

// state compares what a store says of an authority.
func state(t *testing.T, s Store, ca *x509.Certificate, want State, others int) {
	t.Helper()
	if got, n, err := s.State(t.Context(), ca); got != want || n != others || err != nil {
		t.Errorf("%s: %s and %d others, %v; want %s and %d", s.Name, got, n, err, want, others)
	}
}

func install(t *testing.T, s Store, ca *x509.Certificate, want bool) {
	t.Helper()
	if changed, err := s.Install(t.Context(), ca); changed != want || err != nil {
		t.Errorf("%s: install: changed %v, %v; want %v", s.Name, changed, err, want)
	}
}

func remove(t *testing.T, s Store, ca *x509.Certificate, want int) {
	t.Helper()
	if n, err := s.Remove(t.Context(), ca); n != want || err != nil {
		t.Errorf("%s: removed %d, %v; want %d", s.Name, n, err, want)
	}
}

// keepsTheContract is what every kind of store has to do. The store is an empty one.
func keepsTheContract(t *testing.T, s Store) {
	t.Helper()
	key, otherKey := newKey(t), newKey(t)
	first, renewed, other := authority(t, key), authority(t, key), authority(t, otherKey)

	state(t, s, nil, NotTrusted, 0)
	state(t, s, first, NotTrusted, 0)
	remove(t, s, first, 0)
	install(t, s, first, true)
	install(t, s, first, false)
	state(t, s, first, Trusted, 0)
	state(t, s, renewed, Older, 0)
	state(t, s, other, NotTrusted, 1)

	// Another data folder has an authority of the same name.
	install(t, s, other, true)
	state(t, s, first, Trusted, 1)
	install(t, s, renewed, true)
	state(t, s, renewed, Trusted, 1)
	state(t, s, first, Older, 1)
	install(t, s, renewed, false)
	remove(t, s, first, 1) // by the key
	state(t, s, renewed, NotTrusted, 1)
	state(t, s, other, Trusted, 0)
	remove(t, s, first, 0)

	install(t, s, renewed, true)
	state(t, s, nil, NotTrusted, 2)
	remove(t, s, nil, 2)
	state(t, s, other, NotTrusted, 0)
	remove(t, s, nil, 0)
}

// A store is not written for what must not be trusted.
func TestAnAuthorityForEverythingIsNotInstalled(t *testing.T) {
	key := newKey(t)
	template := loopback()
	template.PermittedDNSDomains, template.PermittedIPRanges = nil, nil
	s := Store{place: untouched{t}}
	if _, err := s.Install(t.Context(), sign(t, template, template, key, key)); err == nil {
		t.Error("it was installed")
	}
}

type untouched struct{ t *testing.T }

func (u untouched) read(context.Context) ([]Entry, error) { return nil, nil }
func (u untouched) add(context.Context, *x509.Certificate) error {
	u.t.Error("written")
	return nil
}
func (u untouched) remove(context.Context, *x509.Certificate) error { return nil }
