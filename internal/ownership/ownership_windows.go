package ownership

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// check looks at the file alone. Others who may change its folder could put another file
// in its place, which would belong to them and be refused. Folders are not refused: a
// backup may go to a drive that all users share, and Protect sees to the data folder.
func check(path string, _ Options) *Finding {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return nil // whoever opens it learns why it cannot be
	}
	a, ok := accessOf(path)
	if !ok {
		return nil
	}
	sid := a.changer()
	if sid == "" {
		return nil
	}
	return &Finding{Path: path, Why: path + " can be changed by " + accountName(sid), Hint: "run in a terminal: " + hide(path)}
}

func foreign(fs.FileInfo) bool { return false }

func readable(path string, _ fs.FileInfo) bool {
	a, ok := accessOf(path)
	return ok && a.others(rightRead) != ""
}

func owner(fs.FileInfo) string { return "" }

func private(string, []string) *Finding { return nil }

func home(string, fs.FileInfo) *Finding { return nil }

func keepPrivate() {}

func chown(dir string) string { return `icacls "` + dir + `" /setowner "%USERNAME%" /T` }

func hide(path string) string {
	return `icacls "` + path + `" /inheritance:r /grant:r "%USERNAME%:F" *S-1-5-18:F *S-1-5-32-544:F`
}

// protect replaces the access list of a folder that other users can read or change,
// and with it those of all that is in it.
func protect(dir string) *Finding {
	a, ok := accessOf(dir)
	if !ok || !a.open() {
		return nil
	}
	err := replaceAccess(dir, a.keepers())
	if a, ok = accessOf(dir); err == nil && ok && !a.open() {
		return nil
	}
	why := dir + " can be read or changed by other users"
	if err != nil {
		why += ", and that cannot be changed: " + err.Error()
	}
	return &Finding{Path: dir, Why: why,
		Hint: `run in a terminal: icacls "` + dir + `" /inheritance:r /grant:r "%USERNAME%:(OI)(CI)F" *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F; or name a data_dir on a drive with NTFS`}
}

func replaceAccess(dir string, keepers []string) error {
	var list strings.Builder
	list.WriteString("D:P")
	for _, sid := range keepers {
		fmt.Fprintf(&list, "(A;OICI;FA;;;%s)", sid)
	}
	sd, err := windows.SecurityDescriptorFromString(list.String())
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}

// Account is the SID of the user that this process runs as, "" where that is not known.
func Account() string {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return ""
	}
	return user.User.Sid.String()
}

// accessOf returns what a file's access list says. It is false where there is none,
// as on FAT, or where it cannot be read.
func accessOf(path string) (access, bool) {
	self := Account()
	if self == "" {
		return access{}, false
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return access{}, false
	}
	owner, _, err := sd.Owner()
	if err != nil || owner == nil {
		return access{}, false
	}
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil {
		return access{}, false
	}
	a := access{self: self, owner: owner.String(), installer: os.Getenv(InstallerVariable)}
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil || ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE {
			continue
		}
		sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart))
		a.grants = append(a.grants, grant{sid.String(), uint32(ace.Mask), ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0})
	}
	return a, true
}

// TrustedOwner is the account that a folder belongs to, or "" where that is another
// user, or not known.
func TrustedOwner(dir string) string {
	a, _ := accessOf(dir)
	return a.trustedOwner()
}

// TrustsPeer reports whether an account may be at the other end of the control pipe:
// this user, the system, its administrators, or the service.
func TrustsPeer(sid string) bool {
	return sid != "" && access{self: Account()}.trustsPeer(sid)
}

// accountName is how Windows shows an account.
func accountName(sid string) string {
	if s, err := windows.StringToSid(sid); err == nil {
		if name, domain, _, err := s.LookupAccount(""); err == nil && domain != "" {
			return domain + `\` + name
		} else if err == nil {
			return name
		}
	}
	return "the account " + sid
}
