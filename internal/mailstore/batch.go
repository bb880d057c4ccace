package mailstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// syncers is how many files are synced at once. File systems write one journal
// transaction for many syncs that wait together.
const syncers = 16

const journalPattern = "batch-*"

// underway counts the batches per hash that rely on a file being there. A file
// without a row is removed only under mu and only when nobody counts on it:
// between the look for a row and the removal no batch can start to rely on it.
type underway struct {
	mu      sync.Mutex
	batches map[Hash]int
}

func (u *underway) enter(hashes []Hash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, h := range hashes {
		u.batches[h]++
	}
}

func (u *underway) leave(hashes []Hash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, h := range hashes {
		if u.batches[h]--; u.batches[h] <= 0 {
			delete(u.batches, h)
		}
	}
}

// batch is the file side of a delivery: the spool files of its distinct
// contents on their way to their final names.
type batch struct {
	s       *Store
	spools  map[Hash]*Spooled
	hashes  []Hash
	journal string
}

func (s *Store) newBatch(deliveries []Delivery) *batch {
	b := &batch{s: s, spools: map[Hash]*Spooled{}}
	for _, d := range deliveries {
		if b.spools[d.Message.hash] == nil {
			b.spools[d.Message.hash] = d.Message
			b.hashes = append(b.hashes, d.Message.hash)
		}
	}
	s.underway.enter(b.hashes)
	return b
}

// place makes all files of the batch durable under their names: journal and
// spool files are synced, then renamed, then their folders are synced.
func (b *batch) place(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		b.journal, err = b.s.writeJournal(b.hashes)
		return err
	})
	g.Go(func() error { return Sync(gctx, slices.Collect(maps.Values(b.spools))) })
	if err := g.Wait(); err != nil {
		return err
	}
	for _, h := range b.hashes {
		if err := b.s.step("rename"); err != nil {
			return err
		}
		if err := b.rename(ctx, h); err != nil {
			return err
		}
	}
	return b.syncFolders()
}

// rename gives a spool file its name. A sound file that has the name already is
// kept: readers may have it open, which on Windows forbids to replace it.
func (b *batch) rename(ctx context.Context, h Hash) error {
	path, sp := b.s.path(h), b.spools[h]
	info, err := os.Lstat(path)
	if err == nil && info.Mode().IsRegular() {
		if there, err := hashFile(ctx, path); err == nil && there == h {
			// It may stem from a program that did not sync it.
			return b.s.disk.Sync(path)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.s.disk.Rename(sp.path, path); err != nil {
		return err
	}
	sp.path = ""
	return nil
}

func (b *batch) syncFolders() error {
	folders := map[string]bool{}
	for _, h := range b.hashes {
		folders[filepath.Dir(b.s.path(h))] = true
	}
	return b.s.syncFolders("syncdir", folders)
}

func (s *Store) syncFolders(step string, folders map[string]bool) error {
	var g errgroup.Group
	g.SetLimit(syncers)
	for dir := range folders {
		g.Go(func() error {
			if err := s.step(step); err != nil {
				return err
			}
			return s.disk.SyncDir(dir)
		})
	}
	return g.Wait()
}

// end removes what the batch leaves behind: spool files, the journal, and files
// that no row mentions; of those there are none when all was stored. After a
// commit in doubt the files and the journal stay for the next Open, which will
// know.
func (b *batch) end(stored, inDoubt bool) {
	b.s.underway.leave(b.hashes)
	switch {
	case inDoubt || b.journal == "":
	case stored:
		b.s.finish(b.journal, nil)
	default:
		b.s.finish(b.journal, b.hashes)
	}
}

// writeJournal makes a list of hashes durable and returns its path, also with
// an error when there is something to remove.
func (s *Store) writeJournal(hashes []Hash) (string, error) {
	if err := s.step("journal"); err != nil {
		return "", err
	}
	f, err := s.disk.CreateTemp(filepath.Join(s.dir, "tmp"), journalPattern)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, h := range hashes {
		text.WriteString(h.String() + "\n")
	}
	var name errgroup.Group // is synced at the same time as the content
	name.Go(func() error { return s.disk.SyncDir(filepath.Join(s.dir, "tmp")) })
	_, err = io.WriteString(f, text.String())
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close(), name.Wait())
}

// finish removes those files of hashes that nothing needs, and the journal
// after them. What cannot be removed now, the next Open removes.
func (s *Store) finish(journal string, hashes []Hash) {
	if err := s.removeUnused(hashes); err != nil {
		s.log.Warn().Err(err).Msg("unused message files were left for the next start")
		return
	}
	if err := s.step("unjournal"); err != nil {
		return
	}
	_ = s.disk.Remove(journal) // a journal that stays is looked through again
}

// removeUnused removes files and makes that durable: once the journal is gone,
// nobody would know of one that came back with a power cut.
func (s *Store) removeUnused(hashes []Hash) error {
	var errs []error
	folders := map[string]bool{}
	for _, h := range hashes {
		errs = append(errs, s.removeIfUnused(h))
		folders[filepath.Dir(s.path(h))] = true
	}
	return errors.Join(append(errs, s.syncFolders("unlink", folders))...)
}

func (s *Store) removeIfUnused(h Hash) error {
	s.underway.mu.Lock()
	defer s.underway.mu.Unlock()
	if s.underway.batches[h] > 0 {
		return nil
	}
	if known, err := s.knows(context.Background(), h); known || err != nil {
		return err
	}
	if err := s.disk.Remove(s.path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // Windows flushes only what may be written
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
