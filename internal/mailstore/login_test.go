package mailstore

import (
	"os"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// forms returns what the devices' passwords are hashed with.
func (r *rig) forms() map[string]int {
	r.t.Helper()
	_, hashes, err := r.devices(r.t.Context())
	must(r.t, err)
	forms := map[string]int{}
	for _, h := range hashes {
		forms[h[:strings.LastIndexByte(h, '$')]]++
	}
	return forms
}

// TestOldPasswordsAreHashedTogether: devices whose records have salts and
// parameters of their own log in as ever, and from then on a guess is hashed once
// for all of them. A lost index does not undo it.
func TestOldPasswordsAreHashedTogether(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	r.create("Family")
	folder := r.id("Family")
	must(t, r.AddDevice(ctx, Device{Name: "phone", ReadOnly: true, Folders: []MailboxID{folder}}, "one"))
	must(t, r.AddDevice(ctx, Device{Name: "laptop"}, "two"))
	must(t, r.AddDevice(ctx, Device{Name: "tablet"}, "three"))
	old := map[string]string{
		"phone":  "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0aGUgcGhvbmU$0Gl+XPZr17x/3Ib7gZfNBpN19Yztfzx0rpveP9WLMFA",
		"laptop": "$argon2id$v=19$m=19456,t=2,p=1$YW5vdGhlciBzYWx0$mhPviPRxgu02mmPbtqaf0/4G51F0FToLs4ypaYOATv4",
	}
	for name, hash := range old {
		r.sql(`UPDATE device SET hash = ? WHERE name = ?`, hash, name)
	}
	must(t, r.renewed())
	r.reopen()
	if forms := r.forms(); len(forms) != 3 {
		t.Fatalf("%d forms before", len(forms))
	}
	_, err := r.Authenticate(ctx, "four")
	wantKind(t, err, fault.Auth)
	for password, name := range map[string]string{"one": "phone", "two": "laptop", "three": "tablet"} {
		for range 2 {
			if d, err := r.Authenticate(ctx, password); err != nil || d.Name != name {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
		}
	}
	if forms := r.forms(); len(forms) != 1 {
		t.Errorf("%d forms after each has logged in", len(forms))
	}
	r.lose(func(path string) { must(t, os.Remove(path)) })
	if forms := r.forms(); len(forms) != 1 {
		t.Errorf("%d forms after the index was lost", len(forms))
	}
	if d, err := r.Authenticate(ctx, "one"); err != nil || d.Name != "phone" || !d.ReadOnly || len(d.Folders) != 1 {
		t.Errorf("after the index was lost: %+v, %v", d, err)
	}
}

// TestAKnownPassword is over as soon as the device is.
func TestAKnownPassword(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	must(t, r.AddDevice(ctx, Device{Name: "phone"}, "one"))
	must(t, r.AddDevice(ctx, Device{Name: "laptop"}, "two"))
	for password, name := range map[string]string{"one": "phone", "two": "laptop"} {
		if d, err := r.Recognize(ctx, password); err != nil || d.Name != name {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	for _, wrong := range []string{"", "three", "One"} {
		_, err := r.Recognize(ctx, wrong)
		wantKind(t, err, fault.Auth)
	}
	must(t, r.RevokeDevice(ctx, "phone"))
	_, err := r.Recognize(ctx, "one")
	wantKind(t, err, fault.Auth)
	if d, err := r.Recognize(ctx, "two"); err != nil || d.Name != "laptop" {
		t.Errorf("after another was revoked: %+v, %v", d, err)
	}
	if r.passwords.Recall("one") != "" || r.passwords.Recall("two") == "" {
		t.Error("the wrong password is remembered")
	}
	r.reopen()
	_, err = r.Recognize(ctx, "two")
	wantKind(t, err, fault.Auth) // it was not seen since
}

// TestARecordWithoutAHashLetsNoOneIn: such as one that was planted.
func TestARecordWithoutAHashLetsNoOneIn(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	must(t, r.AddDevice(ctx, Device{Name: "phone"}, "one"))
	r.sql(`UPDATE device SET hash = ''`)
	for _, password := range []string{"", "one"} {
		_, err := r.Authenticate(ctx, password)
		wantKind(t, err, fault.Auth)
		_, err = r.Recognize(ctx, password)
		wantKind(t, err, fault.Auth)
	}
}
