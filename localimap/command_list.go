package localimap

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/text/unicode/norm"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// listCommand is what LIST, LSUB or XLIST asks for (RFC 9051 section 6.3.9).
type listCommand struct {
	imap.ListOptions
	patterns []string
	status   []string // items of RETURN (STATUS)
	lsub     bool
	root     bool // the delimiter is asked for: an empty pattern, and nothing of RFC 5258
}

// list answers LIST, LSUB and XLIST. Special uses and \HasChildren are always told,
// for clients that know them from nowhere else.
func (s *session) list() (string, error) {
	l, err := s.listArguments()
	if err != nil {
		return "", err
	}
	if l.root {
		s.conn.line(`* %s (\Noselect) "/" ""`, s.name)
		return "", nil
	}
	octets := 0
	for i, p := range l.patterns {
		l.patterns[i] = norm.NFC.String(p) // names are kept in this form (RFC 9051 section 5.1)
		octets += len(l.patterns[i])
	}
	switch {
	case len(l.patterns) > maxPatterns:
		return "", limited("Too many mailbox patterns, at most %d", maxPatterns)
	case octets > maxPatternOctets:
		return "", limited("Mailbox patterns are too long, at most %d octets", maxPatternOctets)
	}
	boxes, err := s.store.Mailboxes(s.ctx)
	if err != nil {
		return "", err
	}
	var subscribed []string
	if l.SelectSubscribed || l.ReturnSubscribed {
		if subscribed, err = s.store.Subscriptions(s.ctx); err != nil {
			return "", err
		}
	}
	for _, box := range listing(s.ctx, boxes, subscribed, l.patterns, &l.ListOptions) {
		if l.lsub {
			box.attrs = box.lsubAttributes()
		}
		s.tellListed(s.name, box)
		if len(l.status) > 0 && box.box != nil {
			s.tellStatus(*box.box, l.status)
		}
		if err := s.conn.overflow(); err != nil {
			return "", err
		}
	}
	return "", s.conn.alive()
}

func (s *session) listArguments() (*listCommand, error) {
	r, l := s.in, &listCommand{lsub: s.name == "LSUB"}
	r.SP()
	extended := r.Peek() == '(' && !l.lsub
	if extended {
		r.List(func() { s.selectOption(l) })
		r.SP()
		if l.SelectRecursiveMatch && !l.SelectSubscribed && !l.SelectSpecialUse { // RFC 5258 section 3.1
			r.Fail(&imapwire.SyntaxError{Text: "RECURSIVEMATCH needs another selection option"})
		}
	}
	ref := s.pattern(r.AString)
	r.SP()
	pattern := func() { l.patterns = append(l.patterns, ref+s.pattern(r.ListMailbox)) }
	if r.Peek() == '(' && !l.lsub {
		extended = true
		r.List(pattern)
	} else {
		pattern()
	}
	if len(l.patterns) == 0 {
		r.Fail(&imapwire.SyntaxError{Text: "Expected a pattern"})
	}
	if !l.lsub && !r.AtEnd() {
		extended = true
		r.SP()
		if !r.TakeWord("RETURN") {
			r.Fail(&imapwire.SyntaxError{Text: "Expected RETURN"})
		}
		r.SP()
		r.List(func() { s.returnOption(l) })
	}
	if extended {
		s.needs(imap.CapListExtended)
	}
	l.root = !extended && len(l.patterns) == 1 && l.patterns[0] == ref
	if l.lsub { // % tells of what is above a subscribed mailbox (RFC 3501 section 6.3.9)
		l.ListOptions = imap.ListOptions{SelectSubscribed: true, SelectRecursiveMatch: strings.Contains(l.patterns[0], "%")}
	}
	return l, r.End()
}

// pattern reads a reference or a pattern.
func (s *session) pattern(read func() string) string {
	text := read()
	if s.in.Err() != nil {
		return ""
	}
	decoded, ok := imapwire.DecodeMailbox(text, s.utf8)
	if !ok {
		s.in.Fail(errName)
	}
	return decoded
}

func (s *session) selectOption(l *listCommand) {
	switch option := strings.ToUpper(s.in.Atom()); option {
	case "SUBSCRIBED":
		l.SelectSubscribed, l.ReturnSubscribed = true, true
	case "REMOTE": // there are none
	case "RECURSIVEMATCH":
		l.SelectRecursiveMatch = true
	case "SPECIAL-USE":
		s.needs(imap.CapSpecialUse)
		l.SelectSpecialUse = true
	default:
		s.in.Fail(&imapwire.SyntaxError{Text: "Unknown selection option of LIST"})
	}
}

func (s *session) returnOption(l *listCommand) {
	switch option := strings.ToUpper(s.in.Atom()); option {
	case "SUBSCRIBED":
		l.ReturnSubscribed = true
	case "CHILDREN", "SPECIAL-USE": // told anyway
	case "STATUS":
		s.needs(imap.CapListStatus)
		s.in.SP()
		l.status = s.statusList()
	default:
		s.in.Fail(&imapwire.SyntaxError{Text: "Unknown return option of LIST"})
	}
}

// tellListed tells of a mailbox by the response of a command: LIST, LSUB or XLIST.
func (s *session) tellListed(command string, box listed) {
	out := append(append(append(s.conn.out, "* "...), command...), " ("...)
	for i, attr := range box.attrs {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, attr...)
	}
	out = imapwire.AppendMailbox(append(out, `) "/" `...), box.name, s.utf8)
	if box.oldName != "" { // RFC 5465 section 5.4
		out = append(imapwire.AppendMailbox(append(out, ` ("OLDNAME" (`...), box.oldName, s.utf8), "))"...)
	}
	if box.above && command != "LSUB" {
		out = append(out, ` ("CHILDINFO" ("SUBSCRIBED"))`...)
	}
	s.conn.out = append(out, "\r\n"...)
}

// listed is a mailbox that LIST tells of.
type listed struct {
	name  string
	attrs []imap.MailboxAttr
	above bool               // a subscribed mailbox below it does not match itself (RECURSIVEMATCH)
	box   *mailstore.Mailbox // nil: there is none of that name

	oldName string             // of one that was renamed
	told    *mailstore.Mailbox // as STATUS told it last, nil for never
}

func (l *listed) id() mailstore.MailboxID {
	if l.box == nil {
		return 0
	}
	return l.box.ID
}

func (l *listed) subscribed() bool { return slices.Contains(l.attrs, imap.MailboxAttrSubscribed) }

// plain are the attributes without \Subscribed, which is the last one.
func (l *listed) plain() []imap.MailboxAttr {
	if l.subscribed() {
		return l.attrs[:len(l.attrs)-1]
	}
	return l.attrs
}

// listing selects and describes mailboxes (RFC 9051 section 6.3.9), as many as it
// can before ctx ends.
func listing(ctx context.Context, boxes []mailstore.Mailbox, subscribed, patterns []string, o *imap.ListOptions) []listed {
	exists := make(map[string]*mailstore.Mailbox, len(boxes))
	parents := make(map[string]bool)
	names := make([]string, 0, len(boxes)+len(subscribed))
	for i := range boxes {
		exists[boxes[i].Name] = &boxes[i]
		names = append(names, boxes[i].Name)
		eachParent(boxes[i].Name, func(p string) {
			if !parents[p] {
				parents[p] = true
				names = append(names, p) // may be hidden from the device
			}
		})
	}
	isSubscribed := make(map[string]bool, len(subscribed))
	if o.SelectSubscribed {
		names = append(names, subscribed...)
	}
	matches := func(name string) bool {
		return ctx.Err() == nil && slices.ContainsFunc(patterns, func(p string) bool { return matchMailbox(p, name) })
	}
	// Mailboxes that are told because of a subscribed one below them which
	// does not match itself (RECURSIVEMATCH), and those with any below.
	above, childInfo := make(map[string]bool), make(map[string]bool)
	for _, name := range subscribed {
		isSubscribed[name] = true
		hidden := !matches(name)
		eachParent(name, func(p string) {
			childInfo[p] = true
			if hidden && o.SelectRecursiveMatch {
				above[p] = true
				names = append(names, p)
			}
		})
	}
	slices.Sort(names)
	var list []listed
	for _, name := range slices.Compact(names) {
		box := exists[name]
		wanted := (!o.SelectSubscribed || isSubscribed[name]) &&
			(!o.SelectSpecialUse || box != nil && box.SpecialUse != "")
		if !wanted && !above[name] || !matches(name) {
			continue
		}
		l := listed{name: name, attrs: attributes(box, parents[name]), above: o.SelectRecursiveMatch && childInfo[name], box: box}
		if isSubscribed[name] {
			l.attrs = append(l.attrs, imap.MailboxAttrSubscribed)
		}
		list = append(list, l)
	}
	return list
}

// lsubAttributes are those that LSUB may tell (RFC 3501 section 6.3.9), and the special
// use, which some clients look for there.
func (l *listed) lsubAttributes() (attrs []imap.MailboxAttr) {
	if l.box == nil || !slices.Contains(l.attrs, imap.MailboxAttrSubscribed) {
		attrs = append(attrs, imap.MailboxAttrNoSelect)
	}
	if l.box != nil && l.box.SpecialUse != "" {
		attrs = append(attrs, imap.MailboxAttr(l.box.SpecialUse))
	}
	return attrs
}

func attributes(box *mailstore.Mailbox, hasChildren bool) []imap.MailboxAttr {
	var attrs []imap.MailboxAttr
	if box == nil {
		// The one implies the other, but LSUB clients know only that.
		attrs = append(attrs, imap.MailboxAttrNonExistent, imap.MailboxAttrNoSelect)
	}
	if hasChildren {
		attrs = append(attrs, imap.MailboxAttrHasChildren)
	} else {
		attrs = append(attrs, imap.MailboxAttrHasNoChildren)
	}
	if box != nil && box.SpecialUse != "" {
		attrs = append(attrs, imap.MailboxAttr(box.SpecialUse))
	}
	return attrs
}

// eachParent calls f for every level above name.
func eachParent(name string, f func(parent string)) {
	for i := strings.LastIndexByte(name, delimiter); i > 0; i = strings.LastIndexByte(name[:i], delimiter) {
		f(name[:i])
	}
}

// matchMailbox reports whether pattern matches the whole name: `*` stands for
// anything, `%` for anything without a delimiter. INBOX, at the start of a
// name, has no regard to case (RFC 9051 section 5.1). The work is bounded by
// the product of the lengths, whatever the pattern.
func matchMailbox(pattern, name string) bool {
	folded := 0
	if name == inbox || strings.HasPrefix(name, inbox+string(delimiter)) {
		folded = len(inbox)
	}
	// at[i]: the pattern up to here can match name[:i].
	at := make([]bool, len(name)+1)
	at[0] = true
	for k := 0; k < len(pattern); k++ {
		switch p := pattern[k]; p {
		case '*', '%':
			for i := 1; i <= len(name); i++ {
				at[i] = at[i] || at[i-1] && (p == '*' || name[i-1] != delimiter)
			}
		default:
			for i := len(name); i > 0; i-- {
				same := name[i-1] == p || i <= folded && name[i-1] == p&^0x20
				at[i] = at[i-1] && same
			}
			at[0] = false
		}
	}
	return at[len(name)]
}
