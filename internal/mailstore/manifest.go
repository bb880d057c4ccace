package mailstore

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
)

const (
	manifestName   = "manifest.json"
	manifestFormat = 2
	indexPattern   = "index-*.db"
)

// BackupInfo is the manifest of a backup, which is a folder with
//
//	manifest.json        written last: which index belongs to it, and its hash
//	index-*.db           the index as of one commit
//	mail/2a/2a91....eml  as in the store
//
// Message files are never removed from a backup, and never changed: the former
// backup is whole until the new manifest takes its place.
//
// A backup belongs to one store. That of another one is only replaced when asked
// for, and so is a fuller one, see mayReplace.
type BackupInfo struct {
	Format     int       `json:"format"`
	Store      string    `json:"store"` // identity of the store; "" before format 2
	Generation int64     `json:"generation"`
	User       string    `json:"user"` // the name that the user had; "" before format 2
	TakenAt    time.Time `json:"taken_at"`
	Index      string    `json:"index"`
	SHA256     string    `json:"sha256"` // of the index
	Messages   int       `json:"messages"`
	Files      int       `json:"files"`
}

// ReadBackup returns whose backup is in dir; fault.NotFound when there is none.
func ReadBackup(dir string) (m BackupInfo, err error) {
	text, err := atomicfile.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fault.New(fault.NotFound, "there is no complete backup in "+fault.Quote(dir), "'popbridge backup' makes one")
	}
	if err != nil {
		return m, err
	}
	err = json.Unmarshal(text, &m)
	if err == nil && m.Index != filepath.Base(m.Index) {
		err = errors.New("strange name of the index")
	}
	if err != nil {
		return m, fault.Wrap(err, fault.Corrupt, "the manifest of the backup is damaged", "use another backup")
	}
	if m.Format > manifestFormat {
		return m, fault.New(fault.Config, "the backup was made by a newer version of popbridge", "update popbridge")
	}
	return m, nil
}

// dropIndexes removes the indexes in a backup that its manifest does not name.
func dropIndexes(dir string) error {
	m, err := ReadBackup(dir)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	paths, err := atomicfile.Match(dir, indexPattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if filepath.Base(path) != m.Index {
			if err := atomicfile.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameIndex reports whether the file at path is the index that m names.
func (m BackupInfo) sameIndex(ctx context.Context, path string) (bool, error) {
	h, err := contents.HashFile(ctx, path)
	return h.String() == m.SHA256, err
}
