// Package state keeps what an agent knows about its mail stores outside of
// them: which store each user has, how far it has come, and which accounts have
// polled into it. By that an empty mount point is not taken for a new
// beginning, nor an older copy of a store for the store itself.
//
// It is one small JSON file for each config file, in a folder of the user's
// own:
//
//	STATE/<hash of the path of the config>.json    replaced as a whole, durably
//	STATE/<hash>.lock                              held while it is changed
//	STATE/<hash>.run                               held by the agent that runs
//
// It is not needed: where it is missing or damaged, everything works as at a
// first start. Passwords and mail are not in it.
package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/ownership"
)

const (
	version      = 1
	maxFile      = 1 << 20
	maxLease     = 1 << 31 // a higher one would use up the UIDs
	lockPatience = 3 * time.Second
	maxBackups   = 500 // of 64 octets each
)

// File is what is known for one config file.
type File struct {
	Version  int                        `json:"version"`
	Config   string                     `json:"config"`
	Agent    *Agent                     `json:"agent,omitempty"`
	LastEnd  *End                       `json:"last_end,omitempty"`
	Users    map[string]User            `json:"users"`
	Stores   map[string]mailstore.Lease `json:"stores"`            // by identity
	Accounts map[string]string          `json:"accounts"`          // identity of the store by mailbox (see bridge.MailboxName)
	Folders  map[string]string          `json:"folders"`           // where the mail of each mailbox went last
	Backups  []string                   `json:"backups,omitempty"` // hashes of what was written into backups, the newest last
}

// User is the store of a user.
type User struct {
	Store   string     `json:"store"`              // its identity
	Dir     string     `json:"dir"`                // where it was last
	PutBack *time.Time `json:"put_back,omitempty"` // an older copy of it was found, and no person has confirmed that
}

// Book is the file of one config. It is safe for use by several processes.
type Book struct {
	path   string // without its ending
	config string
}

// Open returns the book of a config file in the state folder dir; empty: that of
// config.StateDir.
func Open(dir, configPath string) *Book {
	if dir == "" {
		dir = config.StateDir(configPath)
	}
	sum := sha256.Sum256([]byte(configPath))
	return &Book{path: filepath.Join(dir, hex.EncodeToString(sum[:8])), config: configPath}
}

// Path is where the file is.
func (b *Book) Path() string { return b.path + ".json" }

// Read returns what is known; nothing where there is no file. What a damaged
// file says is not used: the error is for a person, and nothing is known.
func (b *Book) Read() (File, error) {
	f, err := read(b.Path())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	f.Config = b.config
	return f, err
}

func read(path string) (File, error) {
	data, err := atomicfile.ReadFile(path)
	if err != nil {
		return complete(File{}), err
	}
	f, err := decode(data)
	if err != nil {
		return complete(File{}), fault.Wrap(err, fault.Corrupt, "the state file "+path+" is damaged and was not used",
			"it is written again by itself; check that the data folder is the right one")
	}
	return f, nil
}

func decode(data []byte) (File, error) {
	var f File
	if len(data) > maxFile {
		return f, errors.New("too long")
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, err
	}
	if f.Version != version {
		return f, fmt.Errorf("version %d", f.Version)
	}
	for id, l := range f.Stores {
		if l.From < 0 || l.To < l.From || l.To > maxLease {
			return f, fmt.Errorf("store %q: generations %d to %d", id, l.From, l.To)
		}
	}
	if f.LastEnd != nil && len(f.LastEnd.Reason) > maxReason {
		return f, errors.New("the reason of the last end is too long")
	}
	for name, u := range f.Users {
		if !mailstore.ValidID(u.Store) {
			return f, fmt.Errorf("user %q: store %q", name, u.Store)
		}
	}
	return complete(f), nil
}

// complete makes a file that can be used.
func complete(f File) File {
	f.Version = version
	if f.Users == nil {
		f.Users = map[string]User{}
	}
	if f.Stores == nil {
		f.Stores = map[string]mailstore.Lease{}
	}
	if f.Accounts == nil {
		f.Accounts = map[string]string{}
	}
	if f.Folders == nil {
		f.Folders = map[string]string{}
	}
	return f
}

// Update changes the file, unless change leaves it as it is. It is durable when
// Update returns nil.
func (b *Book) Update(change func(*File)) error {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o700); err != nil {
		return b.failed(err)
	}
	lock := flock.New(b.path+".lock", flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return b.failed(err)
	}
	defer lock.Close() // releases it; there is nothing to do about an error
	before, err := b.Read()
	damaged := err != nil
	after := before
	after.Users, after.Stores = maps.Clone(before.Users), maps.Clone(before.Stores)
	after.Accounts, after.Folders = maps.Clone(before.Accounts), maps.Clone(before.Folders)
	if before.Agent != nil {
		after.Agent = new(*before.Agent)
	}
	change(&after)
	if !damaged && reflect.DeepEqual(before, after) {
		return nil
	}
	data, err := json.MarshalIndent(after, "", "\t")
	if err == nil {
		err = atomicfile.Write(b.Path(), 0o600, append(data, '\n'))
	}
	return b.failed(err)
}

func (b *Book) failed(err error) error {
	return fault.Wrap(err, fault.Temporary, "what is known of the mail stores cannot be kept in "+b.Path(),
		"check that this user may write there, and that there is space left")
}

// NoteBackup remembers the hash of something that was written into a backup.
func (f *File) NoteBackup(hash string) {
	if hash != "" && !slices.Contains(f.Backups, hash) {
		f.Backups = append(slices.Clone(f.Backups), hash)
		f.Backups = f.Backups[max(0, len(f.Backups)-maxBackups):]
	}
}

// Wrote reports whether something with this hash was written into a backup, by
// an agent with any config file. A file that another user can change proves
// nothing.
func (b *Book) Wrote(hash string) bool {
	if ownership.Check(b.Path(), ownership.Options{}) != nil {
		return false
	}
	return slices.ContainsFunc(b.all(), func(f File) bool { return slices.Contains(f.Backups, hash) })
}

// all returns what is known for all config files of the state folder.
func (b *Book) all() (list []File) {
	paths, _ := atomicfile.Match(filepath.Dir(b.path), "*.json")
	for _, path := range paths {
		if f, err := read(path); err == nil {
			list = append(list, f)
		}
	}
	return list
}

// Lease is how far a store is known to have come, by all config files that use
// it; elsewhere tells that the store of another one is a copy in another folder.
func (b *Book) Lease(id string, elsewhere func(dir string) bool) (l mailstore.Lease) {
	for _, f := range b.all() {
		copied := func(u User) bool { return u.Store == id && elsewhere(u.Dir) }
		if f.Config != b.config && slices.ContainsFunc(slices.Collect(maps.Values(f.Users)), copied) {
			continue
		}
		l.From, l.To = max(l.From, f.Stores[id].From), max(l.To, f.Stores[id].To)
	}
	return l
}

// Forget removes what is known. There must be no agent of the config.
func (b *Book) Forget() error {
	var errs []error
	for _, end := range []string{".json", ".lock", ".run"} {
		if err := atomicfile.Remove(b.path + end); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return b.failed(errors.Join(errs...))
}
