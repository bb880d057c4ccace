package mailstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
)

// BackupOptions are what Backup may be given.
type BackupOptions struct {
	Progress func(done, total int) // called for each message file; may be nil
	User     string                // whose store it is, for the person who finds the backup
	Replace  bool                  // also the backup of another store, or a fuller one
}

// BackupReport is what a backup holds, or what a restore has brought back.
type BackupReport struct {
	Messages int       `json:"messages"`          // in all mailboxes
	Files    int       `json:"files"`             // distinct message files
	NewFiles int       `json:"new_files"`         // of them, those that were not there before
	Bytes    int64     `json:"bytes"`             // copied now, the index included
	Missing  []Problem `json:"-"`                 // files that are missing or damaged in what was copied; after a restore Wanted in the ledger
	SHA256   string    `json:"-"`                 // of the index, by which the backup is known again
	Devices  []string  `json:"devices,omitempty"` // of a restore: those that the backup has
	LetIn    bool      `json:"devices_restored"`  // of a restore: they came back
	Held     int       `json:"held,omitempty"`    // of a restore: messages that waited to be sent, and are held now
}

// Backup brings the backup of this user in dir, a folder of its own, up to date
// while the store is in use. It is complete and durable when it returns nil; one
// that is interrupted leaves the former backup as it was. Message files are copied,
// each once, also on the same disk: one that were linked would be damaged together
// with that of the store.
func (s *Store) Backup(ctx context.Context, dir string, o BackupOptions) (BackupReport, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = s.CheckBackup(ctx, dir, o)
	}
	if err != nil {
		return BackupReport{}, failure(err, "back up the mail store")
	}
	if rel, err := filepath.Rel(s.dir, dir); err == nil && !strings.HasPrefix(rel, "..") {
		return BackupReport{}, fault.New(fault.Config, "a backup cannot be in the mail store itself", "choose another folder, best on another disk")
	}
	// No file that the index of the backup names goes away meanwhile.
	s.backups.RLock()
	defer s.backups.RUnlock()
	m := BackupInfo{Format: manifestFormat, Store: s.ID(), User: o.User, TakenAt: s.now().UTC()}
	b := copier{from: &s.files, to: &contents.Files{Dir: dir}, progress: o.Progress}
	err = s.backup(ctx, dir, &m, &b)
	return BackupReport{Messages: m.Messages, Files: m.Files, NewFiles: b.fresh, Bytes: b.bytes, Missing: b.problems, SHA256: m.SHA256}, failure(err, "back up the mail store")
}

func (s *Store) backup(ctx context.Context, dir string, m *BackupInfo, b *copier) error {
	if err := b.to.Make(); err != nil {
		return err
	}
	if err := checkFolders(dir, CheckOwn); err != nil {
		return err
	}
	if err := dropIndexes(dir); err != nil {
		return err
	}
	index, err := s.copyIndex(ctx, dir)
	if err != nil {
		return err
	}
	m.Index = filepath.Base(index)
	var r reader
	if err := r.open(index); err != nil {
		return err
	}
	err = r.get(ctx, `SELECT coalesce(sum(messages), 0), (SELECT count(*) FROM content), (SELECT value FROM meta WHERE key = 'generation') FROM mailbox`,
		nil, &m.Messages, &b.total, &m.Generation)
	if err == nil {
		err = b.run(ctx, &r)
	}
	if err = errors.Join(err, r.close()); err != nil {
		return err
	}
	h, err := contents.HashFile(ctx, index)
	if err != nil {
		return err
	}
	info, err := os.Stat(index)
	if err != nil {
		return err
	}
	b.bytes += info.Size()
	m.Files, m.SHA256 = b.done-len(b.problems), h.String()
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	if err := s.step("manifest"); err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, manifestName), 0o600, append(text, '\n')); err != nil {
		return err
	}
	return dropIndexes(dir)
}

// copyIndex writes the index as of one commit into a new file and makes it
// durable. Commits go on meanwhile.
func (s *Store) copyIndex(ctx context.Context, dir string) (path string, err error) {
	for n := s.now().Unix(); ; n++ {
		path = filepath.Join(dir, fmt.Sprintf("index-%d.db", n))
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
	}
	db, err := sql.Open("sqlite", dsn(filepath.Join(s.dir, "index.db")))
	if err != nil {
		return "", err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, path)
	if err = errors.Join(err, db.Close()); err == nil {
		err = errors.Join(os.Chmod(path, 0o600), atomicfile.SyncFile(path), atomicfile.SyncDir(dir))
	}
	if err != nil {
		_ = atomicfile.Remove(path) // where the disk is full, it takes the room of what comes next
	}
	return path, err
}

// copiers is how many files are copied at once.
const copiers = 16

// copier brings the message files that an index names into another folder.
type copier struct {
	from, to *contents.Files
	needed   bool // a file that may not be read is an error: the copy can be tried again
	progress func(done, total int)
	total    int

	mu       sync.Mutex // over the rest
	done     int
	fresh    int
	bytes    int64
	problems []Problem
	lost     []Hash // what problems are about
}

func (c *copier) run(ctx context.Context, index *reader) error {
	for i := range 256 {
		known, err := index.contentsOf(ctx, byte(i))
		if err != nil {
			return err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(copiers)
		for _, e := range known {
			g.Go(func() error { return c.file(gctx, e) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		// Also when nothing is new: a backup that was interrupted synced nothing.
		if err := atomicfile.SyncDir(filepath.Join(c.to.Dir, contents.Folder(byte(i)))); err != nil {
			return err
		}
	}
	return nil
}

// file brings one file, unless it is there already. One that is damaged or cannot be
// read is a problem, not an error: the others are brought all the same.
func (c *copier) file(ctx context.Context, e knownContent) error {
	n, err := c.to.CopyFrom(ctx, c.from, e.Hash, e.Size)
	damage, damaged := errors.AsType[*contents.Damage](err)
	switch {
	case damaged && c.needed && errors.Is(damage.Err, fs.ErrPermission):
		return damage.Err
	case err != nil && !damaged:
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += n
	if damaged {
		c.problems = append(c.problems, Problem{damage.Code, fmt.Sprintf("the file of message %s is missing or damaged", e.Hash)})
		c.lost = append(c.lost, e.Hash)
	} else if n > 0 {
		c.fresh++
	}
	if c.done++; c.progress != nil {
		c.progress(c.done, max(c.total, c.done))
	}
	return nil
}
