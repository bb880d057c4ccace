package mailstore

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
)

// BackupOptions are what Backup may be given.
type BackupOptions struct {
	Progress func(done, total int) // called for each message file; may be nil
}

// BackupReport is what a backup holds.
type BackupReport struct {
	Messages int       // in all mailboxes
	Files    int       // distinct message files in the backup
	NewFiles int       // of them, those that were not there before
	Bytes    int64     // copied now, the index included; linked files cost nothing
	Missing  []Problem // files that are missing or damaged in the store itself
}

// Backup brings the backup of this user in dir, a folder of its own, up to date
// while the store is in use. It is complete and durable when it returns nil; one
// that is interrupted leaves the former backup as it was.
func (s *Store) Backup(ctx context.Context, dir string, o BackupOptions) (BackupReport, error) {
	return BackupReport{}, errNotYet
}

// RestoreOptions are what Restore may be given.
type RestoreOptions struct {
	Log      zerolog.Logger
	Progress func(done, total int) // called for each message file; may be nil
}

// RestoreReport is what was restored.
type RestoreReport struct {
	Messages int
	Files    int
	Bytes    int64
	Missing  []Problem // files that the backup lacks or has damaged: Wanted in the ledger
}

// Restore makes the store in dir from the backup in backupDir. dir must be empty
// or absent, else fault.Conflict. UIDs and UIDVALIDITY are those of the backup;
// UIDNEXT is raised, so that no UID is given again that a client may have seen
// after the backup was taken.
func Restore(ctx context.Context, backupDir, dir string, o RestoreOptions) (RestoreReport, error) {
	return RestoreReport{}, errNotYet
}

var errNotYet = fault.New(fault.Internal, "this is not possible yet", "")
