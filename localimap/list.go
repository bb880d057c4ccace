package localimap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"golang.org/x/text/unicode/norm"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// List answers LIST and LSUB, which the library takes for LIST (SUBSCRIBED).
// Special uses and \HasChildren are always told, for clients that know them from
// nowhere else.
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions) error {
	if len(patterns) == 0 { // RFC 9051 section 6.3.9: asks for the delimiter
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delimiter})
	}
	if options.ReturnStatus != nil && options.ReturnStatus.DeletedStorage {
		return errDeletedStorage
	}
	if len(patterns) > maxPatterns {
		return no(imap.ResponseCodeLimit, fmt.Sprintf("Too many mailbox patterns, at most %d", maxPatterns))
	}
	full, octets := make([]string, len(patterns)), 0
	for i, p := range patterns {
		full[i] = norm.NFC.String(ref + p) // names are kept in this form (RFC 9051 section 5.1)
		octets += len(full[i])
	}
	if octets > maxPatternOctets {
		return no(imap.ResponseCodeLimit, fmt.Sprintf("Mailbox patterns are too long, at most %d octets", maxPatternOctets))
	}
	ctx, stop := s.watch()
	defer stop()
	boxes, err := s.store.Mailboxes(s.ctx)
	if err != nil {
		return s.response(err)
	}
	var subscribed []string
	if options.SelectSubscribed || options.ReturnSubscribed {
		if subscribed, err = s.store.Subscriptions(s.ctx); err != nil {
			return s.response(err)
		}
	}
	lsub := s.conn.command() == "LSUB"
	if lsub { // % tells of what is above a subscribed mailbox (RFC 3501 section 6.3.9)
		options = &imap.ListOptions{SelectSubscribed: true, SelectRecursiveMatch: strings.Contains(full[0], "%")}
	}
	for _, data := range listing(ctx, boxes, subscribed, full, options) {
		if lsub && !slices.Contains(data.Attrs, imap.MailboxAttrSubscribed) && !slices.Contains(data.Attrs, imap.MailboxAttrNoSelect) {
			data.Attrs = append(data.Attrs, imap.MailboxAttrNoSelect)
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return s.response(context.Cause(ctx))
}

// listing selects and describes mailboxes (RFC 9051 section 6.3.9), as many as it
// can before ctx ends.
func listing(ctx context.Context, boxes []mailstore.Mailbox, subscribed, patterns []string, o *imap.ListOptions) []*imap.ListData {
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
	var list []*imap.ListData
	for _, name := range slices.Compact(names) {
		box := exists[name]
		wanted := (!o.SelectSubscribed || isSubscribed[name]) &&
			(!o.SelectSpecialUse || box != nil && box.SpecialUse != "")
		if !wanted && !above[name] || !matches(name) {
			continue
		}
		data := &imap.ListData{Delim: delimiter, Mailbox: name, Attrs: attributes(box, parents[name])}
		if isSubscribed[name] {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
		}
		if o.SelectRecursiveMatch && childInfo[name] {
			data.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
		}
		if o.ReturnStatus != nil && box != nil {
			data.Status = statusOf(*box)
		}
		list = append(list, data)
	}
	return list
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
				same := name[i-1] == p || i <= folded && name[i-1] == upper(p)
				at[i] = at[i-1] && same
			}
			at[0] = false
		}
	}
	return at[len(name)]
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}
