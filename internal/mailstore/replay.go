package mailstore

import "bytes"

// replay fills an empty index from the log.
type replay struct {
	t        *tx
	next     map[int64]int64 // UIDNEXT by mailbox
	validity int64           // the highest UIDVALIDITY
	steps    int64           // transactions, each of which raises a modification sequence by one at most
	bad      int

	identified bool
}

func (r *replay) run(path string) (bad int, err error) {
	if err := r.t.exec(`CREATE TEMP TABLE purged (hash BLOB PRIMARY KEY, at INTEGER)`); err != nil {
		return 0, err
	}
	torn, err := readLog(path, r.line)
	if err == nil {
		err = r.end()
	}
	return torn + r.bad, err
}

// line applies one line. One that does not fit what came before it is left out;
// only an error of the index itself ends the replay.
func (r *replay) line(f fields) error {
	err := r.apply(&f)
	if f.bad || err != nil && !isIO(err) && !isFull(err) {
		r.bad++
		return nil
	}
	return err
}

// replays are the lines that one query applies. fields are t for a text, n for a
// number and h for a hash, in their order; the query has them by their numbers.
var replays = map[byte]struct{ fields, query string }{
	'I': {"n", `UPDATE meta SET value = ?1 WHERE key = 'id'`},
	'D': {"n", `DELETE FROM mailbox WHERE id = ?1`},
	'K': {"nt", `INSERT INTO keyword_set (id, names) VALUES (?1, ?2)`},
	'S': {"ttnn", `UPDATE ledger SET state = ?4 WHERE account = ?1 AND uidl = ?2 AND dup = ?3`},
	'Q': {"ttnn", `UPDATE ledger SET doubt = ?4 WHERE account = ?1 AND uidl = ?2 AND dup = ?3`},
	'J': {"ttntnn", `UPDATE OR REPLACE ledger SET uidl = ?4, dup = ?5, list_size = ?6, state = 1 WHERE account = ?1 AND uidl = ?2 AND dup = ?3`},
	'G': {"ttn", `DELETE FROM ledger WHERE account = ?1 AND uidl = ?2 AND dup = ?3`},
	'C': {"tn", `INSERT INTO account (name, stored) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET stored = max(0, stored + excluded.stored)`},
	'H': {"tn", `INSERT INTO account (name, had_uidl) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET had_uidl = excluded.had_uidl`},
	'+': {"t", `INSERT OR IGNORE INTO subscription (name) VALUES (?1)`},
	'-': {"t", `DELETE FROM subscription WHERE name = ?1`},
	'V': {"tnnt", `INSERT OR REPLACE INTO device (name, read_only, created_at, hash) VALUES (?1, ?2, ?3, ?4)`},
	'T': {"tntt", `UPDATE device SET read_only = ?2, folders = ?3, without_caps = ?4 WHERE name = ?1`},
	'O': {"tn", `UPDATE device SET generated = ?2 WHERE name = ?1`},
	'B': {"tn", `UPDATE device SET lan = ?2 WHERE name = ?1`},
	's': {"tn", `UPDATE device SET send = ?2 WHERE name = ?1`},
	'W': {"t", `DELETE FROM device WHERE name = ?1`},
	'Z': {"nh", `INSERT OR REPLACE INTO purged (at, hash) VALUES (?1, ?2)`},
	'N': {"hn", `UPDATE content SET found = ?2 WHERE hash = ?1`},
	'o': {"n", `INSERT OR REPLACE INTO meta (key, value) VALUES ('outbox', ?1)`},
	'q': {"nnhtttttnnnnnnnnthhhnnnn", insertOutgoing},
	'r': {"nntnt", insertRecipient},
	'n': {"nnt", insertDSN},
	'=': {"n", `UPDATE meta SET value = ?1 WHERE key = 'log'`},
}

func (r *replay) apply(f *fields) error {
	do := func(query string, args ...any) error {
		if f.bad {
			return nil
		}
		return r.t.exec(query, args...)
	}
	if l, ok := replays[f.letter]; ok {
		r.identified = r.identified || f.letter == 'I'
		if f.letter == '=' {
			r.steps++
		}
		args := f.values(l.fields)
		return do(l.query, args...)
	}
	switch f.letter {
	case 'd':
		id := f.number()
		if f.bad {
			return nil
		}
		return r.t.execAll(deleteOutgoing, id)
	case 'M':
		id, validity, next, modseq := f.number(), f.number(), f.number(), f.number()
		name, use := f.text(), f.text()
		r.next[id], r.validity = max(r.next[id], next), max(r.validity, validity)
		// Logs of before schema 3 may give a special use twice; as there, the first has it.
		return do(`INSERT INTO mailbox (id, uidvalidity, modseq, name, special_use)
			SELECT ?, ?, ?, ?, CASE WHEN EXISTS (SELECT 1 FROM mailbox WHERE special_use = ?) THEN '' ELSE ? END WHERE true
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, special_use = iif(excluded.special_use = '', special_use, excluded.special_use)`, id, validity, modseq, name, use, use)
	case 'L':
		account, uidl, dup, hash := f.text(), f.text(), f.number(), r.full(f.hash())
		f.bad = f.bad || hash == nil
		return do(`INSERT OR REPLACE INTO ledger (account, uidl, dup, hash, size, list_size, state, stored_at, removed_at, last_listed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, 0), nullif(?, 0), ?)`, append([]any{account, uidl, dup, hash}, append(f.values("nnnnn"), r.t.s.now().Unix())...)...)
	}
	return r.message(f, do)
}

// full returns the hash that a short one stands for, nil where there is none.
func (r *replay) full(h []byte) []byte {
	if len(h) != len(shortHash{}) {
		return h
	}
	var full []byte
	err := r.t.get(`SELECT hash FROM content WHERE hash > ? ORDER BY hash LIMIT 1`, []any{h}, &full)
	if err != nil || !bytes.HasPrefix(full, h) {
		return nil
	}
	return full
}

// message applies the lines about messages.
func (r *replay) message(f *fields, do func(string, ...any) error) error {
	switch f.letter {
	case 'A':
		box, uid, hash, size, received, system, keywords := f.number(), f.number(), f.hash(), f.number(), f.number(), f.number(), f.number()
		r.next[box] = max(r.next[box], uid+1)
		err := do(`INSERT OR IGNORE INTO content (hash, size) VALUES (?, ?)`, hash, size)
		if err != nil {
			return err
		}
		err = do(`INSERT OR REPLACE INTO message (mailbox_id, uid, content_id, system, keywords, modseq, received_at, size, saved_at)
			SELECT ?, ?, id, ?, ?, 1, ?, size, ? FROM content WHERE hash = ?`, box, uid, system, keywords, received, f.optional(0), hash)
		if err != nil { // its file is one without a row then
			_ = do(`DELETE FROM content WHERE hash = ?`, hash) // fails where another row needs it
		}
		return err
	case 'X':
		id, box, validity, uid, hash, size, received := f.number(), f.number(), f.number(), f.number(), f.hash(), f.number(), f.number()
		err := do(`INSERT OR IGNORE INTO content (hash, size) VALUES (?, ?)`, hash, size)
		if err != nil {
			return err
		}
		return do(`INSERT OR REPLACE INTO expunged (id, mailbox_id, uidvalidity, uid, content_id, size, received_at, system, keywords, expunged_at, mailbox)
			SELECT ?, ?, ?, ?, id, size, ?, ?, ?, ?, ? FROM content WHERE hash = ?`,
			id, box, validity, uid, received, f.number(), f.number(), f.number(), f.text(), hash)
	case 'Y':
		box, uid, from, saved := f.number(), f.number(), f.number(), f.optional(1)
		for _, u := range f.ranges() {
			err := do(`INSERT OR REPLACE INTO message (mailbox_id, uid, content_id, system, keywords, modseq, received_at, size, saved_at)
				SELECT ?, ? + uid, content_id, system, keywords, 1, received_at, size, ? FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ?`,
				box, uid-int64(u.first), saved, from, int64(u.first), int64(u.last))
			if err != nil {
				return err
			}
			uid += int64(u.last-u.first) + 1
		}
		r.next[box] = max(r.next[box], uid)
		return nil
	case 'F':
		box, system, keywords := f.number(), f.number(), f.number()
		return r.each(f, do, `UPDATE message SET system = ?, keywords = ? WHERE mailbox_id = ? AND uid BETWEEN ? AND ?`, system, keywords, box)
	case 'R':
		return r.each(f, do, `DELETE FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ?`, f.number())
	case 'E':
		box, id, at := f.number(), f.number(), f.number()
		for _, u := range f.ranges() {
			err := do(`INSERT OR REPLACE INTO expunged (id, mailbox, mailbox_id, uidvalidity, uid, content_id, system, keywords, received_at, size, expunged_at)
				SELECT ? + uid, name, mailbox_id, uidvalidity, uid, content_id, system, keywords, received_at, x.size, ?
				FROM message x JOIN mailbox m ON m.id = mailbox_id WHERE mailbox_id = ? AND uid BETWEEN ? AND ?`,
				id-int64(u.first), at, box, int64(u.first), int64(u.last))
			if err == nil {
				err = do(`DELETE FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ?`, box, int64(u.first), int64(u.last))
			}
			if err != nil {
				return err
			}
			id += int64(u.last-u.first) + 1
		}
		return nil
	case 'U':
		id, box, uid := f.number(), f.number(), f.number()
		r.next[box] = max(r.next[box], uid+1)
		err := do(`INSERT OR REPLACE INTO message (mailbox_id, uid, content_id, system, keywords, modseq, received_at, size, saved_at)
			SELECT ?, ?, content_id, system & ~8, keywords, 1, received_at, size, ? FROM expunged WHERE id = ?`, box, uid, f.optional(0), id)
		if err != nil {
			return err
		}
		return do(`DELETE FROM expunged WHERE id = ?`, id)
	case 'P':
		before := f.number()
		err := do(`UPDATE content SET orphaned_at = ? WHERE id IN (SELECT content_id FROM expunged WHERE expunged_at < ?)`, before, before)
		if err != nil {
			return err
		}
		return do(`DELETE FROM expunged WHERE expunged_at < ?`, before)
	}
	f.bad = true
	return nil
}

func (r *replay) each(f *fields, do func(string, ...any) error, query string, args ...any) error {
	for _, u := range f.ranges() {
		if err := do(query, append(args[:len(args):len(args)], int64(u.first), int64(u.last))...); err != nil {
			return err
		}
	}
	return nil
}

// end sets what follows from the rows. The counts are left to Repair, and so are
// contents that should be somewhere and are not.
func (r *replay) end() error {
	t := r.t
	if err := t.exec(`UPDATE mailbox SET modseq = modseq + ?`, r.steps); err != nil {
		return err
	}
	for id, next := range r.next {
		if err := t.exec(`UPDATE mailbox SET uidnext = ? WHERE id = ?`, next, id); err != nil {
			return err
		}
	}
	err := t.execAll([]string{
		`UPDATE ledger SET removed_at = at FROM purged WHERE purged.hash = ledger.hash`,
		`DELETE FROM content WHERE hash IN (SELECT hash FROM purged) AND NOT EXISTS (SELECT 1 FROM message WHERE content_id = content.id)
			AND NOT EXISTS (SELECT 1 FROM expunged WHERE content_id = content.id)`,
		`UPDATE content SET orphaned_at = NULL WHERE EXISTS (SELECT 1 FROM message WHERE content_id = content.id)`,
		`UPDATE content SET orphaned_at = (SELECT max(expunged_at) FROM expunged WHERE content_id = content.id)
			WHERE NOT EXISTS (SELECT 1 FROM message WHERE content_id = content.id) AND EXISTS (SELECT 1 FROM expunged WHERE content_id = content.id)`,
		// Sets must be without a gap. What was in one that is lost is not known.
		`WITH RECURSIVE sets (id) AS (SELECT max((SELECT coalesce(max(keywords), 0) FROM message),
			(SELECT coalesce(max(keywords), 0) FROM expunged), (SELECT coalesce(max(id), 0) FROM keyword_set))
			UNION ALL SELECT id - 1 FROM sets WHERE id > 0)
			INSERT OR IGNORE INTO keyword_set (id, names) SELECT id, printf('lost-%d', id) FROM sets WHERE id > 0`,
		`DROP TABLE purged`,
	})
	if err != nil {
		return err
	}
	if len(r.next) == 0 { // there was no log
		if err := t.createDefaults(); err != nil {
			return err
		}
		t.log = lines{} // it is not in the log that is there
	}
	if err := t.hold(); err != nil { // the log may lack that it was sent
		return err
	}
	return t.skipUIDs(r.validity)
}
