package localimap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// statusItems are what STATUS can tell (RFC 9051 section 6.3.11, RFC 7162, RFC 7889,
// RFC 8474, and RECENT of RFC 3501).
var statusItems = map[string]func(mailstore.Mailbox) int64{
	"MESSAGES":    func(b mailstore.Mailbox) int64 { return int64(b.Messages) },
	"RECENT":      func(b mailstore.Mailbox) int64 { return int64(b.Recent) },
	"UIDNEXT":     func(b mailstore.Mailbox) int64 { return int64(b.UIDNext) },
	"UIDVALIDITY": func(b mailstore.Mailbox) int64 { return int64(b.UIDValidity) },
	"UNSEEN":      func(b mailstore.Mailbox) int64 { return int64(b.Unseen) },
	"DELETED":     func(b mailstore.Mailbox) int64 { return int64(b.Deleted) },
	"SIZE":        func(b mailstore.Mailbox) int64 { return b.Size },
	"APPENDLIMIT": func(mailstore.Mailbox) int64 { return appendLimit },

	"HIGHESTMODSEQ": func(b mailstore.Mailbox) int64 { return int64(b.HighestModSeq) }, // of 63 bits
	"MAILBOXID":     func(mailstore.Mailbox) int64 { return 0 },                        // see tellStatus
}

// statusNeeds are the capabilities that items are part of.
var statusNeeds = map[string]imap.Cap{"SIZE": imap.CapStatusSize, "HIGHESTMODSEQ": imap.CapCondStore, "MAILBOXID": imap.CapObjectID}

// statusList reads what STATUS shall tell.
func (s *session) statusList() (items []string) {
	s.in.List(func() {
		item := strings.ToUpper(s.in.Atom())
		if _, ok := statusItems[item]; !ok && s.in.Err() == nil {
			s.in.Fail(&imapwire.SyntaxError{Text: "Unknown item of STATUS"})
		}
		s.needs(statusNeeds[item])
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	})
	if len(items) == 0 {
		s.in.Fail(&imapwire.SyntaxError{Text: "Expected an item of STATUS"})
	}
	return items
}

// status answers STATUS (RFC 9051 section 6.3.11).
func (s *session) status() (string, error) {
	s.in.SP()
	name := s.mailbox()
	s.in.SP()
	items := s.statusList()
	if err := s.in.End(); err != nil {
		return "", err
	}
	box, err := s.store.Mailbox(s.ctx, name)
	if err != nil {
		return "", err
	}
	s.tellStatus(box, items)
	return "", nil
}

func (s *session) tellStatus(box mailstore.Mailbox, items []string) {
	out := append(s.conn.out, "* STATUS "...)
	out = append(imapwire.AppendMailbox(out, box.Name, s.utf8), " ("...)
	for i, item := range items {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(append(out, item...), ' ')
		if item == "MAILBOXID" {
			out = append(append(append(out, '('), mailboxID(box)...), ')')
			continue
		}
		out = strconv.AppendInt(out, statusItems[item](box), 10)
	}
	s.conn.out = append(out, ")\r\n"...)
}

// mailboxID is the MAILBOXID of RFC 8474: UIDVALIDITY, which no two mailboxes of a store
// ever have, and which stays when a mailbox is renamed.
func mailboxID(box mailstore.Mailbox) string { return fmt.Sprintf("F%d", box.UIDValidity) }
