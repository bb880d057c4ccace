package mailstore

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestDevices(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	must(t, r.AddDevice(ctx, Device{Name: "phone", ReadOnly: true}, "swordfish"))
	must(t, r.AddDevice(ctx, Device{Name: "laptop"}, "correct horse"))
	wantKind(t, r.AddDevice(ctx, Device{Name: "phone"}, "other"), fault.Conflict)
	wantKind(t, r.AddDevice(ctx, Device{Name: "tablet"}, "swordfish"), fault.Conflict)
	for _, name := range []string{"", "m\xfcller", "a\x1bb", "a\nb", strings.Repeat("é", 65),
		" ", "\u00a0", "\u3000", "\u200b", "\u2060", "\u3164", "\u115f", "\u2800", "\u0301", "\ufe0f", " phone", "phone ", "pho\u200bne", "\ufeffphone", "lap\u202epot"} {
		wantKind(t, r.AddDevice(ctx, Device{Name: name}, "x"), fault.Config)
	}
	for i, name := range []string{"Küche", "客厅 2", "ann's \u2764\ufe0f <b>", "हिन्दी"} {
		must(t, r.AddDevice(ctx, Device{Name: name}, strings.Repeat("y", 10+i)))
		must(t, r.RevokeDevice(ctx, name))
	}
	wantKind(t, r.AddDevice(ctx, Device{Name: "tablet"}, ""), fault.Config)
	for range 2 {
		for range 2 { // hashed, then remembered
			d, err := r.Authenticate(ctx, "swordfish")
			must(t, err)
			if d.Name != "phone" || !d.ReadOnly || !d.CreatedAt.Equal(start) {
				t.Errorf("device %+v", d)
			}
			if d, err = r.Authenticate(ctx, "correct horse"); err != nil || d.Name != "laptop" || d.ReadOnly {
				t.Errorf("device %+v, %v", d, err)
			}
			for _, wrong := range []string{"", "Swordfish", "swordfish ", "phone", strings.Repeat("x", 5000)} {
				_, err = r.Authenticate(ctx, wrong)
				wantKind(t, err, fault.Auth)
			}
		}
		r.reopen()
	}
	// A new password takes the place of the former one; the rest stays.
	wantKind(t, r.SetPassword(ctx, "nobody", "new"), fault.NotFound)
	wantKind(t, r.SetPassword(ctx, "phone", "correct horse"), fault.Conflict)
	must(t, r.SetPassword(ctx, "phone", "new"))
	for range 2 {
		_, err := r.Authenticate(ctx, "swordfish")
		wantKind(t, err, fault.Auth)
		if d, err := r.Authenticate(ctx, "new"); err != nil || d.Name != "phone" || !d.ReadOnly || !d.Generated || !d.CreatedAt.Equal(start) {
			t.Errorf("device %+v, %v", d, err)
		}
		r.reopen()
	}
	must(t, r.SetPassword(ctx, "phone", "swordfish"))
	all, err := r.Devices(ctx)
	must(t, err)
	if len(all) != 2 || all[0].Name != "laptop" || all[1].Name != "phone" {
		t.Errorf("devices %+v", all)
	}
	must(t, r.RevokeDevice(ctx, "phone"))
	_, err = r.Authenticate(ctx, "swordfish")
	wantKind(t, err, fault.Auth)
	wantKind(t, r.RevokeDevice(ctx, "phone"), fault.NotFound)
	must(t, r.AddDevice(ctx, Device{Name: "tablet"}, "swordfish"))
	if d, err := r.Authenticate(ctx, "swordfish"); err != nil || d.Name != "tablet" {
		t.Errorf("device %+v, %v", d, err)
	}
}

// A name of an earlier version that could not be chosen today goes on.
func TestADeviceWithAnOldName(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	must(t, r.AddDevice(ctx, Device{Name: "laptop"}, "swordfish"))
	const name = "lap\u202epot "
	must(t, r.write(ctx, "name the device", func(t *tx) error {
		_, err := t.changed(`UPDATE device SET name = ?`, name)
		return err
	}))
	r.reopen()
	d, err := r.Authenticate(ctx, "swordfish")
	if err != nil || d.Name != name {
		t.Errorf("device %+v, %v", d, err)
	}
	must(t, r.SetDevice(ctx, Device{Name: name, ReadOnly: true}))
	must(t, r.RevokeDevice(ctx, name))
}

func TestPasswordsAreNotStored(t *testing.T) {
	r := newStore(t)
	must(t, r.AddDevice(t.Context(), Device{Name: "a"}, "one"))
	must(t, r.AddDevice(t.Context(), Device{Name: "b"}, "two"))
	for form, n := range r.forms() {
		if !strings.HasPrefix(form, "$argon2id$v=19$") || n != 2 {
			t.Errorf("%d stored as %s", n, form)
		}
	}
}

func TestADeviceRevokedElsewhereIsGone(t *testing.T) {
	r := newStore(t)
	must(t, r.AddDevice(t.Context(), Device{Name: "phone"}, "swordfish"))
	_, err := r.Authenticate(t.Context(), "swordfish")
	must(t, err)
	_, hashes, err := r.devices(t.Context())
	must(t, err)
	r.sql(`DELETE FROM device`)
	_, err = r.Authenticate(t.Context(), "swordfish")
	wantKind(t, err, fault.Auth)
	r.sql(`INSERT INTO device (name, hash, read_only, created_at) VALUES ('tv', ?, 1, 1)`, hashes[0])
	if d, err := r.Authenticate(t.Context(), "swordfish"); err != nil || d.Name != "tv" || !d.ReadOnly {
		t.Errorf("device %+v, %v", d, err)
	}
}

func TestLastUseIsKeptToTheHour(t *testing.T) {
	r := newStore(t)
	must(t, r.AddDevice(t.Context(), Device{Name: "phone"}, "swordfish"))
	used := func() time.Time {
		all, err := r.Devices(t.Context())
		must(t, err)
		return all[0].LastUsedAt
	}
	if !used().IsZero() {
		t.Error("used before it was")
	}
	for _, c := range []struct{ at, want time.Duration }{{0, 0}, {59 * time.Minute, 0}, {61 * time.Minute, 61 * time.Minute}} {
		r.clock.t = start.Add(c.at)
		if _, err := r.Authenticate(t.Context(), "swordfish"); err != nil || !used().Equal(start.Add(c.want)) {
			t.Errorf("after %v: used %v, %v", c.at, used(), err)
		}
	}
}

func TestManyLoginsHashOnce(t *testing.T) {
	r := newStore(t)
	must(t, r.AddDevice(t.Context(), Device{Name: "phone"}, "swordfish"))
	var g errgroup.Group
	for range 20 {
		g.Go(func() error {
			_, err := r.Authenticate(t.Context(), "swordfish")
			return err
		})
	}
	must(t, g.Wait())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Authenticate(ctx, "never seen"); err == nil || fault.Is(err, fault.Auth) {
		t.Errorf("a login that was given up says %v", err)
	}
}
