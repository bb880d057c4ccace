package contents

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// An anchor is a spool file whose name is durable before anything is in it. What is in it
// is durable with one sync of the file: the message gets its name in mail/ as a second
// one, of which nothing has to be durable before the anchor is removed. Until then Sweep
// makes good what of it is lost, where the message is Known, and removes both names where
// it is not: the anchor is the journal, too.

// anchorsKept is how many anchors wait for messages.
const anchorsKept = 2

// SpoolAnchored is Spool for one message that is waited for: Place then needs one sync.
func (f *Files) SpoolAnchored(r *Source) (*Spooled, error) {
	if err := f.step("spool"); err != nil {
		return nil, err
	}
	file, err := f.takeAnchor()
	if err != nil {
		return nil, err
	}
	sp, err := f.fill(file, r)
	if err == nil {
		sp.anchored = true
	}
	return sp, err
}

// takeAnchor returns an anchor that is there, or makes some.
func (f *Files) takeAnchor() (File, error) {
	f.mu.Lock()
	if n := len(f.anchors); n > 0 {
		file := f.anchors[n-1]
		f.anchors = f.anchors[:n-1]
		f.mu.Unlock()
		return file, nil
	}
	f.mu.Unlock()
	made, err := f.makeAnchors(1)
	if err != nil {
		return nil, err
	}
	return made[0], nil
}

// makeAnchors makes files and their names durable.
func (f *Files) makeAnchors(n int) (made []File, err error) {
	if err = f.step("journal"); err != nil {
		return nil, err
	}
	for len(made) < n && err == nil {
		var file File
		if file, err = f.disk().CreateTemp(f.tmp(), anchorPattern); err == nil {
			made = append(made, file)
		}
	}
	if err == nil {
		err = f.disk().SyncDir(f.tmp())
	}
	if err != nil {
		f.dropAnchors(made)
		return nil, err
	}
	return made, nil
}

func (f *Files) dropAnchors(list []File) {
	for _, file := range list {
		_ = file.Close() // there is nothing in it
		_ = f.disk().Remove(file.Name())
	}
}

// Wait waits for what goes on behind batches that have ended.
func (f *Files) Wait() { f.work.Wait() }

// Close waits, and removes what is kept for further batches.
func (f *Files) Close() {
	f.Wait()
	f.mu.Lock()
	list := f.anchors
	f.anchors = nil
	f.mu.Unlock()
	f.dropAnchors(list)
}

// placeAnchored gives the message of a batch its name, and reports whether it did: not
// where the name is there, nor on a file system without second names.
func (b *Batch) placeAnchored() (bool, error) {
	sp := b.all[0]
	if err := sp.Sync(); err != nil {
		return false, err
	}
	if err := b.files.step("rename"); err != nil {
		return false, err
	}
	if b.files.disk().Link(sp.path, b.files.Path(sp.hash)) != nil {
		return false, nil
	}
	b.anchor, sp.path = sp.path, ""
	return true, nil
}

// settle makes the name durable that a stored message has, so that its anchor can go, and
// makes anchors for the next ones. What fails is left to the next Sweep.
func (f *Files) settle(anchor string, hashes []Hash) {
	f.work.Go(func() {
		err := f.syncFolders("syncdir", hashes)
		if err == nil {
			err = f.step("unjournal")
		}
		if err != nil {
			f.Log.Warn().Err(err).Msg("a message file is made durable at the next start")
			return
		}
		_ = f.disk().Remove(anchor) // one that stays is looked at again
		f.mu.Lock()
		want := anchorsKept - len(f.anchors)
		f.mu.Unlock()
		if want <= 0 {
			return
		}
		made, err := f.makeAnchors(want)
		if err != nil {
			f.Log.Debug().Err(err).Msg("no anchors")
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.anchors = append(f.anchors, made...)
	})
}

// sweepAnchors does what a crash kept settle from doing.
func (f *Files) sweepAnchors() error {
	anchors, err := f.anchored()
	for path, h := range anchors {
		known, err := f.Known(h)
		if err != nil {
			return err
		}
		if known {
			err = f.restoreAnchored(path, h)
		} else {
			err = f.removeUnused([]Hash{h})
		}
		if err == nil {
			err = f.disk().Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Log.Warn().Err(err).Msg("an anchor of a message was left for the next start")
		}
	}
	return err
}

// restoreAnchored gives a message its name, durably, where it has not got it.
func (f *Files) restoreAnchored(anchor string, h Hash) error {
	path := f.Path(h)
	if there, err := HashFile(context.Background(), path); err == nil && there == h {
		if err := f.disk().Sync(path); err != nil {
			return err
		}
	} else if err := errors.Join(f.disk().Sync(anchor), f.disk().Rename(anchor, path)); err != nil {
		return err
	}
	return f.syncFolders("syncdir", []Hash{h})
}

// anchored returns what the anchors hold, by their paths.
func (f *Files) anchored() (map[string]Hash, error) {
	paths, err := atomicfile.Match(f.tmp(), anchorPattern)
	out := map[string]Hash{}
	for _, path := range paths {
		h, err := HashFile(context.Background(), path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its batch ended just now
		}
		if err != nil {
			return nil, err
		}
		out[path] = h
	}
	return out, err
}

func (systemDisk) Link(from, to string) error { return os.Link(from, to) }
