package localimap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/fault"
)

// Capabilities that the vocabulary has no name for, or another one.
const (
	capUTF8    imap.Cap = "UTF8=ACCEPT" // RFC 6855
	capReplace imap.Cap = "REPLACE"     // RFC 8508
)

// capability is something that the server can do.
type capability struct {
	name   imap.Cap
	states state // in which it is announced
	fixed  bool  // it cannot be switched off for a device
	part   bool  // of IMAP4rev2, which is not announced without it (RFC 9051 appendix E)
	enable bool  // ENABLE knows it
}

// capabilities are announced in this order.
var capabilities = []capability{
	{name: imap.CapIMAP4rev1, states: anyState, fixed: true},
	{name: imap.CapIMAP4rev2, states: anyState, enable: true},
	{name: imap.CapSASLIR, states: anonymous, fixed: true},
	{name: imap.CapLiteralPlus, states: anyState, part: true},
	{name: imap.CapID, states: anyState},
	{name: imap.CapEnable, states: loggedIn, part: true},
	{name: imap.CapIdle, states: loggedIn, part: true},
	{name: imap.CapNamespace, states: loggedIn, part: true},
	{name: imap.CapUIDPlus, states: loggedIn, part: true},
	{name: imap.CapUnselect, states: loggedIn, part: true},
	{name: imap.CapChildren, states: loggedIn, fixed: true}, // LIST tells it anyway
	{name: imap.CapListExtended, states: loggedIn, part: true},
	{name: imap.CapListStatus, states: loggedIn, part: true},
	{name: imap.CapSpecialUse, states: loggedIn, part: true},
	{name: imap.CapCreateSpecialUse, states: loggedIn},
	{name: imap.CapMove, states: loggedIn, part: true},
	{name: imap.CapESearch, states: loggedIn, part: true},
	{name: imap.CapSearchRes, states: loggedIn, part: true},
	{name: imap.CapSort, states: loggedIn},
	{name: imap.CapSortDisplay, states: loggedIn},
	{name: imap.CapESort, states: loggedIn},
	{name: capThreadReferences, states: loggedIn},
	{name: capThreadRefs, states: loggedIn},
	{name: capThreadOrderedSubject, states: loggedIn},
	{name: imap.CapWithin, states: loggedIn},
	{name: capPartial, states: loggedIn},
	{name: imap.CapPreview, states: loggedIn},
	{name: imap.CapStatusSize, states: loggedIn, part: true},
	{name: imap.CapNotify, states: loggedIn},
	{name: imap.CapBinary, states: loggedIn, part: true},
	{name: capUTF8, states: loggedIn, enable: true},
	{name: imap.CapMultiAppend, states: loggedIn},
	{name: capReplace, states: loggedIn},
	{name: imap.CapCondStore, states: loggedIn, enable: true},
	{name: imap.CapQResync, states: loggedIn, enable: true},
	{name: imap.CapObjectID, states: loggedIn},
	{name: imap.CapSaveDate, states: loggedIn},
}

// capabilities returns what is announced now, in one line.
func (s *session) capabilities() string {
	var names []string
	now := s.state()
	for _, c := range capabilities {
		if c.states&now != 0 && !s.lacks(c) {
			names = append(names, string(c.name))
		}
	}
	switch {
	case s.clear:
		names = append(names, "STARTTLS", "LOGINDISABLED")
	case now == anonymous:
		names = append(names, "AUTH=PLAIN")
	default:
		names = append(names, fmt.Sprintf("APPENDLIMIT=%d", appendLimit)) // RFC 7889
	}
	return strings.Join(names, " ")
}

// lacks reports whether a capability is switched off for the device. IMAP4rev2 goes
// with all that is part of it.
func (s *session) lacks(c capability) bool {
	if s.user == "" {
		return false
	}
	if c.name == imap.CapIMAP4rev2 && slices.ContainsFunc(capabilities, func(p capability) bool { return p.part && s.store.lacks(p.name) }) {
		return true
	}
	return s.store.lacks(c.name)
}

// Switchable returns the capabilities that can be switched off for a device.
func Switchable() []string {
	var names []string
	for _, c := range capabilities {
		if !c.fixed {
			names = append(names, string(c.name))
		}
	}
	slices.Sort(names)
	return names
}

// SwitchOff checks names of capabilities to be switched off and returns them as
// a Device has them, or a fault.Config.
func SwitchOff(names []string) ([]string, error) {
	known := Switchable()
	var off []string
	for _, name := range names {
		i := slices.IndexFunc(known, func(c string) bool { return strings.EqualFold(c, name) })
		if i < 0 {
			return nil, fault.New(fault.Config, fmt.Sprintf("the capability %s cannot be switched off", fault.Quote(name)),
				"these can: "+strings.Join(known, ", "))
		}
		off = append(off, known[i])
	}
	slices.Sort(off)
	return slices.Compact(off), nil
}

// capability answers CAPABILITY (RFC 9051 section 6.1.1).
func (s *session) capability() (string, error) {
	if err := s.in.End(); err != nil {
		return "", err
	}
	s.conn.line("* CAPABILITY %s", s.capabilities())
	return "", nil
}

// enabled is what a client understands (RFC 5161, RFC 7162 section 3.1).
type enabled struct {
	rev2      bool // IMAP4rev2: no \Recent, unasked FETCH responses carry the UID
	condstore bool // they carry the modification sequence, too
	qresync   bool // VANISHED takes the place of EXPUNGE
}

// enable answers ENABLE (RFC 5161). What is not known is passed over.
func (s *session) enable() (string, error) {
	var names []string
	for first := true; first || !s.in.AtEnd(); first = false {
		s.in.SP()
		names = append(names, strings.ToUpper(s.in.Atom()))
	}
	if err := s.in.End(); err != nil {
		return "", err
	}
	enabled := ""
	for _, c := range capabilities {
		if !c.enable || s.lacks(c) || !slices.Contains(names, strings.ToUpper(string(c.name))) {
			continue
		}
		enabled += " " + string(c.name)
		switch c.name {
		case imap.CapIMAP4rev2, capUTF8:
			s.utf8, s.rev2 = true, s.rev2 || c.name != capUTF8 // both make names UTF-8
			s.in.RequireUTF8()
		case imap.CapQResync:
			s.qresync = true
			s.useModSeqs()
		case imap.CapCondStore:
			s.useModSeqs()
		}
	}
	s.conn.line("* ENABLED%s", enabled)
	return "", nil
}
