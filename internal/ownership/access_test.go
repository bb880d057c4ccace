package ownership

import (
	"strings"
	"testing"
)

func TestWhoKeepsAProtectedFolder(t *testing.T) {
	a := access{self: "S-1-5-21-1", owner: "S-1-5-21-1", grants: []grant{{"S-1-5-11", 0x1301bf, false}, {"S-1-5-80-7", 0x1301bf, false}, {"S-1-3-0", 0x1f01ff, true}, {"S-1-5-32-545", 0x1200a9, true}}}
	if got := strings.Join(a.keepers(), " "); got != "S-1-5-21-1 S-1-5-18 S-1-5-32-544 S-1-5-80-7" {
		t.Errorf("got %s", got)
	}
	if !a.passesOn() || !a.open() {
		t.Error("what will be in it is open to all users")
	}
	// The service keeps who has installed it in a folder that an administrator made.
	a = access{self: "S-1-5-80-7", owner: administrators, grants: []grant{{"S-1-5-21-1", 0x1f01ff, false}, {"S-1-5-21-2", 0x1f01ff, true}}, installer: "S-1-5-21-1"}
	if got := strings.Join(a.keepers(), " "); got != "S-1-5-80-7 S-1-5-18 S-1-5-32-544 S-1-5-21-1" {
		t.Errorf("got %s", got)
	}
}

func TestAFolderOfAnotherUserIsOpen(t *testing.T) {
	const self, full = "S-1-5-21-1-2-3-1001", 0x1f01ff
	list := []grant{{self, full, false}, {"S-1-5-18", full, false}}
	if a := (access{self: self, owner: self, grants: list}); a.open() {
		t.Error("a folder of one's own is open")
	}
	if a := (access{self: self, owner: "S-1-5-21-1-2-3-6666", grants: list}); !a.open() {
		t.Error("its owner can give it to anyone")
	}
}

func TestAccessListsOfWindows(t *testing.T) {
	const (
		ann, bob, users, everyone = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002", "S-1-5-32-545", "S-1-1-0"
		system, admins            = "S-1-5-18", "S-1-5-32-544"
		service                   = "S-1-5-80-1-2-3-4-5"
		full, modify, readExecute = 0x1f01ff, 0x1301bf, 0x1200a9
	)
	own := []grant{{system, full, false}, {admins, full, false}, {ann, full, false}}
	with := func(g ...grant) []grant { return append(g, own...) }
	for _, c := range []struct {
		what            string
		a               access
		changes, reader string
	}{
		{"a file in AppData", access{self: ann, owner: ann, grants: own}, "", ""},
		{"one of the administrators", access{self: ann, owner: admins, grants: own}, "", ""},
		{"one on a second drive", access{self: ann, owner: ann, grants: with(grant{"S-1-5-11", modify, false}, grant{users, readExecute, false})}, "S-1-5-11", "S-1-5-11"},
		{"one in ProgramData", access{self: ann, owner: admins, grants: with(grant{users, readExecute, false})}, "", users},
		{"another user's", access{self: ann, owner: bob, grants: own}, bob, ""},
		{"open to everyone", access{self: ann, owner: ann, grants: with(grant{everyone, 0x10000000, false})}, everyone, everyone},
		{"for what will be in the folder", access{self: ann, owner: ann, grants: with(grant{users, full, true})}, "", ""},
		{"the service may write", access{self: ann, owner: ann, grants: with(grant{service, modify, false})}, "", ""},
		{"all services may write", access{self: ann, owner: ann, grants: with(grant{"S-1-5-80-0", modify, false})}, "S-1-5-80-0", "S-1-5-80-0"},
		{"the service reads those of who installed it", access{self: service, owner: ann, grants: own, installer: ann}, "", ""},
		{"the service, and another user's", access{self: service, owner: bob, grants: []grant{{bob, full, false}}, installer: ann}, bob, bob},
		{"a service of which that is not known", access{self: service, owner: ann, grants: own}, ann, ann},
		{"the variable says nothing to a user", access{self: ann, owner: bob, grants: own, installer: bob}, bob, ""},
		{"whoever may make it theirs", access{self: ann, owner: ann, grants: with(grant{bob, 0x80000, false})}, bob, ""},
	} {
		if got := c.a.changer(); got != c.changes {
			t.Errorf("%s: %q can change it, want %q", c.what, got, c.changes)
		}
		if got := c.a.others(rightRead); got != c.reader {
			t.Errorf("%s: %q can read it, want %q", c.what, got, c.reader)
		}
	}
}

func TestWhoMayServeThePipe(t *testing.T) {
	const ann, installer = "S-1-5-21-1-2-3-1001", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
	if got := serviceSID("TrustedInstaller"); got != installer { // as Windows has it
		t.Errorf("got %s", got)
	}
	a := access{self: ann}
	for sid, want := range map[string]bool{
		ann: true, system: true, administrators: true, serviceSID("PopBridge"): true,
		"S-1-5-21-1-2-3-1002": false, installer: false, "S-1-1-0": false, "S-1-5-80-0": false, "": false,
	} {
		if got := a.trustsPeer(sid); got != want {
			t.Errorf("%s: %v", sid, got)
		}
	}
}

func TestAnOwnerThatIsAnotherUserIsNotTrusted(t *testing.T) {
	const ann, bob = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002"
	for owner, want := range map[string]string{ann: ann, administrators: administrators, bob: "", "S-1-1-0": ""} {
		if got := (access{self: ann, owner: owner}).trustedOwner(); got != want {
			t.Errorf("%s: got %q", owner, got)
		}
	}
}
