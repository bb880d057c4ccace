package localimap

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// criterion is a key of SORT (RFC 5256 section 3). One of its functions is set,
// and returns what messages are ordered by; text comes in the form of
// message.AppendCollation.
type criterion struct {
	column func(v *view, i int) int64
	date   bool // of the Date field, or of the arrival
	text   func(h *message.Header) string
	needs  imap.Cap

	reverse bool
}

var criteria = map[string]criterion{
	"ARRIVAL":     {column: func(v *view, i int) int64 { return v.told.received[i] }},
	"SIZE":        {column: func(v *view, i int) int64 { return v.told.sizes[i] }},
	"DATE":        {date: true},
	"SUBJECT":     {text: func(h *message.Header) string { base, _ := message.BaseSubject(h.Text("Subject")); return base }},
	"FROM":        {text: func(h *message.Header) string { return collation(h.Address("From").Mailbox) }},
	"TO":          {text: func(h *message.Header) string { return collation(h.Address("To").Mailbox) }},
	"CC":          {text: func(h *message.Header) string { return collation(h.Address("Cc").Mailbox) }},
	"DISPLAYFROM": {text: func(h *message.Header) string { return collation(display(h.Address("From"))) }, needs: imap.CapSortDisplay},
	"DISPLAYTO":   {text: func(h *message.Header) string { return collation(display(h.Address("To"))) }, needs: imap.CapSortDisplay},
}

func collation(text string) string { return string(message.AppendCollation(nil, text)) }

// display is what a reader sees of an address (RFC 5957 section 3).
func display(a message.Address) string {
	switch {
	case a.Name != "":
		return a.Name
	case a.Host != "":
		return a.Mailbox + "@" + a.Host
	}
	return a.Mailbox
}

// sort answers SORT and UID SORT (RFC 5256 section 3, RFC 5267 section 3).
func (s *session) sort(byUID bool) (string, error) {
	s.in.SP()
	ret := s.readReturns(imap.CapESort)
	program := s.readCriteria()
	s.in.SP()
	charset := s.in.AString()
	s.in.SP()
	found, modseq, err := s.find(charset, ret, func(found []int) error { return s.order(found, program) })
	switch {
	case err != nil:
		return "", err
	case ret.extended:
		s.tellFound(found, byUID, ret, modseq)
	default:
		s.tellNumbers("SORT", s.view.numbersOf(found, byUID), modseq)
	}
	return "", nil
}

// readCriteria reads a sort-criteria list. A criterion that is there again can
// make no difference and is left out.
func (s *session) readCriteria() (program []criterion) {
	r := s.in
	seen, reverse, words := map[string]bool{}, false, 0
	r.List(func() {
		name := strings.ToUpper(r.Atom())
		c, ok := criteria[name]
		switch words++; {
		case words > maxCriteria:
			r.Fail(limited("Too many sort criteria, at most %d words", maxCriteria))
		case name == "REVERSE" && !reverse:
			reverse = true
			return
		case !ok || c.needs != "" && s.store.lacks(c.needs):
			r.Fail(&imapwire.SyntaxError{Text: "Unknown sort criterion"})
		case !seen[name]:
			c.reverse, seen[name] = reverse, true
			program = append(program, c)
		}
		reverse = false
	})
	if r.Err() == nil && (reverse || len(program) == 0) {
		r.Fail(&imapwire.SyntaxError{Text: "Expected a sort criterion"})
	}
	return program
}

// sortKey is the value of a criterion for a message.
type sortKey struct {
	number int64
	text   string
}

// order puts messages, which come in the order of their numbers, into that of a
// program.
func (s *session) order(found []int, program []criterion) error {
	keys, err := s.sortKeys(found, program)
	if err != nil {
		return err
	}
	width := len(program)
	rows := make([]int, len(found))
	for k := range rows {
		rows[k] = k
	}
	slices.SortFunc(rows, func(a, b int) int {
		for k, c := range program {
			x, y := &keys[a*width+k], &keys[b*width+k]
			if order := cmp.Or(cmp.Compare(x.number, y.number), strings.Compare(x.text, y.text)); order != 0 {
				if c.reverse {
					return -order
				}
				return order
			}
		}
		return a - b
	})
	ordered := make([]int, len(found))
	for k, row := range rows {
		ordered[k] = found[row]
	}
	copy(found, ordered)
	return s.conn.alive()
}

// sortKeys returns the keys of the messages, all those of one before those of the
// next.
func (s *session) sortKeys(found []int, program []criterion) ([]sortKey, error) {
	keys := make([]sortKey, 0, len(found)*len(program))
	headers := slices.ContainsFunc(program, func(c criterion) bool { return c.column == nil })
	err := s.eachHeader(found, headers, func(i int, h *message.Header) {
		for _, c := range program {
			var key sortKey
			switch {
			case c.column != nil:
				key.number = c.column(s.view, i)
			case c.date:
				key.number = s.view.sentAt(i, h)
			default:
				text := c.text(h)
				key.text = strings.Clone(text[:min(len(text), maxSortText)])
			}
			keys = append(keys, key)
		}
	})
	return keys, err
}

// sentAt is the sent date of a message (RFC 5256 section 2.2), in seconds since
// 1970.
func (v *view) sentAt(i int, h *message.Header) int64 {
	if date, ok := h.Date(); ok {
		return date.Unix()
	}
	return v.told.received[i]
}

// eachHeader calls use for the messages at the given indices, in order, with the
// fields of their headers that are kept, or with none where headers is not set. A
// message that cannot be read has no fields.
func (s *session) eachHeader(indices []int, headers bool, use func(i int, h *message.Header)) error {
	var empty message.Header
	if !headers {
		for _, i := range indices {
			use(i, &empty)
		}
		return nil
	}
	return s.chunked(s.view, indices, mailstore.WantHeader, func(chunk []int, contents []mailstore.Content) error {
		for k, i := range chunk {
			h := &empty
			if c := &contents[k]; !c.Gone {
				h = s.headerOf(c)
			}
			use(i, h)
		}
		return s.conn.alive()
	})
}

// headerOf returns the header of a message, from its file where the index has not
// all of it.
func (s *session) headerOf(c *mailstore.Content) *message.Header {
	if c.Summary.Header.Complete() {
		return &c.Summary.Header
	}
	file, err := s.store.OpenContent(c.Hash)
	if err == nil {
		defer func() { _ = file.Close() }() // only read
		var h *message.Header
		if h, err = message.ReadHeader(io.NewSectionReader(fileOfCommand{s.conn, file}, 0, c.Summary.Header.Size)); err == nil {
			return h
		}
	}
	s.log.Warn().Err(err).Str("user", s.user).Msg("message was sorted without its header")
	return new(message.Header)
}
