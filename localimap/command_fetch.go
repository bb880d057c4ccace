package localimap

import (
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// fetchRequest are what a FETCH asks for (RFC 9051 section 6.4.5).
type fetchRequest struct {
	uid, flags, date, size bool
	envelope               bool
	structure, body        bool // BODYSTRUCTURE, BODY
	preview                bool
	sections               []sectionItem
	names                  int // of header fields, in all sections
	want                   mailstore.Want
	setsSeen               bool
	page                   *page      // of UID FETCH
	modseq, saved          bool       // MODSEQ (RFC 7162), SAVEDATE (RFC 8514)
	emailID, threadID      bool       // RFC 8474
	caps                   []imap.Cap // that it takes
	since                  mailstore.ModSeq
	changed, vanished      bool // CHANGEDSINCE and VANISHED were given
}

// sectionItem is one BODY[...], BINARY[...], BINARY.SIZE[...] or what was there
// before these.
type sectionItem struct {
	name    string // as it is told
	path    []int
	what    string   // "", HEADER, TEXT or MIME
	fields  []string // of HEADER.FIELDS, or of HEADER.FIELDS.NOT
	not     bool
	partial *window
	binary  bool // BINARY
	measure bool // BINARY.SIZE
	kept    bool // the index has it for most messages
}

// macros (RFC 9051 section 6.4.5).
var macros = map[string][]string{
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

// fetch answers FETCH and UID FETCH. A message whose file is missing or damaged is
// left out, and the command ends with NO after the others.
func (s *session) fetch(byUID bool) (string, error) {
	r := s.in
	r.SP()
	set := s.set()
	r.SP()
	items := &fetchRequest{uid: byUID}
	if r.Peek() == '(' {
		r.Items(func() { items.read(r, r.AtomUntil('[')) })
	} else if name := strings.ToUpper(r.AtomUntil('[')); macros[name] != nil {
		for _, item := range macros[name] {
			items.read(r, item)
		}
	} else {
		items.read(r, name)
	}
	if !r.AtEnd() {
		r.SP()
		r.Params(func(name string) { items.readModifier(r, name, byUID) })
	}
	s.needs(items.caps...)
	if err := r.End(); err != nil {
		return "", err
	}
	if items.vanished && (!byUID || !items.changed || !s.qresync) {
		return "", bad("VANISHED is for UID FETCH with CHANGEDSINCE, and QRESYNC is to be enabled before") // RFC 7162 section 3.2.6
	}
	if err := items.check(); err != nil {
		return "", err
	}
	s.acted = true
	indices, err := s.view.resolve(set, byUID)
	if err != nil {
		return "", err
	}
	if items.page != nil {
		indices = pageOf(items.page, indices)
	}
	f := &fetching{session: s, v: s.view, items: items, zone: s.srv.opt.Zone()}
	items.setsSeen = items.setsSeen && !s.view.readOnly
	if items.vanished {
		gone, _, err := s.view.vanished(s.ctx, s.view.asked(set), items.since, 0)
		if err != nil {
			return "", err
		}
		s.conn.tellVanished(true, gone)
	}
	if items.changed {
		indices = s.view.changedSince(indices, items.since)
	}
	return "", f.run(indices)
}

// read reads an item whose name has been read.
func (f *fetchRequest) read(r *imapwire.Reader, name string) {
	switch name = strings.ToUpper(name); name {
	case "UID":
		f.uid = true
	case "FLAGS":
		f.flags = true
	case "INTERNALDATE":
		f.date = true
	case "RFC822.SIZE":
		f.size = true
	case "MODSEQ":
		f.modseq, f.caps = true, append(f.caps, imap.CapCondStore)
	case "SAVEDATE":
		f.saved, f.caps = true, append(f.caps, imap.CapSaveDate)
	case "EMAILID":
		f.emailID, f.caps = true, append(f.caps, imap.CapObjectID)
		f.want |= mailstore.WantHash
	case "THREADID":
		f.threadID, f.caps = true, append(f.caps, imap.CapObjectID)
	case "ENVELOPE":
		f.envelope = true
		f.want |= mailstore.WantEnvelope
	case "BODYSTRUCTURE":
		f.structure = true
		f.want |= mailstore.WantBody
	case "PREVIEW": // RFC 8970; previews are made at once, so LAZY makes no difference
		r.TakeWord(" (LAZY)")
		f.preview, f.caps = true, append(f.caps, imap.CapPreview)
		f.want |= mailstore.WantFile | mailstore.WantStructure
	case "RFC822": // RFC 3501 section 6.4.5, and .PEEK of RFC 1730
		f.add(sectionItem{name: name}, false)
	case "RFC822.PEEK":
		f.add(sectionItem{name: "RFC822"}, true)
	case "RFC822.HEADER":
		f.add(sectionItem{name: name, what: "HEADER"}, true)
	case "RFC822.TEXT":
		f.add(sectionItem{name: name, what: "TEXT"}, false)
	case "RFC822.TEXT.PEEK":
		f.add(sectionItem{name: "RFC822.TEXT", what: "TEXT"}, true)
	case "BODY":
		if r.Peek() != '[' {
			f.body = true
			f.want |= mailstore.WantBody
			return
		}
		f.add(readSection(r), false)
	case "BODY.PEEK":
		f.add(readSection(r), true)
	case "BINARY":
		f.add(f.readBinary(r, "BINARY", true), false)
	case "BINARY.PEEK":
		f.add(f.readBinary(r, "BINARY", true), true)
	case "BINARY.SIZE":
		item := f.readBinary(r, name, false)
		item.binary, item.measure = false, true
		f.add(item, true)
	default:
		r.Fail(&imapwire.SyntaxError{Text: "Unknown item of FETCH"})
	}
}

// readModifier reads a modifier (RFC 7162 sections 3.1.4.1 and 3.2.6).
func (f *fetchRequest) readModifier(r *imapwire.Reader, name string, byUID bool) {
	switch {
	case name == "CHANGEDSINCE":
		r.SP()
		f.since, f.changed, f.modseq = mailstore.ModSeq(r.Number64()), true, true //nolint:gosec // not negative
		f.caps = append(f.caps, imap.CapCondStore)
	case name == "VANISHED":
		f.vanished, f.caps = true, append(f.caps, imap.CapQResync)
	case name == "PARTIAL" && byUID: // RFC 9394 section 3.3
		f.page, f.caps = readPage(r), append(f.caps, capPartial)
	default:
		r.Fail(&imapwire.SyntaxError{Text: "Unknown modifier of FETCH"})
	}
}

// add adds a section, and what it takes to answer it.
func (f *fetchRequest) add(item sectionItem, peek bool) {
	f.names += len(item.fields)
	switch top := len(item.path) == 0; {
	case item.measure:
		f.want |= mailstore.WantFile | mailstore.WantStructure
	case top && item.binary, top && item.what == "":
		f.want |= mailstore.WantFile
	case top && item.what == "HEADER" && len(item.fields) > 0 && !item.not && message.Keeps(item.fields):
		f.want |= mailstore.WantHeader
		item.kept = true
	default:
		f.want |= mailstore.WantFile | mailstore.WantStructure
	}
	f.setsSeen = f.setsSeen || !peek
	f.sections = append(f.sections, item)
}

// check refuses what no client asks for.
func (f *fetchRequest) check() error {
	for _, item := range f.sections {
		if len(item.path) == 0 && item.what == "MIME" {
			return bad("BODY[MIME] needs a part number") // RFC 9051 section 6.4.5
		}
	}
	switch {
	case len(f.sections) > maxSections:
		return limited("Too many sections, at most %d", maxSections)
	case f.names > maxHeaderNames:
		return limited("Too many header fields, at most %d", maxHeaderNames)
	}
	return nil
}

// readSection reads [section] and perhaps <partial>, and makes its name.
func readSection(r *imapwire.Reader) (item sectionItem) {
	name := []byte("BODY[")
	r.Expect('[')
	var dot bool
	item.path, dot = readPath(r)
	name = appendPath(name, item.path)
	if len(item.path) == 0 || dot {
		if dot {
			name = append(name, '.')
		}
		name = item.readWhat(r, name, dot)
	}
	r.Expect(']')
	item.name = string(item.readPartial(r, append(name, ']')))
	return item
}

func (item *sectionItem) readWhat(r *imapwire.Reader, name []byte, needed bool) []byte {
	if !needed && r.Peek() == ']' {
		return name
	}
	word := strings.ToUpper(r.AtomUntil(']'))
	name = append(name, word...)
	switch word {
	case "HEADER", "TEXT", "MIME":
		item.what = word
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		item.what, item.not = "HEADER", word == "HEADER.FIELDS.NOT"
		r.SP()
		name = append(name, " ("...)
		r.Items(func() {
			field := r.AString()
			if len(item.fields) > 0 {
				name = append(name, ' ')
			}
			name = imapwire.AppendString(name, field)
			item.fields = append(item.fields, field)
		})
		name = append(name, ')')
	default:
		r.Fail(&imapwire.SyntaxError{Text: "Unknown section of a message"})
	}
	return name
}

func (f *fetchRequest) readBinary(r *imapwire.Reader, what string, partial bool) (item sectionItem) {
	item.binary = true
	f.caps = append(f.caps, imap.CapBinary)
	r.Expect('[')
	item.path, _ = readPath(r)
	r.Expect(']')
	name := append(appendPath(append([]byte(what), '['), item.path), ']')
	if partial {
		name = item.readPartial(r, name)
	}
	item.name = string(name)
	return item
}

// readPath reads the numbers of a part. dot tells that a dot after them was read,
// with something else behind it.
func readPath(r *imapwire.Reader) (path []int, dot bool) {
	for {
		if c := r.Peek(); c < '0' || c > '9' {
			return path, dot
		}
		path = append(path, int(r.NZNumber()))
		if dot = r.Take('.'); !dot {
			return path, false
		}
	}
}

func appendPath(name []byte, path []int) []byte {
	for i, n := range path {
		if i > 0 {
			name = append(name, '.')
		}
		name = strconv.AppendInt(name, int64(n), 10)
	}
	return name
}

// readPartial reads <offset.size>.
func (item *sectionItem) readPartial(r *imapwire.Reader, name []byte) []byte {
	if !r.Take('<') {
		return name
	}
	item.partial = &window{offset: r.Number64()}
	r.Expect('.')
	item.partial.size = r.NZNumber64()
	r.Expect('>')
	name = strconv.AppendInt(append(name, '<'), item.partial.offset, 10)
	return append(name, '>')
}
