package operations_test

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

// A new device gets a password that is made here, and files that have no password.
func TestNewDevice(t *testing.T) {
	r := newRig(t)
	_, port := agenttest.POP(t, "ann@gmx.de", 1)
	r.Configure(strings.Replace(agenttest.Plain, `tls = "off"`, `tls = "starttls"`, 1), agenttest.Account{Name: "ann@gmx.de", User: "ann", Folder: "INBOX", Port: port})
	r.Start()
	const name = `<b>"&'lap`
	made, err := r.Ops().NewDevice(t.Context(), operations.NewDevice{Name: name, ReadOnly: true, Folders: []string{"INBOX"}})
	if err != nil || made.User != "ann" || !made.ReadOnly || !cmp.Equal(made.Folders, []string{"INBOX"}) || !regexp.MustCompile(`^([a-z2-7]{4}-){4}[a-z2-7]{4}$`).MatchString(made.Password) {
		t.Fatalf("%+v, %v", made, err)
	}
	s, err := r.Ops().ClientSetup(t.Context(), operations.SetUp{DeviceLogin: operations.DeviceLogin{Device: name}})
	if err != nil {
		t.Fatal(err)
	}
	if s.User != "ann" || s.Device != name || s.Host != "127.0.0.1" || s.Port == 0 || s.Security != "STARTTLS" || !s.Here || s.QR != nil || len(s.Fingerprint) < 64 {
		t.Errorf("%+v", s)
	}
	var shown string
	if c, err := imapclient.DialStartTLS(r.Addr, &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		shown = fmt.Sprintf("% X", sha256.Sum256(s.PeerCertificates[0].Raw))
		return nil
	}}}); err != nil || c.Close() != nil {
		t.Fatal(err)
	}
	if s.ServerFingerprint != shown || s.Fingerprint == shown {
		t.Errorf("a program shows %s; told are %s, and %s of the authority", shown, s.ServerFingerprint, s.Fingerprint)
	}
	if now, err := r.Ops().ClientSetup(t.Context(), operations.SetUp{DeviceLogin: operations.DeviceLogin{Device: name}, AtOnce: true}); err != nil || now.Port != s.Port || now.Fingerprint != s.Fingerprint || len(now.Outgoing)+len(now.Files) > 0 {
		t.Errorf("at once: %+v, %v", now, err)
	}
	if diff := cmp.Diff([]operations.Outgoing{{Address: "ann@gmx.de", Host: "mail.gmx.net", Port: 465, Security: "TLS", Username: "ann@gmx.de", Secret: "mailbox"}}, s.Outgoing); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, f := range s.Files {
		names = append(names, f.Name)
		if strings.Contains(f.Data, made.Password) || f.Data == "" || f.For == "" {
			t.Errorf("%s: %s", f.Name, f.Data)
		}
	}
	const want = "popbridge.html popbridge.mobileconfig gmx.de.xml popbridge-ca.crt popbridge.neomuttrc popbridge.aerc.conf popbridge.mbsyncrc popbridge.offlineimaprc"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	for what, failed := range map[string]func() error{
		"twice":   func() error { _, err := r.Ops().NewDevice(t.Context(), operations.NewDevice{Name: name}); return err },
		"no name": func() error { _, err := r.Ops().NewDevice(t.Context(), operations.NewDevice{}); return err },
		"another user": func() error {
			_, err := r.Ops().NewDevice(t.Context(), operations.NewDevice{User: "bob", Name: "x"})
			return err
		},
		"no folder": func() error {
			_, err := r.Ops().NewDevice(t.Context(), operations.NewDevice{Name: "x", Folders: []string{"<i>"}})
			return err
		},
		"lan is off": func() error {
			_, err := r.Ops().NewDevice(t.Context(), operations.NewDevice{Name: "x", LAN: true})
			return err
		},
		"no device": func() error {
			_, err := r.Ops().ClientSetup(t.Context(), operations.SetUp{DeviceLogin: operations.DeviceLogin{Device: "x"}})
			return err
		},
		"no phone": func() error {
			_, err := r.Ops().PairPhone(t.Context(), operations.DeviceLogin{Device: name})
			return err
		},
	} {
		if err := failed(); err == nil || fault.Hint(err) == "" {
			t.Errorf("%s: %v, hint %q", what, err, fault.Hint(err))
		}
	}
	c, err := r.Ops().DeviceChoices(t.Context())
	if err != nil || c.LAN || !strings.Contains(c.LANOff, "[lan]") || len(c.Users) != 1 || !strings.Contains(strings.Join(c.Users[0].Folders, " "), "INBOX") {
		t.Errorf("%+v, %v", c, err)
	}
	if devices, err := r.Ops().Devices(t.Context()); err != nil || len(devices) != 2 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
}

// What the last backup came to is remembered, and it is made again only where it is.
func TestBackupAgain(t *testing.T) {
	r := twoUsers(t)
	r.Start()
	r.Sync()
	last := func() *operations.LastBackup {
		t.Helper()
		s, err := r.Ops().Storage(t.Context())
		if err != nil || s.DataDir != filepath.Join(r.Dir, "data") || !strings.Contains(s.BackupCommand, "backup DIR") || !strings.Contains(s.RestoreCommand, "restore DIR") {
			t.Errorf("%+v, %v", s, err)
		}
		if s.Free <= 0 {
			t.Errorf("%d bytes of room", s.Free)
		}
		if _, err := os.Stat(filepath.Join(r.Dir, "saved")); s.SameDisk != (err == nil && s.LastBackup != nil) {
			t.Errorf("it is beside the mail: %v, %v", s.SameDisk, err)
		}
		return s.LastBackup
	}
	if _, err := r.Ops().BackupAgain(t.Context(), nil); !fault.Is(err, fault.Config) || fault.Hint(err) == "" || last() != nil {
		t.Errorf("none was made: %v, %+v", err, last())
	}
	if _, err := r.Ops().Backup(t.Context(), filepath.Join(r.Dir, "data", "in"), false, nil); err == nil || last() != nil {
		t.Errorf("one that failed: %v, %+v", err, last())
	}
	saved := filepath.Join(r.Dir, "saved")
	if _, err := r.Ops().Backup(t.Context(), saved, false, nil); err != nil {
		t.Fatal(err)
	}
	first := last()
	if first == nil || first.Dir != saved || first.FailedAt != nil || !cmp.Equal(counts(first.Users), map[string][3]int{"ann": {5, 3, 0}, "bob": {1, 1, 0}}) {
		t.Fatalf("%+v", first)
	}
	seen := 0
	done, err := r.Ops().BackupAgain(t.Context(), func(operations.Progress) {
		seen++
		if _, err := r.Ops().BackupAgain(t.Context(), nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("two at a time: %v", err)
		}
	})
	if err != nil || seen == 0 || !cmp.Equal(counts(done), map[string][3]int{"ann": {5, 0, 0}, "bob": {1, 0, 0}}) || last().At.Before(first.At) {
		t.Errorf("again: %v, %v, %d steps", counts(done), err, seen)
	}
	// A disk that is not connected: nothing is made in its place.
	if err := os.Rename(saved, saved+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ops().BackupAgain(t.Context(), nil); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.Hint(err), "connect") {
		t.Errorf("without the disk: %v", err)
	}
	if _, err := os.Stat(saved); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	// What fails in that folder is remembered, with what was good before.
	if err := os.WriteFile(saved, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ops().Backup(t.Context(), saved, false, nil); err == nil {
		t.Error("a file was taken for a folder")
	}
	if got := last(); got.FailedAt == nil || got.Error == "" || got.Hint == "" || len(got.Users) != 2 {
		t.Errorf("%+v", got)
	}
	// A file that says nothing sensible is none.
	for _, text := range []string{"", "{", `{"dir":"relative"}`, "null"} {
		if err := os.WriteFile(filepath.Join(r.Dir, "data", operations.BackupFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := last(); got != nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
