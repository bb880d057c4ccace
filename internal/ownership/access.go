package ownership

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// The rights of an access list of Windows that matter here ([MS-DTYP] 2.4.3 and the
// rights of files).
const (
	rightRead  = 0x1 | 0x80000000 | 0x10000000                                // FILE_READ_DATA, GENERIC_READ, GENERIC_ALL
	rightWrite = 0x2 | 0x4 | 0x10000 | 0x40000 | 0x80000 | 0x40000000 | 1<<28 // write, append, DELETE, WRITE_DAC, WRITE_OWNER, GENERIC_WRITE, GENERIC_ALL
)

// A grant is an entry of an access list that allows something.
type grant struct {
	sid         string
	rights      uint32
	inheritOnly bool // it says what is in the folder, and nothing of the folder
}

// An access is what Windows knows of a file.
type access struct {
	self      string // the account of this process
	owner     string
	grants    []grant
	installer string // who has installed the service that this process is
}

const system, administrators = "S-1-5-18", "S-1-5-32-544"

// Accounts that may do anything anyway, and what stands for the owner.
var powerful = []string{
	system, administrators,
	"S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464", // TrustedInstaller
	"S-1-3-0", "S-1-3-4", // CREATOR OWNER, OWNER RIGHTS
}

// ServiceName is the name of the service of Windows; its account is NT SERVICE\ServiceName.
const ServiceName = "popbridge"

// services have names that only an administrator can make: that of popbridge is one.
// allServices is the group of all of them.
const (
	services    = "S-1-5-80-"
	allServices = "S-1-5-80-0"
)

func (a access) trusts(sid string) bool {
	if sid == a.self || strings.HasPrefix(sid, services) && sid != allServices {
		return true
	}
	if slices.Contains(powerful, sid) {
		return true
	}
	// A service reads the files of the user who has installed it.
	return sid == a.installer && strings.HasPrefix(a.self, services)
}

// trustsPeer reports whether an account may be at the other end of the control pipe.
func (a access) trustsPeer(sid string) bool {
	return sid == a.self || slices.Contains([]string{system, administrators, serviceSID(ServiceName)}, sid)
}

// trustedOwner is the owner, or "" where that is another user.
func (a access) trustedOwner() string {
	if !a.trusts(a.owner) {
		return ""
	}
	return a.owner
}

// serviceSID is the account NT SERVICE\name: Windows makes it of the name, whether there
// is such a service or not.
func serviceSID(name string) string {
	var text []byte
	for _, unit := range utf16.Encode([]rune(strings.ToUpper(name))) {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	sum := sha1.Sum(text)
	sid := strings.TrimSuffix(services, "-")
	for part := range slices.Chunk(sum[:], 4) {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(part))
	}
	return sid
}

// others returns an account that is granted one of the rights and not trusted, or "".
func (a access) others(rights uint32) string {
	for _, g := range a.grants {
		if g.rights&rights != 0 && !g.inheritOnly && !a.trusts(g.sid) {
			return g.sid
		}
	}
	return ""
}

// changer returns an account that can change the file and is not trusted, or "".
func (a access) changer() string {
	if !a.trusts(a.owner) {
		return a.owner
	}
	return a.others(rightWrite)
}

// open reports whether others can read or change the folder, or what will be in it.
func (a access) open() bool {
	return !a.trusts(a.owner) || a.others(rightRead|rightWrite) != "" || a.passesOn()
}

// passesOn reports whether what will be in the folder is open to others.
func (a access) passesOn() bool {
	for _, g := range a.grants {
		if g.inheritOnly && !a.trusts(g.sid) {
			return true
		}
	}
	return false
}

// keepers are the accounts that a protected folder is for: this process, the system,
// its administrators, and services that have been given access.
func (a access) keepers() []string {
	list := []string{a.self, system, administrators}
	for _, g := range append([]grant{{sid: a.owner}}, a.grants...) {
		if a.trusts(g.sid) && !slices.Contains(list, g.sid) && !slices.Contains(powerful, g.sid) {
			list = append(list, g.sid)
		}
	}
	return list
}
