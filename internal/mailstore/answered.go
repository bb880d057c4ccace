package mailstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/popbridge/popbridge/internal/mailflags"
)

// maxAnswered is the number of messages that one message answers at most.
const maxAnswered = 10

// markAnswered sets \Answered on the messages that those answer that were sent. It comes
// after what became of a message was committed, which must not wait for it. What fails is
// done with the next message, or the next purge.
func (s *Store) markAnswered(ctx context.Context) {
	if err := s.answer(ctx); err != nil {
		s.log.Warn().Err(err).Msg("messages that were answered are not marked yet")
	}
}

func (s *Store) answer(ctx context.Context) error {
	replies := map[OutgoingID][]string{}
	err := s.reader.rows(ctx, `SELECT id, in_reply_to FROM outgoing WHERE sent_at <> 0 AND in_reply_to <> ''`, nil, func(rows *sql.Rows) error {
		var id OutgoingID
		var text string
		err := rows.Scan(&id, &text)
		replies[id] = strings.Fields(text)
		return err
	})
	for id, ids := range replies {
		var answers []ContentID
		if err == nil {
			answers, err = s.originals(ctx, ids)
		}
		if err != nil {
			break
		}
		err = s.write(ctx, "mark what was answered", func(t *tx) error {
			return errors.Join(t.answered(answers), t.eachOutgoing(func(o *outgoingRow) { o.inReplyTo = nil }, `id = ?`, id))
		})
	}
	return failure(err, "mark what was answered")
}

// originals returns the contents with one of some Message-IDs: of each the newest. It looks
// through the envelopes once, from the newest on.
func (s *Store) originals(ctx context.Context, ids []string) (out []ContentID, err error) {
	var ends [][]byte // of the envelopes that are wanted
	var args []any
	longest := 0
	for _, id := range ids[:min(len(ids), maxAnswered)] {
		if !strings.ContainsAny(id, `"\`) && len(id) >= 4 {
			end := []byte(` "` + id + `")`) // the last field of an envelope
			ends, args, longest = append(ends, end), append(args, len(end), end), max(longest, len(end))
		}
	}
	if len(ends) == 0 {
		return nil, nil
	}
	enough := errors.New("all are found")
	err = s.reader.rows(ctx, `SELECT content_id, substr(data, -?) FROM envelope WHERE substr(data, -?) = ?`+
		strings.Repeat(` OR substr(data, -?) = ?`, len(ends)-1)+` ORDER BY content_id DESC`, append([]any{longest}, args...), func(rows *sql.Rows) error {
		var content ContentID
		var end []byte
		err := rows.Scan(&content, &end)
		for i, want := range ends {
			if want != nil && bytes.HasSuffix(end, want) {
				ends[i], out = nil, append(out, content)
			}
		}
		if err == nil && len(out) == len(ends) {
			err = enough
		}
		return err
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return out, err
}

// answered sets \Answered on contents, in whatever mailboxes they are.
func (t *tx) answered(contents []ContentID) error {
	for _, content := range contents {
		var places []Place
		err := t.rows(`SELECT mailbox_id, uid FROM message WHERE content_id = ?`, []any{content},
			into(&places, func(p *Place) []any { return []any{&p.Mailbox, &p.UID} }))
		for _, p := range places {
			var b *box
			var rows []picked
			if err == nil {
				b, err = t.box(p.Mailbox)
			}
			if err == nil {
				rows, err = t.pick(p.Mailbox, []UID{p.UID})
			}
			if err == nil {
				_, err = t.setFlags(b, rows, mailflags.Add, mailflags.Answered, nil)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
