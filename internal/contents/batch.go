package contents

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

	"golang.org/x/sync/errgroup"
)

// Batch is spool files of distinct messages on their way to their final names.
type Batch struct {
	files   *Files
	all     []*Spooled // also the second one of a message
	spools  map[Hash]*Spooled
	hashes  []Hash
	journal string
	anchor  string // takes the place of the journal
}

// NewBatch begins a batch. From now on none of its files is removed that is there
// already. The messages belong to it, and it has to be ended.
func (f *Files) NewBatch(messages []*Spooled) *Batch {
	b := &Batch{files: f, all: messages, spools: map[Hash]*Spooled{}}
	for _, sp := range messages {
		if b.spools[sp.hash] == nil {
			b.spools[sp.hash] = sp
			b.hashes = append(b.hashes, sp.hash)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inUse == nil {
		f.inUse = map[Hash]int{}
	}
	for _, h := range b.hashes {
		f.inUse[h]++
	}
	return b
}

// Place makes all files of the batch durable under their names: journal and
// spool files are synced, then renamed, then their folders are synced.
func (b *Batch) Place(ctx context.Context) error {
	if len(b.all) == 1 && b.all[0].anchored {
		if placed, err := b.placeAnchored(); placed || err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		b.journal, err = b.files.writeJournal(b.hashes)
		return err
	})
	g.Go(func() error { return Sync(gctx, slices.Collect(maps.Values(b.spools))) })
	if err := g.Wait(); err != nil {
		return err
	}
	for _, h := range b.hashes {
		if err := b.files.step("rename"); err != nil {
			return err
		}
		if err := b.rename(ctx, h); err != nil {
			return err
		}
	}
	return b.files.syncFolders("syncdir", b.hashes)
}

// rename gives a spool file its name. A sound file that has the name already is
// kept: readers may have it open, which on Windows forbids to replace it.
func (b *Batch) rename(ctx context.Context, h Hash) error {
	path, sp := b.files.Path(h), b.spools[h]
	info, err := os.Lstat(path)
	if err == nil && info.Mode().IsRegular() {
		if there, err := HashFile(ctx, path); err == nil && there == h {
			// It may stem from a program that did not sync it.
			return b.files.disk().Sync(path)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.files.disk().Rename(sp.path, path); err != nil {
		return err
	}
	sp.path = ""
	return nil
}

// syncFolders makes durable which of the files are there.
func (f *Files) syncFolders(step string, hashes []Hash) error {
	folders := map[string]bool{}
	for _, h := range hashes {
		folders[filepath.Dir(f.Path(h))] = true
	}
	var g errgroup.Group
	g.SetLimit(syncers)
	for dir := range folders {
		g.Go(func() error {
			if err := f.step(step); err != nil {
				return err
			}
			return f.disk().SyncDir(dir)
		})
	}
	return g.Wait()
}

// End removes what the batch leaves behind: spool files, the journal, and files
// that are not Known; of those there are none when all was stored. After a
// commit in doubt the files and the journal stay for the next Sweep, which will
// know.
func (b *Batch) End(stored, inDoubt bool) {
	for _, sp := range b.all {
		sp.Discard()
	}
	b.leave()
	switch {
	case inDoubt || b.journal == "" && b.anchor == "":
	case b.anchor != "" && stored:
		b.files.settle(b.anchor, b.hashes)
	case b.anchor != "":
		b.files.finish(b.anchor, b.hashes)
	case stored:
		b.files.finish(b.journal, nil)
	default:
		b.files.finish(b.journal, b.hashes)
	}
}

func (b *Batch) leave() {
	b.files.mu.Lock()
	defer b.files.mu.Unlock()
	for _, h := range b.hashes {
		if b.files.inUse[h]--; b.files.inUse[h] <= 0 {
			delete(b.files.inUse, h)
		}
	}
}

// Exclusive calls do while no batch can begin or end. inUse says whether one that
// has begun relies on a file. do must neither begin nor end a batch.
func (f *Files) Exclusive(do func(inUse func(Hash) bool) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return do(func(h Hash) bool { return f.inUse[h] > 0 })
}

// Purge removes files: a journal is made durable, forget is called, which makes
// them no longer Known, and then they are removed, but for those that are Known all
// the same or that a batch relies on. After a crash in between, or an error of
// forget, the next Sweep goes on.
func (f *Files) Purge(hashes []Hash, forget func() error) error {
	journal, err := f.writeJournal(hashes)
	if err != nil {
		_ = f.disk().Remove(journal) // or the next Sweep does it
		return err
	}
	if err := forget(); err != nil {
		return err
	}
	f.finish(journal, hashes)
	return nil
}

// writeJournal makes a list of hashes durable and returns its path, also with
// an error when there is something to remove.
func (f *Files) writeJournal(hashes []Hash) (string, error) {
	if err := f.step("journal"); err != nil {
		return "", err
	}
	file, err := f.disk().CreateTemp(f.tmp(), journalPattern)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, h := range hashes {
		text.WriteString(h.String() + "\n")
	}
	var name errgroup.Group // is synced at the same time as the content
	name.Go(func() error { return f.disk().SyncDir(f.tmp()) })
	_, err = io.WriteString(file, text.String())
	if err == nil {
		err = file.Sync()
	}
	return file.Name(), errors.Join(err, file.Close(), name.Wait())
}

// finish removes those files of hashes that nothing needs, and the journal
// after them. What cannot be removed now, the next Sweep removes.
func (f *Files) finish(journal string, hashes []Hash) {
	if err := f.removeUnused(hashes); err != nil {
		f.Log.Warn().Err(err).Msg("unused message files were left for the next start")
		return
	}
	if err := f.step("unjournal"); err != nil {
		return
	}
	_ = f.disk().Remove(journal) // a journal that stays is looked through again
}

// removeUnused removes files and makes that durable: once the journal is gone,
// no one would know of one that came back with a power cut.
func (f *Files) removeUnused(hashes []Hash) error {
	var errs []error
	for _, h := range hashes {
		errs = append(errs, f.removeIfUnused(h))
	}
	return errors.Join(append(errs, f.syncFolders("unlink", hashes))...)
}

func (f *Files) removeIfUnused(h Hash) error {
	return f.Exclusive(func(inUse func(Hash) bool) error {
		if inUse(h) {
			return nil
		}
		if known, err := f.Known(h); known || err != nil {
			return err
		}
		if err := f.disk().Remove(f.Path(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
