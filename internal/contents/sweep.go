package contents

import (
	"bufio"
	"errors"
	"io/fs"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

const (
	spoolPattern   = "spool-*"
	journalPattern = "batch-*"
	probePattern   = "probe-*"
	anchorPattern  = "anchor-*"
)

// Sweep ends what a crash interrupted: files of batches that were not committed
// and of purges that were are removed, and so is what is left of the spool. No
// other program may be at work.
func (f *Files) Sweep() error {
	journals, err := f.journals()
	if err != nil {
		return err
	}
	for path, hashes := range journals {
		f.finish(path, hashes)
	}
	if err := f.sweepAnchors(); err != nil {
		return err
	}
	for _, pattern := range []string{spoolPattern, probePattern} {
		paths, err := atomicfile.Match(f.tmp(), pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := atomicfile.Remove(path); err != nil {
				f.Log.Warn().Err(err).Msg("spool file was left")
			}
		}
	}
	return nil
}

// journals returns what the journals name, by their paths.
func (f *Files) journals() (map[string][]Hash, error) {
	paths, err := atomicfile.Match(f.tmp(), journalPattern)
	if err != nil {
		return nil, err
	}
	out := map[string][]Hash{}
	for _, path := range paths {
		file, err := atomicfile.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its batch ended just now
		}
		if err != nil {
			return nil, err
		}
		out[path] = nil
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if h, ok := parseHash(lines.Text()); ok {
				out[path] = append(out[path], h)
			}
		}
		_ = file.Close() // it was only read
	}
	return out, nil
}

// Strays leaves only those of the files found that are not Known and that no batch
// or purge under way names, here or in another program. Journals are read before
// Known is asked: a batch that ends in between has made its files known then.
func (f *Files) Strays(found map[Hash]bool) error {
	if len(found) == 0 {
		return nil
	}
	journals, err := f.journals()
	if err != nil {
		return err
	}
	for _, hashes := range journals {
		for _, h := range hashes {
			delete(found, h)
		}
	}
	anchors, err := f.anchored()
	if err != nil {
		return err
	}
	for _, h := range anchors {
		delete(found, h)
	}
	for h := range found {
		known, err := f.Known(h)
		if err != nil {
			return err
		}
		if known {
			delete(found, h)
		}
	}
	return nil
}
