// Package trust puts the local certificate authority into the stores in which
// mail programs look for the authorities that they trust, and takes it out
// again.
//
//	Linux    the system's store, of root        /usr/local/share/ca-certificates and its like
//	macOS    the login keychain of the user     security(1)
//	Windows  the Root store of the user         crypt32
//	all      NSS databases of the user          Thunderbird, Firefox, ~/.pki/nssdb; by certutil(1) of NSS
//
// Invariants: an authority goes in only if it can speak for this computer alone
// (Check), and for TLS servers only. What is taken out is what has the same key,
// whatever its dates, or what popbridge has made; no other certificate is
// touched. A store that has what is wanted is not written.
package trust

import (
	"context"
	"crypto/x509"
	"slices"

	"github.com/popbridge/popbridge/internal/fault"
)

// State says how a store stands to an authority.
type State string

// The states of an authority in a store.
const (
	Trusted    State = "trusted"
	NotTrusted State = "not trusted"
	Older      State = "an older one" // of the same key: good until it ends
	Unknown    State = "unknown"      // the store cannot be read
)

// Entry is an authority of popbridge that is in a store.
type Entry struct {
	Cert    *x509.Certificate
	Trusted bool // for TLS servers
}

// place is how one kind of store is read and written.
type place interface {
	// read returns the authorities in the store that popbridge has made.
	read(ctx context.Context) ([]Entry, error)
	// add makes an authority a trusted one, also one that is there already.
	add(ctx context.Context, ca *x509.Certificate) error
	// remove takes one certificate out.
	remove(ctx context.Context, ca *x509.Certificate) error
}

// A Store is where programs look for the authorities that they trust.
type Store struct {
	Name   string // for people, such as "Thunderbird, profile default"
	Path   string
	System bool // of the whole machine: only root writes it

	names   []string // for which alone an authority may speak; nil: see Check
	place   place
	running func() bool // the program that reads it only at its start runs; may be nil
}

// Running reports whether a program runs that has read the store at its start and
// does not look again.
func (s Store) Running() bool { return s.running != nil && s.running() }

// State returns how the store stands to an authority (nil: there is none), and how many
// other authorities of popbridge it trusts.
func (s Store) State(ctx context.Context, ca *x509.Certificate) (state State, others int, err error) {
	entries, err := s.place.read(ctx)
	if err != nil {
		return Unknown, 0, err
	}
	state = NotTrusted
	for _, e := range entries {
		switch {
		case !e.Trusted:
		case ca == nil || !sameKey(e.Cert, ca):
			others++
		case e.Cert.Equal(ca):
			state = Trusted
		case state == NotTrusted:
			state = Older
		}
	}
	return state, others, nil
}

// Check is the function of that name. For the store of the system it also refuses names
// that this computer does not have now: who can write the data folder of an agent, which
// may be less than every user here, could choose them.
func (s Store) Check(ca *x509.Certificate) error {
	if err := Check(ca); err != nil || s.names == nil {
		return err
	}
	for _, name := range ca.PermittedDNSDomains {
		if !slices.Contains(s.names, name) {
			return refusal(ca, "it may speak for "+fault.Quote(name)+", which is no name of this computer now")
		}
	}
	return nil
}

// Install makes the store trust the authority, and takes out former certificates of its
// key. It reports whether there was anything to do.
func (s Store) Install(ctx context.Context, ca *x509.Certificate) (changed bool, err error) {
	if err := s.Check(ca); err != nil {
		return false, err
	}
	entries, err := s.place.read(ctx)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Trusted && e.Cert.Equal(ca) }) {
		if err := s.place.add(ctx, ca); err != nil {
			return false, err
		}
		changed = true
	}
	removed, err := s.removeAll(ctx, entries, func(c *x509.Certificate) bool { return sameKey(c, ca) && !c.Equal(ca) })
	return changed || removed > 0, err
}

// Remove takes the authority out, with former certificates of its key; nil takes out
// all that popbridge has made. It returns how many it was.
func (s Store) Remove(ctx context.Context, ca *x509.Certificate) (int, error) {
	entries, err := s.place.read(ctx)
	if err != nil {
		return 0, err
	}
	return s.removeAll(ctx, entries, func(c *x509.Certificate) bool { return ca == nil || sameKey(c, ca) })
}

func (s Store) removeAll(ctx context.Context, entries []Entry, which func(*x509.Certificate) bool) (removed int, err error) {
	for _, e := range entries {
		if !which(e.Cert) {
			continue
		}
		if err := s.place.remove(ctx, e.Cert); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
