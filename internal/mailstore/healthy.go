package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/popbridge/popbridge/internal/fault"
)

// Healthy tells whether the store can be written: nil, or what is wrong. It
// writes and syncs a small file and asks the index for its write lock, so it is
// cheap enough for every minute. What an earlier failure left behind (a lost
// connection to the index, a recovery log that lags) is put right on the way.
func (s *Store) Healthy(ctx context.Context) error {
	err := readErrorBehindCorrupt(s.indexPath(), s.probeIndex(ctx))
	if err == nil {
		err = s.files.Probe()
	}
	return failure(err, "check the mail store")
}

// Unreadable reports whether there was a message file that this user could not
// open, and Healthy has not found it open since.
func (s *Store) Unreadable() bool { return s.files.Unreadable() }

// probeIndex looks whether the index can be read and written, and is still the
// file that is open: a drive that went and came back may have another.
func (s *Store) probeIndex(ctx context.Context) error {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	if s.writer.shut {
		return errClosed
	}
	if err := s.soundLocked(ctx); err != nil {
		return err
	}
	var one int
	err := s.reader.get(ctx, `SELECT 1 FROM meta WHERE key = 'log'`, nil, &one)
	if err == nil {
		t := &tx{s: s}
		if err = t.exec("BEGIN IMMEDIATE"); err == nil {
			err = t.exec("ROLLBACK")
		}
	}
	s.suspectLocked(err)
	if err == nil && s.recovery.keep && s.recovery.file == nil {
		return s.renewLogLocked(ctx)
	}
	return err
}

// suspectLocked notes an error after which the connections to the index may be
// of no use any more, although nothing is wrong with it: a drive that vanished,
// a file system that went read-only.
func (s *Store) suspectLocked(err error) {
	if err != nil && !isFull(err) && isIO(err) || isReadOnly(err) || fault.Is(failure(err, ""), fault.Corrupt) {
		s.writer.suspect = true
	}
}

// soundLocked looks before each transaction whether the index at its path is
// the one that is open: the folder may have been moved, or hidden by a mount, and
// files would go elsewhere. It opens the index again when it is another file, or
// when the connections are under suspicion. An index that is not there is not made.
func (s *Store) soundLocked(ctx context.Context) error {
	w := &s.writer
	info, err := os.Stat(w.path)
	if err == nil && !w.suspect && os.SameFile(info, w.info) {
		return nil
	}
	w.suspect = true
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(s.present(), err) // all of it is away, or the index alone
	}
	if err != nil {
		return err
	}
	// All of them first: SQLite uses descriptors again while one is open.
	s.reader.drop()
	s.text.Forget()
	_ = w.dropLocked() // its error has no meaning: the connection is discarded
	err = w.open(ctx, w.path)
	if err == nil {
		var version int
		if err = w.conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err == nil && version != len(migrations) {
			err = fmt.Errorf("schema version %d", version)
		}
	}
	if err == nil {
		err = s.reader.open(w.path)
	}
	if err == nil {
		err = s.sameLocked(ctx)
	}
	// What was in doubt is decided now: what is in the index was committed.
	if err == nil {
		err = s.loadKeywords()
	}
	if err == nil {
		err = s.reloadLocked(ctx)
	}
	if err != nil {
		return err
	}
	if s.recovery.keep {
		err = s.continueLogLocked(ctx)
	}
	if err != nil {
		return err
	}
	w.suspect = false
	s.log.Info().Msg("index was opened again")
	return nil
}
