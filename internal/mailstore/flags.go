package mailstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// SetFlags changes the flags of the messages with the given UIDs and returns
// the flags of every one of them that exists, changed or not, ascending. Those
// that change get one new modification sequence.
func (s *Store) SetFlags(ctx context.Context, id MailboxID, uids []UID, op mailflags.Op, names []string) ([]FlagChange, error) {
	done, _, err := s.SetFlagsUnchanged(ctx, id, uids, op, names, math.MaxUint64)
	return done, err
}

// SetFlagsUnchanged is SetFlags for the messages that have not changed since a
// modification sequence (UNCHANGEDSINCE, RFC 7162 section 3.1.3). The others keep
// their flags; left are their UIDs, ascending.
func (s *Store) SetFlagsUnchanged(ctx context.Context, id MailboxID, uids []UID, op mailflags.Op, names []string, since ModSeq) (done []FlagChange, left []UID, err error) {
	system, words, err := mailflags.Parse(names)
	if err != nil {
		return nil, nil, err
	}
	err = s.write(ctx, "store flags", func(t *tx) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		rows, err := t.pick(id, append([]UID{}, uids...))
		if err != nil {
			return err
		}
		rows = those(rows, func(r picked) bool {
			if r.ModSeq > since {
				left = append(left, r.UID)
			}
			return r.ModSeq <= since
		})
		done, err = t.setFlags(b, rows, op, system, words)
		return err
	})
	return done, left, err
}

func (t *tx) setFlags(b *box, rows []picked, op mailflags.Op, system mailflags.System, words []string) (_ []FlagChange, err error) {
	out := make([]FlagChange, len(rows))
	merged := map[mailflags.KeywordSet]mailflags.KeywordSet{}
	want := make([]mailflags.Flags, len(rows))
	for i, r := range rows {
		set, ok := merged[r.Flags.Keywords]
		if !ok {
			if set, err = t.merge(r.Flags.Keywords, op, words); err != nil {
				return nil, err
			}
			merged[r.Flags.Keywords] = set
		}
		want[i] = mailflags.Flags{System: op.Apply(r.Flags.System, system), Keywords: set}
		out[i] = FlagChange{r.UID, r.Flags, r.ModSeq}
	}
	return out, t.rewrite(b, rows, want, out)
}

// rewrite gives rows the flags in want, by one range statement for each run of
// messages that get the same flags, and notes the outcome in out.
func (t *tx) rewrite(b *box, rows []picked, want []mailflags.Flags, out []FlagChange) error {
	for i := 0; i < len(rows); {
		if rows[i].Flags == want[i] {
			i++
			continue
		}
		first, flags, modseq := i, want[i], b.next()
		head := []any{int64(b.ID), int64(flags.System), int64(flags.Keywords)}
		for ; i < len(rows) && (i == first || rows[i].joined) && rows[i].Flags != want[i] && want[i] == flags; i++ {
			b.count(rows[i].Flags, rows[i].Size, -1)
			b.count(flags, rows[i].Size, 1)
			out[i].Flags, out[i].ModSeq = flags, modseq
			b.flagged = append(b.flagged, out[i])
		}
		t.log.ranges(fmt.Sprint("F", head), rows[first].UID, rows[i-1].UID, 'F', head...)
		err := t.exec(`UPDATE message SET system = ?, keywords = ?, modseq = ? WHERE mailbox_id = ? AND uid BETWEEN ? AND ?`,
			int64(flags.System), int64(flags.Keywords), int64(modseq), b.ID, int64(rows[first].UID), int64(rows[i-1].UID))
		if err != nil {
			return err
		}
	}
	return nil
}

// intern returns the set of the given keywords, making it where it is new.
func (t *tx) intern(words []string) (mailflags.KeywordSet, error) {
	names, id, known, err := t.s.keywords.Find(words)
	if known || err != nil {
		return id, err
	}
	id = t.s.keywords.Add(names)
	t.log.line('K', int64(id), strings.Join(names, " "))
	return id, t.exec(`INSERT INTO keyword_set (id, names) VALUES (?, ?)`, int64(id), strings.Join(names, " "))
}

// merge returns the set that op makes of old and words.
func (t *tx) merge(old mailflags.KeywordSet, op mailflags.Op, words []string) (mailflags.KeywordSet, error) {
	if len(words) == 0 && op != mailflags.Set {
		return old, nil
	}
	return t.intern(t.s.keywords.Merged(old, op, words))
}

// loadKeywords reads the sets of keywords of the index.
func (s *Store) loadKeywords() error {
	k := mailflags.NewTable()
	err := s.reader.rows(context.Background(), `SELECT id, names FROM keyword_set ORDER BY id`, nil, func(rows *sql.Rows) error {
		var id int
		var names string
		if err := rows.Scan(&id, &names); err != nil {
			return err
		}
		if id != k.Len() {
			return fault.New(fault.Corrupt, fmt.Sprintf("the index of the mail store lacks keyword set %d", k.Len()),
				repairHint)
		}
		k.Add(strings.Fields(names))
		return nil
	})
	if err == nil {
		s.keywords.Replace(k) // others may be looking at it
	}
	return err
}

// FlagNames returns the names of flags as IMAP writes them, without \Recent.
// The slice is shared and must not be changed.
func (s *Store) FlagNames(f mailflags.Flags) []string { return s.keywords.Render(f) }
