package mailstore

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/password"
)

func (r *rig) login(password string) Device {
	r.t.Helper()
	d, err := r.Authenticate(r.t.Context(), password)
	must(r.t, err)
	return d
}

func TestTheProfileOfADevice(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	r.create("Work")
	work := r.id("Work")
	must(t, r.AddDevice(ctx, Device{Name: "tv", Folders: []MailboxID{work}, Without: []string{"MOVE", "ESEARCH"}, Send: SendYes}, "one"))
	must(t, r.AddDevice(ctx, Device{Name: "pc"}, "two"))
	same := func(d Device, readOnly bool, folders []MailboxID, without ...string) {
		t.Helper()
		if d.ReadOnly != readOnly || !slices.Equal(d.Folders, folders) || (d.Folders == nil) != (folders == nil) || !slices.Equal(d.Without, without) {
			t.Errorf("device %+v", d)
		}
	}
	check := func() {
		t.Helper()
		same(r.login("one"), false, []MailboxID{work}, "MOVE", "ESEARCH")
		same(r.login("two"), true, nil)
		if one, two := r.login("one"), r.login("two"); one.Send != SendYes || two.Send != SendNo {
			t.Errorf("send: %d, %d", one.Send, two.Send)
		}
	}
	must(t, r.SetDevice(ctx, Device{Name: "pc", ReadOnly: true, Send: SendNo}))
	wantKind(t, r.SetDevice(ctx, Device{Name: "phone"}), fault.NotFound)
	check()
	r.reopen()
	check()
	r.lose(removeIndex)
	check()
	must(t, r.renewed()) // the log as it is when rewritten
	r.lose(removeIndex)
	check()
	must(t, r.SetDevice(ctx, Device{Name: "tv"}))
	same(r.login("one"), false, nil)
}

// TestTheLANIsForGeneratedPasswords: the permission is given to no device whose
// password a person chose, and is kept as the rest of the profile is.
func TestTheLANIsForGeneratedPasswords(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	wantKind(t, r.AddDevice(ctx, Device{Name: "tv", LAN: true}, "chosen"), fault.Denied)
	must(t, r.AddDevice(ctx, Device{Name: "tv"}, "chosen"))
	must(t, r.AddDevice(ctx, Device{Name: "phone", Generated: true, LAN: true}, "made"))
	must(t, r.AddDevice(ctx, Device{Name: "pc", Generated: true}, "made too"))
	wantKind(t, r.SetDevice(ctx, Device{Name: "tv", LAN: true}), fault.Denied)
	wantKind(t, r.SetDevice(ctx, Device{Name: "tv", Generated: true, LAN: true}), fault.Denied) // the store knows better
	wantKind(t, r.SetDevice(ctx, Device{Name: "none", LAN: true}), fault.NotFound)
	check := func(phone bool) {
		t.Helper()
		for password, want := range map[string]Device{"chosen": {Name: "tv"}, "made": {Name: "phone", Generated: true, LAN: phone}, "made too": {Name: "pc", Generated: true}} {
			if d := r.login(password); d.Name != want.Name || d.Generated != want.Generated || d.LAN != want.LAN {
				t.Errorf("device %+v, want %+v", d, want)
			}
		}
	}
	check(true)
	r.lose(removeIndex)
	check(true)
	must(t, r.renewed()) // the log as it is when rewritten
	r.lose(removeIndex)
	check(true)
	must(t, r.SetDevice(ctx, Device{Name: "phone"}))
	r.lose(removeIndex)
	check(false)
	must(t, r.SetDevice(ctx, Device{Name: "pc", LAN: true})) // what it was made with stays
	if d := r.login("made too"); !d.LAN {
		t.Errorf("device %+v", d)
	}
}

// hashAnew adds a phone of the LAN, whose password is then stored in its new form.
func (r *rig) hashAnew(meanwhile func()) {
	t := r.t
	t.Helper()
	must(t, r.AddDevice(t.Context(), Device{Name: "phone", Generated: true, LAN: true}, "made"))
	devices, hashes, err := r.devices(t.Context())
	must(t, err)
	other, err := password.NewChecker().Hash(t.Context(), "other", nil) // with a salt of its own
	must(t, err)
	must(t, r.AddDevice(t.Context(), Device{Name: "pc"}, "two"))
	r.sql(`UPDATE device SET hash = '` + other + `' WHERE name = 'pc'`)
	meanwhile()
	r.share(t.Context(), devices[0], hashes[0], []string{other, hashes[0]}, "made")
	if _, after, err := r.devices(t.Context()); err != nil || slices.Contains(after, hashes[0]) {
		t.Fatalf("the password has its old form: %v", err)
	}
}

// A password that is stored in its new form stays that of a device of the LAN.
func TestThePermissionSurvivesANewHash(t *testing.T) {
	r := newStore(t)
	r.hashAnew(func() {})
	r.lose(removeIndex)
	if d := r.login("made"); !d.Generated || !d.LAN {
		t.Errorf("device %+v", d)
	}
}

// A device that is changed while its password is hashed anew stays as it was changed.
func TestANewHashBringsNoPermissionBack(t *testing.T) {
	r := newStore(t)
	want := Device{Name: "phone", ReadOnly: true, Send: SendYes, Folders: []MailboxID{}, Without: []string{"MOVE"}}
	r.hashAnew(func() { must(t, r.SetDevice(t.Context(), want)) })
	check := func() {
		t.Helper()
		if d := r.login("made"); d.LAN || !d.ReadOnly || d.Folders == nil || d.Send != SendYes || !slices.Equal(d.Without, want.Without) || !d.Generated {
			t.Errorf("device %+v", d)
		}
	}
	check()
	r.lose(removeIndex)
	check()
}

func (r *rig) renewed() error {
	r.writer.mu.Lock()
	defer r.writer.mu.Unlock()
	return r.renewLogLocked(context.Background())
}

// TestADeletedFolderIsNotReplaced: an index made from the recovery log may give
// the id of the deleted mailbox again.
func TestADeletedFolderIsNotReplaced(t *testing.T) {
	r := newStore(t)
	r.create("Work")
	must(t, r.AddDevice(t.Context(), Device{Name: "tv", Folders: []MailboxID{r.id("Work")}}, "one"))
	must(t, r.DeleteMailbox(t.Context(), "Work"))
	must(t, r.renewed())
	r.lose(removeIndex)
	r.create("Private")
	if d := r.login("one"); d.Folders == nil || slices.Contains(d.Folders, r.id("Private")) {
		t.Errorf("sees %v, and the new mailbox is %d", d.Folders, r.id("Private"))
	}
}

func TestNothingIsPutIntoTheEmptyInbox(t *testing.T) {
	r := newStore(t)
	v, err := r.OpenView(t.Context(), EmptyInbox.ID)
	must(t, err)
	defer v.Close()
	if s := v.Snapshot(); len(s.UIDs) > 0 || s.Mailbox.Name != "INBOX" || v.Gone() {
		t.Errorf("view %+v", s)
	}
	uid := r.append("INBOX", 1)
	_, err = r.Copy(t.Context(), r.id("INBOX"), []UID{uid}, EmptyInbox.ID)
	wantKind(t, err, fault.Denied)
	d := r.from("home", "A", 2)
	d.Mailbox = EmptyInbox.ID
	_, err = r.Deliver(t.Context(), []Delivery{d})
	wantKind(t, err, fault.Denied)
}

// TestAStoreOfVersion1 opens an index as the first version made it.
func TestAStoreOfVersion1(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ann")
	must(t, os.MkdirAll(dir, 0o700))
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, "index.db"), writePragmas...))
	must(t, err)
	hash, err := password.NewChecker().Hash(t.Context(), "one", nil)
	must(t, err)
	_, err = db.Exec(schema1+`
		INSERT INTO mailbox (id, name, uidvalidity, uidnext) VALUES (1, 'INBOX', 77, 5);
		INSERT INTO device (name, hash, read_only, created_at) VALUES ('tv', ?, 1, 1000);
		PRAGMA user_version = 1`, hash)
	must(t, err)
	must(t, db.Close())
	for range 2 {
		s, err := Open(t.Context(), dir, Options{})
		must(t, err)
		m, err := s.Mailbox(t.Context(), "INBOX")
		if err != nil || m.UIDValidity != 77 || m.UIDNext != 5 {
			t.Errorf("INBOX %+v, %v", m, err)
		}
		if d, err := s.Authenticate(t.Context(), "one"); err != nil || !d.ReadOnly || d.Folders != nil || len(d.Without) > 0 {
			t.Errorf("device %+v, %v", d, err)
		}
		must(t, s.Close())
	}
}

// Who may send, unless it is said.
func TestMaySend(t *testing.T) {
	for _, tt := range []struct {
		device Device
		want   bool
	}{
		{Device{}, true},
		{Device{ReadOnly: true}, false},
		{Device{Folders: []MailboxID{}}, false},
		{Device{ReadOnly: true, Folders: []MailboxID{1}, Send: SendYes}, true},
		{Device{Send: SendNo}, false},
	} {
		if tt.device.MaySend() != tt.want {
			t.Errorf("%+v: want %v", tt.device, tt.want)
		}
	}
}
