package bridge

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// show writes down all that can be seen after a poll.
func (h *hostile) show(result Result, err error, took time.Duration) string {
	var out strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	say("stored %d, adopted %d, deleted %d, failed %d, on the server %d, sessions %d",
		result.Stored, result.Adopted, result.Deleted, result.Failed, result.OnServer, result.Sessions)
	if err != nil {
		say("error: %v: %v", fault.KindOf(err), err)
		if hint := fault.Hint(err); hint != "" {
			say("hint: %s", hint)
		}
	}
	s := h.runner.Status()
	next := "never"
	if !s.NextPoll.IsZero() {
		next = "in " + time.Until(s.NextPoll).Round(time.Second).String()
	}
	say("state: %s, next poll %s, after %v", s.State, next, took.Round(time.Second))
	if s.MinInterval > 0 {
		say("logins: at least %v apart", s.MinInterval)
	}
	if s.Expire != "" {
		say("expire: %s", s.Expire)
	}
	for _, verb := range slices.Sorted(maps.Keys(h.sent.count)) {
		if verb == "RETR" || verb == "DELE" || verb == "TOP" {
			say("sent: %s %d", verb, h.sent.count[verb])
		}
	}
	h.showMail(say)
	h.showLedger(say)
	for _, p := range s.Problems {
		say("problem: %q size %d, attempts %d, next try in %v: %s", shortened(p.UIDL), p.Size, p.Attempts, time.Until(p.NextTry).Round(time.Second), p.Reason)
	}
	return out.String()
}

// manyRows is the number of messages from which on they are only counted.
const manyRows = 100

func (h *hostile) showMail(say func(string, ...any)) {
	all := mail(h.t, h.store, "INBOX")
	if len(all) < manyRows {
		for _, data := range all {
			say("mail: %s", h.nameOf(data))
		}
		return
	}
	different := make(map[string]bool)
	for _, data := range all {
		if strings.Contains(h.nameOf(data), "\"") {
			h.t.Errorf("no one sent %q", data)
		}
		different[data] = true
	}
	say("mail: %d messages, %d different ones", len(all), len(different))
}

func (h *hostile) showLedger(say func(string, ...any)) {
	entries, err := h.store.Ledger(context.Background(), "home")
	if err != nil {
		h.t.Fatal(err)
	}
	slices.SortFunc(entries, func(a, b mailstore.LedgerEntry) int {
		return strings.Compare(fmt.Sprint(a.UIDL, a.Dup), fmt.Sprint(b.UIDL, b.Dup))
	})
	if len(entries) >= manyRows {
		say("ledger: %d rows", len(entries))
		return
	}
	for _, e := range entries {
		state := map[mailstore.LedgerState]string{mailstore.Stored: "stored", mailstore.DeleteIntended: "delete intended", mailstore.DeleteAcked: "delete acknowledged"}[e.State]
		say("ledger: %q dup %d, listed %d, %s, absent %d", shortened(e.UIDL), e.Dup, e.ListSize, state, e.Absent)
	}
}

// nameOf finds the message that was sent with these bytes.
func (h *hostile) nameOf(data string) string {
	for _, name := range slices.Sorted(maps.Keys(h.messages)) {
		if string(h.messages[name]) == data {
			return fmt.Sprintf("%s, %d bytes", name, len(data))
		}
	}
	return fmt.Sprintf("%d bytes %q", len(data), shortened(data))
}

func shortened(s string) string {
	if len(s) > 90 {
		return fmt.Sprintf("%s... %d bytes", s[:20], len(s))
	}
	return s
}
