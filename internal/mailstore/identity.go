package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/popbridge/popbridge/internal/fault"
)

// A store has an identity: a random number made with its index. It is the same
// after a rebuild, after a backup and its restore, and at another path or on
// another machine. So that an older copy of a store is recognised, the index
// also counts its generation: each transaction that changes mail adds one, and
// one for each UID it gives. No UID and no modification sequence is higher than
// the generation in which it was given. The owner of a store keeps a Lease
// elsewhere; an index that is below it is raised to it before it is used.

// ErrAnother says that the store at a path is not the one that was asked for,
// or that none is there. Errors that wrap it are temporary: a drive may come
// back.
var ErrAnother = errors.New("no mail store is there, or another one")

// A Lease is what is known about the generation of a store outside of it: it is
// at least From and at most To. The zero value knows nothing.
type Lease struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// leaseStep is how far a lease reaches ahead: the lease is written once for so
// many changes.
const leaseStep = 1024

// identitySchema is the first schema version with an identity.
const identitySchema = 3

// ID returns the identity of the store.
func (s *Store) ID() string { return formatID(s.id) }

func formatID(n int64) string { return fmt.Sprintf("%016x", n) }

// Generation returns the generation of the store as of its last commit.
func (s *Store) Generation() int64 {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	return s.generation
}

// PutBack reports, once, that an older copy of the store was found when it was
// opened, or while it was open: its numbers were raised.
func (s *Store) PutBack() bool {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	found := s.putBack
	s.putBack = false
	return found
}

// Identify returns the identity of the store in dir, "" where there is none, or
// one that has no identity yet. It makes nothing.
func Identify(ctx context.Context, dir string) (string, error) {
	s, err := prepare(dir, Options{})
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(s.indexPath()); err != nil {
		return "", nil
	}
	err = s.reader.open(s.indexPath())
	version := 0
	if err == nil {
		err = s.reader.get(ctx, `PRAGMA user_version`, nil, &version)
	}
	if err == nil && version >= identitySchema {
		_, err = s.identify(ctx, &s.reader)
	}
	if err = errors.Join(err, s.reader.close()); err != nil || s.id == 0 {
		return "", failure(err, "look at the mail store")
	}
	return s.ID(), nil
}

// present refuses a folder in which there is no store, without making anything
// in it. A folder with mail and no index is a store that needs a repair.
func (s *Store) present() error {
	for _, name := range []string{"index.db", "recovery.log", "mail"} {
		_, err := os.Lstat(filepath.Join(s.dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.another("no mail store is in " + s.dir)
}

func (s *Store) another(text string) error {
	return &Failure{fault.Wrap(ErrAnother, fault.Temporary, text, awayHint)}
}

// identify reads identity and generation of an index, and compares the identity with the one asked for: that of Options, or of the
// store that has been open before.
func (s *Store) identify(ctx context.Context, r *reader) (generation int64, err error) {
	var id int64
	err = r.get(ctx, `SELECT (SELECT value FROM meta WHERE key = 'id'), (SELECT value FROM meta WHERE key = 'generation')`, nil, &id, &generation)
	if err != nil {
		return 0, err
	}
	if s.id == 0 {
		s.id = id
	}
	if id != s.id {
		return 0, s.another("another mail store is in " + s.dir)
	}
	return generation, nil
}

// ValidID reports whether a text can be the identity of a store.
func ValidID(text string) bool {
	id, err := parseID(text)
	return err == nil && id >= 0 && formatID(id) == text
}

// parseID is the reverse of Store.ID; 0 for "".
func parseID(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseInt(text, 16, 64)
}

// loadIdentity reads at Open the identity and the generation of the store.
func (s *Store) loadIdentity(ctx context.Context) error {
	generation, err := s.identify(ctx, &s.reader)
	if err != nil {
		return err
	}
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	return s.raiseLocked(ctx, generation)
}

// sameLocked makes sure that the index that was opened again is the one that was
// open before. An older copy of it is raised.
func (s *Store) sameLocked(ctx context.Context) error {
	generation, err := s.identify(ctx, &s.reader)
	if err != nil || generation >= s.generation {
		s.generation = max(s.generation, generation)
		return err
	}
	s.lease = Lease{From: s.generation, To: max(s.lease.To, s.generation)}
	return s.raiseLocked(ctx, generation)
}

// raiseLocked takes up the generation of the index. One that is below the lease is an
// older copy, or the program was ended before it could say how far it had come:
// UIDs were perhaps given that the index does not know, so that the next one of
// each mailbox is higher than all of them.
func (s *Store) raiseLocked(ctx context.Context, generation int64) error {
	s.generation = generation
	if generation >= s.lease.To {
		return nil
	}
	// Before the index counts one more transaction than it has: an older index beside
	// a log that is one ahead would be taken for one that fits.
	if _, _, _, err := s.compareLog(ctx); err != nil {
		return err
	}
	older := generation < s.lease.From
	next := s.lease.To + 1
	tx, err := s.writer.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	queries := []string{
		fmt.Sprintf(`UPDATE mailbox SET uidnext = max(uidnext, %[1]d), modseq = max(modseq, %[1]d)`, next),
		fmt.Sprintf(`UPDATE meta SET value = iif(key = 'log', value + 1, %d) WHERE key IN ('generation', 'log')`, next), // the recovery log is written again
	}
	if older { // so that clients ask for all flags again
		queries = append(append(queries, forgetAll...), `UPDATE message SET modseq = (SELECT modseq FROM mailbox WHERE id = mailbox_id)`,
			fmt.Sprintf(`UPDATE meta SET value = max(value, %d) WHERE key = 'uidvalidity'`, s.now().Unix()),
			fmt.Sprintf(`UPDATE outgoing SET state = %d, last_error = '%s' WHERE state = %d`, Held, heldText, Waiting))
	}
	for _, query := range queries {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.generation, s.putBack = next, s.putBack || older
	if older {
		s.log.Warn().Int64("generation", generation).Int64("known", s.lease.From).Msg("an older copy of the mail store was put back; UIDs go on behind all that were given")
	}
	return nil
}

// advance counts what a transaction gives and makes sure before its commit that
// the lease covers it.
func (t *tx) advance() error {
	var given int64
	for _, b := range t.order {
		given += int64(b.UIDNext - b.loadedNext)
	}
	if given == 0 && len(t.log.buf) == 0 {
		return nil
	}
	err := t.get(`UPDATE meta SET value = value + ? WHERE key = 'generation' RETURNING value`, []any{given + 1}, &t.generation)
	if s := t.s; err == nil && t.generation > s.lease.To && s.extend != nil && s.generation > 0 { // 0: it is just being made
		s.lease = Lease{From: s.generation, To: t.generation + leaseStep}
		s.extend(formatID(s.id), s.lease)
	}
	return err
}

// restoreGap is how far a restore or a rebuild of the index raises the numbers of a mailbox.
const restoreGap = 1 << 20

// MayBeRestored reports whether a mailbox may have been restored or rebuilt between two of its
// modification sequences: then messages may be back that were expunged before. It is never
// false where that was so.
func MayBeRestored(before, now ModSeq) bool { return before/restoreGap != now/restoreGap }

// skipUIDs raises UIDNEXT and the modification sequence of every mailbox, when the
// index was made from what may lack the last changes: a UID that a client has
// seen must never name another message. The gap exceeds what any user receives
// in between; the range of numbers allows four thousand such gaps. They are not below the
// generation either, which the lease is compared with: two indexes that were made so
// from one may be as far. All messages take the new modification sequence, so that
// clients ask for all flags again, and what was expunged before is not known; the next
// UIDVALIDITY is one of the present.
func (t *tx) skipUIDs(validity int64) error {
	const gap, generation = restoreGap, `(SELECT value FROM meta WHERE key = 'generation')`
	err := t.execAll(append([]string{
		fmt.Sprintf(`UPDATE mailbox SET uidnext = uidnext + min(%d, (%d - uidnext) / 2), modseq = modseq + %d`, gap, math.MaxUint32, gap),
		fmt.Sprintf(`UPDATE meta SET value = max(value + %d, (SELECT coalesce(max(max(uidnext, modseq)), 0) FROM mailbox)) WHERE key = 'generation'`, gap),
		fmt.Sprintf(`UPDATE mailbox SET uidnext = max(uidnext, min(%s + 1, (%d + uidnext) / 2)), modseq = max(modseq, %[1]s)`, generation, math.MaxUint32),
		`UPDATE mailbox SET recent_from = uidnext, recent = 0`,
		`UPDATE message SET modseq = (SELECT modseq FROM mailbox WHERE id = mailbox_id)`,
	}, forgetAll...))
	if err != nil {
		return err
	}
	return t.exec(`INSERT OR REPLACE INTO meta (key, value) SELECT 'uidvalidity', max(?, ?, (SELECT coalesce(max(uidvalidity), 0) FROM mailbox),
		coalesce((SELECT value FROM meta WHERE key = 'uidvalidity'), 0))`,
		validity, t.s.now().Unix())
}
