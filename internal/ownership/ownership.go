// Package ownership says who can change a file: by its owner, its mode, and the
// owners and modes of all folders above it.
//
// The invariant that its callers keep: what this process reads as an
// instruction (the config file, password files, programs that it starts) and
// where it stores mail can be changed by root and by the user that it runs as,
// and by no one else. For root that leaves root alone. Who can read a file is
// another question, see Readable.
//
// A folder with the sticky bit (/tmp) may be writable by all: what lies in it
// belongs to its owner, who is checked. Write permissions do not count on a
// mount that is read-only, and, unless this process is root, below a folder
// that no one else can enter.
//
// On Windows access lists take the place of modes. There the file itself is looked
// at, and Protect gives the data folder a list of its own. The service has an account
// of its own there, and trusts the user who has installed it besides: see
// InstallerVariable.
//
// CalledBy says for whom a process works that sudo and the like have started.
package ownership

import "io/fs"

// InstallerVariable is the variable in the environment of a service of Windows that
// has the SID of who installed it.
const InstallerVariable = "POPBRIDGE_OWNER"

// A Finding says why a file is not safe.
type Finding struct {
	Path string // the file or folder with the wrong owner or mode
	Why  string // "/path belongs to user ann"
	Hint string // the command that makes it right
	sudo string // the owner for sudo -u, where the owner is the reason
}

// RunAs is a hint for files that another user may mean to own: run popbridge
// as that user, or do what Hint says.
func (f *Finding) RunAs() string {
	if f.sudo == "" {
		return f.Hint
	}
	return "run it as that user: sudo -u " + f.sudo + " popbridge …; where that is not what you want, " + f.Hint
}

// Options change what Check accepts.
type Options struct {
	// Durable is for a path that is used again after the next start of the
	// machine: a sticky folder such as /tmp is then empty and open to all.
	Durable bool
}

// Check returns what lets others change the file at path, or nil. It follows
// symbolic links and looks at every folder on the way. What does not exist is
// no finding.
func Check(path string, o Options) *Finding { return check(path, o) }

// Foreign reports whether a file belongs to another user than the one that
// this process runs as.
func Foreign(info fs.FileInfo) bool { return foreign(info) }

// Readable reports whether users other than its owner and root can read a file.
func Readable(path string, info fs.FileInfo) bool { return readable(path, info) }

// Owner is the name of the user that a file belongs to, "user 1000" where it
// has no name, or "" where that is not known.
func Owner(info fs.FileInfo) string { return owner(info) }

// Private looks at files in a folder that only this process writes: each that
// exists must belong to this user, be writable by no one else, and be no
// symbolic link. dir is the folder that the hint names. It returns the first
// finding.
func Private(dir string, paths ...string) *Finding { return private(dir, paths) }

// Home looks at a folder in which this process keeps its files, after Check. It
// must belong to this user and be writable by no one else, sticky or not: who
// gets there first could plant a link. One of root in which this user's own
// group may write, such as a volume of a container, will do.
func Home(dir string, info fs.FileInfo) *Finding { return home(dir, info) }

// KeepPrivate makes every file that this process and its children create
// readable and writable by this user only, whatever the umask was.
func KeepPrivate() { keepPrivate() }

// Hide is the command that keeps other users from reading a file.
func Hide(path string) string { return hide(path) }

// Protect keeps other users out of a folder in which this process keeps its files.
// It is for Windows, where a folder gets the access list of the one above it. The
// finding is what could not be done about it.
func Protect(dir string) *Finding { return protect(dir) }

// Chown is the command that gives a folder and all in it to this user.
func Chown(dir string) string { return chown(dir) }
