package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// Rebuild makes a new index from the recovery log and the message files; the
// old one is moved aside. The store in dir must not be open anywhere. UIDs,
// UIDVALIDITY, flags, ledger, expunged mail, subscriptions and devices are those
// of the log; UIDNEXT is higher than it was, see skipUIDs. Ends with a Repair, which
// makes messages in Recovered of files that the log does not know.
func Rebuild(ctx context.Context, dir string, o Options) (RepairReport, error) {
	bad, err := rebuild(ctx, dir, o)
	if err != nil {
		return RepairReport{}, failure(err, "make a new index")
	}
	s, err := Open(ctx, dir, o)
	if err != nil {
		return RepairReport{}, err
	}
	report, err := s.Repair(ctx, nil)
	report.Rebuilt = true
	report.Repaired = append(report.Repaired, Problem{"index-damaged", "the index was rebuilt"})
	if bad > 0 {
		report.Left = append(report.Left, Problem{"damaged-log",
			fmt.Sprintf("%d lines of the recovery log could not be used; what they said is lost", bad)})
	}
	return report, errors.Join(err, s.Close())
}

// indexFiles are the ends of the names of the files of an index, in the order in
// which an old one is moved aside: without its log of changes it would be taken
// for one that is whole.
var indexFiles = []string{"", "-wal", "-shm"}

// rebuild puts a new index into the place of the old one. An old one stays where
// it is until the new one is complete. bad counts the lines of the log that were
// of no use.
func rebuild(ctx context.Context, dir string, o Options) (bad int, err error) {
	s, err := prepare(dir, o)
	if err != nil {
		return 0, err
	}
	if err := s.checkOwner(); err != nil {
		return 0, err
	}
	if err := s.files.Make("tmp"); err != nil {
		return 0, err
	}
	fresh := filepath.Join(s.dir, "tmp", "rebuild.db")
	for _, end := range indexFiles { // of one that was interrupted
		if err := atomicfile.Remove(fresh + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	if err := s.writer.open(ctx, fresh); err != nil {
		return 0, err
	}
	err = s.migrate(ctx, func(t *tx) (err error) {
		r := replay{t: t, next: map[int64]int64{}}
		if bad, err = r.run(s.logPath()); err == nil && !r.identified && s.id != 0 {
			err = t.exec(`UPDATE meta SET value = ? WHERE key = 'id'`, s.id)
		}
		if err == nil { // former names
			err = t.exec(`DELETE FROM account WHERE stored <= 0 AND name NOT IN (SELECT account FROM ledger)`)
		}
		return err
	})
	if err = errors.Join(err, s.Close()); err != nil {
		return 0, err
	}
	for _, end := range indexFiles {
		path := filepath.Join(s.dir, "index.db"+end)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := s.files.SetAside(path); err != nil {
			return 0, err
		}
	}
	if err := atomicfile.Rename(fresh, filepath.Join(s.dir, "index.db")); err != nil {
		return 0, err
	}
	return bad, errors.Join(atomicfile.SyncDir(filepath.Dir(fresh)), atomicfile.SyncDir(s.dir))
}
