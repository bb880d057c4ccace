package localimap

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// allGone answers a command whose messages, named by sequence numbers, have all
// been expunged by others (RFC 2180 sections 4.2 and 4.4; RFC 5530). Where some
// are left the command works on those. Missing UIDs are never an error (RFC
// 9051 section 6.4.9).
func allGone(byUID bool, asked, done int) error {
	if !byUID && asked > 0 && done == 0 {
		return no(codeExpungeIssued, "These messages have been expunged by another client")
	}
	return nil
}

// writableView returns the view for a command that changes messages.
func (s *session) writableView() (*view, error) {
	s.acted = true
	if s.view.readOnly {
		return nil, no(imap.ResponseCodeNoPerm, "Mailbox is open read-only")
	}
	return s.view, nil
}

// writable refuses a command that changes mailboxes where the device may not.
func (s *session) writable() error {
	if s.store.device.ReadOnly {
		return no(imap.ResponseCodeNoPerm, "This device may only read")
	}
	return nil
}

// storeFlags answers STORE and UID STORE (RFC 9051 section 6.4.6). Without .SILENT
// the client is told the outcome; with it only where the outcome is not what the
// client must expect, because another session had changed the message meanwhile.
func (s *session) storeFlags(byUID bool) (string, error) {
	r := s.in
	r.SP()
	set := s.set()
	r.SP()
	since, conditional := s.unchangedSince()
	op, silent := s.storeItem()
	r.SP()
	var flags []string
	if r.Peek() == '(' {
		r.List(func() { flags = append(flags, r.Flag()) })
	} else {
		for flags = append(flags, r.Flag()); r.Take(' '); {
			flags = append(flags, r.Flag())
		}
	}
	if err := r.End(); err != nil {
		return "", err
	}
	v, err := s.writableView()
	if err != nil {
		return "", err
	}
	names, ok := storable(flags)
	if !ok || slices.ContainsFunc(flags, isRecent) {
		return "", bad("Invalid flag") // RFC 3501 section 9: \Recent is no flag of STORE
	}
	indices, err := v.resolve(set, byUID)
	if err != nil || len(indices) == 0 {
		return "", err
	}
	changes, left, err := s.store.SetFlagsUnchanged(s.ctx, v.id, v.uidsOf(indices), op, names, since)
	if err != nil {
		return "", err
	}
	expected := expectation{v: v, op: op, names: names, known: make(map[[2]mailflags.Flags]bool)}
	k := 0
	for _, c := range changes {
		for k < len(indices) && v.told.uids[indices[k]] < c.UID {
			k++
		}
		if k == len(indices) {
			break
		}
		i := indices[k]
		if v.told.uids[i] != c.UID {
			continue
		}
		tell := !silent || !expected.is(v.told.flags[i], c.Flags)
		news := v.setFlags(i, c.Flags, c.ModSeq)
		if tell || conditional || v.condstore && news {
			s.tellFlags(i, byUID, tell)
		}
	}
	gone := !byUID && conditional && len(changes)+len(left) < len(indices)
	if !gone && len(left) == 0 {
		return "", allGone(byUID, len(indices), len(changes))
	}
	changed := v.refresh(indices) // why they failed, with the UID where that is asked for
	for _, i := range indices {
		if changed[i] {
			s.tellFlags(i, byUID, true)
		}
	}
	failed := imapwire.AppendSet(nil, left)
	if !byUID {
		failed = imapwire.AppendSet(nil, v.failed(indices, changes))
	}
	if gone {
		return "", no(imap.ResponseCode(fmt.Sprintf("MODIFIED %s", failed)), "Some of the messages have been expunged by another client")
	}
	return fmt.Sprintf("[MODIFIED %s] Conditional STORE failed", failed), nil
}

// unchangedSince reads (UNCHANGEDSINCE n), where it is there (RFC 7162 section 3.1.3).
func (s *session) unchangedSince() (since mailstore.ModSeq, conditional bool) {
	r := s.in
	if r.Peek() != '(' {
		return math.MaxUint64, false
	}
	r.Params(func(name string) {
		if name != "UNCHANGEDSINCE" {
			r.Fail(&imapwire.SyntaxError{Text: "Unknown modifier of STORE"})
		}
		r.SP()
		since = mailstore.ModSeq(r.Number64()) // not negative
	})
	r.SP()
	s.needs(imap.CapCondStore)
	return since, true
}

// failed returns the numbers of the messages that a conditional STORE has left alone
// (RFC 7162 section 3.1.3): those that had changed, and those that are gone, which the
// client may not know.
func (v *view) failed(indices []int, done []mailstore.FlagChange) []uint32 {
	return v.numbersOf(slices.DeleteFunc(indices, func(i int) bool {
		_, ok := slices.BinarySearchFunc(done, v.told.uids[i], func(c mailstore.FlagChange, uid mailstore.UID) int { return cmp.Compare(c.UID, uid) })
		return ok
	}), false)
}

// storeItem reads FLAGS, +FLAGS or -FLAGS, perhaps with .SILENT.
func (s *session) storeItem() (op mailflags.Op, silent bool) {
	item := strings.ToUpper(s.in.Atom())
	item, silent = strings.CutSuffix(item, ".SILENT")
	switch item {
	case "FLAGS":
		return mailflags.Set, silent
	case "+FLAGS":
		return mailflags.Add, silent
	case "-FLAGS":
		return mailflags.Remove, silent
	}
	s.in.Fail(&imapwire.SyntaxError{Text: "Expected FLAGS, +FLAGS or -FLAGS"})
	return op, false
}

func isRecent(f string) bool { return strings.EqualFold(f, string(flagRecent)) }

// tellFlags tells the flags of a message, and its UID to a command that asks by UIDs;
// or only the modification sequence.
func (s *session) tellFlags(i int, withUID, withFlags bool) {
	s.tellKeywords()
	uid, modseq := s.view.unasked(i)
	if withUID {
		uid = s.view.told.uids[i]
	}
	flags := ""
	if withFlags {
		flags = s.view.flagNames(i)
	}
	s.conn.tellFlags(i, uid, flags, modseq)
}

// tellKeywords tells of keywords that are new, before a response that has them.
func (s *session) tellKeywords() {
	if v := s.view; v.learned {
		v.learned = false
		s.conn.line("* FLAGS %s", flagText(v.flagsInUse()))
	}
}

// expectation says whether flags are what a client that knows the old ones
// expects after its STORE.
type expectation struct {
	v     *view
	op    mailflags.Op
	names []string
	known map[[2]mailflags.Flags]bool
}

func (e *expectation) is(old, result mailflags.Flags) bool {
	key := [2]mailflags.Flags{old, result}
	same, ok := e.known[key]
	if !ok {
		same = e.compare(old, result)
		e.known[key] = same
	}
	return same
}

func (e *expectation) compare(old, result mailflags.Flags) bool {
	want := make(map[string]bool)
	if e.op != mailflags.Set {
		for _, n := range e.v.store.FlagNames(old) {
			want[strings.ToLower(n)] = true
		}
	}
	for _, n := range e.names {
		if e.op == mailflags.Remove {
			delete(want, strings.ToLower(n))
		} else {
			want[strings.ToLower(n)] = true
		}
	}
	got := e.v.store.FlagNames(result)
	for _, n := range got {
		if !want[strings.ToLower(n)] {
			return false
		}
	}
	return len(got) == len(want)
}
