//go:build unix

package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/popbridge/popbridge/internal/fault"
)

// maxLinks is how many symbolic links are followed, as in the kernels.
const maxLinks = 40

// walker goes down a path from the root folder.
type walker struct {
	o      Options
	uid    int  // that this process runs as
	sticky bool // the folder above is writable by all and sticky
	closed bool // no one else can get here
}

func check(path string, o Options) *Finding { return checkAs(os.Geteuid(), path, o) }

func checkAs(uid int, path string, o Options) *Finding {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil // the working folder is gone, and no file can be opened either
	}
	w := &walker{o: o, uid: uid}
	current, rest, links := "/", split(path), 0
	restart := func(elem ...string) { current, rest = "/", append(elem, rest...) }
	for {
		info, err := os.Lstat(current)
		switch {
		case err != nil:
			return nil // whoever opens it learns why it cannot be
		case info.Mode()&fs.ModeSymlink != 0:
			if w.sticky && !w.trusts(info) {
				return w.owned(current, info)
			}
			target, err := os.Readlink(current)
			if links++; err != nil || links > maxLinks {
				return nil
			}
			if filepath.IsAbs(target) {
				restart(split(target)...)
			} else {
				restart(append(split(filepath.Dir(current)), split(target)...)...)
			}
			w.closed = false
			continue
		}
		if f := w.see(current, info); f != nil || len(rest) == 0 {
			return f
		}
		next := rest[0]
		if rest = rest[1:]; next == ".." {
			restart(split(filepath.Dir(current))...)
			w.closed = false
		} else if next != "." {
			current = filepath.Join(current, next)
		}
	}
}

// split returns the names in a path.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// see checks one file or folder.
func (w *walker) see(path string, info fs.FileInfo) *Finding {
	if !w.trusts(info) {
		return w.owned(path, info)
	}
	mode := info.Mode()
	shared := writable(info) && !w.closed && !onReadOnlyMount(path)
	w.sticky = shared && mode.IsDir() && mode&fs.ModeSticky != 0
	if shared && (!w.sticky || w.o.Durable) {
		return &Finding{Path: path, Why: path + " can be written by other users",
			Hint: "run: chmod go-w " + fault.ShellQuote(path) + "; or use a place that no one else can write to" + noModes}
	}
	if w.uid != 0 && mode.IsDir() && !opens(info, 0o1) {
		w.closed = true
	}
	return nil
}

// noModes is for file systems on which chmod changes nothing.
const noModes = "; a drive with FAT or NTFS has to be mounted with uid= and umask=077"

// trusts reports whether the owner may change what is checked.
func (w *walker) trusts(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == w.uid)
}

func (w *walker) owned(path string, info fs.FileInfo) *Finding {
	return &Finding{Path: path, Why: path + " belongs to " + owner(info), sudo: sudoName(info),
		Hint: "run: chown " + userName(w.uid) + ": " + fault.ShellQuote(path)}
}

// writable reports whether others than the owner and root may write.
func writable(info fs.FileInfo) bool { return opens(info, 0o2) }

// opens reports whether the mode lets others in. A group of root, or one in
// which only one user is, counts as its owner.
func opens(info fs.FileInfo, bit fs.FileMode) bool {
	perm := info.Mode().Perm()
	return perm&bit != 0 || perm&(bit<<3) != 0 && !lonely(info)
}

// lonely reports whether the group of a file has no other members: that of
// root, the private group that many systems make for each user (it has the
// user's name or number), and a group of this process without a name on what
// belongs to root, as a container gives to a volume. Any other group without a
// name may be a shared one of a directory service, which is not asked here.
func lonely(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Gid == 0 {
		return ok
	}
	group, err := user.LookupGroupId(strconv.Itoa(int(st.Gid)))
	if err != nil {
		_, unknown := errors.AsType[user.UnknownGroupIdError](err)
		return unknown && (st.Gid == st.Uid || st.Uid == 0 && memberOf(int(st.Gid)))
	}
	return group.Name == userName(int(st.Uid))
}

func onReadOnlyMount(path string) bool {
	const readOnly = 1 // MNT_RDONLY and ST_RDONLY
	var st syscall.Statfs_t
	return syscall.Statfs(path, &st) == nil && st.Flags&readOnly != 0
}

func foreign(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) != os.Geteuid()
}

func readable(path string, info fs.FileInfo) bool {
	return opens(info, 0o4) && !onReadOnlyMount(path)
}

func owner(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	if name := userName(int(st.Uid)); name != strconv.Itoa(int(st.Uid)) {
		return name
	}
	return fmt.Sprintf("user %d", st.Uid)
}

// userName is the name of a user, or the number where there is none.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// sudoName is the owner as sudo wants it: a number needs a sign in front.
func sudoName(info fs.FileInfo) string {
	if number, ok := strings.CutPrefix(owner(info), "user "); ok {
		return "'#" + number + "'"
	}
	return owner(info)
}

func private(dir string, paths []string) *Finding {
	for _, path := range paths {
		info, err := os.Lstat(path)
		switch {
		case err != nil: // whoever needs it learns why
		case info.Mode()&fs.ModeSymlink != 0:
			return &Finding{Path: path, Why: path + " is a symbolic link",
				Hint: "put what it points to in its place; data_dir itself may be a link to a folder on another disk"}
		case foreign(info):
			return &Finding{Path: path, Why: path + " belongs to " + owner(info), sudo: sudoName(info), Hint: "run: " + chown(dir)}
		case writable(info):
			return &Finding{Path: path, Why: path + " can be written by other users", Hint: "run: chmod -R go-w " + fault.ShellQuote(dir)}
		}
	}
	return nil
}

func home(dir string, info fs.FileInfo) *Finding {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return nil
	case writable(info):
		return &Finding{Path: dir, Why: dir + " can be written by other users", Hint: "run: chmod go-wt " + fault.ShellQuote(dir) + "; or name a folder of your own as data_dir" + noModes}
	case !foreign(info), st.Uid == 0 && info.Mode().Perm()&0o020 != 0 && memberOf(int(st.Gid)):
		return nil
	}
	return &Finding{Path: dir, Why: dir + " belongs to " + owner(info), Hint: "run: " + chown(dir), sudo: sudoName(info)}
}

// memberOf reports whether this process is in a group.
func memberOf(gid int) bool {
	groups, err := os.Getgroups()
	return gid == os.Getegid() || err == nil && slices.Contains(groups, gid)
}

func keepPrivate() { syscall.Umask(0o077) }

func chown(dir string) string {
	command := "chown -R " + userName(os.Geteuid()) + ": " + fault.ShellQuote(dir)
	if os.Geteuid() != 0 {
		command = "sudo " + command
	}
	return command
}

func hide(path string) string { return "chmod 600 " + fault.ShellQuote(path) }

func protect(string) *Finding { return nil }
