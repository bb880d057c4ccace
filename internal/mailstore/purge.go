package mailstore

import (
	"context"
	"database/sql"
	"math"
	"time"
)

// keepOrphans is how long a content stays at least after its last message is
// gone: until no session can still show it, with a good margin.
const keepOrphans = 24 * time.Hour

func keepFor(asked time.Duration) time.Duration {
	if asked == 0 {
		return math.MaxInt64 // 292 years
	}
	return max(asked, keepOrphans)
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
	if err := s.forgetSent(ctx); err != nil {
		return err
	}
	if err := s.giveUpHandovers(ctx); err != nil {
		return err
	}
	s.markAnswered(ctx)
	before := s.now().Add(-s.keep).Unix()
	var due bool
	err := s.reader.get(ctx, `SELECT EXISTS (SELECT 1 FROM expunged WHERE expunged_at < ?)`, []any{before}, &due)
	if err != nil || !due {
		return failure(err, "look for expunged messages")
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
		into(&hashes, func(h *Hash) []any { return []any{hashInto(h)} }))
	if err != nil || len(hashes) == 0 {
		return 0, failure(err, "look for unused messages")
	}
	err = s.files.Purge(hashes, func() error {
		err := s.write(ctx, "forget unused messages", func(t *tx) error { return t.purge(hashes, before) })
		if err == nil {
			err = s.step("purged")
		}
		if err == nil {
			s.text.Renew()
		}
		return err
	})
	if err != nil {
		return 0, failure(err, "purge unused messages")
	}
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
		var h Hash
		var at int64
		err := rows.Scan(hashInto(&h), &at)
		t.log.line('Z', at, h)
		return err
	})
}
