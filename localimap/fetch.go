package localimap

import (
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// fetchItem is an item of FETCH that is no section.
type fetchItem struct {
	name   string
	needs  imap.Cap       // "" for what all devices have
	want   mailstore.Want // of the content
	append func(dst []byte, f *fetching, i int, p prepared) []byte
}

// messageItems are in the order in which they are told. The att constants name the
// first four by their place: new ones come after these.
var messageItems = []fetchItem{
	{"UID", "", 0, func(dst []byte, f *fetching, i int, _ prepared) []byte {
		return strconv.AppendUint(dst, uint64(f.v.told.uids[i]), 10)
	}},
	{"FLAGS", "", 0, func(dst []byte, f *fetching, i int, _ prepared) []byte { return append(dst, f.v.flagNames(i)...) }},
	{"MODSEQ", imap.CapCondStore, 0, func(dst []byte, f *fetching, i int, _ prepared) []byte { // RFC 7162
		return appendModSeq(dst, f.v.told.modseqs[i])
	}},
	{"PREVIEW", imap.CapPreview, mailstore.WantFile | mailstore.WantStructure, func(dst []byte, _ *fetching, _ int, p prepared) []byte { // RFC 8970
		return imapwire.AppendString(dst, p.preview)
	}},
	{"INTERNALDATE", "", 0, func(dst []byte, f *fetching, i int, _ prepared) []byte {
		return imapwire.AppendDateTime(dst, internalDate(f.v.told.received[i], f.zone))
	}},
	{"SAVEDATE", imap.CapSaveDate, 0, func(dst []byte, f *fetching, i int, _ prepared) []byte { // RFC 8514 section 4.2
		if f.v.told.saved[i] == 0 {
			return append(dst, "NIL"...)
		}
		return imapwire.AppendDateTime(dst, internalDate(f.v.told.saved[i], f.zone))
	}},
	{"EMAILID", imap.CapObjectID, mailstore.WantHash, func(dst []byte, _ *fetching, _ int, p prepared) []byte {
		return append(append(append(dst, '('), emailID(p.content.Hash)...), ')')
	}},
	{"THREADID", imap.CapObjectID, 0, func(dst []byte, _ *fetching, _ int, _ prepared) []byte { return append(dst, "NIL"...) }},
	{"RFC822.SIZE", "", 0, func(dst []byte, f *fetching, i int, _ prepared) []byte {
		return strconv.AppendInt(dst, f.v.told.sizes[i], 10)
	}},
	{"ENVELOPE", "", mailstore.WantEnvelope, func(dst []byte, _ *fetching, _ int, p prepared) []byte {
		return append(dst, p.content.Summary.Envelope...)
	}},
	{"BODY", "", mailstore.WantBody, func(dst []byte, _ *fetching, _ int, p prepared) []byte {
		return message.AppendBody(dst, p.content.Summary.Structure)
	}},
	{"BODYSTRUCTURE", "", mailstore.WantBody, func(dst []byte, _ *fetching, _ int, p prepared) []byte {
		return append(dst, p.content.Summary.Structure...)
	}},
}

// fetchAtts is a set of messageItems, by their place.
type fetchAtts uint16

const (
	attUID fetchAtts = 1 << iota
	attFlags
	attModSeq
	attPreview
)

// fetching is one FETCH under way.
type fetching struct {
	*session
	v     *view
	items *fetchRequest
	zone  *time.Location // of INTERNALDATE

	failure error // the first message that could not be answered
}

func (f *fetching) run(indices []int) error {
	var err error
	if f.items.want != 0 {
		err = f.chunked(f.v, indices, f.items.want, f.chunk)
	} else {
		err = f.chunk(indices, nil)
	}
	if err == nil {
		err = f.failure
	}
	return err
}

// chunk answers for some messages; contents is nil where the columns have all
// that is asked for. The error is one that ends the command.
func (f *fetching) chunk(indices []int, contents []mailstore.Content) error {
	if err := f.conn.alive(); err != nil {
		return err
	}
	var changed map[int]bool // messages whose flags must be told
	if f.items.atts&(attFlags|attModSeq) != 0 || f.items.setsSeen {
		changed = f.v.refresh(indices)
	}
	if f.items.setsSeen {
		f.markSeen(indices, changed)
	}
	tell := func(k int, p prepared) error {
		if err := f.conn.alive(); err != nil {
			p.close()
			return err
		}
		atts := f.items.atts
		if changed[indices[k]] {
			atts |= attFlags
			if f.v.condstore { // RFC 7162 section 3.2.4
				atts |= attModSeq | attUID
			}
		}
		return f.message(indices[k], p, atts)
	}
	if f.items.want&mailstore.WantFile != 0 {
		return f.files(contents, tell)
	}
	for k := range indices {
		var p prepared
		if contents != nil {
			p = f.prepare(&contents[k], nil)
		}
		if err := tell(k, p); err != nil {
			return err
		}
	}
	return nil
}

// markSeen sets \Seen, which reading a body does (RFC 9051 section 6.4.5), and
// notes whose flags have changed by that. Not being able to is no reason to
// refuse the mail.
func (f *fetching) markSeen(indices []int, changed map[int]bool) {
	var unseen []mailstore.UID
	for _, i := range indices {
		if f.v.told.flags[i].System&mailflags.Seen == 0 {
			unseen = append(unseen, f.v.told.uids[i])
		}
	}
	if len(unseen) == 0 {
		return
	}
	changes, err := f.store.SetFlags(f.ctx, f.v.id, unseen, mailflags.Add, []string{string(imap.FlagSeen)})
	if err != nil {
		f.log.Warn().Err(err).Str("user", f.user).Msg("reading was not noted as \\Seen")
		return
	}
	for _, c := range changes {
		if i, ok := slices.BinarySearch(f.v.told.uids, c.UID); ok {
			f.v.setFlags(i, c.Flags, c.ModSeq)
			changed[i] = true
		}
	}
}

// message answers for one message. Everything that can fail has been found
// out, sizes above all, before the response is begun. The error is one that
// ends the command.
func (f *fetching) message(i int, p prepared, atts fetchAtts) error {
	defer p.close()
	if p.err != nil {
		if err := f.response(p.err); f.failure == nil {
			f.failure = err
		}
		if atts&attFlags != 0 {
			f.tellFlags(i, atts&attUID != 0, true)
		}
		return f.conn.overflow()
	}
	if atts&attFlags != 0 {
		f.tellKeywords()
	}
	c := f.conn
	c.counted(i+1, "FETCH (")
	first := len(c.out)
	item := func(name string) {
		if len(c.out) > first {
			c.out = append(c.out, ' ')
		}
		c.out = append(append(c.out, name...), ' ')
	}
	for k := range messageItems {
		if atts&(1<<k) != 0 {
			item(messageItems[k].name)
			c.out = messageItems[k].append(c.out, f, i, p)
		}
	}
	for k, sec := range f.items.sections {
		item(sec.name)
		first = -1 // what was gathered may have been sent
		if err := f.writeSection(sec, p.parts[k]); err != nil {
			return err
		}
	}
	c.out = append(c.out, ")\r\n"...)
	return c.overflow()
}

// writeSection writes as many octets as are announced. Where the file does not
// yield them any more, the connection is given up: nothing that could be sent
// instead would be true.
func (f *fetching) writeSection(item sectionItem, s section) error {
	c := f.conn
	switch {
	case item.measure:
		c.out = strconv.AppendInt(c.out, s.size, 10)
		return nil
	case s.missing:
		c.out = append(c.out, "NIL"...)
		return nil
	case item.binary:
		c.out = append(c.out, '~') // literal8
	}
	c.out = imapwire.AppendSize(c.out, s.size)
	err := s.writeTo(c)
	if err != nil {
		c.Abort()
	}
	return err
}

func appendModSeq(dst []byte, n mailstore.ModSeq) []byte {
	return append(strconv.AppendUint(append(dst, '('), uint64(n), 10), ')')
}

// emailID is the EMAILID of a content, the same for all its copies (RFC 8474 section 5.1).
func emailID(h mailstore.Hash) string { return "M" + h.String()[:40] }
