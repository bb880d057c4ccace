package localimap

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// fetch is one FETCH command.
type fetch struct {
	*session
	ctx context.Context // of the command
	v   *view
	w   *imapserver.FetchWriter
	opt *imap.FetchOptions

	zone *time.Location // of INTERNALDATE

	want      mailstore.Want // what the items need; 0 where the columns have it all
	kept      []bool         // the body sections that the index answers for most messages
	marksSeen bool

	trouble error // the first message that could not be answered
}

// Fetch answers FETCH. A message whose file is missing or damaged is left out,
// and the command ends with NO after the others.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.selectedLocked()
	if err != nil {
		return err
	}
	f := &fetch{session: s, v: v, w: w, opt: options, zone: s.srv.opt.Zone()}
	if err := f.plan(); err != nil {
		return err
	}
	indices, err := v.resolve(set)
	if err != nil {
		return err
	}
	ctx, stop := s.watch()
	defer stop()
	f.ctx = ctx
	if f.want != 0 {
		err = s.chunked(v, indices, f.want, f.chunk)
	} else {
		err = f.chunk(indices, nil)
	}
	if err == nil {
		err = f.trouble
	}
	return s.response(err)
}

// plan finds out what the items need.
func (f *fetch) plan() error {
	o := f.opt
	if err := f.tooMuch(); err != nil {
		return err
	}
	if o.Envelope {
		f.want |= mailstore.WantEnvelope
	}
	if o.BodyStructure != nil {
		f.want |= mailstore.WantStructure
	}
	if len(o.BinarySectionSize) > 0 {
		f.want |= mailstore.WantFile | mailstore.WantStructure
	}
	f.kept = make([]bool, len(o.BodySection))
	for k, b := range o.BodySection {
		top := len(b.Part) == 0
		switch {
		case slices.Contains(b.Part, 0):
			return errPart
		case top && b.Specifier == imap.PartSpecifierMIME:
			return bad("BODY[MIME] needs a part number") // RFC 9051 section 6.4.5
		case top && b.Specifier == imap.PartSpecifierNone:
			f.want |= mailstore.WantFile
		case top && b.Specifier == imap.PartSpecifierHeader && len(b.HeaderFields) > 0 && message.Keeps(b.HeaderFields):
			f.want |= mailstore.WantHeader
			f.kept[k] = true
		default:
			f.want |= mailstore.WantFile | mailstore.WantStructure
		}
		f.marksSeen = f.marksSeen || !b.Peek
	}
	for _, b := range o.BinarySection {
		if slices.Contains(b.Part, 0) {
			return errPart
		}
		f.want |= mailstore.WantFile
		if len(b.Part) > 0 {
			f.want |= mailstore.WantStructure
		}
		f.marksSeen = f.marksSeen || !b.Peek
	}
	if f.want == 0 && !o.Flags && !o.InternalDate && !o.RFC822Size && !o.UID {
		return bad("Nothing to fetch")
	}
	f.marksSeen = f.marksSeen && !f.v.readOnly
	return nil
}

// tooMuch refuses what no client asks for.
func (f *fetch) tooMuch() error {
	o, names := f.opt, 0
	for _, b := range o.BodySection {
		names += len(b.HeaderFields) + len(b.HeaderFieldsNot)
	}
	switch {
	case len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > maxSections:
		return no(imap.ResponseCodeLimit, fmt.Sprintf("Too many sections, at most %d", maxSections))
	case names > maxHeaderNames:
		return no(imap.ResponseCodeLimit, fmt.Sprintf("Too many header fields, at most %d", maxHeaderNames))
	}
	return nil
}

var errPart = bad("Part numbers start at 1") // RFC 9051 section 9, section-part

// chunk answers for some messages; contents is nil where the columns have all
// that is asked for. The error is one that ends the command.
func (f *fetch) chunk(indices []int, contents []mailstore.Content) error {
	if err := context.Cause(f.ctx); err != nil {
		return err
	}
	var changed map[int]bool // messages whose flags must be told
	if f.opt.Flags || f.marksSeen {
		changed = f.v.refresh(indices)
	}
	if f.marksSeen {
		f.markSeen(indices, changed)
	}
	tell := func(k int, p prepared) error {
		if err := context.Cause(f.ctx); err != nil {
			p.close()
			return err
		}
		return f.message(indices[k], p, f.opt.Flags || changed[indices[k]])
	}
	if f.want&mailstore.WantFile != 0 {
		return ahead(len(indices), filesAhead, func(k int) prepared { return f.prepare(&contents[k]) }, tell, prepared.close)
	}
	for k := range indices {
		var p prepared
		if contents != nil {
			p = f.prepare(&contents[k])
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
func (f *fetch) markSeen(indices []int, changed map[int]bool) {
	var unseen []mailstore.UID
	for _, i := range indices {
		if f.v.told.flags[i].System&mailstore.Seen == 0 {
			unseen = append(unseen, f.v.told.uids[i])
		}
	}
	if len(unseen) == 0 {
		return
	}
	changes, err := f.store.SetFlags(f.ctx, f.v.id, unseen, mailstore.Add, []string{string(imap.FlagSeen)})
	if err != nil {
		f.log.Warn().Err(err).Str("user", f.user).Msg("reading was not noted as \\Seen")
		return
	}
	for _, c := range changes {
		if i, ok := slices.BinarySearch(f.v.told.uids, c.UID); ok {
			f.v.setFlags(i, c.Flags)
			changed[i] = true
		}
	}
}

// message answers for one message. Everything that can fail has been found
// out, sizes above all, before the response is begun. The error is one that
// ends the command.
func (f *fetch) message(i int, p prepared, withFlags bool) (err error) {
	defer p.close()
	if p.err != nil {
		if f.trouble == nil {
			f.trouble = p.err
		}
		if withFlags {
			return f.tellFlags(f.w, f.v, i, f.opt.UID)
		}
		return nil
	}
	if withFlags {
		f.tellKeywords(f.v)
	}
	m := f.w.CreateMessage(uint32(i + 1))
	defer func() { // also in a panic: it holds the encoder's lock
		if closeErr := m.Close(); err == nil {
			err = closeErr
		}
	}()
	if f.opt.UID {
		m.WriteUID(imap.UID(f.v.told.uids[i]))
	}
	if withFlags {
		m.WriteFlags(f.v.flagList(i))
	}
	if f.opt.InternalDate {
		m.WriteInternalDate(internalDate(f.v.told.received[i], f.zone))
	}
	if f.opt.RFC822Size {
		m.WriteRFC822Size(f.v.told.sizes[i])
	}
	if f.opt.Envelope {
		m.WriteEnvelope(envelopeOf(&p.content.Summary.Envelope))
	}
	if f.opt.BodyStructure != nil {
		m.WriteBodyStructure(structureOf(p.content.Summary.Root))
	}
	return f.writeSections(m, p.parts)
}

// prepared is a message ready to be told.
type prepared struct {
	content *mailstore.Content
	file    *os.File // open where a section needs it
	parts   sections
	err     error // the response for a message that cannot be told
}

func (p prepared) close() {
	if p.file != nil {
		_ = p.file.Close() // only read
	}
}

// prepare opens the message file where it is needed, once for all items, and
// measures the sections. Several messages are prepared at the same time.
func (f *fetch) prepare(c *mailstore.Content) prepared {
	p := prepared{content: c}
	if c.Gone {
		p.err = no(codeExpungeIssued, "Some messages have been expunged by another client")
		return p
	}
	var err error
	if f.want&mailstore.WantFile != 0 || c.Cut || f.want&mailstore.WantHeader != 0 && !c.Summary.Header.Complete() {
		if p.file, err = openWhole(f.store.Store, c); err != nil {
			f.log.Error().Err(err).Str("user", f.user).Stringer("msg", c.Hash).Msg("message file could not be read")
			if p.err = errDamaged; fault.Is(err, fault.Temporary) { // it may only not be opened
				p.err = f.response(err)
			}
			return p
		}
	}
	file := watchedFile{f.ctx, p.file}
	if c.Cut { // a copy, which is gone with p
		whole := *c
		whole.Summary = f.store.Summarize(file, c.Size)
		p.content = &whole
	}
	if p.parts, err = f.measure(file, p.content); err != nil {
		p.err = f.response(err)
	}
	return p
}

var errDamaged = no(imap.ResponseCodeServerBug, "Some messages are damaged, see the log of the server")

// openWhole opens the file of a message and makes sure that it is as long as
// the literals to be announced.
func openWhole(store *mailstore.Store, c *mailstore.Content) (*os.File, error) {
	file, err := store.OpenContent(c.Hash)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() != c.Size {
		err = fmt.Errorf("message file %s has %d bytes instead of %d", c.Hash, info.Size(), c.Size)
	}
	if err != nil {
		_ = file.Close() // only read
		return nil, err
	}
	return file, nil
}

func (f *fetch) writeSections(m *imapserver.FetchResponseWriter, parts sections) error {
	for k, item := range f.opt.BodySection {
		if err := f.writeLiteral(m.WriteBodySection(item, parts.body[k].size), parts.body[k]); err != nil {
			return err
		}
	}
	for k, item := range f.opt.BinarySection {
		if err := f.writeLiteral(m.WriteBinarySection(item, parts.binary[k].size), parts.binary[k]); err != nil {
			return err
		}
	}
	for k, item := range f.opt.BinarySectionSize {
		m.WriteBinarySectionSize(item, uint32(parts.sizes[k]))
	}
	return nil
}

// writeLiteral writes as many bytes as were announced. Where the file does not
// yield them any more, the connection is given up: nothing that could be sent
// instead would be true.
func (f *fetch) writeLiteral(w io.WriteCloser, s section) error {
	err := s.writeTo(w)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		f.conn.abort()
	}
	return err
}
