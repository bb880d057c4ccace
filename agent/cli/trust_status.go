package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/trust"
	"github.com/popbridge/popbridge/internal/fault"
)

// seenStore is what status says of a store.
type seenStore struct {
	Store  string      `json:"store"`
	Path   string      `json:"path"`
	System bool        `json:"system"`
	State  trust.State `json:"state"`
	Others int         `json:"others"` // authorities of popbridge that are trusted besides
	Error  string      `json:"error,omitempty"`
	Hint   string      `json:"hint,omitempty"`
}

// seenAuthority is what status says of the authority.
type seenAuthority struct {
	File      string    `json:"file"`
	SHA256    string    `json:"sha256"`
	NotAfter  time.Time `json:"not_after"`
	SpeaksFor string    `json:"speaks_for"`
}

func (a *app) trustStatus(ctx context.Context) error {
	ca, dir, err := a.authority(ctx, false)
	if err != nil {
		return err
	}
	seen := []seenStore{}
	failed := a.eachStore(trust.Find(datadir.AuthorityFile(dir)), func(s trust.Store) error {
		state, others, err := s.State(ctx, ca)
		one := seenStore{Store: s.Name, Path: s.Path, System: s.System, State: state, Others: others}
		if err != nil {
			one.Error, one.Hint = err.Error(), fault.Hint(err)
		}
		seen = append(seen, one)
		return err
	})
	if a.json {
		answer := map[string]any{"authority": nil, "stores": seen}
		if ca != nil {
			answer["authority"] = seenAuthority{datadir.AuthorityFile(dir), trust.Fingerprint(ca), ca.NotAfter, trust.SpeaksFor(ca)}
		}
		return errors.Join(a.printJSON(answer), failed)
	}
	if ca == nil {
		a.printf("there is no authority yet: `%s` makes it\n", a.command("trust install"))
	} else {
		a.printf("authority  %s\n  file     %s\n  SHA-256  %s\n  ends     %s\n  speaks for %s\n", ca.Subject.CommonName, datadir.AuthorityFile(dir), trust.Fingerprint(ca), ca.NotAfter.Format(time.DateOnly), trust.SpeaksFor(ca))
	}
	if len(seen) == 0 {
		a.printf("no store of authorities was found here\n")
		return failed
	}
	var t table
	t.row("STORE", "STATE", "WHERE")
	for _, s := range seen {
		t.row(s.Store, stateText(s), s.Path)
	}
	return errors.Join(t.print(a.stdout), failed)
}

func stateText(s seenStore) string {
	text := string(s.State)
	if s.Others > 0 {
		text += fmt.Sprintf(", and %d of other data folders", s.Others)
	}
	return text
}

// trustedIn returns the names of the stores that trust an authority; of what cannot be
// read nothing is known.
func trustedIn(ctx context.Context, ca *x509.Certificate) (names []string) {
	if ca == nil {
		return nil
	}
	for _, s := range trust.Find("") {
		if state, _, err := s.State(ctx, ca); err == nil && state != trust.NotTrusted {
			names = append(names, s.Name)
		}
	}
	return names
}

// noteTrust says, where that can be known, that the authority of a config is still trusted
// although the service is gone.
func (a *app) noteTrust(ctx context.Context, configPath string) {
	ca, err := trust.Read(datadir.AuthorityFile(config.DataDir(configPath)))
	if err != nil {
		return
	}
	if names := trustedIn(ctx, ca); len(names) > 0 {
		a.printf("its certificate authority is still trusted in: %s; `%s` ends that\n", strings.Join(names, "; "), config.Command(configPath, "trust remove"))
	}
}
