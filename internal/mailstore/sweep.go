package mailstore

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// keepOrphans is how long a content stays at least after its last message is
// gone: until no session can still show it, with a good margin.
const keepOrphans = 24 * time.Hour

// keepExpunged is how long expunged messages can be restored if nothing else is
// asked for.
const keepExpunged = 30 * 24 * time.Hour

func keepFor(asked time.Duration) time.Duration {
	if asked == 0 {
		return keepExpunged
	}
	return max(asked, keepOrphans)
}

func (s *Store) path(h Hash) string { return filePath(s.dir, h) }

// filePath is where a store or a backup in dir has the file of a content.
func filePath(dir string, h Hash) string {
	name := h.String()
	return filepath.Join(dir, "mail", name[:2], name+".eml")
}

func (s *Store) makeFolders() error { return makeFolders(s.dir, "tmp") }

// makeFolders makes dir with the folders for message files and further ones,
// and makes their names durable.
func makeFolders(dir string, further ...string) error {
	made := map[string]bool{} // folders that got a new name in them
	for _, name := range append([]string{"", "mail"}, further...) {
		if err := mkdir(filepath.Join(dir, name), made); err != nil {
			return err
		}
	}
	for i := range 256 {
		if err := mkdir(filepath.Join(dir, "mail", fmt.Sprintf("%02x", i)), made); err != nil {
			return err
		}
	}
	for dir := range made {
		if err := atomicfile.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func mkdir(dir string, made map[string]bool) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err := mkdir(filepath.Dir(dir), made); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		made[filepath.Dir(dir)] = true
	}
	return err
}

// hasMail reports whether there is anything that an index belongs to.
func (s *Store) hasMail() (bool, error) {
	if _, err := os.Lstat(s.logPath()); !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	return s.hasFiles()
}

// hasFiles reports whether there is any message file.
func (s *Store) hasFiles() (bool, error) {
	found := false
	for i := range 256 {
		err := s.files(fmt.Sprintf("%02x", i), func(Hash, fs.DirEntry) error { found = true; return nil })
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// files calls do for the message files of one of the 256 folders, sorted. Other
// files are none of ours.
func (s *Store) files(folder string, do func(Hash, fs.DirEntry) error) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "mail", folder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".eml")
		h, valid := parseHash(name)
		if !ok || !valid || name[:2] != folder || e.IsDir() {
			continue
		}
		if err := do(h, e); err != nil {
			return err
		}
	}
	return nil
}

func parseHash(s string) (h Hash, ok bool) {
	n, err := hex.Decode(h[:], []byte(s[:min(len(s), 2*len(h))]))
	return h, err == nil && n == len(h) && h.String() == s
}

// sweep ends what a crash interrupted: files of batches that were not committed
// and of purges that were are removed, and so is what is left of the spool.
func (s *Store) sweep(ctx context.Context) error {
	journals, err := s.journals()
	if err != nil {
		return err
	}
	for path, hashes := range journals {
		s.finish(path, hashes)
	}
	spools, err := filepath.Glob(filepath.Join(s.dir, "tmp", spoolPattern))
	if err != nil {
		return err
	}
	probes, err := filepath.Glob(filepath.Join(s.dir, "tmp", probePattern))
	if err != nil {
		return err
	}
	for _, path := range append(spools, probes...) {
		if err := os.Remove(path); err != nil {
			s.log.Warn().Err(err).Msg("spool file was left")
		}
	}
	return ctx.Err()
}

// journals returns what the journals name, by their paths.
func (s *Store) journals() (map[string][]Hash, error) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "tmp", journalPattern))
	if err != nil {
		return nil, err
	}
	out := map[string][]Hash{}
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its batch ended just now
		}
		if err != nil {
			return nil, err
		}
		out[path] = nil
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if h, ok := parseHash(lines.Text()); ok {
				out[path] = append(out[path], h)
			}
		}
		_ = f.Close() // it was only read
	}
	return out, nil
}

// withoutJournaled leaves out what a batch is about to place or remove.
func (s *Store) withoutJournaled(found map[Hash]bool) error {
	journals, err := s.journals()
	for _, hashes := range journals {
		for _, h := range hashes {
			delete(found, h)
		}
	}
	return err
}

// Purge forgets messages that were expunged longer ago than KeepExpunged, and
// removes the contents that nothing needs any more. Open does it; a program that
// runs for long does it every hour or so. While a backup is made it does nothing.
func (s *Store) Purge(ctx context.Context) error {
	if !s.backups.TryLock() {
		return nil
	}
	defer s.backups.Unlock()
	if err := s.forget(ctx); err != nil {
		return err
	}
	for {
		n, err := s.purge(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			s.tidyLog(ctx)
			return nil
		}
	}
}

// forget removes the expunged messages whose time is over.
func (s *Store) forget(ctx context.Context) error {
	before := s.now().Add(-s.keep).Unix()
	var due bool
	err := s.reader.get(ctx, `SELECT EXISTS (SELECT 1 FROM expunged WHERE expunged_at < ?)`, []any{before}, &due)
	if err != nil || !due {
		return trouble(err, "look for expunged messages")
	}
	return s.write(ctx, "purge expunged messages", func(t *tx) error {
		t.log.line('P', before)
		return t.exec(`DELETE FROM expunged WHERE expunged_at < ?`, before)
	})
}

// unused are the contents that no mailbox and no expunged message needs.
const unused = `orphaned_at < ? AND NOT EXISTS (SELECT 1 FROM expunged WHERE content_id = content.id)`

// purge removes up to 500 contents: first the rows, then the files. The journal
// lets the next Open go on after a crash in between.
func (s *Store) purge(ctx context.Context) (int, error) {
	before := s.now().Add(-keepOrphans).Unix()
	var hashes []Hash
	err := s.reader.rows(ctx, `SELECT hash FROM content WHERE `+unused+` ORDER BY orphaned_at LIMIT 500`, []any{before},
		func(rows *sql.Rows) error {
			var raw sql.RawBytes
			var h Hash
			err := rows.Scan(&raw)
			copy(h[:], raw)
			hashes = append(hashes, h)
			return err
		})
	if err != nil || len(hashes) == 0 {
		return 0, trouble(err, "look for unused messages")
	}
	journal, err := s.writeJournal(hashes)
	if err != nil {
		_ = s.disk.Remove(journal) // or the next Open does it
		return 0, trouble(err, "purge unused messages")
	}
	err = s.write(ctx, "purge unused messages", func(t *tx) error { return t.purge(hashes, before) })
	if err == nil {
		err = s.step("purged")
	}
	if err != nil {
		return 0, err
	}
	s.text.Renew()
	s.finish(journal, hashes)
	s.log.Info().Int("count", len(hashes)).Msg("unused messages were purged")
	return len(hashes), nil
}

// purge removes the rows of contents that are still unused. The ledger keeps
// when they were removed.
func (t *tx) purge(hashes []Hash, before int64) error {
	names := make([]string, len(hashes))
	for i, h := range hashes {
		names[i] = h.String()
	}
	const these = `hash IN (SELECT unhex(value) FROM json_each(?)) AND ` + unused
	err := t.exec(`UPDATE ledger SET removed_at = c.orphaned_at FROM (SELECT hash, orphaned_at FROM content WHERE `+these+`) AS c
		WHERE ledger.hash = c.hash`, list(names), before)
	if err != nil {
		return err
	}
	return t.rows(`DELETE FROM content WHERE `+these+` RETURNING hash, orphaned_at`, []any{list(names), before}, func(rows *sql.Rows) error {
		var raw sql.RawBytes
		var at int64
		err := rows.Scan(&raw, &at)
		var h Hash
		copy(h[:], raw)
		t.log.line('Z', at, h)
		return err
	})
}
