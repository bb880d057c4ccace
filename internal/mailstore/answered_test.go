package mailstore

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/mailflags"
)

func TestTheOriginalIsAnswered(t *testing.T) {
	r := newStore(t)
	original := func(id string) string {
		return "From: eva@example.com\r\nMessage-ID: " + id + "\r\nSubject: question\r\nIn-Reply-To: <q9@example.com>\r\n\r\n?\r\n"
	}
	for _, id := range []string{"<q1@example.com>", "<q2@example.com>", "<q11@example.com>"} {
		r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: r.spool(original(id)), ReceivedAt: start})
	}
	_, err := r.Copy(t.Context(), r.id("INBOX"), []UID{1}, r.id("Archive"))
	must(t, err)
	for n, ids := range [][]string{{"<q1@example.com>", "<not.there@example.com>"}, {"<q9@example.com>"}, nil} {
		sub := r.submission(n + 1)
		sub.InReplyTo = ids
		id := r.submit(sub)
		r.handover(id)
		r.attempted(id, accepted("eva@example.com"))
	}
	r.want("INBOX", `1 \Answered question
		2  question
		3  question`)
	r.want("Archive", `1 \Answered question`)
}

// TestTheOutcomeDoesNotWaitForTheOriginal: a person would be asked about a message that the
// server has taken where the program ended while it looked for what that answers.
func TestTheOutcomeDoesNotWaitForTheOriginal(t *testing.T) {
	for what, then := range map[string]func(r *rig){
		"the next message": func(r *rig) { r.send(r.submission(2)) },
		"a purge":          func(r *rig) { must(r.t, r.Purge(r.t.Context())) },
		"a start":          func(r *rig) { r.reopen() },
	} {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: r.spool("Message-ID: <q@example.com>\r\nSubject: question\r\n\r\n?\r\n"), ReceivedAt: start})
			sub := r.submission(1)
			sub.InReplyTo = []string{"<q@example.com>"}
			id := r.submit(sub)
			r.handover(id)
			commits := 0
			r.hook = func(step string) error {
				if step == "commit" {
					commits++
				}
				if commits > 1 {
					return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
				}
				return nil
			}
			r.attempted(id, accepted("eva@example.com"))
			r.hook = nil
			equal(t, "queue", r.queue(), "")
			r.want("Sent", `1 \Seen letter 1`)
			r.want("INBOX", "1  question")
			then(r)
			r.want("INBOX", `1 \Answered question`)
			_, err := r.SetFlags(t.Context(), r.id("INBOX"), []UID{1}, mailflags.Remove, []string{`\Answered`})
			must(t, err)
			r.reopen()
			r.want("INBOX", "1  question")
		})
	}
}

// TestManyOriginals: only so many are looked for, in one go.
func TestManyOriginals(t *testing.T) {
	r := newStore(t)
	sub := r.submission(1)
	for n := range 80_000 {
		id := fmt.Sprintf("<q%d@example.com>", n)
		sub.InReplyTo = append(sub.InReplyTo, id)
		if n < 12 {
			r.deliver(Delivery{Mailbox: r.id("INBOX"), Message: r.spool("Message-ID: " + id + "\r\nSubject: question\r\n\r\n?\r\n"), ReceivedAt: start})
		}
	}
	id := r.submit(sub)
	var size int
	must(t, r.reader.get(t.Context(), `SELECT length(in_reply_to) FROM outgoing`, nil, &size))
	if size > 1000 {
		t.Errorf("%d bytes of ids are kept", size)
	}
	r.handover(id)
	r.attempted(id, accepted("eva@example.com"))
	if n := strings.Count(r.lines("INBOX"), `\Answered`); n != maxAnswered {
		t.Errorf("%d are answered", n)
	}
}
