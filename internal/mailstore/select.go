package mailstore

import (
	"database/sql"
	"math"
	"slices"

	"github.com/popbridge/popbridge/internal/mailflags"
)

// picked is a message that a command names. joined tells that no other message
// stands between it and the picked one before, so that one range statement may
// cover both.
type picked struct {
	row
	joined bool
}

// maxGap is how many UIDs that were not asked for a scan runs over rather than
// start again behind them.
const maxGap = 64

const pickQuery = `SELECT uid, content_id, system, keywords, modseq, received_at, size, saved_at
	FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid`

// pick returns the messages of the mailbox with the given UIDs, ascending; all
// of them for nil. UIDs that do not exist are passed over.
func (t *tx) pick(id MailboxID, uids []UID) ([]picked, error) {
	if uids == nil {
		return t.span(nil, id, 1, math.MaxUint32, nil)
	}
	uids = slices.Compact(slices.Sorted(slices.Values(uids)))
	var out []picked
	for len(uids) > 0 {
		n := 1
		for n < len(uids) && uids[n]-uids[n-1] <= maxGap {
			n++
		}
		var err error
		if out, err = t.span(out, id, uids[0], uids[n-1], uids[:n]); err != nil {
			return nil, err
		}
		uids = uids[n:]
	}
	return out, nil
}

// span scans one range of UIDs and appends those messages that stand in want.
func (t *tx) span(out []picked, id MailboxID, first, last UID, want []UID) ([]picked, error) {
	joined := false
	reader := newRowReader()
	err := t.rows(pickQuery, []any{id, int64(first), int64(last)}, func(rows *sql.Rows) error {
		r, err := reader.read(rows)
		if err != nil {
			return err
		}
		p := picked{row: r, joined: joined}
		joined = true
		if want != nil {
			for len(want) > 0 && want[0] < p.UID {
				want = want[1:]
			}
			joined = len(want) > 0 && want[0] == p.UID
		}
		if joined {
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

// rowReader reads rows of pickQuery, by numbers of 64 bits that are made once: with
// those of other sizes database/sql goes by way of text, a tenth of the time of
// BenchmarkOpenView100k.
type rowReader struct {
	numbers [8]int64
	dest    [8]any
}

func newRowReader() *rowReader {
	r := &rowReader{}
	for i := range r.numbers {
		r.dest[i] = &r.numbers[i]
	}
	return r
}

func (r *rowReader) read(rows *sql.Rows) (row, error) {
	err := rows.Scan(r.dest[:]...)
	n := &r.numbers
	return row{UID(n[0]), ContentID(n[1]), mailflags.Flags{System: mailflags.System(n[2]), Keywords: mailflags.KeywordSet(n[3])}, ModSeq(n[4]), n[5], n[6], n[7]}, err
}

// runs calls do for each longest stretch of rows that one range statement can
// cover.
func runs(rows []picked, do func(run []picked) error) error {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].joined {
			n++
		}
		if err := do(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// those returns the rows that keep approves of, in place.
func those(rows []picked, keep func(picked) bool) []picked {
	out := rows[:0]
	joined := true
	for _, r := range rows {
		joined = joined && r.joined
		kept := keep(r)
		if kept {
			r.joined = joined
			out = append(out, r)
		}
		joined = kept
	}
	return out
}
