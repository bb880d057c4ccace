package localimap

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// allGone answers a command whose messages, named by sequence numbers, have all
// been expunged by others (RFC 2180 sections 4.2 and 4.4; RFC 5530). Where some
// are left the command works on those. Missing UIDs are never an error (RFC
// 9051 section 6.4.9).
func allGone(set imap.NumSet, asked, done int) error {
	if _, byNumber := set.(imap.SeqSet); byNumber && asked > 0 && done == 0 {
		return no(codeExpungeIssued, "These messages have been expunged by another client")
	}
	return nil
}

// Store changes flags. Without .SILENT the client is told the outcome; with it
// only where the outcome is not what the client must expect, because another
// session had changed the message meanwhile.
func (s *session) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.writableLocked()
	if err != nil {
		return err
	}
	names, ok := storable(flags.Flags)
	if !ok || slices.ContainsFunc(flags.Flags, isRecent) {
		return bad("Invalid flag") // RFC 3501 section 9: \Recent is no flag of STORE
	}
	indices, err := v.resolve(set)
	if err != nil || len(indices) == 0 {
		return err
	}
	op := map[imap.StoreFlagsOp]mailstore.FlagOp{
		imap.StoreFlagsSet: mailstore.Set, imap.StoreFlagsAdd: mailstore.Add, imap.StoreFlagsDel: mailstore.Remove,
	}[flags.Op]
	changes, err := s.store.SetFlags(s.ctx, v.id, v.uidsOf(indices), op, names)
	if err != nil {
		return s.response(err)
	}
	expected := expectation{v: v, op: op, names: names, known: make(map[[2]mailstore.Flags]bool)}
	_, byUID := set.(imap.UIDSet)
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
		tell := !flags.Silent || !expected.is(v.told.flags[i], c.Flags)
		v.setFlags(i, c.Flags)
		if !tell {
			continue
		}
		if err := s.tellFlags(w, v, i, byUID); err != nil {
			return err
		}
	}
	return allGone(set, len(indices), len(changes))
}

func isRecent(f imap.Flag) bool { return strings.EqualFold(string(f), string(flagRecent)) }

func (s *session) tellFlags(w *imapserver.FetchWriter, v *view, i int, withUID bool) error {
	s.tellKeywords(v)
	m := w.CreateMessage(uint32(i + 1))
	if withUID {
		m.WriteUID(imap.UID(v.told.uids[i]))
	}
	m.WriteFlags(v.flagList(i))
	return m.Close()
}

// tellKeywords tells of keywords that are new, before a response that has them.
// The library can write FLAGS in a poll only, which comes after.
func (s *session) tellKeywords(v *view) {
	if !v.learned {
		return
	}
	v.learned = false
	var names []string
	for _, f := range v.flagsInUse() {
		names = append(names, string(f))
	}
	s.conn.say("* FLAGS (%s)", strings.Join(names, " "))
}

// expectation says whether flags are what a client that knows the old ones
// expects after its STORE.
type expectation struct {
	v     *view
	op    mailstore.FlagOp
	names []string
	known map[[2]mailstore.Flags]bool
}

func (e *expectation) is(old, result mailstore.Flags) bool {
	key := [2]mailstore.Flags{old, result}
	same, ok := e.known[key]
	if !ok {
		same = e.compare(old, result)
		e.known[key] = same
	}
	return same
}

func (e *expectation) compare(old, result mailstore.Flags) bool {
	want := make(map[string]bool)
	if e.op != mailstore.Set {
		for _, n := range e.v.store.FlagNames(old) {
			want[strings.ToLower(n)] = true
		}
	}
	for _, n := range e.names {
		if e.op == mailstore.Remove {
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

// Copy copies messages with their flags.
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.selectedLocked()
	if err == nil {
		err = s.writable()
	}
	if err != nil {
		return nil, err
	}
	return s.copyLocked(v, set, dest, s.store.Copy)
}

type copyFunc = func(ctx context.Context, src mailstore.MailboxID, uids []mailstore.UID, dst mailstore.MailboxID) (mailstore.CopyResult, error)

func (s *session) copyLocked(v *view, set imap.NumSet, dest string, copyTo copyFunc) (*imap.CopyData, error) {
	indices, err := v.resolve(set)
	if err != nil {
		return nil, err
	}
	box, err := s.store.Mailbox(s.ctx, dest)
	if err != nil {
		return nil, s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	if len(indices) == 0 {
		return nil, nil
	}
	r, err := copyTo(s.ctx, v.id, v.uidsOf(indices), box.ID)
	if err != nil && v.feed.Gone() {
		return nil, s.response(err) // it is the source that is not there
	} else if err != nil {
		return nil, s.recode(err, fault.NotFound, imap.ResponseCodeTryCreate)
	}
	if len(r.From) == 0 {
		return nil, allGone(set, len(indices), 0)
	}
	if s.store.lacks(imap.CapUIDPlus) {
		return nil, nil
	}
	return &imap.CopyData{UIDValidity: r.UIDValidity, SourceUIDs: uidSet(r.From), DestUIDs: uidSet(r.To)}, nil
}

// Move moves messages. COPYUID comes first (RFC 6851 section 4.3), the EXPUNGE
// responses with the poll that ends the command.
func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.writableLocked()
	if err != nil {
		return err
	}
	data, err := s.copyLocked(v, set, dest, s.store.Move)
	if err != nil || data == nil {
		return err
	}
	return w.WriteCopyData(data)
}

// Expunge removes messages with \Deleted, all or those of uids. The poll that
// ends the command tells the client. CLOSE, which calls it with a writer that
// goes nowhere, removes nothing and succeeds where the mailbox is open
// read-only or has been deleted (RFC 9051 section 6.4.1).
func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.writableLocked()
	if err != nil {
		if *w == (imapserver.ExpungeWriter{}) && s.view != nil {
			return nil
		}
		return err
	}
	if v.feed.Gone() && *w == (imapserver.ExpungeWriter{}) {
		return nil
	}
	var only []mailstore.UID // nil: all
	if uids != nil {
		indices, err := v.resolve(*uids)
		if err != nil || len(indices) == 0 {
			return err
		}
		only = v.uidsOf(indices)
	}
	_, err = s.store.Expunge(s.ctx, v.id, only)
	return s.response(err)
}
