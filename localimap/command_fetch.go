package localimap

import (
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// fetchRequest is what a FETCH asks for (RFC 9051 section 6.4.5).
type fetchRequest struct {
	atts     fetchAtts
	sections []sectionItem
	names    int // of header fields, in all sections
	want     mailstore.Want
	setsSeen bool
	caps     []imap.Cap // that it takes

	page              *page // of UID FETCH
	since             mailstore.ModSeq
	changed, vanished bool // CHANGEDSINCE and VANISHED were given
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
	items := &fetchRequest{}
	if byUID {
		items.atts = attUID
	}
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
	name = strings.ToUpper(name)
	k := slices.IndexFunc(messageItems, func(item fetchItem) bool { return item.name == name })
	if k >= 0 && (name != "BODY" || r.Peek() != '[') {
		f.atts, f.want = f.atts|1<<k, f.want|messageItems[k].want
		if needs := messageItems[k].needs; needs != "" {
			f.caps = append(f.caps, needs)
		}
		if name == "PREVIEW" { // previews are made at once, so LAZY makes no difference
			r.TakeWord(" (LAZY)")
		}
		return
	}
	base, peek := strings.CutSuffix(name, ".PEEK")
	item := sectionItem{name: base}
	switch name {
	case "RFC822", "RFC822.PEEK": // RFC 3501 section 6.4.5, and .PEEK of RFC 1730
	case "RFC822.HEADER":
		item.what, peek = "HEADER", true
	case "RFC822.TEXT", "RFC822.TEXT.PEEK":
		item.what = "TEXT"
	case "BODY", "BODY.PEEK":
		item.read(r)
	case "BINARY", "BINARY.PEEK":
		item.binary, f.caps = true, append(f.caps, imap.CapBinary)
		item.read(r)
	case "BINARY.SIZE":
		item.measure, peek, f.caps = true, true, append(f.caps, imap.CapBinary)
		item.read(r)
	default:
		r.Fail(&imapwire.SyntaxError{Text: "Unknown item of FETCH"})
	}
	f.add(item, peek)
}

// readModifier reads a modifier (RFC 7162 sections 3.1.4.1 and 3.2.6).
func (f *fetchRequest) readModifier(r *imapwire.Reader, name string, byUID bool) {
	switch {
	case name == "CHANGEDSINCE":
		r.SP()
		f.since, f.changed = mailstore.ModSeq(r.Number64()), true // not negative
		f.atts, f.caps = f.atts|attModSeq, append(f.caps, imap.CapCondStore)
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
	switch {
	case len(f.sections) > maxSections:
		return limited("Too many sections, at most %d", maxSections)
	case f.names > maxHeaderNames:
		return limited("Too many header fields, at most %d", maxHeaderNames)
	}
	return nil
}

// read reads [section] and perhaps <partial>, which are added to the name.
func (item *sectionItem) read(r *imapwire.Reader) {
	spec, ok := "", true
	if r.Expect('['); r.Peek() != ']' {
		spec = strings.ToUpper(r.AtomUntil(']'))
	}
	name := append(append([]byte(item.name), '['), spec...)
	item.path, item.what, ok = cutPath(spec)
	switch {
	case !ok, item.what != "" && (item.binary || item.measure), item.what == "MIME" && len(item.path) == 0:
		r.Fail(&imapwire.SyntaxError{Text: "Unknown section of a message"})
	case item.what == "HEADER.FIELDS", item.what == "HEADER.FIELDS.NOT":
		item.not, item.what = item.what == "HEADER.FIELDS.NOT", "HEADER"
		r.SP()
		r.Items(func() { item.fields = append(item.fields, r.AString()) })
		between := byte('(')
		name = append(name, ' ')
		for _, field := range item.fields {
			name, between = imapwire.AppendAString(append(name, between), field), ' '
		}
		name = append(name, ')')
	case item.what != "" && item.what != "HEADER" && item.what != "TEXT" && item.what != "MIME":
		r.Fail(&imapwire.SyntaxError{Text: "Unknown section of a message"})
	}
	r.Expect(']')
	name = append(name, ']')
	if !item.measure && r.Take('<') {
		item.partial = &window{offset: r.Number64()}
		r.Expect('.')
		item.partial.size = r.NZNumber64()
		r.Expect('>')
		name = append(strconv.AppendInt(append(name, '<'), item.partial.offset, 10), '>')
	}
	item.name = string(name)
}

// cutPath cuts the numbers of a part off a section.
func cutPath(section string) (path []int, what string, ok bool) {
	for what = section; what != "" && what[0] <= '9'; {
		number, rest, dot := strings.Cut(what, ".")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || number[0] == '0' || dot && rest == "" {
			return nil, "", false
		}
		path, what = append(path, int(n)), rest
	}
	return path, what, true
}
