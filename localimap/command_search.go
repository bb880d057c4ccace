package localimap

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// returns are what SEARCH shall tell (RFC 9051 section 6.4.4).
type returns struct {
	extended             bool // RETURN was given: the answer is an ESEARCH response
	min, max, all, count bool
	save                 bool
}

// search answers SEARCH and UID SEARCH.
func (s *session) search(byUID bool) (string, error) {
	r := s.in
	var ret returns
	r.SP()
	if r.TakeWord("RETURN") {
		r.SP()
		s.searchReturns(&ret)
		r.SP()
	}
	if r.TakeWord("CHARSET") {
		r.SP()
		if charset := r.AString(); r.Err() == nil && !strings.EqualFold(charset, "UTF-8") && !strings.EqualFold(charset, "US-ASCII") {
			return "", no("BADCHARSET (US-ASCII UTF-8)", "The charset is not known")
		}
		r.SP()
	}
	k := &compiler{v: s.view, zone: s.srv.opt.Zone(), in: r}
	q := k.keys(0)
	s.needs(k.caps...)
	if err := r.End(); err != nil {
		if limit, ok := errors.AsType[*imap.Error](err); ok {
			return "", limit
		}
		return "", err
	}
	s.acted = true
	found, err := (&searching{session: s, v: s.view, q: q}).all()
	if err != nil {
		if ret.save {
			s.view.saved = nil // RFC 5182 section 2.1: after a NO, not after a BAD
		}
		return "", err
	}
	if ret.save {
		s.view.saved = s.view.uidsOf(toSave(found, ret))
	}
	var modseq mailstore.ModSeq
	if slices.Contains(k.caps, imap.CapCondStore) {
		for _, i := range toSave(found, ret) {
			modseq = max(modseq, s.view.told.modseqs[i])
		}
	}
	s.tellFound(found, byUID, ret, modseq)
	return "", nil
}

func (s *session) searchReturns(ret *returns) {
	ret.extended = true
	s.in.List(func() {
		switch option := strings.ToUpper(s.in.Atom()); option {
		case "MIN":
			ret.min = true
		case "MAX":
			ret.max = true
		case "ALL":
			ret.all = true
		case "COUNT":
			ret.count = true
		case "SAVE":
			ret.save = true
		default:
			s.in.Fail(&imapwire.SyntaxError{Text: "Unknown return option of SEARCH"})
		}
	})
	if !ret.min && !ret.max && !ret.count && !ret.save {
		ret.all = true
	}
}

// toSave returns what $ will stand for (RFC 5182 section 2.4): with MIN and MAX
// only those, unless ALL or COUNT is asked for too.
func toSave(found []int, ret returns) []int {
	if len(found) == 0 || ret.all || ret.count || !ret.min && !ret.max {
		return found
	}
	var ends []int
	if ret.min {
		ends = append(ends, found[0])
	}
	if ret.max && (len(ends) == 0 || len(found) > 1) {
		ends = append(ends, found[len(found)-1])
	}
	return ends
}

// tellFound tells the result, and the highest modification sequence in it, unless that
// is 0 (RFC 7162 sections 3.1.5 and 3.1.10).
func (s *session) tellFound(found []int, byUID bool, ret returns, modseq mailstore.ModSeq) {
	numbers := s.view.numbersOf(found, byUID)
	out := s.conn.out
	if !ret.extended && !s.rev2 {
		out = append(out, "* SEARCH"...)
		for _, n := range numbers {
			out = strconv.AppendUint(append(out, ' '), uint64(n), 10)
		}
		if modseq > 0 {
			out = append(strconv.AppendUint(append(out, " (MODSEQ "...), uint64(modseq), 10), ')')
		}
		s.conn.out = append(out, "\r\n"...)
		return
	}
	if !ret.extended {
		ret.all = true
	}
	if !ret.min && !ret.max && !ret.all && !ret.count {
		return // only SAVE
	}
	out = append(append(append(out, `* ESEARCH (TAG "`...), s.tag...), `")`...)
	if byUID {
		out = append(out, " UID"...)
	}
	if n := len(numbers); n > 0 {
		if ret.min {
			out = strconv.AppendUint(append(out, " MIN "...), uint64(numbers[0]), 10)
		}
		if ret.max {
			out = strconv.AppendUint(append(out, " MAX "...), uint64(numbers[n-1]), 10)
		}
		if ret.all {
			out = imapwire.AppendSet(append(out, " ALL "...), numbers)
		}
	}
	if modseq > 0 {
		out = strconv.AppendUint(append(out, " MODSEQ "...), uint64(modseq), 10)
	}
	if ret.count {
		out = strconv.AppendInt(append(out, " COUNT "...), int64(len(numbers)), 10)
	}
	s.conn.out = append(out, "\r\n"...)
}
